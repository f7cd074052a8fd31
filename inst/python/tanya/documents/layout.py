"""From lines on pages to a text that reads as a person reads it.

The input is what any page-oriented format gives: lines with boxes. The output is paragraphs and
headings in reading order, without what repeats on every page, with words put together again that
a line end had torn. Nothing here knows PDF.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import pairwise
from statistics import median

from tanya.documents.content import TextBuilder

__all__ = ["HYPHEN", "Block", "Line", "Page", "blocks", "in_reading_order", "write_pages"]

HYPHEN = "\u00ad"
"""Ends a line whose last word goes on in the next line."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text and its box, in points, y upwards.

    Attributes:
        text: May end with ``HYPHEN``.
        left, bottom, right, top: The box.
        size: Font size.
        is_bold: Whether it begins in a bold font.
        cells: Stretches with wide gaps between them; above 1 in rows of tables.
    """

    text: str
    left: float
    bottom: float
    right: float
    top: float
    size: float = 0.0
    is_bold: bool = False
    cells: int = 1

    @property
    def middle(self) -> float:
        """Height of the middle of the line."""
        return (self.bottom + self.top) / 2

    @property
    def height(self) -> float:
        """Height of the box."""
        return self.top - self.bottom


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its lines in reading order, its size in points, its label where it has one."""

    lines: tuple[Line, ...]
    width: float
    height: float
    label: str = ""


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


# --- Reading order --------------------------------------------------------------------------


def in_reading_order(segments: Sequence[Line]) -> list[Line]:
    """Sort stretches of text of one page and join those of one line.

    The order in the file is kept where it runs down the page, column by column, as writers of
    files mostly leave it. Else columns of prose are looked for, and each is read downwards.
    """
    rows = _rows_in_file_order(segments)
    split_rows = sum(len(row) > 1 for row in rows)
    if _runs_down(rows) and split_rows < 5:
        return [_joined(row) for row in rows]
    return [_joined(row) for column in _columns(list(segments)) for row in _rows(column)]


def _same_line(one: Line, other: Line) -> bool:
    overlap = min(one.top, other.top) - max(one.bottom, other.bottom)
    return overlap > 0.5 * min(one.height, other.height)


def _rows_in_file_order(segments: Sequence[Line]) -> list[list[Line]]:
    rows: list[list[Line]] = []
    for segment in segments:
        if (
            rows
            and _same_line(rows[-1][-1], segment)
            and segment.left >= rows[-1][-1].right - 0.3 * segment.height
            and not rows[-1][-1].text.endswith(HYPHEN)
        ):
            rows[-1].append(segment)
        else:
            rows.append([segment])
    return rows


def _runs_down(rows: Sequence[Sequence[Line]]) -> bool:
    """Whether hardly a line stands above, or beside, an earlier line of the same column."""
    lowest: list[Line] = []  # lowest line so far of each column
    astray = 0
    for line in map(_joined, rows):
        for position, other in enumerate(lowest):
            if min(line.right, other.right) - max(line.left, other.left) > 0:
                astray += line.middle > other.middle + 0.2 * other.height
                lowest[position] = line
                break
        else:
            astray += any(_same_line(line, other) for other in lowest)
            lowest.append(line)
    return astray <= 0.03 * len(rows)


def _columns(segments: list[Line]) -> Iterator[list[Line]]:
    """Columns of prose from left to right; lines across them divide the page into bands."""
    gutter = _gutter(segments)
    if gutter is None:
        yield segments
        return
    left = [line for line in segments if line.right <= gutter]
    right = [line for line in segments if line.left >= gutter]
    across = sorted(
        (line for line in segments if line.left < gutter < line.right),
        key=lambda line: -line.middle,
    )
    ceiling = float("inf")
    for line in [*across, None]:
        floor = line.middle if line is not None else float("-inf")
        for side in (left, right):
            band = [other for other in side if floor < other.middle <= ceiling]
            if band:
                yield from _columns(band)
        if line is not None:
            yield [line]
        ceiling = floor


def _gutter(segments: Sequence[Line]) -> float | None:
    """The x between two columns of prose, where there are two."""
    if len(segments) < 12:
        return None
    start = min(line.left for line in segments)
    end = max(line.right for line in segments)
    best: tuple[int, float, float] | None = None
    # A page number or a formula may stand between the columns.
    wide = [line for line in segments if line.right - line.left > 0.15 * (end - start)]
    edges = sorted({line.right for line in wide} | {line.left for line in wide})
    for one, other in pairwise(edges):
        middle = (one + other) / 2
        if other - one < 4 or not start + 0.2 * (end - start) < middle < end - 0.2 * (end - start):
            continue
        crossing = sum(line.left < middle < line.right for line in segments)
        if crossing <= 0.2 * len(segments):
            key = (crossing, -(other - one), middle)
            best = min(best, key) if best is not None else key
    if best is None:
        return None
    middle = best[2]
    sides = (
        [line for line in segments if line.right <= middle],
        [line for line in segments if line.left >= middle],
    )
    return middle if all(_is_prose(side) for side in sides) else None


def _is_prose(lines: Sequence[Line]) -> bool:
    """Whether lines fill their column, as sentences do and cells of a table do not."""
    if len(lines) < 5:
        return False
    width = max(line.right for line in lines) - min(line.left for line in lines)
    full = sum(line.right - line.left > 0.7 * width for line in lines)
    return full >= 0.5 * len(lines) and median(len(line.text) for line in lines) >= 20


def _rows(segments: Iterable[Line]) -> Iterator[list[Line]]:
    """Segments from top to bottom, those of one line from left to right."""
    row: list[Line] = []
    for segment in sorted(segments, key=lambda line: -line.middle):
        if row and not _same_line(row[0], segment):
            yield sorted(row, key=lambda line: line.left)
            row = []
        row.append(segment)
    if row:
        yield sorted(row, key=lambda line: line.left)


def _joined(row: Sequence[Line]) -> Line:
    if len(row) == 1:
        return row[0]
    return Line(
        text=" ".join(line.text.rstrip(HYPHEN) for line in row[:-1]) + " " + row[-1].text,
        left=min(line.left for line in row),
        bottom=min(line.bottom for line in row),
        right=max(line.right for line in row),
        top=max(line.top for line in row),
        size=max(line.size for line in row),
        is_bold=all(line.is_bold for line in row),
        cells=sum(line.cells for line in row),
    )


# --- What repeats on every page -------------------------------------------------------------

_EDGE_LINES = 4
_PAGE_NUMBER = re.compile(
    r"[\W_]*(?:(?:halaman|hal|page|p)\.?\s*)?(?:\d{1,4}|[ivxlc]{1,7})"
    r"(?:\s*(?:/|dari|of)\s*\d{1,4})?[\W_]*",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"(?<!\d)[0-9]{1,9}(?!\d)")
_CATCHWORD = re.compile(r"(?:\.\s?){3,}\s*$|…\s*$")


def _without_furniture(pages: Sequence[Page]) -> list[Page]:
    """Leave out headers, footers, page numbers and catchwords.

    A header or footer with words in it is kept where it first comes, so that no word is lost.
    """
    repeated = _repeated(pages)
    seen: set[int] = set()
    kept_pages: list[Page] = []
    for number, page in enumerate(pages):
        kept: list[Line] = []
        for position, line in enumerate(page.lines):
            cluster = repeated.get((number, position))
            if cluster is not None:
                if cluster in seen or not re.search(r"[^\W\d_]{3}", line.text):
                    continue
                seen.add(cluster)
            kept.append(line)
        kept_pages.append(replace(page, lines=tuple(kept)))
    return [
        _without_catchword(page, after)
        for page, after in zip(kept_pages, [*kept_pages[1:], None], strict=True)
    ]


@dataclass(slots=True)
class _Cluster:
    """Lines that stand at one height and read alike on several pages.

    Attributes:
        key: The first of them, without digits.
        height: Where it stands, 0 at the bottom of the page and 1 at the top.
        members: (page, line) of each.
        numbers: The numbers in each.
    """

    key: str
    height: float
    members: list[tuple[int, int]]
    numbers: list[tuple[int, ...]]

    def is_furniture(self) -> bool:
        pages = [page for page, _ in self.members]
        if len(set(pages)) < max(2 if self.key == "#" else 3, 0.3 * (pages[-1] - pages[0] + 1)):
            return False
        if self.key != "#" and len(set(self.numbers)) == 1:
            return True
        # Other numbers on each page may be what the reader is after, unless they count the pages
        # or stand in the margin.
        steps = Counter(
            number - page
            for page, numbers in zip(pages, self.numbers, strict=True)
            for number in set(numbers)
        )
        counts_pages = max(steps.values(), default=0) >= 0.6 * len(pages)
        in_margin = not 0.07 < self.height < 0.93
        return counts_pages or (in_margin and self.key != "#")


def _repeated(pages: Sequence[Page]) -> dict[tuple[int, int], int]:
    """(page, line) of what repeats at the edges of pages, with the number of its group."""
    clusters: list[_Cluster] = []
    zones: dict[int, list[_Cluster]] = defaultdict(list)
    for number, page in enumerate(pages):
        for position in _edges(page):
            line = page.lines[position]
            key = _masked(line.text)
            if _legal_level(line.text) or not (key == "#" or re.search(r"[^\W\d_]", key)):
                continue
            height = line.middle / page.height if page.height else 0.0
            if 0.2 < height < 0.8:
                continue
            zone = round(height * 25)
            near = [
                cluster
                for other in (zone - 1, zone, zone + 1)
                for cluster in zones[other]
                if abs(cluster.height - height) < 0.03 and _alike(cluster.key, key)
            ]
            if not near:
                near.append(_Cluster(key, height, [], []))
                clusters.append(near[0])
                zones[zone].append(near[0])
            near[0].members.append((number, position))
            near[0].numbers.append(tuple(int(digits) for digits in _DIGITS.findall(line.text)))
    return {
        member: index
        for index, cluster in enumerate(clusters)
        if cluster.is_furniture()
        for member in cluster.members
    }


def _edges(page: Page) -> list[int]:
    """Positions of the topmost and lowest lines of a page."""
    order = sorted(range(len(page.lines)), key=lambda position: -page.lines[position].middle)
    if len(order) <= 2 * _EDGE_LINES:
        return order
    return order[:_EDGE_LINES] + order[-_EDGE_LINES:]


def _masked(text: str) -> str:
    if _PAGE_NUMBER.fullmatch(text):
        return "#"
    return re.sub(r"[\W_]+", "", re.sub(r"\d+", "#", text)).casefold()[:80]


def _alike(one: str, other: str) -> bool:
    if one == other:
        return True
    # Scans spell the same header a little differently on every page. Lines as long as those of
    # the body have to be equal: there are many, and comparing them is slow.
    if not 6 <= len(one) <= 40 or abs(len(one) - len(other)) > 0.2 * len(one) or other == "#":
        return False
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return matcher.quick_ratio() > 0.8 and matcher.ratio() > 0.8


def _without_catchword(page: Page, after: Page | None) -> Page:
    """Drop the last line where it only announces the first words of the next page."""
    if after is None or not page.lines or not after.lines:
        return page
    position = min(range(len(page.lines)), key=lambda index: page.lines[index].bottom)
    last = page.lines[position]
    if len(last.text) > 60 or last.left < 0.4 * page.width:
        return page
    announced = _letters(_CATCHWORD.sub("", last.text))
    coming = [_letters(line.text)[: len(announced)] for line in after.lines[:3]]
    if _CATCHWORD.search(last.text):
        is_catchword = any(SequenceMatcher(None, announced, key).ratio() > 0.6 for key in coming)
    else:
        is_catchword = len(announced) >= 3 and announced in coming
    if not is_catchword:
        return page
    return replace(page, lines=page.lines[:position] + page.lines[position + 1 :])


def _letters(text: str) -> str:
    return re.sub(r"[\W\d_]+", "", text).casefold()


# --- Paragraphs and headings ----------------------------------------------------------------

_ITEM = re.compile(
    r"(?:\(\s*(?:\d{1,3}|[a-z]{1,2}|[ivxl]{1,5})\s*\)|(?:\d{1,3}|[a-zA-Z]|[ivxl]{1,5})[.)]"
    r"|\d{1,2}(?:\.\d{1,2}){1,3}\.?|[•●▪■◦○\u2013\u2014*\uf0b7\uf0a7-])\s+\S"
)
_REFERENCE = re.compile(
    r"(?:\b(?:pasal|pasal-pasal|ayat|huruf|angka|nomor|no\.?|butir|bab|bagian|dan|atau|dengan|"
    r"sampai|tahun|article|section|paragraph|and|or|to)|[,(/])$",
    re.IGNORECASE,
)
_LEGAL = (
    (1, re.compile(r"(?:BAB|CHAPTER|BUKU|PART)\s+(?:[IVXLC]+|\d+)\b\W*$"), 90),
    (1, re.compile(r"LAMPIRAN(?:\s+[IVXLC\d]+)?$"), 0),
    (2, re.compile(r"(?:Bagian|BAGIAN)\s+(?:Ke\w+|KE\w+|Pertama|PERTAMA)\s*$"), 90),
    (3, re.compile(r"(?:Paragraf|PARAGRAF)\s+(?:\d+|Ke\w+)\s*$"), 90),
    (4, re.compile(r"(?:Pasal|PASAL|Article|ARTICLE)\s+(?:\d+\s?[A-Z]?|[IVXLC]+)\s*$"), 0),
)
_ITEM_REFERENCE = re.compile(
    r"\b(?:pasal|ayat|huruf|angka|nomor|no\.?|butir)$"
    r"|\bayat\s*\(\w+\)\s*(?:,|dan|atau|sampai dengan)$",
    re.IGNORECASE,
)
_ENDED = re.compile("[.;:!?…][\"'\u201d\u2019)\\]]*$")
_NUMBERED_HEADING = re.compile(r"(\d{1,2}(?:\.\d{1,2})*)\.?\s+[^\W\d_]")


def blocks(pages: Sequence[Page]) -> list[Block]:
    """Paragraphs and headings of a document, page after page."""
    pages = _without_furniture(pages)
    words = Counter(
        word.casefold()
        for page in pages
        for line in page.lines
        for word in re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", line.text)
    )
    heading_level = _heading_levels(pages)
    found: list[Block] = []
    for number, page in enumerate(pages):
        of_page = list(_page_blocks(number, page, heading_level, words))
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
        self.is_legal = sum(bool(_legal_level(line.text)) for line in lines) >= 3
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
        legal = _legal_level(line.text)
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


def _heading_levels(pages: Sequence[Page]) -> _HeadingLevels:
    return _HeadingLevels(pages)


def _rounded(size: float) -> float:
    return round(size * 2) / 2


def _legal_level(text: str) -> int:
    return next((level for level, pattern, _ in _LEGAL if pattern.match(text)), 0)


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
        if level and above is not None and not gap and _REFERENCE.search(above.text):
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
    limit = next((limit for _, pattern, limit in _LEGAL if pattern.match(first.text)), None)
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
    if _legal_level(line.text):
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
        return not _REFERENCE.search(above.text)
    if _ITEM.match(line.text):
        return not _ITEM_REFERENCE.search(above.text)
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
    text = ""
    for line in lines:
        text = join_lines(text, line.text, words)
    return text.rstrip(HYPHEN) + ("-" if text.endswith(HYPHEN) else "")


def join_lines(text: str, following: str, words: Counter[str]) -> str:
    """Put a line after a text, and a word together that the line end had torn.

    Indonesian doubles words with a hyphen that has to stay (``masing-masing``,
    ``perundang-undangan``); the words of the whole document decide where nothing else does.
    """
    if not text:
        return following
    torn = re.search(rf"([^\W\d_]+)(?:{HYPHEN}|-)$", text)
    rest = re.match(r"[^\W\d_]+", following)
    if torn is None or rest is None:
        if text.endswith((HYPHEN, "-")) and not text.endswith(" -"):
            return text.rstrip(HYPHEN + "-") + "-" + following
        return f"{text.rstrip(HYPHEN)} {following}"
    stem = text[: torn.end(1)]
    keeps = _keeps_hyphen(torn[1], rest[0], words)
    return f"{stem}-{following}" if keeps else stem + following


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
