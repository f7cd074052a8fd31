"""XLSX: values as the cells show them, read row by row from SpreadsheetML (ECMA-376, clause 18).

Formulas are never evaluated: the value that the program saved with them is read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from lxml import etree

from tanya.documents.content import Content, Input, TextBuilder, clean
from tanya.documents.sheets import Row, add_sheet
from tanya.documents.xml import Package
from tanya.errors import DocumentDamaged

__all__ = ["convert"]

_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})$")
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
_DATE_FORMATS = frozenset([*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)])
_PERCENT_FORMATS = frozenset([9, 10])
_QUOTED = re.compile(r'"[^"]*"|\\.|\[(?!h|m|s)[^\]]*\]|_.|\*.', re.IGNORECASE)


def convert(file: Input) -> Content:
    """Convert an Excel workbook."""
    package = Package(file)
    main = package.main_part("xl/workbook.xml")
    workbook = package.xml(main)
    relations = package.relations(main)
    parts = {kind: target for kind, target in relations.values()}
    strings = _strings(package, parts.get("sharedStrings", ""))
    formats = _formats(package, parts.get("styles", ""))
    properties = workbook.find("{*}workbookPr")
    since_1904 = properties is not None and properties.get("date1904") in ("1", "true")
    reader = _Cells(
        strings, formats, datetime(1904, 1, 1) if since_1904 else datetime(1899, 12, 30)
    )
    builder = TextBuilder()
    missing = []
    sheets = workbook.findall("{*}sheets/{*}sheet")
    for number, sheet in enumerate(sheets, 1):
        name = clean(sheet.get("name", ""))
        keys = [value for key, value in sheet.attrib.items() if key.endswith("}id")]
        kind, target = relations.get(keys[0] if keys else "", ("", ""))
        if kind == "worksheet" and target in package:
            add_sheet(builder, name, number, reader.rows(package.read(target)), file.options)
        elif kind == "worksheet":
            missing.append(name)
    if missing and len(missing) == len(sheets):
        raise DocumentDamaged("The file is incomplete: it has no sheets.")
    message = f"Sheets missing from the file: {', '.join(missing)}." if missing else ""
    return builder.finish(title=package.title(), message=message)


class _Cells:
    """Turns cells into the text that a person sees in them."""

    def __init__(self, strings: Sequence[str], formats: Sequence[str], epoch: datetime) -> None:
        self._strings = strings
        self._formats = formats
        self._epoch = epoch

    def rows(self, data: bytes) -> Iterator[Row]:
        """Rows of a worksheet that have anything in them."""
        parser = etree.iterparse(
            io.BytesIO(data),
            events=("end",),
            tag=("{*}row",),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
        )
        previous = 0
        for _, element in parser:
            text = element.get("r", "")
            number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
            previous = number or previous + 1
            cells = self._row(element)
            # Free what has been read, or a long sheet fills the memory.
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
            if cells:
                yield Row(previous, cells)

    def _row(self, row: Any) -> dict[int, str]:
        cells = {}
        column = -1
        for cell in row.iterchildren("{*}c"):
            reference = _REFERENCE.match(cell.get("r", ""))
            column = _column(reference[1]) if reference else column + 1
            value = clean(self._value(cell)).strip()
            if value:
                cells[column] = value
        return cells

    def _value(self, cell: Any) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            return _rich_text(cell.find("{*}is"))
        value = cell.findtext("{*}v") or ""
        if kind == "s":
            return (
                self._strings[int(value)]
                if value.isdigit() and len(value) < 9 and int(value) < len(self._strings)
                else ""
            )
        if kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        if kind == "n" and value:
            style = cell.get("s", "0")
            position = int(style) if style.isdigit() and len(style) < 9 else 0
            form = self._formats[position] if position < len(self._formats) else ""
            return self._number(value, form)
        return _unescaped(value)

    def _number(self, value: str, form: str) -> str:
        try:
            number = float(value)
        except ValueError:
            return value
        if form == "date" and 0 <= number < 2_958_466:
            return _date(self._epoch, number)
        if form == "percent":
            return f"{number * 100:.10g}%"
        return f"{number:.15g}" if abs(number) < 1e15 else value


def _date(epoch: datetime, number: float) -> str:
    moment = epoch + timedelta(seconds=round(number * 86400))
    if number < 1:
        return moment.strftime("%H:%M:%S").removesuffix(":00")
    if number == int(number):
        return moment.strftime("%Y-%m-%d")
    return moment.strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00")


def _column(letters: str) -> int:
    column = 0
    for letter in letters:
        column = column * 26 + ord(letter) - ord("A") + 1
    return column - 1


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def _rich_text(element: Any) -> str:
    """Text of runs, without the phonetic hints that East Asian cells carry."""
    if element is None:
        return ""
    parts = [
        text.text or ""
        for text in element.iter("{*}t")
        if not text.getparent().tag.endswith("}rPh")
    ]
    return _unescaped("".join(parts))


def _strings(package: Package, target: str) -> list[str]:
    if target not in package:
        return []
    return [_rich_text(item) for item in package.xml(target).iterchildren("{*}si")]


def _formats(package: Package, target: str) -> list[str]:
    """For each cell style ``"date"``, ``"percent"`` or ""."""
    if target not in package:
        return []
    styles = package.xml(target)
    kinds: dict[str, str] = {}
    kinds.update({str(number): "date" for number in _DATE_FORMATS})
    kinds.update({str(number): "percent" for number in _PERCENT_FORMATS})
    for form in styles.iterfind("{*}numFmts/{*}numFmt"):
        code = _QUOTED.sub("", form.get("formatCode", "")).split(";")[0].lower()
        kind = "date" if re.search(r"[ymdhs]", code) and "general" not in code else ""
        kinds[form.get("numFmtId", "")] = "percent" if "%" in code else kind
    return [
        kinds.get(style.get("numFmtId", ""), "") for style in styles.iterfind("{*}cellXfs/{*}xf")
    ]
