"""How much room temporary files have, on a disk and in memory."""

import sys
from pathlib import Path
from typing import Any

import pytest

from source_amplitude.extensions import files


@pytest.mark.parametrize(
    ("folder", "limit"),
    [
        ("/data/tmp", sys.maxsize),
        ("/dev/shm/tmp", 128 * 1024**2),
        ("/dev/shm", 128 * 1024**2),
        ("/tmp", sys.maxsize),
    ],
)
def test_a_folder_in_memory_may_take_a_quarter_of_the_memory(
    monkeypatch: pytest.MonkeyPatch, folder: str, limit: int
) -> None:
    mounts = "/dev/sda / ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n/dev/sdb /data xfs rw 0 0\n"
    texts = {"/proc/mounts": mounts, "/sys/fs/cgroup/memory.max": str(512 * 1024**2)}

    def read_text(path: Path, *_: Any) -> str:
        if str(path) not in texts:
            raise FileNotFoundError(path)
        return texts[str(path)]

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(files, "gettempdir", lambda: folder)

    assert files.room_for_files() == limit
