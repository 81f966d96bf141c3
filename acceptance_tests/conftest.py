"""The frozen clock, the emulated project and the config of the unit tests."""

from unit_tests.conftest import amplitude, clock, config, project

__all__ = ["amplitude", "clock", "config", "project"]
