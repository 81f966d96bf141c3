"""Faults: the requests that they affect, and the damaged bodies."""

import gzip
import io
import json
import zipfile

import pytest
import requests

from emulator import Emulator, Fault
from unit_tests.emulator.conftest import WINDOW, events, get


def test_a_fault_responds_instead_of_the_project_and_counts_down(amplitude: Emulator) -> None:
    fault = Fault(
        times=2, status=503, body=b"<html>", headers={"X-A": "b"}, content_type="text/html"
    )
    amplitude.faults.append(fault)

    answers = [get(amplitude, "/api/2/export", params=WINDOW) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].content == b"<html>"
    assert answers[0].headers["X-A"] == "b"
    assert answers[0].headers["Content-Type"] == "text/html"
    assert fault.times == 0
    assert get(amplitude, "/api/3/cohorts").status_code == 200


def test_a_fault_may_affect_all_or_only_some_windows(amplitude: Emulator) -> None:
    def statuses(fault: Fault) -> list[int]:
        amplitude.faults[:] = [fault]
        ends = ("20240101T00", "20240101T01", "20240101T05")
        return [
            get(amplitude, "/api/2/export", params={**WINDOW, "end": end}).status_code
            for end in ends
        ]

    assert statuses(Fault(status=500, times=None)) == [500, 500, 500]
    assert statuses(Fault(status=500, times=None, hour="20240101T01")) == [200, 500, 500]
    assert statuses(Fault(status=504, times=None, only_longer_than=2)) == [200, 200, 504]
    assert statuses(Fault(status=504, times=1, only_longer_than=1)) == [200, 504, 200]


def test_a_fault_may_affect_only_requests_with_some_parameters(amplitude: Emulator) -> None:
    query = {"start": "20240101", "end": "20240102"}
    amplitude.faults.append(Fault(path="/api/2/users", query={"m": "new"}, status=500))

    assert get(amplitude, "/api/2/users", params=query).status_code == 200
    assert get(amplitude, "/api/2/users", params={**query, "m": "new"}).status_code == 500


def test_an_unknown_kind_of_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="no such kind"):
        Fault(kind="fire")


@pytest.mark.parametrize("kind", ["html", "empty", "short", "bit_flip", "bad_crc"])
def test_a_damaged_body_has_a_fitting_length_and_is_not_an_archive(
    amplitude: Emulator, kind: str
) -> None:
    whole = get(amplitude, "/api/2/export", params=WINDOW).content
    amplitude.faults.append(Fault(kind=kind))

    response = get(amplitude, "/api/2/export", params=WINDOW)

    assert response.status_code == 200
    assert response.headers["Content-Length"] == str(len(response.content))
    if kind in ("bit_flip", "bad_crc"):
        assert sum(a != b for a, b in zip(response.content, whole, strict=True)) == 1
    with pytest.raises(zipfile.BadZipFile):
        events(response.content)
    assert get(amplitude, "/api/2/export", params=WINDOW).content == whole


def test_a_cut_gzip_stream_is_in_a_complete_zip(amplitude: Emulator) -> None:
    amplitude.faults.append(Fault(kind="gzip_cut"))
    body = get(amplitude, "/api/2/export", params=WINDOW).content

    assert zipfile.ZipFile(io.BytesIO(body)).testzip() is None
    with pytest.raises(EOFError):
        events(body)


def test_a_bad_line_is_the_second_of_the_first_member(amplitude: Emulator) -> None:
    amplitude.faults.append(Fault(kind="bad_line"))
    body = get(amplitude, "/api/2/export", params=WINDOW).content

    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        first, *others = (
            gzip.decompress(archive.read(name)).splitlines() for name in archive.namelist()
        )
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(first[1])
    for line in [first[0], *first[2:], *(line for other in others for line in other)]:
        json.loads(line)


@pytest.mark.parametrize("kind", ["cut", "cut_chunked", "close", "hang"])
def test_a_connection_may_end_early(amplitude: Emulator, kind: str) -> None:
    amplitude.faults.append(Fault(kind=kind, delay=0.01))

    with pytest.raises(requests.ConnectionError if kind in ("close", "hang") else OSError):
        get(amplitude, "/api/2/export", params=WINDOW)

    assert amplitude.requests[-1].status == (0 if kind in ("close", "hang") else 200)
    assert get(amplitude, "/api/2/export", params=WINDOW).status_code == 200


def test_a_body_may_be_replaced(amplitude: Emulator) -> None:
    amplitude.faults.append(Fault(path="/api/3/cohorts", replace=lambda body: body[:2]))
    assert get(amplitude, "/api/3/cohorts").content == b'{"'


def test_headers_may_be_replaced_or_left_out_of_a_real_response(amplitude: Emulator) -> None:
    amplitude.faults.append(Fault(path="/api/3/cohorts", headers={"Date": "", "Server": "edge"}))

    response = get(amplitude, "/api/3/cohorts")

    assert response.headers["Server"] == "edge"
    assert "Date" not in response.headers
    assert len(response.json()["cohorts"]) == 3


def test_damage_waits_for_a_request_that_has_a_body(amplitude: Emulator) -> None:
    fault = Fault(kind="short")
    amplitude.faults.append(fault)

    missing = {"start": "20230101T00", "end": "20230101T00"}
    assert get(amplitude, "/api/2/export", params=missing).status_code == 404
    assert fault.times == 1
