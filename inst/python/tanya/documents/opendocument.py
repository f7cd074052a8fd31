"""OpenDocument texts, spreadsheets and presentations (OASIS OpenDocument 1.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tanya.documents.content import Content, Input, TextBuilder
from tanya.documents.sheets import Row, add_sheet
from tanya.documents.tables import add_table
from tanya.documents.xml import Package
from tanya.errors import DocumentDamaged, DocumentEncrypted

__all__ = ["convert_presentation", "convert_spreadsheet", "convert_text"]

_NS = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
_TEXT, _TABLE, _DRAW, _OFFICE = (_NS % name for name in ("text", "table", "drawing", "office"))
_PRESENTATION = _NS % "presentation"
_SKIPPED = frozenset(
    f"{_TEXT}{name}" for name in ("tracked-changes", "sequence-decls", "variable-decls",
                                  "user-field-decls", "note-citation", "ruby-text")
)  # fmt: skip
_PARAGRAPHS = (f"{_TEXT}p", f"{_TEXT}h")


def convert_text(file: Input) -> Content:
    """Convert an OpenDocument text."""
    package, body = _open(file, "text")
    builder = TextBuilder()
    _Text(builder).add(body)
    return builder.finish(title=_title(package))


def convert_presentation(file: Input) -> Content:
    """Convert an OpenDocument presentation."""
    package, body = _open(file, "presentation")
    builder = TextBuilder()
    for number, slide in enumerate(body.iterchildren(f"{_DRAW}page"), 1):
        start = builder.position
        titles = [
            frame
            for frame in slide.iter(f"{_DRAW}frame")
            if frame.get(f"{_PRESENTATION}class") == "title"
        ]
        title = " ".join(" ".join(_flat(frame).split()) for frame in titles)
        builder.heading(title, 1)
        _Text(builder, skipped=frozenset(titles)).add(slide)
        builder.place("slide", start, label=title, number=number)
    return builder.finish(title=_title(package))


def convert_spreadsheet(file: Input) -> Content:
    """Convert an OpenDocument spreadsheet."""
    package, body = _open(file, "spreadsheet")
    builder = TextBuilder()
    for number, table in enumerate(body.iterchildren(f"{_TABLE}table"), 1):
        name = table.get(f"{_TABLE}name", "")
        add_sheet(builder, name, number, _sheet_rows(table), file.options)
    return builder.finish(title=_title(package))


def _open(file: Input, kind: str) -> tuple[Package, Any]:
    package = Package(file)
    manifest = "META-INF/manifest.xml"
    if (
        manifest in package
        and next(package.xml(manifest).iter("{*}encryption-data"), None) is not None
    ):
        raise DocumentEncrypted("The file asks for a password.")
    body = package.xml("content.xml").find(f"{_OFFICE}body/{_OFFICE}{kind}")
    if body is None:
        raise DocumentDamaged("The file is incomplete: it has no body.")
    return package, body


def _title(package: Package) -> str:
    if "meta.xml" not in package:
        return ""
    title = next(package.xml("meta.xml").iter("{*}title"), None)
    return "" if title is None else title.text or ""


class _Text:
    """Adds paragraphs, lists and tables to a builder."""

    def __init__(self, builder: TextBuilder, skipped: frozenset[Any] = frozenset()) -> None:
        self._builder = builder
        self._skipped = skipped
        self._notes: list[str] = []
        self._seen = 0

    def add(self, root: Any) -> None:
        """Add everything below an element, without recursion."""
        stack = list(reversed(root))
        while stack:
            element = stack.pop()
            tag = element.tag
            if tag in _SKIPPED or element in self._skipped:
                continue
            if tag in _PARAGRAPHS:
                stack.extend(reversed(self._paragraph(element)))
            elif tag == f"{_TABLE}table":
                self._table(element)
            elif tag == f"{_PRESENTATION}notes":
                self._builder.block("\n".join(_flat(box) for box in element.iter(*_PARAGRAPHS)))
            else:
                stack.extend(reversed(element))

    def _paragraph(self, paragraph: Any) -> list[Any]:
        """Add a paragraph; returns the frames in it, whose text stands by itself."""
        text, frames = self._inline(paragraph)
        if paragraph.tag == f"{_TEXT}h":
            level = paragraph.get(f"{_TEXT}outline-level", "1")
            self._builder.heading(text, int(level) if level in list("123456789") else 1)
        elif paragraph.getparent().tag in (f"{_TEXT}list-item", f"{_TEXT}list-header"):
            self._builder.line(f"{self._label(paragraph)}{text}" if text.strip() else "")
        else:
            self._builder.block(text)
        for note in self._notes:
            self._builder.line(note)
        self._notes.clear()
        return frames

    def _label(self, paragraph: Any) -> str:
        is_first = paragraph.getprevious() is None
        return "- " if is_first and paragraph.getparent().tag == f"{_TEXT}list-item" else ""

    def _inline(self, paragraph: Any) -> tuple[str, list[Any]]:
        parts: list[str] = [paragraph.text or ""]
        frames: list[Any] = []
        stack = [(child, True) for child in reversed(paragraph)]
        while stack:
            element, opens = stack.pop()
            if not opens:
                parts.append(element.tail or "")
                continue
            stack.append((element, False))
            tag = element.tag
            if tag == f"{_TEXT}note":
                self._seen += 1
                parts.append(f" [{self._seen}]")
                body = element.find(f"{_TEXT}note-body")
                text = " ".join(_flat(body).split()) if body is not None else ""
                self._notes.append(f"[{self._seen}] {text}")
            elif tag == f"{_OFFICE}annotation":
                creator = element.findtext("{*}creator") or ""
                text = " ".join(_flat(part) for part in element.iter(*_PARAGRAPHS))
                self._notes.append(f"[{creator}: {text}]" if creator else f"[{text}]")
            elif tag.startswith(_DRAW):
                frames.append(element)
            elif tag not in _SKIPPED:
                parts.append(_own_text(element))
                stack.extend((child, True) for child in reversed(element))
        return "".join(parts), frames

    def _table(self, table: Any) -> None:
        rows = [
            ["\n".join(_flat(part) for part in cell.iter(*_PARAGRAPHS)) for cell in _cells(row)]
            for row in table.iter(f"{_TABLE}table-row")
        ]
        marked = table.find(f"{_TABLE}table-header-rows") is not None
        add_table(self._builder, rows, marked=marked)


def _own_text(element: Any) -> str:
    """Text at the start of an element, with the white space that ODF spells as elements."""
    if element.tag == f"{_TEXT}s":
        count = element.get(f"{_TEXT}c", "1")
        return " " * (int(count) if count.isdigit() and len(count) < 4 else 1)
    if element.tag == f"{_TEXT}tab":
        return "\t"
    if element.tag == f"{_TEXT}line-break":
        return "\n"
    return element.text or ""


def _flat(root: Any) -> str:
    """Text below an element, on as many lines as it has paragraphs."""
    parts: list[str] = []
    for element in root.iter():
        if element.tag in _SKIPPED:
            continue
        if element.tag in _PARAGRAPHS and parts:
            parts.append("\n")
        parts.append(_own_text(element))
        if element is not root:
            parts.append(element.tail or "")
    return "".join(parts)


def _cells(row: Any) -> Iterator[Any]:
    yield from row.iterchildren(f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell")


def _repeats(element: Any, name: str) -> int:
    count = element.get(f"{_TABLE}{name}", "1")
    return int(count) if count.isascii() and count.isdigit() and len(count) < 9 else 1


def _sheet_rows(table: Any) -> Iterator[Row]:
    number = 0
    for row in table.iter(f"{_TABLE}table-row"):
        cells: dict[int, str] = {}
        column = 0
        for cell in _cells(row):
            repeats = _repeats(cell, "number-columns-repeated")
            text = "\n".join(_flat(part) for part in cell.iterchildren(*_PARAGRAPHS)).strip()
            if text:
                # Sheets end at column XFD; a longer repetition is no table but an attack.
                cells.update(
                    (position, text) for position in range(column, min(column + repeats, 16_384))
                )
            column += repeats
        repeats = _repeats(row, "number-rows-repeated")
        if cells:
            for repeat in range(repeats):
                yield Row(number + repeat + 1, cells)
        number += repeats
