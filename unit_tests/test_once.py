"""Sources that are built with the patches of the tests, against sources that are built as for a user."""

import json
import re
from typing import Any

import pytest

from unit_tests.conftest import Run
from unit_tests.support.once import Once
from unit_tests.support.protocol import Output

READ = ("events", "active_users", "event_segmentation", "charts", "cohorts", "event_properties")
PATCHED = {
    "load_manifest",
    "get_declarative_component_schema",
    "validate_manifest",
    "propagate_types_and_parameters",
}


def contents(output: Output) -> list[str]:
    """The messages, sorted, without times and logs; of states the last, since windows end in any order."""
    messages = [m for m in output.messages if m["type"] not in ("LOG", "STATE")]
    texts = [json.dumps(each, sort_keys=True) for each in [*messages, *output.state]]
    return sorted(re.sub(r'"emitted_at": [0-9.]+', "", text) for text in texts)


@pytest.mark.parametrize("command", ["spec", "check", "discover", "read"])
def test_a_source_whose_manifest_was_prepared_once_gives_the_same_messages(
    run: Run,
    config: dict[str, Any],
    runtime: str,
    command: str,
    what_is_the_same_for_each_source_is_done_once: Once,
) -> None:
    once = what_is_the_same_for_each_source_is_done_once
    given = None if command == "spec" else config

    outputs = [run(command, given, READ, runtime=runtime) for _ in range(2)]
    calls = once.calls.copy()
    with once.paused():
        alone = run(command, given, READ, runtime=runtime)

    assert once.calls == calls
    assert alone.error is None
    assert command != "read" or {stream for stream in READ if alone.records(stream)} == {*READ}
    assert [contents(output) for output in outputs] == [contents(alone)] * 2


def test_each_patch_replaces_its_function(
    run: Run, config: dict[str, Any], what_is_the_same_for_each_source_is_done_once: Once
) -> None:
    calls = what_is_the_same_for_each_source_is_done_once.calls
    calls.clear()

    run("check", config)

    assert {name for name, count in calls.items() if count} == PATCHED
