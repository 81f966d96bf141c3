"""Paths, the functions that respond to them, and authentication."""

import base64
import re
from collections.abc import Callable

from emulator import annotations, charts, cohorts, dashboards, export, taxonomy, user_privacy
from emulator.api import Api
from emulator.messages import ApiError, Request, Response

SIGNED = "/signed/"

ID = "([^/]+)"
ROUTES: dict[str, Callable[..., Response]] = {
    "/api/2/export": export.export,
    "/api/2/users": dashboards.users,
    "/api/2/sessions/average": dashboards.average_length,
    "/api/2/sessions/peruser": dashboards.per_user,
    "/api/2/sessions/length": dashboards.lengths,
    "/api/2/events/list": dashboards.event_list,
    "/api/2/events/segmentation": dashboards.segmentation,
    f"/api/3/chart/{ID}/csv": charts.chart_csv,
    "/api/2/annotations": annotations.annotations_v2,
    "/api/3/annotations": annotations.annotations,
    f"/api/3/annotations/{ID}": annotations.annotation,
    "/api/3/annotation-categories": annotations.annotation_categories,
    f"/api/3/annotation-categories/{ID}": annotations.annotation_category,
    "/api/3/cohorts": cohorts.cohorts,
    "/api/3/cohorts/usage": cohorts.usage,
    f"/api/5/cohorts/request-status/{ID}": cohorts.download_status,
    f"/api/5/cohorts/request/{ID}/file": cohorts.download_file,
    f"/api/5/cohorts/request/{ID}": cohorts.request_download,
    "/signed/cohorts/([^/]+)-([0-9]+)[.]csv": cohorts.signed_file,
    f"/api/2/taxonomy/(category|event|(?:event|user|group)-property)(?:/{ID})?": taxonomy.taxonomy,
    "/api/2/deletions/users": user_privacy.deletions,
}


def respond(api: Api, request: Request) -> Response:
    """Respond to a request.

    Raises:
        ApiError: the response is an error.
    """
    if not request.path.startswith(SIGNED):
        _authenticate(api, request.authorization)
    for pattern, route in ROUTES.items():
        if match := re.fullmatch(pattern, request.path):
            if request.method != "GET":
                raise ApiError(405, "Only GET is allowed")
            return route(api, request, *(group for group in match.groups() if group is not None))
    raise ApiError(404, "No such endpoint")


def _authenticate(api: Api, authorization: str | None) -> None:
    if authorization is None:
        raise ApiError(401, "Missing credentials")
    scheme, _, pair = authorization.partition(" ")
    try:
        api_key, _, secret_key = base64.b64decode(pair, validate=True).decode().partition(":")
    except ValueError:
        api_key, secret_key = "", ""
    if scheme != "Basic" or api_key != api.api_key:
        raise ApiError(403, "Invalid API Key")
    if secret_key != api.secret_key:
        raise ApiError(403, "Invalid API/Secret Key combination")
