"""A release: each disagreement that is planted in a copy of the files is named."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tools.release import disagreements, unready

ROOT = Path(__file__).parents[2]
FILES = (
    "CHANGELOG.md",
    "Dockerfile",
    "metadata.yaml",
    "pyproject.toml",
    "source_amplitude/manifest.yaml",
)
CHANGELOG = """# Changelog

## [Unreleased]

## [1.1.0] - 2026-12-01

- Something.

## [1.0.0] - 2026-11-24

[Unreleased]: https://example.org/compare/v1.1.0...HEAD
[1.1.0]: https://example.org/compare/v1.0.0...v1.1.0
[1.0.0]: https://example.org/releases/tag/v1.0.0
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "source_amplitude").mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def change(path: Path, good: str, bad: str) -> None:
    text = path.read_text()
    assert good in text
    path.write_text(text.replace(good, bad))


def test_what_is_in_the_repository_agrees() -> None:
    assert list(disagreements(ROOT)) == []


@pytest.mark.parametrize(
    ("name", "good", "bad", "finding"),
    [
        ("metadata.yaml", "dockerImageTag: ", "dockerImageTag: 9", "dockerImageTag is '9"),
        ("Dockerfile", "ARG VERSION=", "ARG VERSION=9", "Dockerfile: VERSION is '9"),
        ("metadata.yaml", "dockerRepository: ghcr.io", "dockerRepository: x.io", "io.airbyte.name"),
        ("metadata.yaml", "/docs/amplitude.md", "/docs/x.md", "documentationUrl is "),
        ("source_amplitude/manifest.yaml", "/docs/amplitude.md", "/x.md", "documentation_url is "),
        ("pyproject.toml", "amplitude-source-connector", "source-amplitude", "choose a free name"),
        ("CHANGELOG.md", "## [Unreleased]", "## [Soon]", "its first section"),
        ("CHANGELOG.md", "## [1.0.0] - ", "## [1.0.0] - 99", "[1.0.0] has no date"),
        ("CHANGELOG.md", "[1.0.0]: ", "1.0.0: ", "it lacks the line `[1.0.0]: "),
    ],
)
def test_a_disagreement_is_named(copy: Path, name: str, good: str, bad: str, finding: str) -> None:
    change(copy / name, good, bad)

    assert [found for found in disagreements(copy) if finding in found]


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("pip install source-amplitude", True),
        ("$ uv pip install --upgrade 'source-amplitude==1.0.0'", True),
        ("pipx install source-amplitude.", True),
        ("Install `source-amplitude[spark]` on the cluster.", True),
        ("pip install git+https://github.com/source-amplitude/source-amplitude", False),
        (
            'pip install "amplitude-source-connector[spark] @ git+https://x.io/source-amplitude"',
            False,
        ),
        ("Do not install `source-amplitude` from PyPI.", False),
        ("pip install . && ghcr.io/source-amplitude/source-amplitude:dev", False),
    ],
)
def test_a_page_that_installs_the_package_of_somebody_else_is_refused(
    copy: Path, line: str, refused: bool
) -> None:
    (copy / "docs").mkdir()
    (copy / "docs" / "page.md").write_text(f"# A page\n\n{line}\n")

    findings = [found for found in disagreements(copy) if found.startswith("docs/page.md: line 3 ")]

    assert bool(findings) is refused


def test_a_new_version_is_wanted_everywhere(copy: Path) -> None:
    pyproject = (copy / "pyproject.toml").read_text()
    version = next(
        line.split('"')[1] for line in pyproject.splitlines() if line.startswith("version")
    )
    change(copy / "pyproject.toml", f'version = "{version}"', 'version = "9.9.9"')

    findings = "\n".join(disagreements(copy))

    for place in ("dockerImageTag", "Dockerfile: VERSION", "newest release", "compare/v9.9.9"):
        assert place in findings


def test_a_commit_is_released_once_and_without_changes_that_have_no_version(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "pyproject.toml").write_text('version = "1.1.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    git("add", ".")
    git("commit", "-m", "1.1.0")
    git("tag", "v1.1.0")
    assert list(unready(tmp_path)) == []

    change(tmp_path / "CHANGELOG.md", "## [Unreleased]\n", "## [Unreleased]\n\n- Something more.\n")
    assert [finding.split(";")[0] for finding in unready(tmp_path)] == [
        "CHANGELOG.md: entries are under [Unreleased]",
        "There are uncommitted changes",
    ]

    git("commit", "-am", "more")
    assert [finding.split(";")[0] for finding in unready(tmp_path)] == [
        "CHANGELOG.md: entries are under [Unreleased]",
        "The tag v1.1.0 is on another commit",
    ]
