"""Values of events that JSON allows and a strict reader, or a double, does not.

Each in the package and in the manifest alone.
"""

import json
from typing import Any

import pytest

from emulator import Emulator
from unit_tests.conftest import Run
from unit_tests.support.events import messages, properties, raw, serve, uuids


@pytest.mark.parametrize(
    ("came", "becomes"),
    [
        (r'{"note": "ten points \ud83d"}', {"note": "ten points \ufffd"}),
        (r'{"a": ["\ude00\ud83d", "\ud83d\ude00"]}', {"a": ["\ufffd\ufffd", "\U0001f600"]}),
        (r'{"\ud83d": 1, "\ud83e": 2}', {"\ufffd": 1, "\ufffd\ufffd": 2}),
        (r'{"a": "\\ud83d", "b": "\ud83dx"}', {"a": "\\ud83d", "b": "\ufffdx"}),
    ],
)
def test_half_a_surrogate_pair_becomes_a_character_that_utf8_has_and_is_counted(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str, came: str, becomes: Any
) -> None:
    serve(amplitude, raw("a", came) + raw("b", "{}"))

    output = run("read", hour, ("events",), runtime=runtime)

    assert properties(output) == {"a": becomes, "b": {}}
    assert (
        len([log for log in output.logs if "unpaired surrogates were replaced by U+FFFD" in log])
        == 1
    )


@pytest.mark.parametrize(
    ("came", "becomes"),
    [
        ("1E400", "1E400"),
        ("-1e400", "-1e400"),
        ("1.7976931348623159e308", "1.7976931348623159e308"),
        ("9" * 400 + ".5", "9" * 400 + ".5"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_a_number_out_of_a_doubles_range_becomes_a_string_of_its_digits_and_is_counted(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str, came: str, becomes: str
) -> None:
    serve(amplitude, raw("a", f'{{"v": {came}, "half": "\\ud83d", "list": [{came}]}}'))

    output = run("read", hour, ("events",), runtime=runtime)

    assert properties(output) == {"a": {"v": becomes, "half": "\ufffd", "list": [becomes]}}
    assert len([log for log in output.logs if "2 out-of-range numbers were converted" in log]) == 1


@pytest.mark.parametrize(
    "number",
    [
        2**63 - 1,
        2**63,
        2**64 - 1,
        2**64,
        -(2**63) - 1,
        1000000000000000000001,
        10**300 + 7,
        12345678901234567890123,
    ],
)
def test_an_integer_stays_exact_however_long(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str, number: int
) -> None:
    listed = f"[[{number}],{number},\t{number},\r{number}]"
    serve(amplitude, raw("a", f'{{"v":{number},"list":{listed},"f":1.5e300}}'))

    output = run("read", hour, ("events",), runtime=runtime)

    (found,) = properties(output).values()
    assert found == {"v": number, "list": [[number], number, number, number], "f": 1.5e300}
    assert type(found["v"]) is int


def test_digits_in_a_text_stay_a_text(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str
) -> None:
    came = {"id": "12345678901234567890", "n": 0.1, "long": 1234567890123456789, "list": [[], {}]}
    serve(amplitude, raw("a", json.dumps(came)))

    output = run("read", hour, ("events",), runtime=runtime)

    assert properties(output) == {"a": came}


@pytest.mark.parametrize("depth", [985, 1000, 1020])
def test_an_event_is_read_as_deeply_as_it_can_be_written(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str, depth: int
) -> None:
    nested = '{"a":' * depth + "1" + "}" * depth
    serve(amplitude, raw("a", nested) + raw("b", "{}"))

    output = run("read", hour, ("events",), runtime=runtime)

    assert output.error is None
    found = properties(output)["a"]
    for _ in range(depth):
        found = found["a"]
    assert found == 1


@pytest.mark.parametrize("depth", [1100, 2000, 100_000])
@pytest.mark.parametrize("bracket", ["{", "["])
def test_an_event_that_is_nested_too_deeply_is_one_bad_line(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str, depth: int, bracket: str
) -> None:
    nested = '{"a":' * depth + "1" + "}" * depth if bracket == "{" else "[" * depth + "]" * depth
    serve(amplitude, raw("a", "{}") + raw("b", nested) + raw("c", "{}"))

    failed = run("read", hour, ("events",), runtime=runtime)
    skipped = run("read", {**hour, "on_bad_record": "skip"}, ("events",), runtime=runtime)

    assert "Line 2 of the file" in messages(failed)
    assert "nested more than 1,024 levels deep" in messages(failed)
    assert uuids(skipped) == ["a", "c"]
    assert any("1 invalid lines were skipped" in log for log in skipped.logs)


@pytest.mark.parametrize(
    "shape",
    [
        json.dumps("[{" * 2_000),
        json.dumps('\\"[{' * 2_000 + "\\"),
        json.dumps([{}, []] * 2_000),
        json.dumps(["]"] * 2_000 + [[["["]]]),
    ],
    ids=["in a text", "after escapes", "side by side", "closed in a text"],
)
def test_brackets_that_nest_nothing_are_no_depth(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str, shape: str
) -> None:
    serve(amplitude, raw("a", f'{{"long": {2**70}, "half": "\\ud83d", "shape": {shape}}}'))

    output = run("read", hour, ("events",), runtime=runtime)

    assert properties(output)["a"]["shape"] == json.loads(shape)


@pytest.mark.parametrize("text", ["\u2028", "\u2029", "\x85", "\x0c", "\x1c", "\r"])
def test_a_line_of_output_ends_at_a_newline_alone(
    run: Run, hour: dict[str, Any], amplitude: Emulator, runtime: str, text: str
) -> None:
    serve(amplitude, raw("a", json.dumps({"v": text}, ensure_ascii=text < "\x20")))

    output = run("read", hour, ("events",), runtime=runtime)

    assert properties(output) == {"a": {"v": text}}
