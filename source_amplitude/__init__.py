"""An Airbyte source for Amplitude: a declarative manifest with thin Python extensions."""

import sys

from source_amplitude import components

# The one spelling of a custom component that every runtime resolves (docs/design.md, "Class names").
sys.modules.setdefault("source_declarative_manifest.components", components)
