"""Lines to paragraphs and headings, with words put together again that a line end had torn."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from tanya.documents.content import TextBuilder
from tanya.documents.furniture import without_furniture
from tanya.documents.layout import HYPHEN, Line, Page
from tanya.documents.regulations import (
    division,
    refers_to_division,
    refers_to_item,
    title_length,
)

__all__ = ["Block", "blocks", "seam", "write_pages"]


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph or a heading.

    Attributes:
        page: 0-based index of the page where it begins.
        text: Without line breaks.
        level: Depth of a heading, 0 for a paragraph.
        gap: Whether white space sets it apart from what is above it.
        continues: Whether its first words go on with the sentence that the page before broke off.
    """

    page: int
    text: str
    level: int = 0
    gap: bool = False
    continues: bool = False


_ITEM = re.compile(
    r"(?:\(\s*(?:\d{1,3}|[a-z]{1,2}|[ivxl]{1,5})\s*\)|(?:\d{1,3}|[a-zA-Z]|[ivxl]{1,5})[.)]"
    r"|\d{1,2}(?:\.\d{1,2}){1,3}\.?|[•●▪■◦○\u2013\u2014*\uf0b7\uf0a7-])\s+\S"
)
_ENDED = re.compile("[.;:!?…][\"'\u201d\u2019)\\]]*$")
_NUMBERED_HEADING = re.compile(r"(\d{1,2}(?:\.\d{1,2})*)\.?\s+[^\W\d_]")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_WORD_START = re.compile(r"[^\W\d_]+")
_TORN = re.compile(rf"([^\W\d_]+)(?:{HYPHEN}|-)$")


def blocks(pages: Sequence[Page]) -> list[Block]:
    """Paragraphs and headings of a document, page after page."""
    pages = without_furniture(pages)
    words = Counter(
        word.casefold()
        for page in pages
        for line in page.lines
        for word in _WORD.findall(line.text)
    )
    headings = _HeadingLevels(pages)
    found: list[Block] = []
    for number, page in enumerate(pages):
        of_page = list(_page_blocks(number, page, headings, words))
        if of_page and found and _goes_on(found[-1], of_page[0]):
            of_page[0] = replace(of_page[0], continues=True)
        found.extend(of_page)
    return found


def write_pages(pages: Sequence[Page]) -> TextBuilder:
    """The text of a document, with a place for each page that has any."""
    by_page: dict[int, list[Block]] = defaultdict(list)
    for block in blocks(pages):
        by_page[block.page].append(block)
    builder = TextBuilder()
    for number, page in enumerate(pages):
        start = builder.position
        for position, block in enumerate(by_page[number]):
            if block.level:
                builder.heading(block.text, block.level)
            elif block.continues:
                builder.inline(block.text)
            elif block.gap or not position:
                builder.block(block.text)
            else:
                builder.line(block.text)
        builder.place("page", start, label=page.label, number=number + 1)
    return builder


class _HeadingLevels:
    """Which lines of a document are headings, and how deep."""

    def __init__(self, pages: Sequence[Page]) -> None:
        lines = [line for page in pages for line in page.lines]
        self.is_legal = sum(bool(division(line.text)) for line in lines) >= 3
        sizes: Counter[float] = Counter()
        bold = 0
        for line in lines:
            sizes[_rounded(line.size)] += len(line.text)
            bold += len(line.text) * line.is_bold
        total = max(1, sizes.total())
        self.body, most = max(sizes.items(), key=lambda item: item[1], default=(0.0, 0))
        # The text layer of a scan has a size of its own for nearly every line.
        self.has_sizes = most >= 0.5 * total
        large = sorted((size for size in sizes if size >= 1.15 * self.body), reverse=True)
        self.ranks = {size: min(rank, 3) for rank, size in enumerate(large, 1)}
        self.has_bold = bold < 0.2 * total

    def level(self, line: Line) -> int:
        legal = division(line.text)
        if legal or self.is_legal:
            return legal
        text = line.text
        if (
            not self.has_sizes
            or line.cells > 1
            or len(text) > 150
            or not re.search(r"[^\W\d_]{2}", text)
        ):
            return 0
        if _rounded(line.size) in self.ranks:
            return self.ranks[_rounded(line.size)]
        if (
            line.is_bold
            and self.has_bold
            and len(text) <= 80
            and not text.endswith((".", ",", ";"))
        ):
            numbered = _NUMBERED_HEADING.match(text)
            return min(6, 3 + numbered[1].count(".")) if numbered else 4
        return 0


def _rounded(size: float) -> float:
    return round(size * 2) / 2


def _page_blocks(
    number: int, page: Page, headings: _HeadingLevels, words: Counter[str]
) -> Iterator[Block]:
    lines = page.lines
    pitch = _pitch(lines)
    margins = _right_margins(lines)
    position = 0
    while position < len(lines):
        above = lines[position - 1] if position else None
        gap = above is None or _gap(above, lines[position]) > 1.5 * pitch
        stop = position + 1
        level = headings.level(lines[position])
        if level and above is not None and not gap and refers_to_division(above.text):
            level = 0  # "sebagaimana dimaksud dalam / Pasal 5"
        if level:
            while stop < len(lines) and _belongs_to_heading(lines, position, stop, headings):
                stop += 1
        else:
            while stop < len(lines) and not _begins_paragraph(
                lines[stop - 1], lines[stop], pitch, margins[stop - 1], headings
            ):
                stop += 1
        yield Block(number, _flow(lines[position:stop], words), level=level, gap=gap)
        position = stop


def _pitch(lines: Sequence[Line]) -> float:
    """Usual distance from line to line."""
    steps = [_gap(above, below) for above, below in pairwise(lines)]
    positive = [step for step in steps if step > 1]
    return median(positive) if positive else 0.0


def _gap(above: Line, below: Line) -> float:
    return above.middle - below.middle


def _right_margins(lines: Sequence[Line]) -> list[float]:
    """Where full lines end, around each line: columns have margins of their own."""
    margins = []
    for position, line in enumerate(lines):
        around = lines[max(0, position - 6) : position + 7]
        ends = sorted(
            other.right for other in around if other.left < line.right and line.left < other.right
        )
        margins.append(ends[int(0.75 * (len(ends) - 1))] if ends else line.right)
    return margins


def _belongs_to_heading(
    lines: Sequence[Line], start: int, position: int, headings: _HeadingLevels
) -> bool:
    """Whether a line is the rest of the heading that begins at ``start``."""
    first, line = lines[start], lines[position]
    limit = title_length(first.text)
    if limit is None:
        return (
            headings.level(line) == headings.level(first)
            and abs(line.size - first.size) < 0.5
            and 0 < _gap(lines[position - 1], line) < 2 * max(line.size, line.height)
            and position - start < 4
            and not _NUMBERED_HEADING.match(line.text)
        )
    if position - start > 4 or len(line.text) > limit or _ITEM.match(line.text):
        return False
    if division(line.text):
        return False
    if first.text[:3].isupper():
        return line.text == line.text.upper() and bool(re.search(r"[A-Z]{2}", line.text))
    return position - start <= 2 and line.text[:1].isupper() and not _ENDED.search(line.text)


def _begins_paragraph(
    above: Line, line: Line, pitch: float, right: float, headings: _HeadingLevels
) -> bool:
    if above.text.endswith(HYPHEN):
        return False
    step = _gap(above, line)
    if step < -0.5 * max(pitch, 1):  # the top of the next column
        return bool(_ENDED.search(above.text)) or not line.text[:1].islower()
    if headings.level(line):
        return not refers_to_division(above.text)
    if _ITEM.match(line.text):
        return not refers_to_item(above.text)
    goes_on = line.text[:1].islower() and not _ENDED.search(above.text)
    if step > (2.5 if goes_on else 1.5) * pitch:
        return True
    if above.cells > 1 and line.cells > 1:
        return not goes_on  # a row of a table, or a line of prose with gaps as wide
    if headings.has_sizes and abs(above.size - line.size) > 0.15 * max(above.size, line.size):
        return not line.text[:1].islower()
    is_short = above.right < right - 0.12 * max(1.0, right - above.left)
    if is_short and goes_on:
        return False
    indented = line.left > above.left + 0.8 * line.height and bool(_ENDED.search(above.text))
    return is_short or (indented and not _ITEM.match(above.text))


def _flow(lines: Sequence[Line], words: Counter[str]) -> str:
    """Lines of a paragraph as running text."""
    parts: list[str] = []
    for line, following in pairwise(lines):
        parts.extend(seam(line.text, following.text, words))
    last = lines[-1].text
    return "".join(parts) + (last.rstrip(HYPHEN) + "-" if last.endswith(HYPHEN) else last)


def seam(line: str, following: str, words: Counter[str]) -> tuple[str, str]:
    """How a line goes over into the next one: its text, and what stands between the two.

    Indonesian doubles words with a hyphen that has to stay (``masing-masing``,
    ``perundang-undangan``); the words of the whole document decide where nothing else does.
    """
    torn = _TORN.search(line)
    rest = _WORD_START.match(following)
    if torn is not None and rest is not None:
        return line[: torn.end(1)], "-" if _keeps_hyphen(torn[1], rest[0], words) else ""
    if line.endswith((HYPHEN, "-")) and not line.endswith(" -"):
        return line.rstrip(HYPHEN + "-"), "-"
    return line, " "


def _keeps_hyphen(left: str, right: str, words: Counter[str]) -> bool:
    if right[0].isupper():
        return True
    left, right = left.casefold(), right.casefold()
    if left == right or (len(right) > 3 and right[:4] in left) or left[-4:] in right[1:]:
        return True
    return words[f"{left}-{right}"] > words[left + right]


def _goes_on(last: Block, first: Block) -> bool:
    """Whether the first words of a page end the sentence that the page before began."""
    return (
        not last.level
        and not first.level
        and not _ENDED.search(last.text)
        and first.text[:1].islower()
        and not _ITEM.match(first.text)
    )
