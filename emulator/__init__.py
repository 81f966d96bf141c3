"""A local Amplitude: the read APIs that the connector uses, on 127.0.0.1, from a seed.

Emulated (the page of Amplitude's documentation that each follows):

- Basic authentication; 401 without credentials, 403 with wrong ones (apis/authentication)
- Export: inclusive hours of upload, UTC; a zip of gzipped NDJSON members in no order; an hour is there from
  three hours after it began; 404 without data, 400 over the size limit (apis/analytics/export)
- Dashboard REST: active users, plain and by country, and average session length, by day of the project's
  time zone; days not begun are zeros, recent days grow; the cost budget and its 429 texts
  (apis/analytics/dashboard-rest)
- Behavioral cohorts: the list (apis/analytics/behavioral-cohorts)
- Chart annotations: version 3, and version 2 as it was (apis/analytics/chart-annotations)
- Faults: any status, and bodies that are damaged on their way

Not emulated: segments and other group-bys than country, cohort downloads, taxonomy, writing of any kind,
and what no source describes (the body of a 504, the wording of most 400s: those here are made up).
"""

from emulator.project import Project
from emulator.server import Emulator, Fault, Request

__all__ = ["Emulator", "Fault", "Project", "Request"]
