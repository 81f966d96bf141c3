"""What was emitted of each member: its bytes are looked up in the ledger, whatever its name."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from source_amplitude.extensions.export.inflate import crc32_of_both
from source_amplitude.extensions.export.ledger import NO_HOUR, Emitted, Entries, ExportLedger
from source_amplitude.extensions.export.member import Member
from source_amplitude.extensions.export.windows import NO_END

MAX_PIECES_TRIED = 1_000
"""Members of an hour that are tried as pieces of files that were emitted; nearly always two are enough."""


def match_members(
    ledger: ExportLedger, key: str, members: list[Member]
) -> tuple[list[Entries], Entries]:
    """Find what was emitted of each member of an hour, and what was emitted of members that have vanished.

    Amplitude may pack the lines of an hour again in other files, append to a file, put several files
    together, or cut one. Where several entries are one file now, or one entry is several files, the ledger
    is given what is there now.
    """
    # A file whose name has no hour may have been emitted under any hour.
    keys = [
        each
        for each in ledger.members
        if each == key or key.endswith(NO_HOUR) or each.endswith(NO_HOUR)
    ]
    unmatched = [(each, entry) for each in keys for entry in ledger.members[each]]

    matches = _same_bytes(members, unmatched)
    _grown(members, matches, unmatched)
    _put_together(ledger, key, members, matches, unmatched)
    _cut(ledger, key, members, matches, unmatched)
    # What is left of this hour has been changed or removed.
    vanished = [pair for pair in unmatched if pair[0] == key and not key.endswith(NO_HOUR)]
    return matches, vanished


def _same_bytes(members: list[Member], unmatched: Entries) -> list[Entries]:
    """1. Match members whose bytes were emitted whole, under any name."""
    by_content: defaultdict[tuple[int, int], Entries] = defaultdict(list)
    for key, entry in unmatched:
        if entry.uploaded_before == NO_END:
            by_content[entry.length, entry.crc32].append((key, entry))
    matches: list[Entries] = []
    for member in members:
        alike = by_content[member.length, member.crc32]
        matches.append([alike.pop()] if alike else [])
    matched = Counter(pair for entries in matches for pair in entries)
    unmatched[:] = (Counter(unmatched) - matched).elements()
    return matches


def _grown(members: list[Member], matches: list[Entries], unmatched: Entries) -> None:
    """2. Match members that begin with bytes that were emitted: they have grown.

    Several entries may fit one member, since an end date cuts its events and not its lines.
    """
    for member, entries in zip(members, matches, strict=True):
        lengths = [entry.length for _, entry in unmatched if entry.length <= member.length]
        if lengths and not entries:
            crcs = member.prefix_crc32s(lengths)
            entries += [pair for pair in unmatched if crcs.get(pair[1].length) == pair[1].crc32]
            unmatched[:] = [pair for pair in unmatched if pair not in entries]


def _put_together(
    ledger: ExportLedger,
    key: str,
    members: list[Member],
    matches: list[Entries],
    unmatched: Entries,
) -> None:
    """3. Match what follows such a beginning, if it is another file that was emitted."""
    for member, entries in zip(members, matches, strict=True):
        for pair, together in _following(member, entries, unmatched):
            ledger.forget([*entries, pair])
            ledger.add(key, together)
            entries[:] = [(key, together)]


def _cut(
    ledger: ExportLedger,
    key: str,
    members: list[Member],
    matches: list[Entries],
    unmatched: Entries,
) -> None:
    """4. Match members that one after another are a file that was emitted: it has been cut."""
    tries = iter(range(MAX_PIECES_TRIED))
    for pair in list(unmatched):
        new = [number for number, entries in enumerate(matches) if not entries]
        pieces = _pieces(pair[1], [members[number] for number in new], tries)
        if pieces:
            unmatched.remove(pair)
            ledger.forget([pair])
        for number, emitted in pieces:
            ledger.add(key, emitted)
            matches[new[number]].append((key, emitted))


def _following(
    member: Member, entries: Entries, unmatched: Entries
) -> Iterator[tuple[tuple[str, Emitted], Emitted]]:
    """Yield entries whose bytes follow what is known of a member, each with all that is known then.

    They are taken out of `unmatched`.
    """
    known = max((e for _, e in entries if e.uploaded_before == NO_END), default=None)
    while known:
        longer = {
            pair: known.length + pair[1].length
            for pair in unmatched
            if pair[1].uploaded_before == NO_END and known.length + pair[1].length <= member.length
        }
        crcs = member.prefix_crc32s(longer.values()) if longer else {}
        for pair, length in longer.items():
            if crcs[length] == crc32_of_both(known.crc32, pair[1].crc32, pair[1].length):
                known = Emitted(length, crcs[length])
                unmatched.remove(pair)
                yield pair, known
                break
        else:
            return


def _pieces(
    emitted: Emitted, members: list[Member], tries: Iterator[int]
) -> list[tuple[int, Emitted]]:
    """Return the numbers of the members that one after another are what was emitted, each with its part.

    The last one may have grown. The list is empty if there are no such members, or if no `tries` are left.
    """
    if emitted.uploaded_before < NO_END or sum(m.length for m in members) < emitted.length:
        return []
    # Breadth first, so that few pieces are tried before many.
    rows: list[tuple[dict[int, Emitted], Emitted]] = [({}, Emitted(0, 0))]
    for row, so_far in rows:
        left = emitted.length - so_far.length
        for number, member in enumerate(members):
            if number in row or (not row and member.length >= left):
                continue
            if next(tries, None) is None:
                return []
            piece = Emitted(min(member.length, left), member.crc32)
            if member.length > left:
                piece = Emitted(left, member.prefix_crc32s([left])[left])
            crc = crc32_of_both(so_far.crc32, piece.crc32, piece.length)
            longer = {**row, number: piece}
            if piece.length < left:
                rows.append((longer, Emitted(so_far.length + piece.length, crc)))
            elif crc == emitted.crc32:
                return list(longer.items())
    return []
