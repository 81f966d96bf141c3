"""What the routes share: the project, its plan and what it has spent."""

from emulator.answers import RefusedError, Request
from emulator.limits import COHORT_DOWNLOADS, DASHBOARD, DELETIONS, TAXONOMY, Budget
from emulator.project import Project

PLANS = {
    "enterprise": {"annotations", "cohorts", "taxonomy"},
    "growth": {"annotations", "cohorts"},
    "starter": set(),
}


class Api:
    """A project behind a plan and its limits, without HTTP."""

    def __init__(
        self,
        project: Project,
        plan: str,
        *,
        budget: bool,
        export_limit_bytes: int | None,
        first_byte_delay: float,
    ) -> None:
        if plan not in PLANS:
            raise ValueError(f"the plan is none of {', '.join(PLANS)}: {plan}")
        self.project = project
        self.plan = plan
        self.budget = budget
        self.export_limit_bytes = export_limit_bytes
        self.first_byte_delay = first_byte_delay
        self.api_key = f"{project.seed:032x}"
        self.secret_key = f"{project.seed + 0xABCDEF:032x}"
        # Cohort downloads by request id: the cohort's id and how often its status was asked.
        self.jobs: dict[str, tuple[str, int]] = {}
        self.job_properties: dict[str, list[str]] = {}
        # Signed addresses of cohort files: the request id and the moment they end, epoch seconds.
        self.signed: dict[str, tuple[str, float]] = {}
        self._budgets = {
            name: Budget(limits, lambda: self.project.now())
            for name, limits in {
                "dashboard": DASHBOARD,
                "taxonomy": TAXONOMY,
                "cohorts": COHORT_DOWNLOADS,
                "deletions": DELETIONS,
            }.items()
        }

    @property
    def files_url(self) -> str:
        """The root of the host that keeps files: another than the API's."""
        raise NotImplementedError

    def wait(self, seconds: float) -> None:
        """Let time pass before an answer."""
        raise NotImplementedError

    def spend(self, request: Request, budget: str, cost: int) -> None:
        """Take a request's cost from a budget.

        Raises:
            RefusedError: 429, a limit would be passed.
        """
        request.cost = cost
        if self.budget:
            self._budgets[budget].spend(cost)

    def require(self, part: str) -> None:
        """Check that the plan has a part of the API.

        Raises:
            RefusedError: it has not; 404 for the taxonomy, as documented, else 403.
        """
        if part in PLANS[self.plan]:
            return
        details = f"The {self.plan} plan does not include {part}"
        if part == "taxonomy":
            body = {"success": False, "errors": [{"message": "Not found"}]}
            raise RefusedError(404, details, body=body)
        raise RefusedError(403, details)
