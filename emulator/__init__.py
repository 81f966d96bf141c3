"""A local Amplitude: the APIs that a replication reads, on 127.0.0.1, from a seed.

It follows these pages of Amplitude's documentation (amplitude.com/docs/...). If a recorded response differs
from a page, it follows the response; these differences are marked *recorded*:

- apis/authentication: Basic authentication; 401 without credentials. *Recorded*: the details of a 403 tell
  an unknown API key from a wrong secret key
- apis/analytics/export: inclusive hours of upload, UTC; a zip of gzipped members in no order; an hour can
  be exported three hours after it began; 404 without data, 400 over the size limit or 365 days; files by day
  before 2014-11-12. *Recorded*: each request builds the archive; its members are stored and have data
  descriptors, their time is a second before the response, and their gzip headers have no time; the envelope
  of the 404
- apis/analytics/dashboard-rest: active and new users, plain and by a property, by day, week or month;
  event segmentation; session lengths and counts; the list of events; days of the project's time zone,
  zeros before they begin, lower figures until two days after they end; the cost budget, five requests in
  flight, and the texts of the 429; a user in two countries counts in both; the 100 largest groups.
  *Recorded*: `seriesLabels` in tables of users, none in averages, whose days end in `T00:00:00`; empty
  tables with or without their days; a mistyped event has zeros; metadata of the query beside `data`
- apis/analytics/chart-annotations: version 3 with its filters, categories, and version 2 as it was.
  *Recorded*: a category's name is `category`, and an annotation without one is `Uncategorized`
- apis/analytics/behavioral-cohorts: the list; the download in three steps, with its limits and its redirect.
  *Recorded*: four more fields, no size before a cohort is computed, files in gzip with every cell quoted
- apis/analytics/taxonomy: the five lists and their items, the hourly budget, four requests in flight.
  *Recorded*: `deleted` event types; a property of an event type among the shared ones
- apis/analytics/user-privacy: the list of deletion jobs, six months at most, with jobs that are planned.
  *Recorded*: JSON labelled as HTML
- Saved charts of six kinds, in the CSV that was *recorded* for one kind; a chart costs as much as its query
- Plans, and faults of any status, delay or damage

`Export`, `Dashboards` and `Cohorts` are the options of a project that decide what the documentation leaves
open. The project's clock is also that of the `Date` header.

Not emulated:

- apis/analytics/dashboard-rest: the effect of segments on figures (they only cost); real time, hours,
  histograms and formulas of events; funnels, retention, revenue, user search
- apis/analytics/behavioral-cohorts: uploads
- apis/analytics/taxonomy and apis/analytics/user-privacy: writing
- apis/analytics/releases, lookup-table, user-profile, apis/experiment, session replay
- Responses that no source describes, such as the body of a 504 or the message of most 400s, are invented
"""

from emulator.faults import Fault
from emulator.messages import Request
from emulator.options import Cohorts, Dashboards, Export
from emulator.project import Project
from emulator.server import Emulator

__all__ = ["Cohorts", "Dashboards", "Emulator", "Export", "Fault", "Project", "Request"]
