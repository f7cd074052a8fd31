"""How documents are kept as rows: text in slices, typed metadata, and a seal over all of it."""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from tanya.errors import InvalidArgument
from tanya.store.schema import bind, text_of
from tanya.types import Document, Failure, Scalar

__all__ = [
    "decode_metadata",
    "document_seal",
    "insert_document",
    "insert_failure",
    "read_text",
    "seal_split",
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
    key = _insert_row(
        connection,
        document,
        title=document.title,
        pages=document.pages,
        characters=len(document.text),
        indexed_at=indexed_at,
        status="indexed",
        message=document.message,
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
    _seal(connection, key)
    return key


def insert_failure(connection: sqlite3.Connection, failure: Failure, indexed_at: str) -> None:
    """Insert the row of a source that gave no text."""
    key = _insert_row(
        connection,
        failure,
        title="",
        pages=None,
        characters=0,
        indexed_at=indexed_at,
        status=failure.status,
        message=failure.message,
    )
    _seal(connection, key)


def _insert_row(
    connection: sqlite3.Connection,
    source: Document | Failure,
    *,
    title: str,
    pages: int | None,
    characters: int,
    indexed_at: str,
    status: str,
    message: str,
) -> int:
    key = connection.execute(
        "INSERT INTO documents (id, path, type, title, pages, characters, hash, indexed_at, status,"
        " message, seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, x'')",
        (
            bind(source.id), bind(source.path), bind(source.type), bind(title), pages, characters,
            bind(source.hash), indexed_at, bind(status), bind(message),
        ),
    ).lastrowid  # fmt: skip
    assert key is not None
    connection.executemany(
        "INSERT INTO metadata VALUES (?, ?, ?, ?, ?)",
        ((key, ordinal, *entry) for ordinal, entry in enumerate(_encode_metadata(source.metadata))),
    )
    return key


def _seal(connection: sqlite3.Connection, document: int) -> None:
    connection.execute(
        "UPDATE documents SET seal = ? WHERE key = ?",
        (document_seal(connection, document), document),
    )


def document_seal(connection: sqlite3.Connection, document: int) -> bytes:
    """16 bytes over all that is stored of a document, by which a check knows that it is whole."""
    return _digest(
        connection.execute(query, (document,))
        for query in (
            "SELECT id, path, type, title, pages, characters, hash, indexed_at, status, message"
            " FROM documents WHERE key = ?",
            "SELECT start, content FROM texts WHERE document = ? ORDER BY start",
            "SELECT ordinal, start, stop, kind, label, number, level FROM places"
            " WHERE document = ? ORDER BY ordinal",
            "SELECT ordinal, name, kind, value FROM metadata WHERE document = ? ORDER BY ordinal",
        )
    )


def split_seal(connection: sqlite3.Connection, split: int) -> bytes:
    """16 bytes over the passages of a split, by which a check knows that they are whole."""
    return _digest(
        [
            connection.execute("SELECT document, generation FROM splits WHERE key = ?", (split,)),
            connection.execute(
                "SELECT key, ordinal, start, stop, context, content, segment, vector, terms"
                " FROM passages WHERE split = ? ORDER BY ordinal",
                (split,),
            ),
        ]
    )


def seal_split(connection: sqlite3.Connection, split: int) -> None:
    """Seal a split after its passages were changed."""
    connection.execute(
        "UPDATE splits SET seal = ? WHERE key = ?", (split_seal(connection, split), split)
    )


def _digest(tables: Iterable[Iterable[Sequence[object]]]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for rows in tables:
        for row in rows:
            for value in row:
                data = value if isinstance(value, bytes) else repr(value).encode()
                digest.update(f"{type(value).__name__}{len(data)}:".encode())
                digest.update(data)
        digest.update(b";")
    return digest.digest()


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
