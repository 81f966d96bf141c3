"""A line of JSON, exactly: integers of any length, and repairs of what cannot be written."""

import json
import math
import re
import sys
from collections import Counter
from functools import partial
from itertools import accumulate
from typing import Any

import orjson

from source_amplitude.extensions.export.errors import BadLineError, NotJsonError

REPLACED_SURROGATES = "unpaired surrogates were replaced by U+FFFD"
CONVERTED_NUMBERS = "out-of-range numbers were converted to strings"
MAX_DEPTH = 1_024
"""Levels of nesting that orjson reads, and that every runtime can write."""

# json, which writes what orjson cannot, may recurse as deep as orjson reads.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 3 * MAX_DEPTH))

# An escaped character; in group 1 a surrogate without its other half.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)

# A surrogate pair of two times three bytes, as Java writes it; in group 1 a surrogate without its other half.
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]|([\ud800-\udfff])")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NO_BRACKETS = bytes(b for b in range(256) if b not in b"[]{}")

# Digits become 0, and what may stand before a number becomes a colon.
_DIGITS = bytes(48 if 48 <= b < 58 else 58 if b in b":,[-\t\r " else 32 for b in range(256))

_LONG_NUMBER = b":" + b"0" * 19
"""What `_DIGITS` makes of an integer that 64 bits may not hold."""


def has_long_number(data: bytes) -> bool:
    """Whether a number in `data` may be an integer that orjson would round."""
    return _LONG_NUMBER in data.translate(_DIGITS)


def parse_json(line: bytes, exact: bool, repairs: Counter[str]) -> Any:
    """Turn a line into a value; `exact` asks for a look at long numbers.

    `repairs` counts what JSON allows and UTF-8 or a double does not: an unpaired surrogate, which becomes
    U+FFFD, and a number that no double holds, which becomes a string of its digits.

    Raises:
        BadLineError: the line is not JSON, or is nested too deeply.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _parse_exactly(line, repairs)
    if exact and has_long_number(line) and _has_rounded_integer(value):
        return _parse_exactly(line, repairs)
    return value


def _parse_exactly(line: bytes, repairs: Counter[str]) -> Any:
    """Parse JSON with integers of any length, and repair what cannot be written."""
    if _depth(line) > MAX_DEPTH:
        raise BadLineError(f"is nested more than {MAX_DEPTH:,} levels deep")
    try:
        escaped = _ESCAPE.sub(partial(_replace_escape, repairs), line.removeprefix(BYTE_ORDER_MARK))
        text = escaped.decode("utf-8", "surrogatepass")
        return json.loads(
            _SURROGATES.sub(partial(_join_surrogates, repairs), text),
            parse_constant=_refuse,
            parse_float=partial(_parse_number, repairs, float),
            parse_int=partial(_parse_number, repairs, int),
            object_pairs_hook=_keep_all_keys,
        )
    except ValueError as error:
        raise NotJsonError("is not a JSON object") from error


def _replace_escape(repairs: Counter[str], escape: re.Match[bytes]) -> bytes:
    """Return an escaped character, or U+FFFD for a surrogate without its other half."""
    if escape[1] is None:
        return escape[0]
    repairs[REPLACED_SURROGATES] += 1
    return rb"\ufffd"


def _join_surrogates(repairs: Counter[str], surrogates: re.Match[str]) -> str:
    """Return the character of a pair, or U+FFFD for a surrogate without its other half."""
    if surrogates[1] is None:
        return surrogates[0].encode("utf-16", "surrogatepass").decode("utf-16")
    repairs[REPLACED_SURROGATES] += 1
    return "\ufffd"


def _refuse(constant: str) -> None:
    """Refuse NaN and Infinity, which are not JSON.

    Raises:
        ValueError: always.
    """
    raise ValueError(constant)


def _parse_number(repairs: Counter[str], kind: type, digits: str) -> Any:
    """Return a number, or its digits as a string where no double holds it."""
    try:
        if kind is int or math.isfinite(float(digits)):
            return kind(digits)
    except ValueError:  # over 4,300 digits, which Python does not convert
        pass
    repairs[CONVERTED_NUMBERS] += 1
    return digits


def _keep_all_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; keys that only a repair has made equal stay apart."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        while key in found and "\ufffd" in key:
            key += "\ufffd"
        found[key] = value
    return found


def _has_rounded_integer(value: Any) -> bool:
    """Whether a float lies where only an integer out of 64 bits, or a rounded double, can."""
    values = [value]
    while values:
        value = values.pop()
        if type(value) is float and abs(value) >= 2.0**63:
            return True
        if type(value) in (dict, list):
            values += value.values() if type(value) is dict else value
    return False


def _depth(line: bytes) -> int:
    """The levels of nesting of a line of JSON, or those before what is no JSON in it, and maybe more."""
    if line.count(b"[") + line.count(b"{") <= MAX_DEPTH:
        return 0
    outside_strings = line.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2]
    brackets = b"".join(outside_strings).translate(None, _NO_BRACKETS)
    return max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets), default=0)
