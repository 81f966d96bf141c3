"""The arrows between the modules of the repository."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("source_amplitude", "emulator", "tools", "examples", "image", "benchmarks")


def modules(root: Path) -> dict[str, Path]:
    """The modules of the packages by name; a package is its `__init__`."""
    found = {}
    for package in PACKAGES:
        for path in (root / package).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> Iterator[str]:
    """All names that a module imports anywhere, within functions and behind TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: relative imports are not followed here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(root: Path) -> dict[str, set[str]]:
    """For each module, the modules that it imports, or whose names it imports."""
    known = modules(root)
    return {
        name: {
            next(module for module in (wanted, wanted.rpartition(".")[0]) if module in known)
            for wanted in imports(path)
            if known.keys() & {wanted, wanted.rpartition(".")[0]}
        }
        for name, path in known.items()
    }


def test_no_two_modules_import_each_other_in_a_circle() -> None:
    found = arrows(ROOT)

    assert found["emulator.server"] >= {"emulator.routes", "emulator.faults"}
    TopologicalSorter(found).prepare()


def test_a_circle_behind_type_checking_is_found(tmp_path: Path) -> None:
    package = tmp_path / "emulator"
    package.mkdir()
    (package / "api.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from emulator.cohorts import CohortJob\n"
    )
    (package / "cohorts.py").write_text("from emulator.api import Api\n")

    with pytest.raises(CycleError):
        TopologicalSorter(arrows(tmp_path)).prepare()
