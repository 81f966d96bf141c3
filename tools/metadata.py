"""Check `metadata.yaml`, or another FILE, against the model of Airbyte's registry. `make metadata` runs this.

The model's package needs Python before 3.13, so make keeps an environment for it in .cache/envs.
"""

import sys
from pathlib import Path

import yaml
from airbyte_connector_models.metadata.v0.connector_metadata_definition_v0 import (
    ConnectorMetadataDefinitionV0,
)
from pydantic import ValidationError

METADATA = Path(__file__).resolve().parent.parent / "metadata.yaml"


def main() -> int:
    """Print each fault with its place; return 1 if there is any."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else METADATA
    try:
        ConnectorMetadataDefinitionV0.model_validate(yaml.safe_load(path.read_text()))
    except ValidationError as error:
        for fault in error.errors():
            print(f"{path.name}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}")
        return 1
    print(f"{path.name} is what the registry expects.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
