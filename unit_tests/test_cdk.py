"""What the package takes from the CDK that has no public form."""

from typing import Any

import pytest
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from emulator import Emulator, Fault
from source_amplitude.process import cdk
from source_amplitude.process.sequential import SequentialStream
from source_amplitude.process.source import SourceAmplitude
from unit_tests.conftest import Run
from unit_tests.support.protocol import error_body


def test_a_stream_that_is_built_in_another_way_is_an_error(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = SourceAmplitude(None, config, None).streams(config)
    other = next(stream for stream in streams if isinstance(stream, SequentialStream))
    monkeypatch.setattr(ConcurrentDeclarativeSource, "streams", lambda *_: [other])

    with pytest.raises(TypeError, match="as SequentialStream"):
        SourceAmplitude(None, config, None).streams(config)


def test_a_read_with_failed_streams_ends_with_an_error_that_only_sums_up(
    run: Run, config: dict[str, Any], amplitude: Emulator
) -> None:
    amplitude.faults.append(
        Fault(path="/api/3/cohorts", status=403, body=error_body("Not in plan"), times=None)
    )

    failed = run("read", config, ("cohorts",)).error

    assert failed is not None
    assert cdk.sums_up_failed_streams(failed)
    assert not cdk.sums_up_failed_streams(AirbyteTracedException("another"))
