"""Who may ask, plans, requests in flight, the log of requests, and how the server ends."""

import threading

import pytest
import requests

from emulator import Emulator, Fault, Project
from unit_tests.emulator.conftest import WINDOW, Clock, details, get


def test_without_credentials_the_answer_is_401_and_with_wrong_ones_403(amplitude: Emulator) -> None:
    assert get(amplitude, "/api/2/export", auth=None).status_code == 401
    wrong = get(amplitude, "/api/2/export", auth=("a", "b"))
    assert (wrong.status_code, details(wrong)) == (403, "Invalid API Key")


def test_an_unknown_path_is_404_and_another_method_405(amplitude: Emulator) -> None:
    assert get(amplitude, "/api/9/nothing").status_code == 404
    for method in ("POST", "PUT", "PATCH", "DELETE", "HEAD"):
        assert get(amplitude, "/api/2/export", method=method, data=b"x=1").status_code == 405


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


def test_a_sixth_request_in_flight_is_429(amplitude: Emulator) -> None:
    arrived, go_on = threading.Semaphore(0), threading.Event()

    def hold(body: bytes) -> bytes:
        arrived.release()
        go_on.wait(10)
        return body

    amplitude.faults.append(Fault(path="/api/3/cohorts", times=5, replace=hold))
    threads = [threading.Thread(target=get, args=(amplitude, "/api/3/cohorts")) for _ in range(5)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert arrived.acquire(timeout=10)

    sixth = get(amplitude, "/api/3/annotations")
    go_on.set()
    for thread in threads:
        thread.join()

    assert sixth.status_code == 429
    assert "Exceeded concurrent limit" in details(sixth)
    assert get(amplitude, "/api/3/annotations").status_code == 200
    assert amplitude.most_in_flight == 6


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
            waiting = threading.Thread(target=ask)
            waiting.start()
            while len(emulator.requests) < 2:
                pass
        waiting.join(10)

    assert len(ended) == 1


def test_it_can_be_stopped_without_having_been_started(project: Project) -> None:
    Emulator(project).stop()
