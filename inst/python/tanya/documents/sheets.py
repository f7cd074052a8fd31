"""Sheets of any workbook: rows that read on their own, with sheet and cell range as places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice

from tanya.documents.content import ReadOptions, TextBuilder
from tanya.documents.tables import has_header, header_names, row_text
from tanya.errors import DocumentTooLarge

__all__ = ["Row", "add_sheet", "column_letters"]

_HEAD_ROWS = 20


@dataclass(frozen=True, slots=True)
class Row:
    """A row with something in it: its 1-based number, and 0-based column to text."""

    number: int
    cells: Mapping[int, str]


def add_sheet(
    builder: TextBuilder, name: str, number: int, rows: Iterator[Row], options: ReadOptions
) -> None:
    """Add a sheet.

    Rows above the header, such as a title, are text; the header gives each row below its names.

    Raises:
        DocumentTooLarge: The text grows past the limit.
    """
    start = builder.position
    head = list(islice(rows, _HEAD_ROWS))
    header = _header(head)
    names: dict[int, str] = {}
    for position, row in enumerate(chain(head, rows)):
        row_start = builder.position
        if position == header:
            columns = sorted(row.cells)
            labels = header_names([row.cells[column] for column in columns])
            names = dict(zip(columns, labels, strict=True))
            if len(head) > header + 1:
                continue
        columns = sorted(row.cells)
        builder.line(
            row_text(
                [names.get(column, "") for column in columns],
                [row.cells[column] for column in columns],
            )
        )
        cells = f"{column_letters(columns[0])}{row.number}"
        if len(columns) > 1:
            cells += f":{column_letters(columns[-1])}{row.number}"
        builder.place("row", row_start, label=f"{name}!{cells}", number=row.number)
        if builder.position > options.max_text:
            raise DocumentTooLarge("The sheets hold more text than the limit.")
    builder.place("sheet", start, label=name, number=number)


def _header(head: list[Row]) -> int:
    """Position of the row that names the columns, or -1."""
    width = max((len(row.cells) for row in head), default=0)
    for position, row in enumerate(head[:10]):
        if len(row.cells) >= max(2, width - 1):
            columns = sorted(
                set(row.cells) | set(head[position + 1].cells)
                if position + 1 < len(head)
                else set(row.cells)
            )
            table = [
                [other.cells.get(column, "") for column in columns]
                for other in head[position : position + 2]
            ]
            return position if has_header(table) else -1
    return -1


def column_letters(column: int) -> str:
    """``0`` is ``"A"``, ``26`` is ``"AA"``."""
    letters = ""
    column += 1
    while column:
        column, digit = divmod(column - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return letters
