"""What the routes share: the project, its plan, its budgets and its jobs."""

from collections.abc import Callable
from dataclasses import dataclass, field

from emulator.limits import COHORT_DOWNLOADS, DASHBOARD, DELETIONS, TAXONOMY, Budget
from emulator.messages import ApiError, Request
from emulator.project import Project

POLLS = 2
"""Status requests after which the job of a cohort's download is completed."""
PLANS = {
    "enterprise": {"annotations", "cohorts", "taxonomy"},
    "growth": {"annotations", "cohorts"},
    "starter": set(),
}


@dataclass
class CohortJob:
    """The download of a cohort: its properties, the status requests so far, and the links to its file.

    `links` has for each signed address of the file when it expires, in epoch seconds.
    """

    id: str
    cohort: str
    properties: list[str]
    polls: int = 0
    links: list[float] = field(default_factory=list)

    @property
    def completed(self) -> bool:
        """Whether the file can be downloaded."""
        return self.polls >= POLLS


class Api:
    """A project behind a plan and its limits, without HTTP.

    Args:
        project: the data.
        plan: one of `PLANS`.
        budget: whether limits are enforced.
        export_limit_bytes: the size of an export, unzipped, over which the response is 400.
        first_byte_delay: seconds before the response to an export.
        files_url: the root of the host that keeps files; it differs from the host of the API.
        wait: waits for a number of seconds before a response.
    """

    def __init__(
        self,
        project: Project,
        plan: str,
        *,
        budget: bool,
        export_limit_bytes: int | None,
        first_byte_delay: float,
        files_url: str,
        wait: Callable[[float], None],
    ) -> None:
        if plan not in PLANS:
            raise ValueError(f"the plan {plan} is not one of {', '.join(PLANS)}")
        self.project = project
        self.plan = plan
        self.budget = budget
        self.export_limit_bytes = export_limit_bytes
        self.first_byte_delay = first_byte_delay
        self.files_url = files_url
        self.wait = wait
        self.api_key = f"{project.seed:032x}"
        self.secret_key = f"{project.seed + 0xABCDEF:032x}"
        self.cohort_jobs: dict[str, CohortJob] = {}
        self.budgets = {
            name: Budget(limits, lambda: self.project.now())
            for name, limits in {
                "dashboard": DASHBOARD,
                "taxonomy": TAXONOMY,
                "cohorts": COHORT_DOWNLOADS,
                "deletions": DELETIONS,
            }.items()
        }

    def spend(self, request: Request, budget: str, cost: int) -> None:
        """Take a request's cost from a budget.

        Raises:
            ApiError: 429, the request would exceed a limit.
        """
        request.cost = cost
        if self.budget:
            self.budgets[budget].spend(cost)

    def require(self, part: str) -> None:
        """Check that the plan includes a part of the API.

        Raises:
            ApiError: it does not; 404 for the taxonomy, as documented, else 403.
        """
        if part in PLANS[self.plan]:
            return
        details = f"The {self.plan} plan does not include {part}"
        if part == "taxonomy":
            body = {"success": False, "errors": [{"message": "Not found"}]}
            raise ApiError(404, details, body=body)
        raise ApiError(403, details)
