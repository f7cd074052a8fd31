"""Documents to passages: what is embedded, found and read as one.

A passage is a run of whole sentences under a token budget. It prefers to end with a paragraph,
keeps a heading with the text below it, and never mixes table rows or slides. Together the
passages cover every character of the document that is not white space.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tanya.errors import InvalidArgument
from tanya.types import Document, Passage, Place

__all__ = ["PassageSettings", "TokenOffsets", "sentences", "split"]

TokenOffsets = Callable[[Sequence[str]], list[list[tuple[int, int]]]]
"""From texts to the code point offsets of each of their tokens, without special tokens."""


@dataclass(frozen=True, slots=True)
class PassageSettings:
    """How documents are split. An index keeps them, so that all of it is split the same way.

    Attributes:
        tokens: Most tokens in a passage, counted by the embedding model's tokenizer.
        overlap: Sentences that a passage repeats from the end of the one before it.
        version: Version of the rules in this module.
    """

    tokens: int = 200
    overlap: int = 0
    version: int = 1

    def __post_init__(self) -> None:
        if self.tokens < 8:
            raise InvalidArgument(f"A passage needs at least 8 tokens, not {self.tokens}.")
        if self.overlap < 0:
            raise InvalidArgument(f"`overlap` counts sentences: {self.overlap} is negative.")


def split(
    document: Document, settings: PassageSettings, token_offsets: TokenOffsets
) -> list[Passage]:
    """Split a document into passages.

    Args:
        document: Its ``places`` give the headings, rows and slides.
        settings: Token budget and overlap.
        token_offsets: The tokenizer, called with many paragraphs at once.

    Returns:
        Passages in order; starts and ends increase strictly, and each text has neither leading
        nor trailing white space.
    """
    text = document.text
    atoms = _atoms(document, settings.tokens, token_offsets)
    spans = list(_pack(atoms, settings))
    contexts = _contexts(document.places, [start for start, _ in spans])
    return [
        Passage(start=start, end=end, text=text[start:end], context=context)
        for (start, end), context in zip(spans, contexts, strict=True)
    ]


# --- Sentences ------------------------------------------------------------------------------

_TITLES_AND_SUCH = """
a.d a.l a.n alm almh bpk brigjen c.q capt col corp d.a d.h dept dkk dll dr dra drg drh drs dsb dst
e.g etc gen gov hj i.e inc ir irjen jend jl jln kab kapt kec kel kol kombes kompol lt ltd mayjen
mr mrs ms n.b ny pdt ph.d prof prov pt rev s.d s.e s.h s.kom s.pd s.t sdr sdri sersan sgt st tbk
telp tlp tn u.b u.p ud v viz vs yth
"""
_BEFORE_A_NUMBER = """
art ay bab fig figs gbr hal hlm no nomor nos nr p pp par pasal ps psl sec tab tgl vol
jan feb mar apr jun jul agu ags agt aug sep sept okt oct nov des dec
"""
_ABBREVIATIONS = frozenset(_TITLES_AND_SUCH.split())
_NUMBERED = frozenset(_BEFORE_A_NUMBER.split())
_END = re.compile(
    r"""
    (?P<wide>[\u3002\uff01\uff1f\uff61]+[\u300d\u300f\u201d\u2019)\uff09\]]*)\s*  # CJK: no space
    |(?P<mark>[.!?\u2026\u061f\u06d4\u0964]+)["'\u201d\u2019\u00bb)\]}]*
     (?:\[\d+\])*                                    # a reference: "selesai.[3] Lalu"
     (?P<space>\s+)
    """,
    re.VERBOSE,
)
_OPENING = "\"'([{\u201c\u2018\u00ab-\u2013\u2014\u2022 "
_ENUMERATOR = re.compile(r"[\s(\[]*(?:\d{1,3}|[A-Za-z]|[ivxlcIVXLC]{1,6})[.)]*$")
_ENUMERATED = re.compile(r"(?:[a-z]|[ivxlc]{1,6})[.)]\s")
_LAST_WORD = re.compile(r"[^\s(\[\"'\u201c\u2018/]+$")
_LINE_END = re.compile(r"\s*\n\s*")
_STOPS = ".!?:;\u2026\u3002\uff01\uff1f"


def sentences(text: str) -> list[tuple[int, int]]:
    """Offsets of the sentences of a text, in order, without the white space between them.

    Abbreviations, initials, numbers and enumerators (``PT.``, ``dll.``, ``No. 5``, ``a.``) do not
    end a sentence, nor does a point before a lower-case word. A line break does, unless the next
    line goes on in lower case.
    """
    found: list[tuple[int, int]] = []
    for start, end in _lines(text):
        found.extend(_sentences_of_line(text, start, end))
    return found


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Stretches between line breaks that end something."""
    start = 0
    for match in _LINE_END.finditer(text):
        end, after = match.span()
        wraps = (
            match[0].count("\n") == 1
            and end > start
            and text[end - 1] not in _STOPS
            and text[after : after + 1].islower()
            and not _ENUMERATED.match(text, after)
        )
        if not wraps:
            if end > start:
                yield _stripped(text, start, end)
            start = after
    if text[start:].strip():
        yield _stripped(text, start, len(text))


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _sentences_of_line(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    begin = start
    for match in _END.finditer(text, start, end):
        if match["wide"] is not None or _ends_sentence(text, begin, match):
            stop = match.start("space") if match["wide"] is None else match.end("wide")
            if match.end() >= end:
                break
            yield begin, stop
            begin = match.end()
    if begin < end:
        yield begin, end


def _ends_sentence(text: str, begin: int, match: re.Match[str]) -> bool:
    following = _next_letter(text, match.end())
    if following.islower():
        return False
    if match["mark"] != ".":
        return True
    at = match.start("mark")
    # Only the tail matters, and a slice of the whole sentence would make long ones quadratic.
    head = text[max(begin, at - 40) : at]
    word = _LAST_WORD.search(head)
    if word is None:
        return True
    last = word[0]
    lower = last.casefold()
    if lower in _ABBREVIATIONS:
        return False
    if lower in _NUMBERED and (following.isdigit() or (last[0].isupper() and head != last)):
        return False
    if len(last) == 1 and last.isalpha() and last.isupper():
        return False  # an initial
    return not (at - begin <= 8 and _ENUMERATOR.fullmatch(text[begin:at]))


def _next_letter(text: str, position: int) -> str:
    for character in text[position : position + 4]:
        if character not in _OPENING:
            return character
    return ""


# --- Atoms ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Atom:
    """The smallest thing that is packed: a sentence, or a piece of one that is over the budget.

    Attributes:
        start, end: Offsets in the document's text.
        tokens: Its length.
        gap: What comes before it: ``_SENTENCE``, ``_LINE``, ``_HEADED`` or ``_UNIT``.
        is_heading: Whether it is (part of) a heading.
        left: Tokens from here to the end of its paragraph.
    """

    start: int
    end: int
    tokens: int
    gap: int
    is_heading: bool
    left: int


_SENTENCE, _LINE, _HEADED, _UNIT = range(4)
_BATCH_CHARACTERS = 500_000


def _atoms(document: Document, budget: int, token_offsets: TokenOffsets) -> Iterator[_Atom]:
    text = document.text
    units = {place.start for place in document.places if place.kind in ("row", "slide", "sheet")}
    headings = {place.start for place in document.places if place.kind == "heading"}
    for batch in _batches(_paragraphs(text, sorted(units | headings))):
        tokens = token_offsets([text[start:end] for start, end in batch])
        for (start, end), offsets in zip(batch, tokens, strict=True):
            is_heading = start in headings
            first = _UNIT if start in units else _HEADED if is_heading else _LINE
            starts = sorted(start + offset for offset, _ in offsets)
            yield from _atoms_of(text, start, end, starts, budget, first, is_heading)


def _paragraphs(text: str, borders: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Lines of the text, cut also where a row, slide or heading begins."""
    position = 0
    for line_start, end in _lines(text):
        start = line_start
        while position < len(borders) and borders[position] <= start:
            position += 1
        while position < len(borders) and borders[position] < end:
            piece = _stripped(text, start, borders[position])
            if piece[0] < piece[1]:
                yield piece
            start = borders[position]
            position += 1
        piece = _stripped(text, start, end)
        if piece[0] < piece[1]:
            yield piece


def _batches(spans: Iterator[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Groups of paragraphs: the tokens of a whole book at once would take gigabytes."""
    batch: list[tuple[int, int]] = []
    characters = 0
    for start, end in spans:
        batch.append((start, end))
        characters += end - start
        if characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _atoms_of(
    text: str, start: int, end: int, starts: list[int], budget: int, first: int, is_heading: bool
) -> Iterator[_Atom]:
    """Sentences of one paragraph; those over the budget in pieces."""
    gap = first
    for sentence in _sentences_of_line(text, start, end):
        for piece in _pieces(text, *sentence, starts, budget):
            low, high = bisect_left(starts, piece[0]), bisect_left(starts, piece[1])
            torn = _tears(starts, low, piece[0])
            # A symbol that the tokenizer drops still takes room in the text.
            tokens = max(1, high - low + torn)
            yield _Atom(*piece, tokens, gap, is_heading, len(starts) - low + torn)
            gap = _SENTENCE


def _pieces(
    text: str, start: int, end: int, starts: list[int], budget: int
) -> Iterator[tuple[int, int]]:
    """Cut a stretch so that each piece has at most ``budget`` tokens."""
    stop = bisect_left(starts, end)
    while True:
        low = bisect_left(starts, start)
        room = budget - _tears(starts, low, start)
        if stop - low <= room:
            break
        cut = _cut(text, start, starts[low + room // 2], starts[low + room])
        piece = _stripped(text, start, cut)
        if piece[0] < piece[1]:
            yield piece
        start = cut
    piece = _stripped(text, start, end)
    if piece[0] < piece[1]:
        yield piece


def _tears(starts: list[int], low: int, start: int) -> int:
    """1 where a stretch begins inside a token, whose rest counts too, else 0."""
    return int(low > 0 and starts[low : low + 1] != [start])


_CLAUSE_END = re.compile(r"[.!?;:,\u3001\uff0c\uff1b]\s+")


def _cut(text: str, start: int, low: int, high: int) -> int:
    """Where to cut in ``(start, high]``: after a clause, else a word, else a whole character."""
    low = max(low, start + 1)
    clauses = [match.end() for match in _CLAUSE_END.finditer(text, low, high)]
    if clauses:
        return clauses[-1]
    for position in range(high, low, -1):
        if text[position - 1].isspace() or text[position : position + 1].isspace():
            return position
    position = high
    while position > start + 1 and _joins(text, position):
        position -= 1
    return position if position > start + 1 else high


def _joins(text: str, position: int) -> bool:
    """Whether a cut before ``position`` would tear one visible character apart."""
    after, before = text[position : position + 1], text[position - 1]
    return bool(after) and (
        unicodedata.category(after) in ("Mn", "Me", "Mc")
        or after == "\u200d"
        or before == "\u200d"
        or "\U0001f3fb" <= after <= "\U0001f3ff"
    )


# --- Packing --------------------------------------------------------------------------------


def _pack(atoms: Iterable[_Atom], settings: PassageSettings) -> Iterator[tuple[int, int]]:
    budget = settings.tokens
    repeated: list[_Atom] = []
    fresh: list[_Atom] = []
    size = 0
    for atom in atoms:
        if fresh and _breaks(fresh[-1], atom, size, budget):
            carried = _headings_to_carry(fresh, atom, budget)
            done = fresh[: len(fresh) - len(carried)]
            yield (repeated or done)[0].start, done[-1].end
            repeated = _overlap(done, carried, atom, settings)
            fresh = carried
            size = _size(repeated) + _size(fresh)
        fresh.append(atom)
        size += atom.tokens
    if fresh:
        yield (repeated or fresh)[0].start, fresh[-1].end


def _breaks(last: _Atom, atom: _Atom, size: int, budget: int) -> bool:
    """Whether a passage of ``size`` tokens that ends with ``last`` should end before ``atom``."""
    if atom.gap == _UNIT or size + atom.tokens > budget:
        return True
    if atom.gap == _HEADED:
        return not last.is_heading and size >= budget // 4
    # A paragraph that fits in a passage of its own is not torn to fill this one up.
    return (
        atom.gap == _LINE
        and not last.is_heading
        and size >= budget // 2
        and size + atom.left > budget >= atom.left
    )


def _headings_to_carry(atoms: Sequence[_Atom], atom: _Atom, budget: int) -> list[_Atom]:
    """Headings at the end of a passage that belong with the atom after it."""
    count = 0
    while count < len(atoms) and atoms[-1 - count].is_heading:
        count += 1
    headings = list(atoms[len(atoms) - count :])
    fits = _size(headings) + atom.tokens <= budget
    return headings if atom.gap != _UNIT and count < len(atoms) and fits else []


def _overlap(
    done: Sequence[_Atom], carried: Sequence[_Atom], atom: _Atom, settings: PassageSettings
) -> list[_Atom]:
    """Sentences to repeat: none across headings and units, never a third of a passage."""
    if not settings.overlap or carried or atom.gap in (_UNIT, _HEADED):
        return []
    repeated = list(done[1:][-settings.overlap :])
    room = min(settings.tokens // 3, settings.tokens - atom.tokens)
    while repeated and (_size(repeated) > room or repeated[0].is_heading):
        repeated.pop(0)
    return repeated


def _size(atoms: Sequence[_Atom]) -> int:
    return sum(atom.tokens for atom in atoms)


# --- Context --------------------------------------------------------------------------------

_CONTEXT_CHARACTERS = 160


def _contexts(places: Sequence[Place], starts: Sequence[int]) -> list[str]:
    """Path of the headings, and the sheet, around each start but not at it."""
    named = [place for place in places if place.kind in ("heading", "sheet") and place.label]
    named.sort(key=lambda place: (place.start, -place.end))
    contexts: list[str] = []
    open_places: list[Place] = []
    position = 0
    for start in starts:
        while position < len(named) and _is_around(named[position], start):
            while open_places and open_places[-1].end <= named[position].start:
                open_places.pop()
            open_places.append(named[position])
            position += 1
        while open_places and open_places[-1].end <= start:
            open_places.pop()
        contexts.append(_path([place.label for place in open_places if place.end > start]))
    return contexts


def _is_around(place: Place, start: int) -> bool:
    """Whether a place has begun; a heading at the start itself is part of the passage's text."""
    return place.start < start or (place.kind == "sheet" and place.start == start)


def _path(labels: Sequence[str]) -> str:
    """Labels from the outside in; the outer ones go first where there is no room."""
    path = ""
    for label in reversed(labels):
        longer = f"{label} > {path}" if path else label
        if len(longer) > _CONTEXT_CHARACTERS:
            break
        path = longer
    if not path and labels:
        path = labels[-1][: _CONTEXT_CHARACTERS - 1].rstrip() + "\u2026"
    return path
