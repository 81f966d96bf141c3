"""Disk space that archives share: which waits, which is downloaded again, and which fails."""

import io
import threading

import pytest

from source_amplitude.extensions.export.disk import DiskSpace
from source_amplitude.extensions.export.errors import NoRoomError, RestartError


def test_an_archive_that_finds_no_room_beside_others_is_downloaded_again() -> None:
    disk = DiskSpace(100, 8)

    with disk.archive() as first, disk.archive() as second:
        first.write(io.BytesIO(), bytes(60))
        with pytest.raises(RestartError):
            second.write(io.BytesIO(), bytes(60))


def test_an_archive_that_is_alone_and_does_not_fit_fails() -> None:
    disk = DiskSpace(100, 8)

    with disk.archive() as only, pytest.raises(NoRoomError, match="allows 100"):
        only.write(io.BytesIO(), bytes(101))


def test_bytes_of_a_file_that_is_closed_are_free_again() -> None:
    disk = DiskSpace(100, 8)

    with disk.archive() as only:
        only.write(io.BytesIO(), bytes(60))
        only.clear()
        only.write(io.BytesIO(), bytes(60))


def test_after_that_one_archive_less_may_be_on_disk_at_once() -> None:
    disk = DiskSpace(100, 8)
    begun = threading.Event()

    def third() -> None:
        with disk.archive():
            begun.set()

    with disk.archive() as first:
        first.write(io.BytesIO(), bytes(60))
        with disk.archive() as second, pytest.raises(RestartError):
            second.write(io.BytesIO(), bytes(60))
        thread = threading.Thread(target=third)
        thread.start()
        assert not begun.wait(0.05)
    thread.join(60)
    assert begun.is_set()
