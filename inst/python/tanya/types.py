"""The values that travel between the modules of the engine.

Offsets are 0-based and half-open and count Unicode code points of ``Document.text``, the one
canonical text of a document. Nothing in the engine uses another kind of offset.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

__all__ = [
    "DEFAULT_PRECISION",
    "PRECISIONS",
    "Document",
    "Failure",
    "Passage",
    "Place",
    "Precision",
    "Progress",
    "Scalar",
    "Source",
    "StoredPassage",
    "content_hash",
    "in_context",
]

Scalar = str | int | float | bool | None
"""A metadata value."""

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total) during long work; ``total`` is 0 where it is unknown."""

Precision = Literal["bfloat16", "float32"]
"""Operands of matrix products, of embedder and reader; sums and vectors are float32 in any case.

Vectors of the two have cosines above 0.9999 with each other, for e5-small. A processor without
bfloat16 in hardware would be slower for it, and computes in float32 what was asked for in
bfloat16: an index that was made on the one can be asked, and added to, on the other.
"""

PRECISIONS: tuple[Precision, ...] = get_args(Precision)

DEFAULT_PRECISION: Precision = "bfloat16"


def content_hash(text: str, metadata: Mapping[str, Scalar] | None = None) -> str:
    """SHA-256, in hexadecimal, of a text and its metadata."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    if metadata:
        digest.update(json.dumps(dict(metadata), sort_keys=True, ensure_ascii=False).encode())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to index: a file, or a text that the caller holds.

    Attributes:
        id: Name of the document in the index, unique there. For a file in a folder its path
            relative to that folder, with forward slashes.
        path: The file, or None for a text.
        text: The text, or None for a file. A held text is canonical as it is.
        metadata: Columns that the caller wants to keep and filter on.
    """

    id: str
    path: Path | None = None
    text: str | None = None
    metadata: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """What a stretch of canonical text is called in its file.

    Attributes:
        start: First code point.
        end: One past the last code point.
        kind: ``"page"``, ``"slide"``, ``"sheet"``, ``"row"``, ``"heading"`` or ``"section"``.
            Places of one kind do not overlap, but for headings, which nest by ``level``; a
            heading's stretch is its whole section, up to the next heading of its level or above.
        label: What a person reads: a page label, a cell range, the words of a heading.
        number: 1-based ordinal of a page, slide, sheet or row; None for a heading.
        level: Depth of a heading, 1 at the top; 0 for the other kinds.
    """

    start: int
    end: int
    kind: str
    label: str = ""
    number: int | None = None
    level: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """A converted document.

    Attributes:
        id: Name in the index (see ``Source.id``).
        text: Canonical text. Never empty.
        type: Short name of the format: ``"pdf"``, ``"docx"``, ``"text"`` ...
        hash: SHA-256 of the file's bytes, or ``content_hash`` of a held text. Equal hashes mean
            that nothing has to be done again.
        path: Absolute path of the file, or "" for a held text.
        title: The document's own title, or "".
        places: Pages, rows, headings and so on, in order of ``start``.
        metadata: As given in the source.
        message: What a person should know though text was found ("pages 3 and 4 need OCR"), or "".
    """

    id: str
    text: str
    type: str
    hash: str
    path: str = ""
    title: str = ""
    places: tuple[Place, ...] = ()
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    message: str = ""

    @property
    def pages(self) -> int | None:
        """Number of pages or slides with text; None for formats without any."""
        return sum(place.kind in ("page", "slide") for place in self.places) or None

    def page_at(self, offset: int) -> int | None:
        """Number of the page (or slide) that holds the code point at ``offset``."""
        return next(
            (
                place.number
                for place in self.places
                if place.kind in ("page", "slide") and place.start <= offset < place.end
            ),
            None,
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """A source that gave no text.

    Attributes:
        id: Name that the document would have had.
        type: Format as far as it was recognised, or "".
        hash: SHA-256 of the file's bytes, or "" where they could not be read.
        status: ``DocumentError.status``: ``"encrypted"``, ``"needs_ocr"``, ``"damaged"`` ...
        message: One plain sentence for the person who owns the file.
        path: Absolute path of the file, or "".
        metadata: As given in the source.
    """

    id: str
    type: str
    hash: str
    status: str
    message: str
    path: str = ""
    metadata: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a document that is embedded and read as one.

    Attributes:
        start: First code point in the document's text.
        end: One past the last.
        text: ``document.text[start:end]``.
        context: Heading path or table header ("BAB II > Cuti"), given to the embedder and the
            keyword index before the text; not part of the offsets. "" where there is none.
    """

    start: int
    end: int
    text: str
    context: str = ""


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A passage as the store returns it.

    Attributes:
        id: Number of the passage in the store, never reused.
        document: Id of its document.
        ordinal: 0-based position among the document's passages.
        start, end, text, context: As in ``Passage``.
    """

    id: int
    document: str
    ordinal: int
    start: int
    end: int
    text: str
    context: str


def in_context(passage: Passage | StoredPassage) -> str:
    """A passage below its context, as models get it."""
    return f"{passage.context}\n{passage.text}" if passage.context else passage.text
