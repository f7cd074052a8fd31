"""DOCX: paragraphs, headings, numbered lists, tables, text boxes, footnotes and comments.

Read straight from WordprocessingML (ECMA-376 part 1, clause 17): deleted revisions are left out
and inserted ones kept, as Word shows the document with all changes accepted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tanya.documents.content import Content, Input, TextBuilder
from tanya.documents.tables import add_table
from tanya.documents.xml import Package
from tanya.errors import DocumentDamaged

__all__ = ["convert", "style_level"]

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"
_HEADING_NAME = re.compile(r"(?:heading|judul|überschrift|titre|título)\s*([1-9])$", re.IGNORECASE)
_LEVEL_TEXT = re.compile(r"%([1-9])")
_ROMAN = (
    (1000, "m"),
    (900, "cm"),
    (500, "d"),
    (400, "cd"),
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
    (9, "ix"),
    (5, "v"),
    (4, "iv"),
    (1, "i"),
)


def style_level(name: str) -> int | None:
    """Level of a heading by the name of its style, in the languages of Word that are met here."""
    match = _HEADING_NAME.match(name.strip())
    return int(match[1]) if match else None


def convert(file: Input) -> Content:
    """Convert a Word document."""
    package = Package(file)
    main = package.main_part("word/document.xml")
    return _Reader(package, main).read()


@dataclass(slots=True)
class _Style:
    """What a paragraph style says about structure."""

    base: str = ""
    name: str = ""
    level: int | None = None
    numbering: tuple[str, int] | None = None


@dataclass(slots=True)
class _Level:
    """One level of a numbered list."""

    form: str = "decimal"
    text: str = ""
    start: int = 1


@dataclass(slots=True)
class _Notes:
    """Footnotes, endnotes and comments: id to text, and those met so far in the text."""

    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    pending: list[tuple[str, str]] = field(default_factory=list)
    seen: int = 0


class _Reader:
    def __init__(self, package: Package, main: str) -> None:
        self._package = package
        self._main = main
        self._parts = {
            kind: target for kind, target in package.relations(main).values() if target in package
        }
        self._styles = self._read_styles()
        self._lists = self._read_numbering()
        self._counters: dict[str, dict[int, int]] = defaultdict(dict)
        self._notes = _Notes()
        self._builder = TextBuilder()

    def read(self) -> Content:
        for kind, tag in (("footnotes", "footnote"), ("endnotes", "endnote")):
            self._read_notes(kind, tag)
        self._read_notes("comments", "comment")
        root = _plain_namespace(self._package.xml(self._main))
        body = root.find(f"{_W}body")
        if body is None:
            raise DocumentDamaged("The file is incomplete: it has no body.")
        for block in _blocks(body):
            if block.tag == f"{_W}p":
                self._paragraph(block)
            else:
                self._table(block)
        return self._builder.finish(title=self._package.title())

    def _paragraph(self, paragraph: Any) -> None:
        text = self._text(paragraph)
        level, numbering = self._structure(paragraph)
        label = self._number(numbering) if text.strip() and numbering else ""
        if level is not None:
            self._builder.heading(f"{label} {text}" if label.strip("-") else text, level)
        elif label:
            self._builder.line(f"{label} {text}")
        else:
            self._builder.block(text)
        self._add_notes()
        for box in _text_boxes(paragraph):
            for block in _blocks(box):
                if block.tag == f"{_W}p":
                    self._builder.block(self._text(block))
                else:
                    self._table(block)

    def _table(self, table: Any) -> None:
        rows = [self._cells(row) for row in table.iterchildren(f"{_W}tr")]
        marked = table.find(f"{_W}tr/{_W}trPr/{_W}tblHeader") is not None
        add_table(self._builder, rows, marked=marked)
        self._add_notes()

    def _cells(self, row: Any) -> list[str]:
        cells: list[str] = []
        for cell in row.iter(f"{_W}tc"):
            if next(cell.iterancestors(f"{_W}tr")) is not row:
                continue
            # A cell may hold whole tables: their paragraphs come along in reading order.
            texts = (self._text(paragraph) for paragraph in cell.iter(f"{_W}p"))
            cells.append("\n".join(text for text in texts if text.strip()))
        return cells

    def _text(self, paragraph: Any) -> str:
        """Visible text of a paragraph's own runs; text boxes are read after it."""
        parts: list[str] = []
        stack = [paragraph]
        while stack:
            element = stack.pop()
            tag = element.tag
            if tag == f"{_W}t":
                parts.append(element.text or "")
            elif tag in (f"{_W}tab", f"{_W}ptab"):
                parts.append("\t")
            elif tag in (f"{_W}br", f"{_W}cr"):
                parts.append("\n")
            elif tag == f"{_W}noBreakHyphen":
                parts.append("-")
            elif tag == f"{_W}sym":
                parts.append("•")
            elif tag.endswith("}t") and "officeDocument/2006/math" in tag:
                parts.append(element.text or "")
            elif tag in _REFERENCES:
                self._refer(_REFERENCES[tag], element.get(f"{_W}id", ""), parts)
            elif tag not in _SKIPPED:
                stack.extend(reversed(element))
        return "".join(parts)

    def _refer(self, kind: str, key: str, parts: list[str]) -> None:
        if (kind, key) in self._notes.texts:
            self._notes.pending.append((kind, key))
            if kind != "comment":
                self._notes.seen += 1
                parts.append(f" [{self._notes.seen}]")

    def _add_notes(self) -> None:
        first = self._notes.seen - sum(kind != "comment" for kind, _ in self._notes.pending)
        for kind, key in self._notes.pending:
            text = self._notes.texts[kind, key]
            if kind == "comment":
                self._builder.line(text)
            else:
                first += 1
                self._builder.line(f"[{first}] {text}")
        self._notes.pending.clear()

    def _structure(self, paragraph: Any) -> tuple[int | None, tuple[str, int] | None]:
        """Heading level and numbering of a paragraph, its own or its style's."""
        properties = paragraph.find(f"{_W}pPr")
        style_id, level, numbering = "", None, None
        if properties is not None:
            style_id = _value(properties.find(f"{_W}pStyle"))
            level = _outline(properties)
            numbering = _numbering(properties)
        for _ in range(20):  # styles may be based on each other in a circle
            style = self._styles.get(style_id)
            if style is None:
                break
            level = style.level if level is None else level
            numbering = style.numbering if numbering is None else numbering
            style_id = style.base
        return level, numbering

    def _number(self, numbering: tuple[str, int]) -> str:
        """The label that Word prints before a list item."""
        list_id, depth = numbering
        levels = self._lists.get(list_id)
        if not levels:
            return ""
        level = levels.get(depth, _Level())
        counters = self._counters[list_id]
        counters[depth] = counters.get(depth, level.start - 1) + 1
        for deeper in [key for key in counters if key > depth]:
            del counters[deeper]
        if level.form == "bullet":
            return "-"
        if level.form == "none":
            return ""

        def ordinal(match: re.Match[str]) -> str:
            other = int(match[1]) - 1
            form = levels.get(other, _Level())
            return _ordinal(counters.get(other, form.start), form.form)

        return _LEVEL_TEXT.sub(ordinal, level.text).strip()

    def _read_styles(self) -> dict[str, _Style]:
        styles: dict[str, _Style] = {}
        if "styles" not in self._parts:
            return styles
        for element in _plain_namespace(self._package.xml(self._parts["styles"])).iter(
            f"{_W}style"
        ):
            style = _Style(base=_value(element.find(f"{_W}basedOn")))
            style.name = _value(element.find(f"{_W}name"))
            properties = element.find(f"{_W}pPr")
            if properties is not None:
                style.level = _outline(properties)
                style.numbering = _numbering(properties)
            named = style_level(style.name)
            if named is not None:
                style.level = named
            elif style.name.lower() == "title":
                style.level = 1
            styles[element.get(f"{_W}styleId", "")] = style
        return styles

    def _read_numbering(self) -> dict[str, dict[int, _Level]]:
        if "numbering" not in self._parts:
            return {}
        root = _plain_namespace(self._package.xml(self._parts["numbering"]))
        abstract = {}
        for element in root.iterchildren(f"{_W}abstractNum"):
            abstract[element.get(f"{_W}abstractNumId", "")] = {
                _integer(level.get(f"{_W}ilvl")): _Level(
                    form=_value(level.find(f"{_W}numFmt")) or "decimal",
                    text=_value(level.find(f"{_W}lvlText")),
                    start=_integer(_value(level.find(f"{_W}start")), 1),
                )
                for level in element.iterchildren(f"{_W}lvl")
            }
        return {
            element.get(f"{_W}numId", ""): abstract.get(
                _value(element.find(f"{_W}abstractNumId")), {}
            )
            for element in root.iterchildren(f"{_W}num")
        }

    def _read_notes(self, part: str, tag: str) -> None:
        if part not in self._parts:
            return
        for note in _plain_namespace(self._package.xml(self._parts[part])).iter(f"{_W}{tag}"):
            if note.get(f"{_W}type") in ("separator", "continuationSeparator"):
                continue
            text = "\n".join(self._text(paragraph) for paragraph in note.iter(f"{_W}p")).strip()
            if not text:
                continue
            if tag == "comment":
                author = note.get(f"{_W}author", "")
                text = f"[{author}: {text}]" if author else f"[{text}]"
            self._notes.texts[tag, note.get(f"{_W}id", "")] = text


_SKIPPED = frozenset({
    *(f"{_W}{name}" for name in (
        "pPr", "rPr", "del", "moveFrom", "instrText", "delText", "drawing", "pict", "object",
        "sdtPr", "tblPr", "fldData", "rt",
    )),
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
})  # fmt: skip
_REFERENCES = {
    f"{_W}footnoteReference": "footnote",
    f"{_W}endnoteReference": "endnote",
    f"{_W}commentReference": "comment",
}
_WRAPPERS = frozenset(
    f"{_W}{name}" for name in ("sdt", "sdtContent", "customXml", "ins", "moveTo", "smartTag")
)


def _plain_namespace(root: Any) -> Any:
    """Bring "strict" documents to the namespace that every other document uses."""
    if root.tag.startswith(_STRICT):
        for element in root.iter():
            if isinstance(element.tag, str) and element.tag.startswith(_STRICT):
                element.tag = _W + element.tag[len(_STRICT) :]
                for key in list(element.attrib):
                    if key.startswith(_STRICT):
                        element.set(_W + key[len(_STRICT) :], element.attrib.pop(key))
    return root


def _blocks(parent: Any) -> Iterator[Any]:
    """Paragraphs and tables, also inside content controls and revisions."""
    stack = list(reversed(parent))
    while stack:
        element = stack.pop()
        if element.tag in (f"{_W}p", f"{_W}tbl"):
            yield element
        elif element.tag in _WRAPPERS:
            stack.extend(reversed(element))


def _text_boxes(paragraph: Any) -> Iterator[Any]:
    """Text boxes anchored in a paragraph; a fallback repeats its modern twin."""
    for box in paragraph.iter(f"{_W}txbxContent"):
        if not any(
            ancestor.tag.endswith("}Fallback") or ancestor.tag == f"{_W}txbxContent"
            for ancestor in box.iterancestors()
        ):
            yield box


def _value(element: Any) -> str:
    return "" if element is None else element.get(f"{_W}val", "")


def _integer(text: str | None, default: int = 0) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 9 else default


def _outline(properties: Any) -> int | None:
    element = properties.find(f"{_W}outlineLvl")
    level = _integer(_value(element), 9) if element is not None else 9
    return level + 1 if level < 9 else None


def _numbering(properties: Any) -> tuple[str, int] | None:
    element = properties.find(f"{_W}numPr")
    if element is None:
        return None
    return (
        _value(element.find(f"{_W}numId")),
        _integer(_value(element.find(f"{_W}ilvl"))),
    )


def _ordinal(number: int, form: str) -> str:
    if form in ("lowerLetter", "upperLetter"):
        letters = "abcdefghijklmnopqrstuvwxyz"[(number - 1) % 26] * min(9, (number - 1) // 26 + 1)
        return letters.upper() if form == "upperLetter" else letters
    if form in ("lowerRoman", "upperRoman") and 0 < number < 4000:
        roman = ""
        for value, digits in _ROMAN:
            roman += digits * (number // value)
            number %= value
        return roman.upper() if form == "upperRoman" else roman
    if form == "decimalZero":
        return f"{number:02d}"
    return str(number)
