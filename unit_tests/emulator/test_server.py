"""Who may ask, plans, requests in flight, the log of requests, and how the server ends."""

import threading
from datetime import datetime, timezone

import pytest
import requests

from emulator import Emulator, Fault, Project, Request
from unit_tests.emulator.conftest import WINDOW, Clock, details, get


def test_without_credentials_the_answer_is_401_and_with_wrong_ones_403(amplitude: Emulator) -> None:
    assert get(amplitude, "/api/2/export", auth=None).status_code == 401
    wrong = get(amplitude, "/api/2/export", auth=("a", "b"))
    assert (wrong.status_code, details(wrong)) == (403, "Invalid API Key")
    half = get(amplitude, "/api/2/export", auth=(amplitude.api_key, "b"))
    assert (half.status_code, details(half)) == (403, "Invalid API/Secret Key combination")
    assert get(amplitude, "/api/2/export", headers={"Authorization": "x"}, auth=None).ok is False


def test_an_unknown_path_is_404_and_another_method_405(amplitude: Emulator) -> None:
    assert get(amplitude, "/api/9/nothing").status_code == 404
    for method in ("POST", "PUT", "PATCH", "DELETE", "HEAD"):
        assert get(amplitude, "/api/2/export", method=method, data=b"x=1").status_code == 405


def test_a_request_whose_body_comes_in_chunks_is_refused(amplitude: Emulator) -> None:
    refused = get(amplitude, "/api/2/taxonomy/event-property", data=iter([b"event_type=a"]))

    assert refused.status_code == 411
    assert get(amplitude, "/api/2/taxonomy/event-property").ok


@pytest.mark.parametrize(
    ("plan", "path", "status"),
    [
        ("growth", "/api/2/taxonomy/event", 404),
        ("growth", "/api/3/cohorts", 200),
        ("starter", "/api/2/taxonomy/event", 404),
        ("starter", "/api/3/cohorts", 403),
        ("starter", "/api/3/annotations", 403),
        ("starter", "/api/2/annotations", 403),
    ],
)
def test_a_plan_has_only_its_parts(project: Project, plan: str, path: str, status: int) -> None:
    with Emulator(project, plan=plan) as amplitude:
        response = get(amplitude, path)

    assert response.status_code == status
    if status == 403:
        assert "starter" in details(response)


@pytest.mark.parametrize(("path", "most"), [("/api/3/cohorts", 5), ("/api/2/taxonomy/category", 4)])
def test_no_more_requests_than_documented_may_be_in_flight(
    amplitude: Emulator, path: str, most: int
) -> None:
    arrived, go_on = threading.Semaphore(0), threading.Event()

    def hold(body: bytes) -> bytes:
        arrived.release()
        go_on.wait(10)
        return body

    amplitude.faults.append(Fault(path=path, times=most, replace=hold))
    threads = [threading.Thread(target=get, args=(amplitude, path)) for _ in range(most)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert arrived.acquire(timeout=10)

    one_more = get(amplitude, path)
    go_on.set()
    for thread in threads:
        thread.join()

    assert one_more.status_code == 429
    assert "Exceeded concurrent limit" in details(one_more)
    assert get(amplitude, path).status_code == 200
    assert amplitude.most_in_flight == most + 1


@pytest.mark.parametrize(("method", "body"), [("GET", b"{}"), ("GET", b""), ("HEAD", b"{}")])
def test_a_request_is_no_longer_in_flight_when_its_response_is_whole(
    amplitude: Emulator, monkeypatch: pytest.MonkeyPatch, method: str, body: bytes
) -> None:
    received, too_late = threading.Event(), []
    finish = amplitude.finish

    def finish_late(request: Request) -> None:
        too_late.append(received.wait(0.1))
        finish(request)

    monkeypatch.setattr(amplitude, "finish", finish_late)
    amplitude.faults.append(Fault(path="/api/3/cohorts", status=200, body=body))

    get(amplitude, "/api/3/cohorts", method=method)
    received.set()

    assert too_late == [False]


def test_every_response_has_the_date_of_the_projects_clock(
    amplitude: Emulator, time_of: Clock
) -> None:
    time_of.now = datetime(2031, 2, 3, 4, 5, 6, tzinfo=timezone.utc)

    for path in ("/api/2/export", "/api/3/cohorts", "/nothing"):
        assert get(amplitude, path).headers["Date"] == "Mon, 03 Feb 2031 04:05:06 GMT"


def test_requests_are_logged_in_order_of_arrival(amplitude: Emulator, time_of: Clock) -> None:
    get(amplitude, "/api/2/export", params=WINDOW)
    get(amplitude, "/api/3/cohorts", auth=None)

    first, second = amplitude.requests
    assert (first.method, first.path, first.status) == ("GET", "/api/2/export", 200)
    assert first.query == {"start": ["20240101T00"], "end": ["20240101T05"]}
    assert first.at == time_of.now
    assert (second.path, second.status) == ("/api/3/cohorts", 401)


def test_no_log_entry_shows_credentials(amplitude: Emulator) -> None:
    get(amplitude, "/api/3/cohorts")
    assert "Basic" not in repr(amplitude.requests)


def test_it_ends_at_once_while_clients_hold_connections_and_answers(project: Project) -> None:
    ended: list[Exception] = []

    def ask() -> None:
        try:
            get(emulator, "/api/2/export", params=WINDOW)
        except requests.ConnectionError as error:
            ended.append(error)

    with requests.Session() as session:
        with Emulator(project, [Fault(kind="hang", delay=600)]) as emulator:
            session.get(f"{emulator.url}/api/3/cohorts")
            arrived, wait = threading.Event(), emulator.api.wait

            def noticed(seconds: float) -> None:
                arrived.set()
                wait(seconds)

            emulator.api.wait = noticed
            waiting = threading.Thread(target=ask)
            waiting.start()
            assert arrived.wait(10)
        waiting.join(10)

    assert len(ended) == 1


def test_it_can_be_stopped_without_having_been_started(project: Project) -> None:
    Emulator(project).stop()
