"""The tool that writes components.py: which rooms it takes, which it refuses, and where a line comes from."""

from pathlib import Path

import pytest

from tools.components import EXTENSIONS, FILE, RoomError, bundled, main, origins

HEAD = '"""What the room holds."""\n'
IMPORT = "from source_amplitude.extensions.{} import {}\n"


def rooms(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = folder / f"{name.replace('_', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEAD + text)
    return folder


def test_components_py_is_what_the_rooms_make() -> None:
    assert FILE.read_text() == bundled()
    assert main(["--check"]) == 0


def test_its_first_line_says_that_it_is_written_and_from_what() -> None:
    first = FILE.read_text().partition("\n")[0]

    for words in ("extensions/", "make components", "@generated"):
        assert words in first


def test_a_stale_file_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "components.py"
    stale.write_text(FILE.read_text() + "\n")
    monkeypatch.setattr("tools.components.FILE", stale)

    assert main(["--check"]) == 1
    assert "make components" in capsys.readouterr().err


def test_each_room_follows_the_rooms_that_it_imports(tmp_path: Path) -> None:
    text = bundled(
        rooms(
            tmp_path,
            annotations=IMPORT.format("times", "HOUR") + "import re\n\nDAY = 24 * HOUR\n",
            times="import re\n\nHOUR = 1\n",
        )
    )

    assert text.index("HOUR = 1") < text.index("DAY = 24 * HOUR")
    assert text.count("import re\n") == 1
    assert "source_amplitude" not in text.partition('"""\n')[2]


def test_a_constant_that_rooms_have_alike_is_written_once(tmp_path: Path) -> None:
    log = 'import logging\n\nLOGGER = logging.getLogger("airbyte")\n'

    text = bundled(rooms(tmp_path, charts=log, lists=log))

    assert text.count("LOGGER = ") == 1


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            {
                "charts": IMPORT.format("lists", "a") + "b = 1\n",
                "lists": IMPORT.format("charts", "b") + "a = 1\n",
            },
            "The rooms import each other: charts -> lists -> charts",
        ),
        ({"charts": "a = 1\n", "lists": "a = 2\n"}, "`a` differs in charts and lists; rename one"),
        (
            {"charts": "import gzip as a\n", "lists": "def a() -> None: ...\n"},
            "`a` differs in charts and lists",
        ),
        ({"charts": "from re import *\n"}, "charts:2: `import *` hides"),
        (
            {"charts": "import source_amplitude.extensions.lists\n"},
            "charts:2: use `from source_amplitude.extensions.<room> import <name>`",
        ),
        ({"charts": "from source_amplitude import extensions\n"}, "charts:2: an extension imports"),
        (
            {"charts": "from source_amplitude.process.config import a\n"},
            "charts:2: an extension imports",
        ),
        ({"charts": "from . import lists\n"}, "charts:2: the one file can have neither"),
        ({"charts": "from __future__ import annotations\n"}, "charts:2: the one file can have"),
        (
            {"charts": IMPORT.format("lists", "a as b"), "lists": "a = 1\n"},
            "charts:2: the one file knows a name without its `as`",
        ),
        (
            {"charts": "def f():\n    " + IMPORT.format("lists", "a"), "lists": "a = 1\n"},
            "charts:3: import another room at the top",
        ),
        ({"charts": IMPORT.format("nowhere", "a")}, "charts: there is no room nowhere"),
    ],
)
def test_rooms_that_cannot_be_one_file_are_refused_by_name_and_line(
    tmp_path: Path, texts: dict[str, str], message: str
) -> None:
    with pytest.raises(RoomError, match=message.replace("*", r"\*").replace("(", r"\(")):
        bundled(rooms(tmp_path, **texts))


def test_a_room_without_a_docstring_is_refused(tmp_path: Path) -> None:
    (tmp_path / "charts.py").write_text("a = 1\n")

    with pytest.raises(RoomError, match="charts: it has no docstring"):
        bundled(tmp_path)


def test_each_line_of_the_file_is_found_in_its_room() -> None:
    text = FILE.read_text()
    lines = text.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("# -- "))
    places = origins(text)
    rooms = {
        path.relative_to(EXTENSIONS).as_posix(): path.read_text().splitlines()
        for path in EXTENSIONS.rglob("*.py")
    }

    for number, line in enumerate(lines):
        if number > first and line and not line.startswith("# -- "):
            room, _, at = places[number].partition(":")
            assert rooms[room][int(at) - 1] == line


def test_a_line_of_a_traceback_is_turned_into_room_and_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = FILE.read_text().splitlines()
    number = lines.index("class ExportArchive:") + 1

    assert main([str(number)]) == 0
    room, _, at = capsys.readouterr().out.strip().partition(":")
    assert (room, (EXTENSIONS / room).read_text().splitlines()[int(at) - 1]) == (
        "export/archive.py",
        "class ExportArchive:",
    )


@pytest.mark.parametrize("number", ["1", "0", "10000000"])
def test_a_line_of_no_room_is_refused(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([number]) == 1
    assert f"line {number} of components.py comes from no room" in capsys.readouterr().out
