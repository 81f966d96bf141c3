"""Names that must differ: those of columns and series."""

from collections.abc import Iterable
from itertools import chain, count


def number_repeats(names: Iterable[str], suffix: str) -> list[str]:
    """Return the names in their order, each that occurred before with the first free number.

    `suffix` is a format: with ` ({})`, `a`, `a` and `a` become `a`, `a (2)` and `a (3)`.
    """
    used: dict[str, None] = {}
    for name in names:
        numbered = (name + suffix.format(number) for number in count(2))
        used[next(free for free in chain([name], numbered) if free not in used)] = None
    return list(used)
