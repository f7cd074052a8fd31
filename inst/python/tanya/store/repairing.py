"""Repair: what is sound stays, what is not is taken out, and what can be made again is.

A document whose stored text is wrong becomes a failure, so that whoever has its file can add it
again. One whose vectors are lost keeps its text and waits to be embedded again (see
``Writer.restore``). The keyword index is made from the texts.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from tanya.errors import IndexDamaged
from tanya.store import schema
from tanya.store.checking import Examination, examine
from tanya.store.compacting import move_vectors
from tanya.store.generations import current_generation, drop_generations, load_manifest, now
from tanya.store.lock import WriterLock
from tanya.store.postings import Pending
from tanya.store.protocol import Finding
from tanya.store.records import (
    document_seal,
    insert_failure,
    read_text,
    seal_split,
    split_seal,
)
from tanya.store.schema import DATABASE, VECTORS, bind, connect_writer, sql_errors, text_of
from tanya.store.segments import Segment, file_errors, segment_path
from tanya.store.writing import checkpoint, delete_strays, passage_terms
from tanya.types import Failure, Passage

__all__ = ["repair"]

_RESCUED = "index.sqlite.rescued"
_DAMAGED = "index.sqlite.damaged"


def repair(directory: Path, wait: float) -> list[Finding]:
    """Check an index, and put right what can be (see ``Store.repair``).

    Works on an index that is too damaged to open, too, unless the head of its database is gone.

    Args:
        directory: The index.
        wait: Seconds to wait for another writer to finish.

    Returns:
        What was found; ``repaired`` says whether it is right now.
    """
    if (directory / DATABASE).exists() and not os.path.lexists(directory / VECTORS):
        with file_errors(directory / VECTORS):
            (directory / VECTORS).mkdir()
    lock = WriterLock(directory)
    lock.acquire(wait, None)
    try:
        with sql_errors(directory):
            return _repair(directory)
    finally:
        lock.release()


def _repair(directory: Path) -> list[Finding]:
    with closing(connect_writer(directory)) as connection:
        found = examine(directory, connection)
    findings = found.repaired()
    if found.unreadable:
        findings.append(_rescue(directory))
        with closing(connect_writer(directory)) as connection:
            found = examine(directory, connection)
        findings += found.repaired()
    with closing(connect_writer(directory)) as connection:
        if found.findings:
            _mend(directory, connection, found)
            delete_strays(directory, connection)
        left = examine(directory, connection).findings
        checkpoint(connection)
    still = {(finding.kind, finding.name, finding.message) for finding in left}
    return [f for f in findings if (f.kind, f.name, f.message) not in still] + left


def _mend(directory: Path, connection: sqlite3.Connection, found: Examination) -> None:
    """Take what is damaged out, in one transaction."""
    current = current_generation(connection)
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        _drop_damaged_drafts(connection, found, current)
        for name in found.settings:
            connection.execute("DELETE FROM settings WHERE name = ?", (bind(name),))
        for key in found.documents:
            _fail(connection, key)
        connection.executemany(
            "DELETE FROM splits WHERE key = ?", ((split,) for split in found.splits)
        )
        _drop_damaged_segments(directory, connection, found, current)
        if current in found.keywords:
            _index_again(connection, current)
        connection.execute("UPDATE state SET revision = revision + 1, removals = removals + 1")


def _drop_damaged_drafts(connection: sqlite3.Connection, found: Examination, current: int) -> None:
    """Drop unfinished rebuilds that have damage: they are cheaper made again than mended."""
    damaged = (
        found.keywords
        | {
            generation
            for generation, number in connection.execute("SELECT generation, key FROM segments")
            if number in found.segments
        }
        | {
            generation
            for generation, split in connection.execute("SELECT generation, key FROM splits")
            if split in found.splits
        }
    )
    drop_generations(connection, sorted(damaged - {current}))


def _fail(connection: sqlite3.Connection, key: int) -> None:
    row = connection.execute("SELECT id, path FROM documents WHERE key = ?", (key,)).fetchone()
    connection.execute("DELETE FROM documents WHERE key = ?", (key,))
    failure = Failure(
        id=text_of(row[0]),
        path=text_of(row[1]),
        type="",
        hash="",
        status="damaged",
        message="What the index held of it was damaged; add it again",
    )
    insert_failure(connection, failure, now())


def _drop_damaged_segments(
    directory: Path, connection: sqlite3.Connection, found: Examination, current: int
) -> None:
    """Move what is sound out of damaged segments; the damaged rows belong to nobody by now."""
    dimension = load_manifest(connection, current).dimension
    segments = []
    for number, count in connection.execute(
        "SELECT key, vectors FROM segments WHERE generation = ?", (current,)
    ):
        if number in found.segments:
            path = segment_path(directory / VECTORS, number)
            segments.append(Segment.map_rest(path, number, count, dimension))
    if segments:
        move_vectors(directory, connection, current, segments)


def _index_again(connection: sqlite3.Connection, generation: int) -> None:
    """Make the keyword index from the texts."""
    connection.execute("DELETE FROM postings WHERE generation = ?", (generation,))
    language = load_manifest(connection, generation).language
    pending = Pending()
    for split, document in connection.execute(
        "SELECT key, document FROM splits WHERE generation = ?", (generation,)
    ).fetchall():
        text = read_text(connection, document)
        for key, start, stop, context in connection.execute(
            "SELECT key, start, stop, context FROM passages WHERE split = ?", (split,)
        ).fetchall():
            passage = Passage(start, stop, text[start:stop], text_of(context))
            length = pending.add(key, passage_terms(passage, language))
            connection.execute("UPDATE passages SET terms = ? WHERE key = ?", (length, key))
        seal_split(connection, split)
    pending.write(connection, generation)


def _rescue(directory: Path) -> Finding:
    """Copy all that can be read and is sound to a new database, and put it in the old one's place.

    The old file stays beside it.
    """
    draft, database = directory / _RESCUED, directory / DATABASE
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        schema.create_tables(connection)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("ATTACH ? AS old", (str(database),))
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            generation = _copy_frame(connection)
            documents = sum(
                _copy_document(connection, key, generation)
                for key in range(1, _last(connection, "documents", database) + 1)
            )
        connection.execute("DETACH old")
    for name in (f"{DATABASE}-wal", f"{DATABASE}-shm"):
        (directory / name).unlink(missing_ok=True)
    database.replace(directory / _DAMAGED)
    draft.replace(database)
    return Finding(
        "file", DATABASE, f"{documents} documents were saved; {_DAMAGED} is what was there.", True
    )


def _copy_frame(connection: sqlite3.Connection) -> int:
    """Copy what belongs to no document; returns the generation that answers."""
    generation = _generation(connection)
    copied = _copy(connection, generation, "generations WHERE key = ?1")
    if not copied or not _copy(connection, generation, "segments WHERE generation = ?1"):
        raise IndexDamaged(
            f"Too much of {DATABASE} is lost: it does not say how its vectors were made.",
            hint="Make a new index from the documents.",
            file=DATABASE,
        )
    load_manifest(connection, generation)
    connection.execute("INSERT INTO main.state VALUES (?, 1, 1)", (generation,))
    _copy(connection, generation, "settings WHERE ?1")
    for (number,) in connection.execute("SELECT key FROM main.segments").fetchall():
        _copy(connection, number, "chunks WHERE segment = ?1")
    return generation


def _generation(connection: sqlite3.Connection) -> int:
    """The generation that answered, or the only one there is."""
    for query in ("SELECT generation FROM old.state", "SELECT max(key) FROM old.generations"):
        with suppress(sqlite3.DatabaseError):
            for (generation,) in connection.execute(query):
                if isinstance(generation, int):
                    return generation
    raise IndexDamaged(f"{DATABASE} says nothing about its state.", file=DATABASE)


def _copy_document(connection: sqlite3.Connection, key: int, generation: int) -> bool:
    """Copy a document as far as it is what was committed; whether its text could be saved."""
    if not _copy(connection, key, "documents WHERE key = ?1"):
        return False
    row = connection.execute("SELECT seal FROM main.documents WHERE key = ?", (key,)).fetchone()
    if row is None:
        return False
    parts = ("texts", "places", "metadata")
    whole = all([_copy(connection, key, f"{part} WHERE document = ?1") for part in parts])
    if not whole or document_seal(connection, key) != row[0]:
        _fail(connection, key)
        return False
    _copy_split(connection, key, generation)
    return True


def _copy_split(connection: sqlite3.Connection, document: int, generation: int) -> None:
    """Copy a document's passages if they are what was committed; without them it is pending."""
    _copy(connection, document, f"splits WHERE document = ?1 AND generation = {generation}")
    row = connection.execute(
        "SELECT key, seal FROM main.splits WHERE document = ?", (document,)
    ).fetchone()
    if row is None:
        return
    split, seal = row
    copied = _copy(connection, split, "passages WHERE split = ?1")
    if not copied or split_seal(connection, split) != seal:
        connection.execute("DELETE FROM main.splits WHERE key = ?", (split,))


def _copy(connection: sqlite3.Connection, value: int, rows: str) -> bool:
    """Copy rows of a table from the old database, all of them or none; whether it could be done."""
    connection.execute("SAVEPOINT copy")
    try:
        connection.execute(f"INSERT INTO main.{rows.split()[0]} SELECT * FROM old.{rows}", (value,))
    except sqlite3.DatabaseError:
        connection.execute("ROLLBACK TO copy")
        return False
    finally:
        connection.execute("RELEASE copy")
    return True


def _last(connection: sqlite3.Connection, table: str, database: Path) -> int:
    """The highest key that a table may have; never more than its file has room for."""
    for query in (
        f"SELECT max(key) FROM old.{table}",
        f"SELECT max(seq) FROM old.sqlite_sequence WHERE name = '{table}'",
    ):
        with suppress(sqlite3.DatabaseError):
            (last,) = connection.execute(query).fetchone()
            if isinstance(last, int):
                return min(last, database.stat().st_size // 16)
    return 0
