"""Write `source_amplitude/schemas/*.json` into the manifest's last section, one line a property."""

import json
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "source_amplitude"
MANIFEST = PACKAGE / "manifest.yaml"
MARK = "\n# Generated from schemas/*.json by `make schemas`: change those.\nschemas:\n"


def section() -> str:
    """The section's text: every schema in flow style, which is JSON."""
    lines = []
    for path in sorted((PACKAGE / "schemas").glob("*.json")):
        schema = json.loads(path.read_text())
        properties = schema.pop("properties")
        lines.append(f"  {path.stem}:")
        lines += [f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in schema.items()]
        lines.append("    properties:")
        lines += [
            f"      {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in properties.items()
        ]
    return MARK + "\n".join(lines) + "\n"


def main() -> int:
    """Write the section; with `--check`, only say whether it is up to date."""
    text = MANIFEST.read_text()
    wanted = text.partition(MARK)[0].rstrip("\n") + "\n" + section()
    if "--check" in sys.argv:
        if text != wanted:
            sys.stderr.write(
                "The manifest's schemas differ from schemas/*.json: run `make schemas`.\n"
            )
        return int(text != wanted)
    MANIFEST.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
