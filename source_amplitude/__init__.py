"""An Airbyte source for Amplitude: a declarative manifest with thin Python extensions."""

import sys
from importlib.util import LazyLoader, find_spec, module_from_spec

# The one spelling of a custom component that every runtime resolves (docs/design.md, "Class names").
# Executed at its first use: it imports the CDK, which takes a second, and SIGTERM is heeded before that.
_spec = find_spec("source_amplitude.components")
assert _spec is not None
assert _spec.loader is not None
_spec.loader = LazyLoader(_spec.loader)
_components = module_from_spec(_spec)
sys.modules["source_amplitude.components"] = _components
sys.modules.setdefault("source_declarative_manifest.components", _components)
_spec.loader.exec_module(_components)
