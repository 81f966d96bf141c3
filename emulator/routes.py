"""Which path is answered by what, and to whom; the export."""

import base64
import io
import re
import zipfile
from collections.abc import Callable
from datetime import timedelta

from emulator import cohorts, dashboards, lists
from emulator.answers import ZIP, Answer, RefusedError, Request, hour_of
from emulator.api import Api

LONGEST_EXPORT = timedelta(days=365)
SIGNED = "/signed/"

ID = "([^/]+)"
ROUTES: dict[str, Callable[..., Answer]] = {}


def export(api: Api, request: Request) -> Answer:
    """Events by hour of upload, both bounds included (apis/analytics/export)."""
    bounds = []
    for name in ("start", "end"):
        try:
            bounds.append(hour_of(request.value(name) or ""))
        except ValueError:
            raise RefusedError(400, f"{name} must have the format YYYYMMDDTHH") from None
    first, last = bounds
    if first > last:
        raise RefusedError(400, "start must be before end")
    if last - first >= LONGEST_EXPORT:
        raise RefusedError(400, "the date range must not be longer than 365 days")
    api.wait(api.first_byte_delay)
    body = api.project.archive(first, last, api.project.now())
    if body is None:
        raise RefusedError(404, "Raw data files were not found.")
    limit = api.export_limit_bytes
    if limit is not None and (size := _raw_bytes(body)) > limit:
        details = f"The export is too large: {size} bytes are over the 4 GB ({limit} bytes) allowed"
        raise RefusedError(400, details)
    return Answer(body, content_type=ZIP)


def _raw_bytes(body: bytes) -> int:
    # The last four bytes of gzip are the size of what it holds.
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return sum(int.from_bytes(archive.read(name)[-4:], "little") for name in archive.namelist())


def respond(api: Api, request: Request) -> Answer:
    """Answer a request.

    Raises:
        RefusedError: the answer is an error.
    """
    if not request.path.startswith(SIGNED):
        pair = base64.b64encode(f"{api.api_key}:{api.secret_key}".encode()).decode()
        if request.authorization is None:
            raise RefusedError(401, "Missing credentials")
        if request.authorization != f"Basic {pair}":
            raise RefusedError(403, "Invalid API Key")
    for pattern, route in ROUTES.items():
        if match := re.fullmatch(pattern, request.path):
            if request.method != "GET":
                raise RefusedError(405, "Only GET is allowed")
            return route(api, request, *(group for group in match.groups() if group is not None))
    raise RefusedError(404, "No such endpoint")


ROUTES.update(
    {
        "/api/2/export": export,
        "/api/2/users": dashboards.users,
        "/api/2/sessions/average": dashboards.average_length,
        "/api/2/sessions/peruser": dashboards.per_user,
        "/api/2/sessions/length": dashboards.lengths,
        "/api/2/events/list": dashboards.event_list,
        "/api/2/annotations": lists.annotations_v2,
        "/api/3/annotations": lists.annotations,
        f"/api/3/annotations/{ID}": lists.annotation,
        "/api/3/annotation-categories": lists.annotation_categories,
        f"/api/3/annotation-categories/{ID}": lists.annotation_category,
        "/api/3/cohorts": cohorts.cohorts,
        f"/api/5/cohorts/request-status/{ID}": cohorts.download_status,
        f"/api/5/cohorts/request/{ID}/file": cohorts.download_file,
        f"/api/5/cohorts/request/{ID}": cohorts.request_download,
        f"/signed/cohorts/{ID}[.]csv": cohorts.signed_file,
        f"/api/2/taxonomy/(category|event|(?:event|user|group)-property)(?:/{ID})?": lists.taxonomy,
        "/api/2/deletions/users": lists.deletions,
    }
)
