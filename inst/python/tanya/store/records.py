"""How documents are kept as rows: text in slices, typed metadata, and a seal over all of it."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tanya.errors import InvalidArgument
from tanya.store.schema import bind, text_of
from tanya.types import Document, Failure, Place, Scalar

__all__ = [
    "decode_metadata",
    "insert_document",
    "insert_failure",
    "read_text",
    "seal",
    "split_rows",
    "split_seal",
]

_SLICE = 1 << 15
"""Code points of text per row, so that a passage of a long document is read without the rest."""


def read_text(
    connection: sqlite3.Connection, document: int, start: int = 0, stop: int | None = None
) -> str:
    """Code points [start, stop) of a document's text."""
    first = start - start % _SLICE
    rows = connection.execute(
        "SELECT content FROM texts WHERE document = ? AND start >= ? AND (? IS NULL OR start < ?)"
        " ORDER BY start",
        (document, first, stop, stop),
    )
    text = "".join(content.decode("utf-8", "surrogatepass") for (content,) in rows)
    return text[start - first : None if stop is None else stop - first]


def insert_document(connection: sqlite3.Connection, document: Document, indexed_at: str) -> int:
    """Insert all of a document but its passages; returns its key."""
    pages = [place for place in document.places if place.kind in ("page", "slide")]
    key = _insert(
        connection,
        document,
        {
            "title": document.title,
            "pages": len(pages) or None,
            "characters": len(document.text),
            "indexed_at": indexed_at,
            "status": "indexed",
            "message": document.message,
        },
        places=document.places,
        text=document.text,
    )
    connection.executemany(
        "INSERT INTO texts VALUES (?, ?, ?)",
        (
            (key, start, document.text[start : start + _SLICE].encode("utf-8", "surrogatepass"))
            for start in range(0, len(document.text), _SLICE)
        ),
    )
    connection.executemany(
        "INSERT INTO places VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                key, ordinal, place.start, place.end, bind(place.kind), bind(place.label),
                place.number, place.level,
            )
            for ordinal, place in enumerate(document.places)
        ),
    )  # fmt: skip
    return key


def insert_failure(connection: sqlite3.Connection, failure: Failure, indexed_at: str) -> None:
    """Insert the row of a source that gave no text."""
    _insert(
        connection,
        failure,
        {
            "title": "",
            "pages": None,
            "characters": 0,
            "indexed_at": indexed_at,
            "status": failure.status,
            "message": failure.message,
        },
        places=(),
        text="",
    )


def _insert(
    connection: sqlite3.Connection,
    source: Document | Failure,
    columns: Mapping[str, Scalar],
    *,
    places: Iterable[Place],
    text: str,
) -> int:
    row = {
        "id": source.id, "path": source.path, "type": source.type, "hash": source.hash, **columns
    }  # fmt: skip
    metadata = list(_encode_metadata(source.metadata))
    sealed = seal(row, metadata, places, text)
    values = [bind(value) if isinstance(value, str) else value for value in row.values()]
    key = connection.execute(
        f"INSERT INTO documents ({', '.join(row)}, seal) VALUES ({', '.join('?' * len(row))}, ?)",
        (*values, sealed),
    ).lastrowid
    assert key is not None
    connection.executemany(
        "INSERT INTO metadata VALUES (?, ?, ?, ?, ?)",
        ((key, ordinal, *entry) for ordinal, entry in enumerate(metadata)),
    )
    return key


def seal(
    row: Mapping[str, Scalar],
    metadata: Iterable[tuple[str | bytes, str, Scalar | bytes]],
    places: Iterable[Place],
    text: str,
) -> bytes:
    """16 bytes over everything a document is, by which a check knows that it is whole."""
    digest = hashlib.blake2b(digest_size=16)
    parts: list[Any] = [
        sorted(row.items()),
        [[text_of(name), kind, repr(value)] for name, kind, value in metadata],
        [[p.start, p.end, p.kind, p.label, p.number, p.level] for p in places],
    ]
    digest.update(json.dumps(parts).encode())
    digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.digest()


def split_seal(rows: Iterable[Sequence[object]]) -> bytes:
    """16 bytes over the passages of a split, by which a check knows that they are whole."""
    digest = hashlib.blake2b(digest_size=16)
    for row in rows:
        digest.update(repr(tuple(row)).encode())
    return digest.digest()


def split_rows(connection: sqlite3.Connection, split: int) -> list[tuple[object, ...]]:
    """The rows that ``split_seal`` of a split goes over."""
    return connection.execute(
        "SELECT key, ordinal, start, stop, context, content, segment, vector, terms"
        " FROM passages WHERE split = ? ORDER BY ordinal",
        (split,),
    ).fetchall()


def _encode_metadata(
    metadata: Mapping[str, Scalar],
) -> Iterable[tuple[str | bytes, str, Scalar | bytes]]:
    for name, value in metadata.items():
        if value is None or (isinstance(value, float) and math.isnan(value)):
            yield bind(name), "null", None
        elif isinstance(value, bool):
            yield bind(name), "bool", int(value)
        elif isinstance(value, int):
            if not -(2**63) <= value < 2**63:
                raise InvalidArgument(f"Metadata {name!r} is too large a number: {value}.")
            yield bind(name), "int", value
        elif isinstance(value, float):
            yield bind(name), "float", value
        elif isinstance(value, str):
            yield bind(name), "text", bind(value)
        else:
            raise InvalidArgument(
                f"Metadata {name!r} must be text, a number, a truth value or missing, not "
                f"{type(value).__name__}."
            )


def decode_metadata(
    entries: Iterable[tuple[str | bytes, str, Scalar | bytes]],
) -> dict[str, Scalar]:
    """Metadata from its rows (name, kind, value)."""
    return {text_of(name): _decoded(kind, value) for name, kind, value in entries}


def _decoded(kind: str, value: Scalar | bytes) -> Scalar:
    if kind == "bool":
        return bool(value)
    return text_of(value) if isinstance(value, bytes) else value
