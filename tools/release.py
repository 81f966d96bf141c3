"""Refuse a release whose name, version, changelog, metadata, image and pages disagree.

`make release-check` runs this.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
TAKEN = "source-amplitude"
"""A package of somebody else on PyPI: pip installs it in place of this one where a page names it."""
INSTALLS_TAKEN = re.compile(
    rf"\b(?:install|add|uvx)\b[^\n`]*(?<![\w./-]){TAKEN}(?![\w/:-])|(?<![\w./-]){TAKEN}\["
)


def disagreements(root: Path) -> Iterator[str]:
    """Yield a sentence for each place that does not agree with pyproject.toml."""
    version = _find(root, "pyproject.toml", r'^version = "(.+)"')
    homepage = _find(root, "pyproject.toml", r'^Homepage = "(.+)"')
    documentation = _find(root, "pyproject.toml", r'^Documentation = "(.+)"')
    metadata = yaml.safe_load((root / "metadata.yaml").read_text())["data"]
    for place, value, wanted in (
        ("metadata.yaml: dockerImageTag", metadata["dockerImageTag"], version),
        ("Dockerfile: VERSION", _find(root, "Dockerfile", r"^ARG VERSION=(.+)$"), version),
        (
            "Dockerfile: io.airbyte.name",
            _find(root, "Dockerfile", r"io\.airbyte\.name=(\S+)"),
            metadata["dockerRepository"],
        ),
        ("metadata.yaml: documentationUrl", metadata["documentationUrl"], documentation),
        (
            "manifest.yaml: documentation_url",
            _find(root, "source_amplitude/manifest.yaml", r"documentation_url:(?: >-)?\s+(\S+)"),
            documentation,
        ),
    ):
        if value != wanted:
            yield f"{place} is {value!r}, and should be {wanted!r}."
    yield from _name_faults(root, homepage)
    yield from _changelog_faults((root / "CHANGELOG.md").read_text(), version, homepage)


def _name_faults(root: Path, homepage: str) -> Iterator[str]:
    name = _find(root, "pyproject.toml", r'^name = "(.+)"')
    if name == TAKEN:
        yield f"pyproject.toml: PyPI has another package named {TAKEN}; choose a free name."
    for pattern in ("*.md", "docs/*.md", "examples/**/*.md", "benchmarks/*.md"):
        for page in sorted(root.glob(pattern)):
            for number, line in enumerate(page.read_text().splitlines(), 1):
                if INSTALLS_TAKEN.search(line):
                    yield (
                        f"{page.relative_to(root)}: line {number} installs {TAKEN}, which is somebody"
                        f" else's on PyPI; write {name} @ git+{homepage}."
                    )


def _find(root: Path, name: str, pattern: str) -> str:
    match = re.search(pattern, (root / name).read_text(), re.MULTILINE)
    return match[1] if match else ""


def _changelog_faults(text: str, version: str, homepage: str) -> Iterator[str]:
    sections = re.findall(r"^## \[([^\]]+)\](?: - (\S+))?$", text, re.MULTILINE)
    releases = [(name, day) for name, day in sections if name != "Unreleased"]
    if sections[:1] != [("Unreleased", "")]:
        yield "CHANGELOG.md: its first section should be [Unreleased]."
    if not releases or releases[0][0] != version:
        yield f"CHANGELOG.md: its newest release should be [{version}]."
    for name, day in releases:
        try:
            date.fromisoformat(day)
        except ValueError:
            yield f"CHANGELOG.md: [{name}] has no date of the form 2026-01-31."
    names = [name for name, _ in releases]
    links = {"Unreleased": f"{homepage}/compare/v{version}...HEAD"}
    links |= {new: f"{homepage}/compare/v{old}...v{new}" for new, old in pairwise(names)}
    links |= {names[-1]: f"{homepage}/releases/tag/v{names[-1]}"} if names else {}
    for name, link in links.items():
        if f"\n[{name}]: {link}\n" not in text:
            yield f"CHANGELOG.md: it lacks the line `[{name}]: {link}`."


def unready(root: Path) -> Iterator[str]:
    """Yield what keeps this very commit from being released."""
    text = (root / "CHANGELOG.md").read_text()
    if re.search(r"^- ", text.partition("## [Unreleased]")[2].partition("\n## ")[0], re.MULTILINE):
        yield "CHANGELOG.md: entries are under [Unreleased]; move them to a release with its date."

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=root, check=True, capture_output=True, text=True
        ).stdout

    if git("status", "--porcelain"):
        yield "There are uncommitted changes; commit them."
    tag = "v" + _find(root, "pyproject.toml", r'^version = "(.+)"')
    if git("tag", "--list", tag):
        head, tagged = git("rev-parse", "HEAD", f"{tag}^{{commit}}").split()
        if head != tagged:
            yield f"The tag {tag} is on another commit; choose a new version."


def main() -> int:
    """Print what disagrees; 1 when anything does."""
    findings = [*disagreements(ROOT), *unready(ROOT)]
    sys.stderr.writelines(f"{finding}\n" for finding in findings)
    if not findings:
        print("Name, version, changelog, metadata, image and pages agree.")
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
