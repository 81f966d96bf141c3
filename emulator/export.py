"""Export: the events of a range of hours of upload (apis/analytics/export)."""

import gzip
import io
import zipfile
from datetime import timedelta

from emulator.api import Api
from emulator.messages import ZIP, ApiError, Request, Response, parse_hour

LONGEST_EXPORT = timedelta(days=365)


def export(api: Api, request: Request) -> Response:
    """Respond with the archive of a range of hours of upload, both bounds included."""
    bounds = []
    for name in ("start", "end"):
        try:
            bounds.append(parse_hour(request.value(name) or ""))
        except ValueError:
            raise ApiError(400, f"{name} must have the format YYYYMMDDTHH") from None
    first, last = bounds
    if first > last:
        raise ApiError(400, "start must be before end")
    if last - first >= LONGEST_EXPORT:
        raise ApiError(400, "the date range must not be longer than 365 days")
    api.wait(api.first_byte_delay)
    body = api.project.archive(first, last, api.project.now())
    if body is None:
        raise ApiError(404, "Raw data files were not found.")
    limit = api.export_limit_bytes
    if limit is not None and (size := _raw_bytes(body)) > limit:
        details = f"The export is too large: {size} bytes are over the 4 GB ({limit} bytes) allowed"
        raise ApiError(400, details)
    return Response(body, content_type=ZIP)


def _raw_bytes(body: bytes) -> int:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return sum(len(gzip.decompress(archive.read(name))) for name in archive.namelist())
