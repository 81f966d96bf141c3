"""The emulator with a clock of its own, and what reads its responses."""

import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests

from emulator import Emulator, Project

START = datetime(2024, 1, 1, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WINDOW = {"start": "20240101T00", "end": "20240101T05"}


class Clock:
    def __init__(self) -> None:
        self.now = START + 30 * DAY

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def time_of() -> Clock:
    return Clock()


@pytest.fixture
def project(time_of: Clock) -> Project:
    return Project(clock=time_of)


@pytest.fixture
def amplitude(project: Project) -> Iterator[Emulator]:
    with Emulator(project) as amplitude:
        yield amplitude


def get(amplitude: Emulator, path: str, **more: Any) -> requests.Response:
    more.setdefault("auth", (amplitude.api_key, amplitude.secret_key))
    return requests.request(more.pop("method", "GET"), amplitude.url + path, timeout=10, **more)


def details(response: requests.Response) -> str:
    error = response.json()["error"]
    assert error["http_code"] == response.status_code
    assert set(error) == {"http_code", "type", "message", "metadata"}
    return str(error["metadata"]["details"])


def events(body: bytes) -> list[dict[str, Any]]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        lines = [
            line
            for n in archive.namelist()
            for line in gzip.decompress(archive.read(n)).split(b"\n")
        ]
    return [json.loads(line) for line in lines if line]
