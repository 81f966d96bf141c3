"""An Airbyte source for Amplitude: a declarative manifest with thin Python extensions."""
