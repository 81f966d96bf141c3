"""Write `source_amplitude/schemas/*.json` into the manifest's last section, one line per property."""

import json
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "source_amplitude"
MANIFEST = PACKAGE / "manifest.yaml"
MARK = "\n# Generated from schemas/*.json by `make schemas`: change those.\nschemas:\n"


def with_schemas(manifest: str) -> str:
    """The manifest's text with its last section rebuilt: one loader per file, its schema in JSON."""
    lines = []
    for path in sorted((PACKAGE / "schemas").glob("*.json")):
        schema = json.loads(path.read_text())
        properties = schema.pop("properties")
        lines += [f"  {path.stem}:", "    type: InlineSchemaLoader", "    schema:"]
        lines += [f"      {json.dumps(key)}: {json.dumps(value)}" for key, value in schema.items()]
        lines.append("      properties:")
        lines += [
            f"        {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in properties.items()
        ]
    return manifest.partition(MARK)[0].rstrip("\n") + "\n" + MARK + "\n".join(lines) + "\n"


if __name__ == "__main__":
    MANIFEST.write_text(with_schemas(MANIFEST.read_text()))
