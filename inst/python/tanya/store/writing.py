"""Writing: vectors first, then the rows that speak of them, in one commit."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import numpy as np

from tanya.errors import InvalidArgument
from tanya.keywords import terms
from tanya.store.appending import Appender, Location
from tanya.store.generations import current_generation, drop_generations, load_manifest, now
from tanya.store.lock import WriterLock
from tanya.store.postings import Pending
from tanya.store.protocol import Floats, Waiting, passage_key
from tanya.store.records import insert_document, insert_failure, read_text, split_seal
from tanya.store.schema import VECTORS, bind, connect_writer, sql_errors, text_of
from tanya.store.segments import segment_number
from tanya.types import Document, Failure, Passage

__all__ = ["EmbeddedRebuild", "EmbeddedWriter", "delete_strays", "writing"]

_SECONDS = 1.0  # work between commits
_VARIABLES = 500  # question marks in one statement; old builds of SQLite allow 999


@contextmanager
def writing(
    directory: Path, wait: float, on_wait: Waiting | None
) -> Iterator[sqlite3.Connection]:
    """A connection that may write, while nobody else can."""
    lock = WriterLock(directory)
    with sql_errors(directory):
        lock.acquire(wait, on_wait)
        try:
            connection = connect_writer(directory)
            try:
                delete_strays(directory, connection)
                yield connection
            finally:
                # So that a closed index is complete without its log: it can be copied, or lie on
                # a read-only disk. A reader may keep part of the log alive; then a later one does.
                with suppress(sqlite3.Error):
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.close()
        finally:
            lock.release()


def delete_strays(directory: Path, connection: sqlite3.Connection) -> None:
    """Delete segments that no state refers to: a killed writer left them."""
    used = {number for (number,) in connection.execute("SELECT key FROM segments")}
    for name in os.listdir(directory / VECTORS):
        number = segment_number(name)
        if number is not None and number not in used:
            with suppress(OSError):  # Windows keeps a file that a reader has mapped
                (directory / VECTORS / name).unlink()


class _Generation:
    """Puts passages into one generation; what a writer and a rebuild have in common."""

    def __init__(self, directory: Path, connection: sqlite3.Connection, generation: int) -> None:
        manifest = load_manifest(connection, generation)
        self._language = manifest.language
        self._dimension = manifest.dimension
        self._connection = connection
        self._generation = generation
        self._pending = Pending()
        self._committed_at = time.monotonic()
        self._begin()
        self._appender = Appender(directory, connection, generation, manifest.dimension)

    def _begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def _leave(self) -> None:
        """Commit what is complete, whatever ended the block."""
        try:
            self.commit()
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._appender.close()

    def known(self, keys: Sequence[bytes]) -> dict[bytes, Floats]:
        """The vectors (d,) that the generation already has (see ``Writer.known``)."""
        return {key: vector for key, (_, vector) in self._locate(keys).items()}

    def _locate(self, keys: Iterable[bytes]) -> dict[bytes, tuple[Location, Floats]]:
        found = {}
        wanted = list(dict.fromkeys(keys))
        for begin in range(0, len(wanted), _VARIABLES):
            part = wanted[begin : begin + _VARIABLES]
            rows = self._connection.execute(
                "SELECT p.content, p.segment, p.vector FROM passages AS p"
                " JOIN segments AS g ON g.key = p.segment"
                f" WHERE g.generation = ? AND p.content IN ({', '.join('?' * len(part))})",
                (self._generation, *part),
            ).fetchall()
            for key, number, row in rows:
                vector = self._appender.read((number, row))
                if vector is not None:
                    found[key] = ((number, row), vector)
        return found

    def commit(self) -> None:
        """Make everything so far visible and durable, now."""
        self._pending.write(self._connection, self._generation)
        self._appender.record()
        self._connection.execute("UPDATE state SET revision = revision + 1")
        self._connection.execute("COMMIT")
        self._appender.recorded()
        self._committed_at = time.monotonic()
        self._begin()

    def _commit_when_due(self) -> None:
        if time.monotonic() - self._committed_at >= _SECONDS:
            self.commit()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """All of the block's changes, or none."""
        self._connection.execute("SAVEPOINT whole")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # a full disk ends the transaction by itself
                self._connection.execute("ROLLBACK TO whole")
                self._connection.execute("RELEASE whole")
            raise
        self._connection.execute("RELEASE whole")

    def _store_vectors(self, passages: Sequence[Passage], vectors: Floats) -> list[Location]:
        """Write the vectors of passages that aren't known; where each passage's vector is."""
        keys = [passage_key(passage) for passage in passages]
        located = {key: location for key, (location, _) in self._locate(keys).items()}
        fresh: dict[bytes, int] = {}
        for number, key in enumerate(keys):
            if key not in located:
                fresh.setdefault(key, number)
        located |= zip(fresh, self._appender.append(vectors[list(fresh.values())]), strict=True)
        return [located[key] for key in keys]

    def _insert_split(
        self, document: int, passages: Sequence[Passage], locations: Sequence[Location]
    ) -> None:
        """Insert the passages of a document."""
        first = self._next_passage()
        entries = [
            (first + ordinal, terms(f"{passage.context}\n{passage.text}", self._language))
            for ordinal, passage in enumerate(passages)
        ]
        rows = [
            (
                id, ordinal, passage.start, passage.end, bind(passage.context),
                passage_key(passage), *location, len(words),
            )
            for ordinal, (passage, location, (id, words)) in enumerate(
                zip(passages, locations, entries, strict=True)
            )
        ]  # fmt: skip
        split = self._connection.execute(
            "INSERT INTO splits (document, generation, passages, seal) VALUES (?, ?, ?, ?)",
            (document, self._generation, len(rows), split_seal(rows)),
        ).lastrowid
        self._connection.executemany(
            "INSERT INTO passages (split, key, ordinal, start, stop, context, content, segment,"
            " vector, terms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((split, *row) for row in rows),
        )
        for id, words in entries:
            self._pending.add(id, words)

    def _next_passage(self) -> int:
        row = self._connection.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = 'passages'"
        ).fetchone()
        return 1 if row is None else int(row[0]) + 1


class EmbeddedWriter(_Generation):
    """The writer of an embedded store (see ``Writer``). A context manager."""

    def __enter__(self) -> EmbeddedWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def put(self, document: Document, passages: Sequence[Passage], vectors: Floats) -> None:
        """Store a document, in place of an older one with its id (see ``Writer.put``)."""
        if not document.id:
            raise InvalidArgument("A document needs an id.")
        check_passages(document.id, document.text, passages)
        rows = check_vectors(document.id, vectors, len(passages), self._dimension)
        locations = self._store_vectors(passages, rows)
        with self._whole():
            self._delete(document.id)
            key = insert_document(self._connection, document, now())
            self._insert_split(key, passages, locations)
        self._commit_when_due()

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

    def _delete(self, id: str) -> int:
        return self._connection.execute(
            "DELETE FROM documents WHERE id = ?", (bind(id),)
        ).rowcount

    def set_setting(self, name: str, value: object) -> None:
        """Keep a small value that JSON can hold; None removes it."""
        if value is None:
            self._connection.execute("DELETE FROM settings WHERE name = ?", (bind(name),))
            return
        self._connection.execute(
            "INSERT OR REPLACE INTO settings VALUES (?, ?)", (bind(name), json.dumps(value))
        )


class EmbeddedRebuild(_Generation):
    """The rebuild of an embedded store (see ``Rebuild``). A context manager."""

    def __init__(self, directory: Path, connection: sqlite3.Connection, generation: int) -> None:
        super().__init__(directory, connection, generation)
        self._directory = directory

    def __enter__(self) -> EmbeddedRebuild:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def pending(self) -> list[str]:
        """Ids of the documents still to be put, in order; shrinks as they are."""
        rows = self._connection.execute(
            "SELECT id FROM documents AS d WHERE status = 'indexed' AND NOT EXISTS"
            " (SELECT 1 FROM splits WHERE document = d.key AND generation = ?) ORDER BY id",
            (self._generation,),
        )
        return [text_of(id) for (id,) in rows]

    def put(self, id: str, passages: Sequence[Passage], vectors: Floats) -> None:
        """Store the new passages and vectors of a document."""
        row = self._connection.execute(
            "SELECT key FROM documents WHERE id = ? AND status = 'indexed'", (bind(id),)
        ).fetchone()
        if row is None:
            raise InvalidArgument(f"The index has no document {id!r}.", document=id)
        check_passages(id, read_text(self._connection, row[0]), passages)
        rows = check_vectors(id, vectors, len(passages), self._dimension)
        locations = self._store_vectors(passages, rows)
        with self._whole():
            self._connection.execute(
                "DELETE FROM splits WHERE document = ? AND generation = ?",
                (row[0], self._generation),
            )
            self._insert_split(row[0], passages, locations)
        self._commit_when_due()

    def finish(self) -> None:
        """Let the new passages answer from now on, and drop the old ones."""
        pending = self.pending()
        if pending:
            raise InvalidArgument(
                f"{len(pending)} documents have no new passages yet, {pending[0]!r} among them."
            )
        old = current_generation(self._connection)
        self._connection.execute("UPDATE state SET generation = ?", (self._generation,))
        drop_generations(self._connection, [old])
        self.commit()
        delete_strays(self._directory, self._connection)


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
