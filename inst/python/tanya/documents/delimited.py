"""CSV and TSV: each row is a text of its own, with the names of its columns."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterator

from tanya.documents.content import Content, Input, TextBuilder, clean
from tanya.documents.decoding import decode
from tanya.documents.tables import has_header, header_names, row_text

__all__ = ["convert"]

_SAMPLE_ROWS = 200


def convert(file: Input) -> Content:
    """Convert a delimited file; the delimiter and a header row are recognised."""
    decoded = decode(file.data)
    text = clean(decoded.text)
    rows = _rows(text, _delimiter(text))
    sample = [row for _, row in zip(range(_SAMPLE_ROWS), rows, strict=False)]
    names = header_names(sample[0]) if has_header(sample) else []
    builder = TextBuilder()
    number = 0
    for row in _chain(sample[1:] if names else sample, rows):
        number += 1
        start = builder.position
        builder.line(row_text(names, row))
        builder.place("row", start, number=number)
    if not number and names:
        builder.line(row_text([], names))
    return builder.finish(message=decoded.message)


def _chain(head: list[list[str]], tail: Iterator[list[str]]) -> Iterator[list[str]]:
    yield from head
    yield from tail


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Non-blank rows. A quote that never closes takes the rest of the text as one cell."""
    # The limit guards programs that allocate per field; the text is in memory here anyway.
    csv.field_size_limit(min(sys.maxsize, (1 << 31) - 1))
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    return (row for row in reader if any(cell.strip() for cell in row))


def _delimiter(text: str) -> str:
    """The delimiter under which most rows of the head have the same number of cells, above 1."""
    head = text[: 1 << 16]
    if len(text) > len(head):
        head = head[: head.rfind("\n") + 1] or head

    def fit(delimiter: str) -> tuple[float, int]:
        widths = Counter(
            len(row) for _, row in zip(range(_SAMPLE_ROWS), _rows(head, delimiter), strict=False)
        )
        width, count = max(
            ((width, count) for width, count in widths.items() if width > 1),
            key=lambda item: item[1] * item[0],
            default=(1, 0),
        )
        return round(count / max(1, widths.total()), 1), width

    if head.startswith("sep=") and len(head) > 4:
        return head[4]
    return max((",", ";", "\t", "|"), key=fit)
