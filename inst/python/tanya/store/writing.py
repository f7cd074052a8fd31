"""Writing: vectors first, then the rows that speak of them, in one commit."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from tanya.errors import IndexFull, InvalidArgument
from tanya.keywords import terms
from tanya.store.appending import Appender, Location
from tanya.store.generations import (
    current_generation,
    drop_generations,
    load_manifest,
    now,
    put_setting,
)
from tanya.store.lock import WriterLock, sign
from tanya.store.postings import Pending
from tanya.store.protocol import Floats, Waiting, passage_key
from tanya.store.records import insert_document, insert_failure, read_text, seal_split
from tanya.store.schema import VECTORS, bind, connect_writer, sql_errors, text_of
from tanya.store.segments import segment_number
from tanya.types import Document, Failure, Passage

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "EmbeddedRebuild",
    "EmbeddedWriter",
    "checkpoint",
    "delete_strays",
    "passage_terms",
    "writing",
]

_SECONDS = 1.0  # work between commits
_VARIABLES = 400  # question marks in one statement; old builds of SQLite allow 999


@contextmanager
def writing(directory: Path, wait: float, on_wait: Waiting | None) -> Iterator[sqlite3.Connection]:
    """A connection that may write, while nobody else can."""
    lock = WriterLock(directory)
    with sql_errors(directory):
        lock.acquire(wait, on_wait)
        try:
            connection = connect_writer(directory)
            try:
                sign(connection)
                delete_strays(directory, connection)
                yield connection
            finally:
                checkpoint(connection)
                connection.close()
        finally:
            lock.release()


def checkpoint(connection: sqlite3.Connection) -> None:
    """Move the log into the database.

    So that a closed index is complete without its log: it can be copied, or lie on a read-only
    disk. Readers of older states keep the log alive; then the next writer does this.
    """
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def delete_strays(directory: Path, connection: sqlite3.Connection) -> None:
    """Delete segments that no state refers to: a killed writer left them."""
    used = {number for (number,) in connection.execute("SELECT key FROM segments")}
    for file in (directory / VECTORS).iterdir():
        number = segment_number(file.name)
        if number is not None and number not in used:
            with suppress(OSError):  # Windows keeps a file that a reader has mapped
                file.unlink()


class _Generation:
    """Puts passages into one generation; what a writer and a rebuild have in common.

    A context manager: leaving the block commits what is complete, whatever ended it.
    """

    def __init__(self, directory: Path, connection: sqlite3.Connection, generation: int) -> None:
        manifest = load_manifest(connection, generation)
        self._directory = directory
        self._connection = connection
        self._generation = generation
        self._language = manifest.language
        self._dimension = manifest.dimension
        self._pending = Pending()
        self._removals = 0
        self._committed_at = time.monotonic()
        self._connection.execute("BEGIN IMMEDIATE")
        self._appender = Appender(directory, connection, generation, manifest.dimension)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with suppress(sqlite3.OperationalError):  # there is none, but for a second Ctrl-C
                self._connection.execute("ROLLBACK TO whole")
            if self._connection.in_transaction:
                self._commit()
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._appender.close()

    def known(self, keys: Sequence[bytes]) -> dict[bytes, Floats]:
        """The vectors (d,) that the generation already has (see ``Writer.known``)."""
        return {key: vector for key, (_, vector) in self._locate(keys).items()}

    def keep(self, keys: Sequence[bytes], vectors: Floats) -> None:
        """Store vectors ahead of the documents that need them (see ``Writer.keep``)."""
        rows = check_vectors("the kept passages", vectors, len(keys), self._dimension)
        locations = self._place(keys, rows)
        with self._whole():
            self._connection.executemany(
                "INSERT OR REPLACE INTO spares VALUES (?, ?, ?, ?)",
                ((self._generation, key, *location) for key, location in locations.items()),
            )
        self._commit_when_due()

    def pending(self) -> list[str]:
        """Ids of the documents that have text but no passages here, in order."""
        rows = self._connection.execute(
            "SELECT id FROM documents AS d WHERE status = 'indexed' AND NOT EXISTS"
            " (SELECT 1 FROM splits WHERE document = d.key AND generation = ?) ORDER BY id",
            (self._generation,),
        )
        return [text_of(id) for (id,) in rows]

    def commit(self) -> None:
        """Make everything so far visible and durable, now."""
        self._check_open()
        self._commit()
        self._connection.execute("BEGIN IMMEDIATE")

    def _check_open(self) -> None:
        """Refuse to go on after SQLite has given everything up, as it does on a full disk."""
        if not self._connection.in_transaction:
            raise IndexFull(
                f"Writing to {self._directory} failed before.",
                hint="Begin anew; everything committed so far is safe.",
            )

    def _commit(self) -> None:
        """Commit; may be done again from the start where Ctrl-C came in between."""
        self._pending.write(self._connection, self._generation)
        self._appender.record()
        self._connection.execute(
            "UPDATE state SET revision = revision + 1, removals = removals + ?", (self._removals,)
        )
        self._connection.execute("COMMIT")
        self._removals = 0
        self._appender.recorded()
        self._committed_at = time.monotonic()

    def _commit_when_due(self) -> None:
        if time.monotonic() - self._committed_at >= _SECONDS:
            self.commit()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """All of the block's changes, or none."""
        self._check_open()
        self._connection.execute("SAVEPOINT whole")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # a full disk ends the transaction by itself
                self._connection.execute("ROLLBACK TO whole")
                self._connection.execute("RELEASE whole")
            raise
        self._connection.execute("RELEASE whole")

    def _locate(self, keys: Iterable[bytes]) -> dict[bytes, tuple[Location, Floats]]:
        """Where the vector of each known key is, and the vector (d,)."""
        found = {}
        wanted = list(dict.fromkeys(keys))
        for begin in range(0, len(wanted), _VARIABLES):
            part = wanted[begin : begin + _VARIABLES]
            marks = ", ".join("?" * len(part))
            rows = self._connection.execute(
                "SELECT p.content, p.segment, p.vector FROM passages AS p"
                " JOIN segments AS g ON g.key = p.segment"
                f" WHERE g.generation = ? AND p.content IN ({marks})"
                " UNION SELECT content, segment, vector FROM spares"
                f" WHERE generation = ? AND content IN ({marks})",
                (self._generation, *part, self._generation, *part),
            ).fetchall()
            for key, number, row in rows:
                vector = self._appender.read((number, row))
                if vector is not None:
                    found[key] = ((number, row), vector)
        return found

    def _place(self, keys: Sequence[bytes], vectors: Floats) -> dict[bytes, Location]:
        """Where the vector of each key is; those of unknown keys are written."""
        located = {key: location for key, (location, _) in self._locate(keys).items()}
        fresh: dict[bytes, int] = {}
        for number, key in enumerate(keys):
            if key not in located:
                fresh.setdefault(key, number)
        appended = self._appender.append(vectors[list(fresh.values())])
        return located | dict(zip(fresh, appended, strict=True))

    def _insert_split(
        self, document: int, passages: Sequence[Passage], locations: Mapping[bytes, Location]
    ) -> None:
        """Insert the passages of a document, in place of those it has."""
        self._removals += self._connection.execute(
            "DELETE FROM splits WHERE document = ? AND generation = ?", (document, self._generation)
        ).rowcount
        split = self._connection.execute(
            "INSERT INTO splits (document, generation, passages, seal) VALUES (?, ?, ?, x'')",
            (document, self._generation, len(passages)),
        ).lastrowid
        assert split is not None
        self._connection.executemany(
            "INSERT INTO passages (split, key, ordinal, start, stop, context, content, segment,"
            " vector, terms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((split, *row) for row in self._passage_rows(passages, locations)),
        )
        seal_split(self._connection, split)
        self._connection.executemany(
            "DELETE FROM spares WHERE generation = ? AND content = ?",
            ((self._generation, key) for key in locations),
        )

    def _passage_rows(
        self, passages: Sequence[Passage], locations: Mapping[bytes, Location]
    ) -> Iterator[tuple[object, ...]]:
        first = self._next_passage()
        for ordinal, passage in enumerate(passages):
            key = passage_key(passage)
            length = self._pending.add(first + ordinal, passage_terms(passage, self._language))
            yield (
                first + ordinal, ordinal, passage.start, passage.end, bind(passage.context), key,
                *locations[key], length,
            )  # fmt: skip

    def _next_passage(self) -> int:
        row = self._connection.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = 'passages'"
        ).fetchone()
        return 1 if row is None else int(row[0]) + 1

    def _replace_split(self, id: str, passages: Sequence[Passage], vectors: Floats) -> None:
        """Give a document that is there new passages and vectors."""
        row = self._connection.execute(
            "SELECT key FROM documents WHERE id = ? AND status = 'indexed'", (bind(id),)
        ).fetchone()
        if row is None:
            raise InvalidArgument(f"The index has no text of {id!r}.", document=id)
        check_passages(id, read_text(self._connection, row[0]), passages)
        rows = check_vectors(id, vectors, len(passages), self._dimension)
        locations = self._place([passage_key(passage) for passage in passages], rows)
        with self._whole():
            self._insert_split(row[0], passages, locations)
        self._commit_when_due()


class EmbeddedWriter(_Generation):
    """The writer of an embedded store (see ``Writer``)."""

    def put(self, document: Document, passages: Sequence[Passage], vectors: Floats) -> None:
        """Store a document, in place of an older one with its id (see ``Writer.put``)."""
        if not document.id:
            raise InvalidArgument("A document needs an id.")
        check_passages(document.id, document.text, passages)
        rows = check_vectors(document.id, vectors, len(passages), self._dimension)
        locations = self._place([passage_key(passage) for passage in passages], rows)
        with self._whole():
            self._delete(document.id)
            key = insert_document(self._connection, document, now())
            self._insert_split(key, passages, locations)
        self._commit_when_due()

    def restore(self, id: str, passages: Sequence[Passage], vectors: Floats) -> None:
        """Give a pending document its passages back (see ``Writer.restore``)."""
        self._replace_split(id, passages, vectors)

    def put_failure(self, failure: Failure) -> None:
        """Store a row for a source that gave no text, in place of an older one with its id."""
        if not failure.id:
            raise InvalidArgument("A document needs an id.")
        with self._whole():
            self._delete(failure.id)
            insert_failure(self._connection, failure, now())
        self._commit_when_due()

    def remove(self, ids: Sequence[str]) -> int:
        """Remove documents and failures; ids that are not there are left out. How many were."""
        with self._whole():
            removed = sum(self._delete(id) for id in ids)
        self._commit_when_due()
        return removed

    def set_setting(self, name: str, value: object) -> None:
        """Keep a small value that JSON can hold; None removes it."""
        with self._whole():
            put_setting(self._connection, name, value)

    def _delete(self, id: str) -> int:
        deleted = self._connection.execute("DELETE FROM documents WHERE id = ?", (bind(id),))
        self._removals += deleted.rowcount
        return deleted.rowcount


class EmbeddedRebuild(_Generation):
    """The rebuild of an embedded store (see ``Rebuild``)."""

    def put(self, id: str, passages: Sequence[Passage], vectors: Floats) -> None:
        """Store the new passages and vectors of a document."""
        self._replace_split(id, passages, vectors)

    def finish(self) -> None:
        """Let the new passages answer from now on, and drop the old ones."""
        pending = self.pending()
        if pending:
            raise InvalidArgument(
                f"{len(pending)} documents have no new passages yet, {pending[0]!r} among them."
            )
        old = current_generation(self._connection)
        if old == self._generation:
            return
        self._connection.execute("UPDATE state SET generation = ?", (self._generation,))
        drop_generations(self._connection, [old])
        self._removals += 1
        self.commit()
        delete_strays(self._directory, self._connection)


def passage_terms(passage: Passage, language: str) -> list[str]:
    """The terms by which the keyword index finds a passage."""
    return terms(f"{passage.context}\n{passage.text}", language)


def check_passages(id: str, text: str, passages: Sequence[Passage]) -> None:
    """Raise InvalidArgument unless every passage is the stretch of text that it says."""
    for passage in passages:
        if not (
            0 <= passage.start < passage.end <= len(text)
            and text[passage.start : passage.end] == passage.text
        ):
            raise InvalidArgument(
                f"Passage {passage.start}-{passage.end} of {id!r} is not that part of its text."
            )


def check_vectors(id: str, vectors: Floats, count: int, dimension: int) -> Floats:
    """The vectors as they are kept, or InvalidArgument."""
    rows = np.ascontiguousarray(vectors, "<f4")
    if not count and not rows.size:
        return rows.reshape(0, dimension)
    if rows.shape != (count, dimension):
        raise InvalidArgument(
            f"The vectors of {id!r} must be an array ({count}, {dimension}), not {rows.shape}."
        )
    lengths = np.einsum("ij,ij->i", rows, rows)
    if not (np.abs(lengths - 1) < 0.01).all():
        raise InvalidArgument(f"The vectors of {id!r} must have length 1.")
    return rows
