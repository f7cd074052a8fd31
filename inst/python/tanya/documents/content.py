"""What goes into a converter and what comes out of it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tanya.types import Place

__all__ = ["Attachment", "Content", "Convert", "Input", "ReadOptions", "TextBuilder", "clean"]

MEBIBYTE = 1 << 20

_NOT_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f\ufeff\ufffe\uffff\ud800-\udfff]\n?")


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How far reading may go.

    Attributes:
        workers: Processes that convert files at the same time. 0 converts in the calling process,
            which then shares the fate of the converter: neither ``timeout`` nor ``max_memory``
            holds there.
        timeout: Seconds that one file may take.
        ocr_timeout: The same where ``ocr`` is on.
        max_bytes: Largest file, and largest member of an archive, in bytes.
        max_unpacked: Bytes that one file may unpack to, all its members together.
        max_text: Characters that the text of one document may have.
        max_members: Documents that one file may hold.
        max_depth: How deep archives and attachments may nest.
        max_memory: Bytes of memory of one worker process (kept by the system on Linux only).
        ocr: Languages for the tesseract program, such as ``"ind+eng"``; with ``""`` pictures of
            text are reported, not read.
        custom: The caller's own converters: suffix (``".xyz"``) to a function from a path to a
            text. They run in the calling process and come before the built-in ones.
    """

    workers: int = field(default_factory=lambda: min(4, os.cpu_count() or 1))
    timeout: float = 120.0
    ocr_timeout: float = 3600.0
    max_bytes: int = 256 * MEBIBYTE
    max_unpacked: int = 512 * MEBIBYTE
    max_text: int = 50_000_000
    max_members: int = 10_000
    max_depth: int = 4
    max_memory: int = 1024 * MEBIBYTE
    ocr: str = ""
    custom: Mapping[str, Callable[[Path], str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Input:
    """One file, or one member of an archive, to convert.

    Attributes:
        data: Its bytes.
        name: Its name, for the sake of the suffix and of messages.
        options: The limits to keep.
    """

    data: bytes
    name: str
    options: ReadOptions


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file inside a file, to be converted on its own.

    Attributes:
        name: Its name there, with folders.
        load: Gives its bytes, or raises a ``DocumentError``; called once, when its turn comes.
    """

    name: str
    load: Callable[[], bytes]

    @classmethod
    def of(cls, name: str, data: bytes) -> Attachment:
        """An attachment whose bytes are at hand."""
        return cls(name, lambda: data)


@dataclass(frozen=True, slots=True)
class Content:
    """What a converter found in one file.

    Attributes:
        text: Canonical text; blank where the file only holds other files.
        title: The document's own title, or "".
        places: In order of ``start``.
        message: What a person should know though text was found, or "".
        attachments: Files inside the file.
    """

    text: str
    title: str = ""
    places: tuple[Place, ...] = ()
    message: str = ""
    attachments: tuple[Attachment, ...] = ()


Convert = Callable[[Input], Content]


def clean(text: str) -> str:
    r"""Make a file's text canonical: ``\n`` ends lines, no control characters, no surrogates."""
    # Most pieces of text are one printable line, which is much faster to find out.
    return text if text.isprintable() else _NOT_TEXT.sub(_replacement, text)


def _replacement(match: re.Match[str]) -> str:
    first, line_end = match[0][0], match[0][1:]
    if first == "\r":
        return "\n"
    if first in "\x0b\x0c":
        return "\n" + line_end
    return ("\ufffd" if "\ud800" <= first <= "\udfff" else "") + line_end


class TextBuilder:
    """Grows a canonical text together with the places in it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._places: list[Place] = []
        self._headings: list[Place] = []

    @property
    def position(self) -> int:
        """Number of code points so far; hand it to ``place`` as the start of what follows."""
        return self._length

    def block(self, text: str) -> None:
        """Add a paragraph, set apart by a blank line. Blank text adds nothing."""
        self._add(text, "\n\n")

    def line(self, text: str) -> None:
        """Add a line directly below what is there. Blank text adds nothing."""
        self._add(text, "\n")

    def inline(self, text: str) -> None:
        """Go on with the last paragraph. Blank text adds nothing."""
        self._add(text, " ")

    def heading(self, text: str, level: int) -> None:
        """Add a paragraph that names what follows it, down to a heading of its level or above."""
        start = self._length
        label = " ".join(clean(text).split())
        self.block(label)
        if self._length > start:
            self._headings.append(Place(start, start, "heading", label=label, level=level))

    def place(self, kind: str, start: int, *, label: str = "", number: int | None = None) -> None:
        """Name the stretch from ``start`` to the present end. An empty stretch gets no name."""
        if self._length > start:
            self._places.append(Place(start, self._length, kind, label=label, number=number))

    def splice(self, content: Content) -> None:
        """Add another converter's text with its headings."""
        body = content.text.strip("\n")
        self._add_verbatim(body, "\n\n")
        shift = self._length - len(body) - (len(content.text) - len(content.text.lstrip("\n")))
        self._headings.extend(
            replace(place, start=place.start + shift)
            for place in content.places
            if place.kind == "heading"
        )

    def finish(
        self, *, title: str = "", message: str = "", attachments: tuple[Attachment, ...] = ()
    ) -> Content:
        """Join the text and settle where each place begins and ends."""
        text = "".join(self._parts)
        places = [
            _trimmed(place, text)
            for place in (*self._places, *_sections(self._headings, len(text)))
        ]
        return Content(
            text=text,
            title=" ".join(clean(title).split()),
            places=tuple(sorted(places, key=lambda place: (place.start, -place.end))),
            message=message,
            attachments=attachments,
        )

    def _add(self, text: str, separator: str) -> None:
        self._add_verbatim(clean(text).strip(), separator)

    def _add_verbatim(self, text: str, separator: str) -> None:
        if not text:
            return
        if self._length:
            self._parts.append(separator)
            self._length += len(separator)
        self._parts.append(text)
        self._length += len(text)


def _trimmed(place: Place, text: str) -> Place:
    """A place without the separator before its text."""
    start = place.start
    while start < len(text) and text[start] in "\n ":
        start += 1
    return place if start == place.start else replace(place, start=start)


def _sections(headings: list[Place], end: int) -> list[Place]:
    """Stretch each heading to the next one of its level or above."""
    sections: list[Place] = []
    open_ends: list[tuple[int, int]] = []  # (level, where the section ends), innermost last
    for heading in reversed(headings):
        while open_ends and open_ends[-1][0] > heading.level:
            open_ends.pop()
        stop = open_ends[-1][1] if open_ends else end
        open_ends.append((heading.level, heading.start))
        sections.append(replace(heading, end=stop))
    return sections[::-1]
