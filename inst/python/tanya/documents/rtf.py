"""RTF (version 1.9.1): text, table cells, notes and code pages; pictures and fields left out."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from tanya.documents.content import Content, Input, TextBuilder
from tanya.documents.tables import add_table
from tanya.documents.wordprocessing import style_level
from tanya.errors import DocumentDamaged, DocumentTooLarge

__all__ = ["convert"]

_TOKEN = re.compile(
    rb"""
    \\(?:'([0-9a-fA-F]{2})             # a byte in the code page
       |([a-zA-Z]{1,32})(-?\d{1,10})?\ ?  # a word and its number
       |([^a-zA-Z]))                   # a symbol
    |([{}])
    |[\r\n]+
    |([^\\{}\r\n]+)
    """,
    re.VERBOSE,
)
_DESTINATIONS = frozenset((
    "fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "header", "headerl", "headerr",
    "headerf", "footer", "footerl", "footerr", "footerf", "listtable", "listoverridetable",
    "rsidtbl", "generator", "xmlnstbl", "themedata", "colorschememapping", "datastore",
    "latentstyles", "fldinst", "bkmkstart", "bkmkend", "filetbl", "revtbl", "mmathPr", "nonshppict",
    "atnid", "atnauthor", "wgrffmtfilter", "panose", "falt", "sp", "shpinst",
))  # fmt: skip
_SHOWN = frozenset(("shptxt", "listtext", "pntext", "footnote", "annotation"))
_SYMBOLS = {
    "par": "\n", "line": "\n", "sect": "\n", "page": "\n", "tab": "\t", "emdash": "\u2014",
    "endash": "\u2013", "lquote": "\u2018", "rquote": "\u2019", "ldblquote": "\u201c",
    "rdblquote": "\u201d", "bullet": "\u2022", "emspace": " ", "enspace": " ", "qmspace": " ",
}  # fmt: skip
_CHARSETS = {
    0: "cp1252", 2: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 130: "cp1361",
    134: "cp936", 136: "cp950", 161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255",
    178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250", 255: "cp437",
}  # fmt: skip
_MAX_DEPTH = 10_000


@dataclass(slots=True)
class _State:
    """What a group inherits and gives back."""

    skipped: bool = False
    fallback: int = 1
    font: int = 0
    destination: str = ""
    hidden: bool = False


def convert(file: Input) -> Content:
    """Convert an RTF document."""
    reader = _Reader()
    reader.read(file.data)
    return reader.builder.finish(title=reader.title.strip())


class _Reader:
    def __init__(self) -> None:
        self.builder = TextBuilder()
        self.title = ""
        self._state = _State()
        self._stack: list[_State] = []
        self._code_page = "cp1252"
        self._fonts: dict[int, str] = {}
        self._pending = bytearray()
        self._text: list[str] = []
        self._cells: list[str] = []
        self._rows: list[list[str]] = []
        self._to_skip = 0
        self._starred = False
        self._outline: int | None = None
        self._style = 0
        self._outline_of_style: dict[int, int] = {}

    def read(self, data: bytes) -> None:
        if not data.startswith(b"{\\rtf"):
            raise DocumentDamaged("The file is no RTF.")
        position = 0
        while position < len(data):
            match = _TOKEN.match(data, position)
            if match is None:
                position += 1
                continue
            position = match.end()
            code, word, number, symbol, brace, plain = match.groups()
            if code is not None:
                self._byte(bytes([int(code, 16)]))
            elif word is not None:
                value = int(number) if number is not None else None
                if word == b"bin":
                    position += max(0, value or 0)
                else:
                    self._word(word.decode("ascii"), value)
            elif symbol is not None:
                self._symbol(symbol)
            elif brace is not None:
                self._brace(brace)
            elif plain is not None:
                self._byte(plain)
        self._flush_paragraph()
        self._flush_table()

    def _brace(self, brace: bytes) -> None:
        self._decode()
        self._to_skip = 0
        self._starred = False
        if brace == b"{":
            if len(self._stack) >= _MAX_DEPTH:
                raise DocumentTooLarge("The RTF file is nested too deep.")
            self._stack.append(self._state)
            old = self._state
            self._state = _State(old.skipped, old.fallback, old.font, old.destination, old.hidden)
        elif self._stack:
            closing = self._state.destination
            self._state = self._stack.pop()
            if closing in ("footnote", "annotation") and self._state.destination != closing:
                self._text.append("] ")

    def _byte(self, data: bytes) -> None:
        if self._to_skip:
            # The fallback of a Unicode character is counted in characters, one byte each.
            skipped = min(self._to_skip, len(data))
            self._to_skip -= skipped
            data = data[skipped:]
        self._starred = False
        self._pending += data

    def _symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self._starred = True
        elif symbol in (b"\\", b"{", b"}"):
            self._byte(symbol)
        elif symbol == b"~":
            self._byte(b" ")
        elif symbol == b"_":
            self._byte(b"-")
        elif symbol in (b"\r", b"\n"):
            self._add("\n")

    def _word(self, word: str, value: int | None) -> None:
        if word == "u" and value is not None:
            self._decode()
            self._add(chr(value % 65536))
            self._to_skip = self._state.fallback
            return
        self._decode()
        self._to_skip = 0
        starred, self._starred = self._starred, False
        if word in _SHOWN:
            self._state.skipped = self._state.skipped and word != "shptxt"
            self._state.destination = word
            if word in ("footnote", "annotation"):
                self._add(" [")
        elif word in _DESTINATIONS or (starred and word not in _SHOWN):
            self._state.skipped = True
            self._state.destination = word
        elif word == "title" and self._state.destination == "info":
            self._state.destination = "title"
        elif word == "ansicpg" and value:
            self._code_page = _codec(f"cp{value}")
        elif word == "mac":
            self._code_page = "mac_roman"
        elif word in ("f", "deff") and value is not None:
            self._state.font = value
        elif word == "fcharset" and value is not None and self._state.destination == "fonttbl":
            # Charset 0 is what the document's own code page is for.
            if value > 1:
                self._fonts[self._state.font] = _CHARSETS.get(value, self._code_page)
        elif word == "uc" and value is not None:
            self._state.fallback = max(0, min(value, 16))
        elif word == "pard":
            self._outline = None
        elif word in ("s", "outlinelevel") and value is not None:
            self._outline_word(word, value)
        elif word == "v":
            self._state.hidden = value != 0
        elif word == "plain":
            self._state.hidden = False
        elif word in ("cell", "nestcell"):
            self._end_cell()
        elif word in ("row", "nestrow"):
            self._end_row()
        elif word in _SYMBOLS:
            self._add(_SYMBOLS[word])

    def _outline_word(self, word: str, value: int) -> None:
        """Follow styles and paragraphs that are headings."""
        level = value if 0 <= value < 9 else None
        if self._state.destination == "stylesheet":
            if word == "s":
                self._style = value
            elif level is not None:
                self._outline_of_style[self._style] = level
        elif not self._state.skipped:
            self._outline = self._outline_of_style.get(value) if word == "s" else level

    def _decode(self) -> None:
        if self._pending:
            encoding = self._fonts.get(self._state.font, self._code_page)
            self._add(self._pending.decode(encoding, errors="replace"))
            self._pending.clear()

    def _add(self, text: str) -> None:
        if self._state.destination == "title":
            self.title += text
        elif self._state.destination == "stylesheet":
            level = style_level(text.strip().rstrip(";"))
            if level is not None:
                self._outline_of_style[self._style] = level - 1
        elif not self._state.skipped and not self._state.hidden:
            self._text.append(text)
            if text == "\n" and not self._cells:
                self._flush_paragraph()

    def _flush_paragraph(self) -> None:
        self._decode()
        text = _surrogates_joined("".join(self._text))
        if text.strip():
            self._flush_table()
            if self._outline is None:
                self.builder.block(text)
            else:
                self.builder.heading(text, self._outline + 1)
        self._text.clear()

    def _end_cell(self) -> None:
        self._cells.append(_surrogates_joined("".join(self._text)))
        self._text.clear()

    def _end_row(self) -> None:
        if self._cells:
            self._rows.append(self._cells)
            self._cells = []

    def _flush_table(self) -> None:
        if self._cells:
            self._end_row()
        if self._rows:
            rows, self._rows = self._rows, []
            add_table(self.builder, rows, marked=False)


def _codec(name: str) -> str:
    try:
        return codecs.lookup("utf-8" if name == "cp65001" else name).name
    except LookupError:
        return "cp1252"


def _surrogates_joined(text: str) -> str:
    """Characters beyond the first plane come as two halves."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
