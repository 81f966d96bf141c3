"""Write `source_amplitude/components.py`, the one file that the Connector Builder takes, from the rooms.

A room is a module of `source_amplitude/extensions`. The file has the imports of all rooms, then each room
after the rooms that it imports.

    python -m tools.components            write the file
    python -m tools.components --check    exit with 1 if the file is stale
    python -m tools.components 2785       print the room and line that a line of the file comes from
"""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTENSIONS = ROOT / "source_amplitude" / "extensions"
FILE = ROOT / "source_amplitude" / "components.py"
PACKAGE = "source_amplitude.extensions"
DOCSTRING = '''\
"""Written from extensions/ by `make components`: change the modules there (@generated).

The custom components of manifest.yaml as one file, since the Connector Builder executes its text with the CDK
beside it and nothing else. It therefore has no relative import and no `__file__`.
"""
'''
RULER = 99
"""Columns of the line before each room."""


class RoomError(Exception):
    """The rooms cannot become one file; the message says which line to change, and how."""


@dataclass
class Room:
    """A module of the extensions: what it says, imports and defines.

    `imports` and `defines` map each name to the source of its statement, `statements` to the statement.
    `lines` are those of the module, blank where the docstring, the imports, and constants that another room
    has too were.
    """

    name: str
    title: str
    lines: list[str]
    requires: set[str] = field(default_factory=set)
    imports: dict[str, str] = field(default_factory=dict)
    defines: dict[str, str] = field(default_factory=dict)
    statements: dict[str, ast.stmt] = field(default_factory=dict)


def read_rooms(folder: Path) -> dict[str, Room]:
    """Read the modules below a folder, by their dotted names; an `__init__` only re-exports.

    Raises:
        RoomError: a module has an import that the one file cannot have.
    """
    paths = sorted(path for path in folder.rglob("*.py") if path.stem != "__init__")
    names = [".".join(path.relative_to(folder).with_suffix("").parts) for path in paths]
    return {
        name: read_room(name, path.read_text()) for name, path in zip(names, paths, strict=True)
    }


def read_room(name: str, text: str) -> Room:
    """Read one module.

    Raises:
        RoomError: it has an import that the one file cannot have.
    """
    tree = ast.parse(text)
    title = (ast.get_docstring(tree) or "").partition("\n")[0].rstrip(".")
    if not title:
        raise RoomError(f"{name}: it has no docstring; say in one line what the room holds.")
    room = Room(name, title, text.splitlines())
    blank(room, tree.body[0])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            refuse_import(room, node, at_top=node in tree.body)
    for node in tree.body[1:]:
        if isinstance(node, ast.Import | ast.ImportFrom):
            blank(room, node)
            note_import(room, node)
        else:
            for bound in bound_names(node):
                room.defines[bound], room.statements[bound] = ast.unparse(node), node
    return room


def blank(room: Room, node: ast.stmt) -> None:
    """Blank the lines of a statement."""
    assert node.end_lineno
    for number in range(node.lineno - 1, node.end_lineno):
        room.lines[number] = ""


def refuse_import(room: Room, node: ast.Import | ast.ImportFrom, *, at_top: bool) -> None:
    """Refuse an import that means something else, or nothing, in the one file.

    Raises:
        RoomError: such an import.
    """
    where = f"{room.name}:{node.lineno}"
    if any(alias.name == "*" for alias in node.names):
        raise RoomError(f"{where}: `import *` hides which names are meant; name them.")
    if isinstance(node, ast.Import):
        if any(alias.name.startswith("source_amplitude") for alias in node.names):
            raise RoomError(f"{where}: use `from {PACKAGE}.<room> import <name>`.")
        return
    if node.level or node.module == "__future__":
        raise RoomError(
            f"{where}: the one file can have neither relative imports nor `__future__`."
        )
    if not (node.module or "").startswith("source_amplitude"):
        return
    if not (node.module or "").startswith(f"{PACKAGE}."):
        raise RoomError(f"{where}: an extension imports libraries and `{PACKAGE}.<room>` alone.")
    if not at_top:
        raise RoomError(f"{where}: import another room at the top of the module.")
    if any(alias.asname for alias in node.names):
        raise RoomError(f"{where}: the one file knows a name without its `as`; use the name.")


def note_import(room: Room, node: ast.Import | ast.ImportFrom) -> None:
    """Note the names that an import at the top binds, or the room that it needs."""
    module = node.module if isinstance(node, ast.ImportFrom) else None
    if module and module.startswith(f"{PACKAGE}."):
        room.requires.add(module.removeprefix(f"{PACKAGE}."))
        return
    for alias in node.names:
        name = alias.asname or alias.name.partition(".")[0]
        one = ast.ImportFrom(module, [alias], 0) if module else ast.Import([alias])
        room.imports[name] = ast.unparse(one)


def bound_names(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement at the top of a module binds there."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        yield node.name
        return
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id
        elif isinstance(part, ast.alias):
            yield part.asname or part.name


def in_order(rooms: Mapping[str, Room]) -> list[Room]:
    """Return the rooms by name, each after the rooms that it imports.

    Raises:
        RoomError: a room that is imported does not exist, or two rooms import each other.
    """
    for room in rooms.values():
        for required in room.requires - rooms.keys():
            raise RoomError(f"{room.name}: there is no room {required}.")
    try:
        TopologicalSorter({name: room.requires for name, room in rooms.items()}).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise RoomError(f"The rooms import each other: {circle}. Move what both need.") from error
    ordered: dict[str, Room] = {}

    def add(name: str) -> None:
        if name not in ordered:
            for required in sorted(rooms[name].requires):
                add(required)
            ordered[name] = rooms[name]

    for name in sorted(rooms):
        add(name)
    unify(ordered.values())
    return list(ordered.values())


def unify(rooms: Iterable[Room]) -> None:
    """Keep one of the constants that rooms have alike, such as LOGGER.

    Raises:
        RoomError: a name means one thing in one room and another in another.
    """
    meanings: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for room in rooms:
        for name, meaning in {**room.imports, **room.defines}.items():
            if meaning in meanings[name] and name in room.defines:
                blank(room, room.statements[name])
            meanings[name].setdefault(meaning, room.name)
    for name, found in meanings.items():
        if len(found) > 1:
            raise RoomError(f"`{name}` differs in {' and '.join(found.values())}; rename one.")


def bundled(folder: Path = EXTENSIONS) -> str:
    """Return the text of the one file.

    Raises:
        RoomError: the rooms cannot become one file.
    """
    rooms = in_order(read_rooms(folder))
    imports = sorted({statement for room in rooms for statement in room.imports.values()})
    parts = [DOCSTRING, "\n".join(imports)]
    for room in rooms:
        parts += [heading(room), "\n".join(room.lines)]
    return formatted("\n\n".join(parts))


def heading(room: Room) -> str:
    """Return the line before a room in the one file."""
    return f"# -- {room.name}: {room.title} ".ljust(RULER, "-").rstrip()


def formatted(text: str) -> str:
    """Return the text with its imports merged and its blank lines as the style has them."""
    for command in (["check", "--select", "I", "--fix"], ["format"]):
        ruff = [str(Path(sys.executable).with_name("ruff")), *command, "--quiet"]
        ran = subprocess.run(
            [*ruff, "--stdin-filename", str(FILE), "-"],
            input=text,
            text=True,
            capture_output=True,
            cwd=ROOT,
        )
        if ran.returncode:
            raise RoomError(f"ruff cannot format the one file: {ran.stderr}")
        text = ran.stdout
    return text


def origins(text: str, folder: Path = EXTENSIONS) -> list[str]:
    """Return the place, `export/archive.py:61`, that each line of the one file comes from, or nothing."""
    rooms = {heading(room): room for room in in_order(read_rooms(folder))}
    places: list[str] = []
    # Only blank lines differ between a room and the file, so all others come in the same order.
    ahead: Iterator[str] = iter(())
    for line in text.splitlines():
        if room := rooms.get(line):
            path = f"{room.name.replace('.', '/')}.py"
            numbers = (number for number, kept in enumerate(room.lines, start=1) if kept.strip())
            ahead = map(f"{path}:{{}}".format, numbers)
            places.append("")
        else:
            places.append(next(ahead, "") if line.strip() else "")
    return places


def main(arguments: list[str]) -> int:
    """Write or check the file, or print the place of a line."""
    try:
        if arguments and arguments[0].isdecimal():
            places = origins(FILE.read_text())
            number = int(arguments[0])
            place = places[number - 1] if 0 < number <= len(places) else ""
            print(place or f"line {number} of {FILE.name} comes from no room")
            return int(not place)
        text = bundled()
    except RoomError as error:
        print(f"extensions: {error}", file=sys.stderr)
        return 1
    if arguments != ["--check"]:
        FILE.write_text(text)
    elif text != FILE.read_text():
        print("components.py is not what extensions/ says: run `make components`.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
