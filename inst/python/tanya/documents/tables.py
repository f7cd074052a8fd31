"""Tables as text: each row reads on its own, with the names of its columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tanya.documents.content import TextBuilder

__all__ = ["add_table", "has_header", "header_names", "row_text"]

_NUMBER = re.compile(r"[\s(]*(?:Rp|IDR|USD|US\$|[$€£¥+-])?\s*[\d.,:/\-\s]*\d[\d.,:/\-\s]*%?\)?")
_ENDED = (".", "!", "?", ";", ":", "…", "。", "！", "？")  # noqa: RUF001 (full-width marks)


def row_text(names: Sequence[str], cells: Sequence[str]) -> str:
    """Write a row as ``"name: value. name: value."``, empty cells left out.

    Args:
        names: Column names; shorter than ``cells``, or empty, where columns have none.
        cells: Values of the row.
    """
    parts = []
    for position, cell in enumerate(cells):
        value = " ".join(cell.split())
        if value:
            name = names[position] if position < len(names) else ""
            value = f"{name}: {value}" if name else value
            parts.append(value if value.endswith(_ENDED) else f"{value}.")
    return " ".join(parts)


def header_names(cells: Sequence[str]) -> list[str]:
    """Column names on one line each."""
    return [" ".join(cell.split()).rstrip(":") for cell in cells]


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns of the rows below it.

    It does when it has at least two cells, all but one filled, all different, none a number and
    none as long as a sentence.
    """
    if len(rows) < 2:
        return False
    cells = [cell.strip() for cell in rows[0]]
    filled = [cell for cell in cells if cell]
    return (
        len(filled) >= 2
        and len(filled) >= len(cells) - 1
        and len({cell.casefold() for cell in filled}) == len(filled)
        and all(len(cell) <= 80 and not _NUMBER.fullmatch(cell) for cell in filled)
    )


def add_table(builder: TextBuilder, rows: Sequence[Sequence[str]], *, marked: bool) -> None:
    """Add a table of a text document, a line for each row.

    Args:
        builder: Where to.
        rows: Cells of each row.
        marked: Whether the document says that the first row is a header; else it is guessed.
    """
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        return
    names: list[str] = []
    if len(rows) > 1 and (marked or (len(rows[0]) > 2 and has_header(rows))):
        names, rows = header_names(rows[0]), rows[1:]
    else:
        rows = [_named_value(*row) if len(row) == 2 else row for row in rows]
    for position, row in enumerate(rows):
        add = builder.line if position else builder.block
        add(row_text(names, row))


def _named_value(name: str, value: str) -> list[str]:
    """A row of two cells in a table without a header: the first names the second."""
    return [f"{name.rstrip(' :')}: {value}"] if name.strip() and value.strip() else [name, value]
