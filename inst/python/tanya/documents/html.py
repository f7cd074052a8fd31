"""HTML: headings, lists and tables, without scripts, menus and other furniture."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser as StandardParser
from typing import Any

from lxml import etree
from lxml import html as lxml_html

from tanya.documents.content import Content, Input, TextBuilder, clean
from tanya.documents.decoding import Decoded, decode
from tanya.documents.tables import add_table

__all__ = ["convert", "convert_string"]

_INVISIBLE = frozenset({
    "head", "script", "style", "noscript", "template", "svg", "math", "iframe", "object",
    "embed", "audio", "video", "canvas", "map", "select", "datalist", "button", "input",
    "dialog",
})  # fmt: skip
_MENUS = frozenset(["nav", "menu", "navigation", "search", "menubar"])
_FRAMES = frozenset(["footer", "aside", "banner", "contentinfo"])  # of a page, not of an article
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details",
    "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr",
    "html", "legend", "li", "main", "menu", "nav", "ol", "p", "pre", "section", "summary",
    "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
})  # fmt: skip
_HEADING = re.compile(r"h([1-6])$")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_LONGEST_CELL = 2_000
_SPACE = re.compile(r"[ \t\r\n\f]+")


def convert(file: Input) -> Content:
    """Convert an HTML file."""
    found = _CHARSET.search(file.data[:4096])
    declared = found[1].decode("ascii", "replace") if found else ""
    # A page that could be parsed to read its own declaration is not in UTF-16, whatever it says.
    decoded = decode(file.data, "" if declared.lower().startswith("utf-16") else declared)
    return _convert(decoded)


def convert_string(text: str) -> Content:
    """Convert HTML that is already decoded, such as the body of a message."""
    return _convert(Decoded(text, "utf-8"))


def _convert(decoded: Decoded) -> Content:
    source = _XML_DECLARATION.sub("", clean(decoded.text))
    if not source.strip():
        return Content("", message=decoded.message)
    parser = lxml_html.HTMLParser(
        encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(source.encode("utf-8"), parser)
    except etree.XMLSyntaxError:
        root = None
    if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):
        return _without_structure(source, decoded.message)
    if root is None:
        return Content("", message=decoded.message)
    title = _text_of(root.find(".//title"))
    builder = _Walker(drops_furniture=True).walk(root)
    if not builder.position:
        builder = _Walker(drops_furniture=False).walk(root)
    return builder.finish(title=title, message=decoded.message)


def _without_structure(source: str, message: str) -> Content:
    """Read a page of which libxml2 would drop the end, because it nests too deep or is too big."""
    stripper = _Stripper()
    stripper.feed(source)
    stripper.close()
    note = "The page is nested too deep and was read without its structure."
    return replace(stripper.builder.finish(), message=f"{note} {message}".strip())


class _Stripper(StandardParser):
    """Keeps the text between tags; needs no tree."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.builder = TextBuilder()
        self._hidden = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self._hidden and tag in ("script", "style", "title"):
            self._hidden = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = ""

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.builder.block(_SPACE.sub(" ", data))


def _text_of(element: Any) -> str:
    return "" if element is None else _SPACE.sub(" ", "".join(element.itertext())).strip()


class _Walker:
    """Reads a tree from top to bottom without recursion, so that depth costs nothing."""

    def __init__(self, *, drops_furniture: bool) -> None:
        self._drops_furniture = drops_furniture
        self._builder = TextBuilder()
        self._inline: list[str] = []
        self._in_content = 0  # open <main> and <article> elements
        self._preformatted = 0
        self._lists: list[int] = []  # next number of each open list, 0 where it has bullets
        self._bullet = ""

    def walk(self, root: Any) -> TextBuilder:
        """Add the whole tree to the builder."""
        events = etree.iterwalk(root, events=("start", "end"))
        skipped = None
        for event, element in events:
            if event == "start":
                if self._is_skipped(element):
                    events.skip_subtree()
                    skipped = element
                    continue
                if self._start(element):
                    events.skip_subtree()
                    skipped = element
            else:
                if element is not skipped:
                    self._end(element)
                skipped = None
                if element is not root:
                    self._text(element.tail)
        self._flush()
        return self._builder

    def _is_skipped(self, element: Any) -> bool:
        tag = element.tag
        if not isinstance(tag, str) or tag in _INVISIBLE:
            return True
        if element.get("hidden") is not None or _HIDDEN.search(element.get("style", "")):
            return True
        if not self._drops_furniture:
            return False
        names = {tag, element.get("role")}
        return bool(names & _MENUS) or (not self._in_content and bool(names & _FRAMES))

    def _start(self, element: Any) -> bool:
        """Begin an element; true where its whole subtree is done."""
        tag = element.tag
        if tag == "table":
            rows = _data_rows(element)
            if rows:
                self._flush()
                self._table(element, rows)
                return True
        if tag == "br":
            self._inline.append("\n")
        elif tag in _BLOCKS or _HEADING.match(tag):
            self._flush()
            self._open_block(element)
        self._text(element.text)
        return False

    def _open_block(self, element: Any) -> None:
        tag = element.tag
        if tag in ("main", "article"):
            self._in_content += 1
        elif tag == "pre":
            self._preformatted += 1
        elif tag in ("ul", "ol", "menu", "dl"):
            start = element.get("start", "1")
            first = int(start) if start.isascii() and start.isdigit() and len(start) < 9 else 1
            self._lists.append(first if tag == "ol" else 0)
        elif tag == "li":
            self._bullet = self._next_bullet()

    def _next_bullet(self) -> str:
        if not self._lists or not self._lists[-1]:
            return "- "
        number = self._lists[-1]
        self._lists[-1] += 1
        return f"{number}. "

    def _end(self, element: Any) -> None:
        tag = element.tag
        heading = _HEADING.match(tag)
        if heading:
            self._builder.heading(self._take(), int(heading[1]))
        elif tag in _BLOCKS:
            self._flush()
            if tag in ("main", "article"):
                self._in_content -= 1
            elif tag == "pre":
                self._preformatted -= 1
            elif tag in ("ul", "ol", "menu", "dl") and self._lists:
                self._lists.pop()
            elif tag == "li":
                self._bullet = ""

    def _text(self, text: str | None) -> None:
        if text:
            self._inline.append(text if self._preformatted else _SPACE.sub(" ", text))

    def _take(self) -> str:
        text = "".join(self._inline)
        self._inline.clear()
        if self._preformatted:
            return text.strip("\n")
        lines = (" ".join(line.split(" ")).strip(" ") for line in text.split("\n"))
        return "\n".join(re.sub(" {2,}", " ", line) for line in lines).strip()

    def _flush(self) -> None:
        text = self._take()
        if not text.strip():
            return
        if self._bullet:
            # An item hangs together with its neighbours; its first paragraph carries the bullet.
            self._builder.line(self._bullet + text)
            self._bullet = ""
        else:
            self._builder.block(text)

    def _table(self, element: Any, rows: list[list[str]]) -> None:
        self._builder.block(_text_of(element.find("caption")))
        first = element.find(".//tr")
        marked = first is not None and len(first) > 1 and all(cell.tag == "th" for cell in first)
        add_table(self._builder, rows, marked=marked)


def _data_rows(table: Any) -> list[list[str]]:
    """Cells of a table of values; nothing for a table that lays out a page."""
    if any(inner is not table for inner in table.iter("table", "h1", "h2", "h3", "h4", "pre")):
        return []
    rows = [
        [_cell_text(cell) for cell in row.iterchildren("td", "th") for _ in range(_span(cell))]
        for row in table.iter("tr")
    ]
    rows = [row for row in rows if any(row)]
    longest = max((len(cell) for row in rows for cell in row), default=0)
    return rows if longest <= _LONGEST_CELL and any(len(row) > 1 for row in rows) else []


def _cell_text(cell: Any) -> str:
    """Text of a cell on one line, the items of a list set apart."""
    parts: list[str] = []
    events = etree.iterwalk(cell, events=("start", "end"))
    for event, element in events:
        tag = element.tag
        if event == "end":
            if element is not cell:
                parts.append(element.tail or "")
            continue
        if not isinstance(tag, str) or tag in _INVISIBLE:
            events.skip_subtree()
            continue
        if tag == "li" and element.getprevious() is not None:
            parts.append("; ")
        elif tag == "br" or tag in _BLOCKS:
            parts.append(" ")
        parts.append(element.text or "")
    return _SPACE.sub(" ", "".join(parts)).strip()


def _span(cell: Any) -> int:
    """Columns that a cell takes; a repeated value would read twice, so only names repeat."""
    span = cell.get("colspan", "1")
    wide = cell.tag == "th" and span.isascii() and span.isdigit() and len(span) < 3
    return max(1, int(span)) if wide else 1
