"""Pages as lines with boxes, and the order in which a person reads the lines.

Nothing here knows PDF: recognised pictures of text come as lines with boxes too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

__all__ = ["HYPHEN", "Line", "Page", "in_reading_order"]

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


_MOST_SEGMENTS = 3_000
"""A page of more pieces is a table or a drawing, and has no columns of prose."""


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
    if not 12 <= len(segments) <= _MOST_SEGMENTS:
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
