"""Compaction: gives back the space of removed passages and merges what many commits left."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tanya.errors import IndexDamaged
from tanya.store.appending import Appender
from tanya.store.generations import current_generation, load_manifest
from tanya.store.postings import decode, encode
from tanya.store.records import seal_split
from tanya.store.schema import VECTORS, text_of
from tanya.store.segments import Segment, segment_path
from tanya.types import Progress

__all__ = ["compact", "move_vectors"]

_BLOCK = 8192  # vectors copied at a time
_TERMS = 2000  # terms merged between two reports of progress


def compact(directory: Path, connection: sqlite3.Connection, progress: Progress | None) -> None:
    """Compact the generation that answers, in one transaction.

    Readers go on with the old segments until they look again. Whoever calls this deletes the
    files that are no longer used.
    """
    generation = current_generation(connection)
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        _compact_vectors(directory, connection, generation)
        _compact_keywords(connection, generation, progress)
        connection.execute("UPDATE state SET revision = revision + 1, removals = removals + 1")
    free, total = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("freelist_count", "page_count")
    )
    if free * 4 > total:
        connection.execute("VACUUM")


def _compact_vectors(directory: Path, connection: sqlite3.Connection, generation: int) -> None:
    """Copy the live vectors of segments with dead ones to new segments."""
    dimension = load_manifest(connection, generation).dimension
    live = dict(
        connection.execute(
            "SELECT segment, count(DISTINCT vector) FROM passages GROUP BY segment"
        ).fetchall()
    )
    sparse = []
    for number, count in connection.execute(
        "SELECT key, vectors FROM segments WHERE generation = ?", (generation,)
    ).fetchall():
        if not live.get(number):
            sparse.append(Segment.none(number, dimension))
        elif live[number] < count:
            sparse.append(_sound_segment(directory, connection, number, count, dimension))
    if sparse:
        move_vectors(directory, connection, generation, sparse)


def move_vectors(
    directory: Path, connection: sqlite3.Connection, generation: int, segments: Sequence[Segment]
) -> None:
    """Copy the vectors that passages use out of segments, and forget these.

    Readers go on with the files until they look again; ``delete_strays`` deletes them.
    """
    dimension = load_manifest(connection, generation).dimension
    numbers = [segment.number for segment in segments]
    appender = Appender(directory, connection, generation, dimension, closed=numbers)
    try:
        for segment in segments:
            used: dict[int, list[int]] = {}
            for passage, row in connection.execute(
                "SELECT key, vector FROM passages WHERE segment = ? ORDER BY key", (segment.number,)
            ):
                used.setdefault(row, []).append(passage)
            live = list(used)
            locations = [
                location
                for begin in range(0, len(live), _BLOCK)
                for location in appender.append(segment.rows[live[begin : begin + _BLOCK]])
            ]
            connection.executemany(
                "UPDATE passages SET segment = ?, vector = ? WHERE key = ?",
                (
                    (*location, passage)
                    for passages, location in zip(used.values(), locations, strict=True)
                    for passage in passages
                ),
            )
            connection.execute("DELETE FROM segments WHERE key = ?", (segment.number,))
        appender.record()
    finally:
        appender.close()
    connection.execute("DELETE FROM spares WHERE generation = ?", (generation,))
    _seal_again(connection, generation)


def _sound_segment(
    directory: Path, connection: sqlite3.Connection, number: int, count: int, dimension: int
) -> Segment:
    """A segment, or IndexDamaged: copying wrong vectors would give them a right checksum."""
    path = segment_path(directory / VECTORS, number)
    segment = Segment.map(path, number, count, dimension)
    chunks = connection.execute(
        "SELECT first, vectors, checksum FROM chunks WHERE segment = ?", (number,)
    )
    if segment.damaged(chunks):
        raise IndexDamaged(
            f"{path} is not what was written.",
            hint="Check the index and let it be repaired.",
            file=str(path),
        )
    return segment


def _seal_again(connection: sqlite3.Connection, generation: int) -> None:
    splits = connection.execute("SELECT key FROM splits WHERE generation = ?", (generation,))
    for (split,) in splits.fetchall():
        seal_split(connection, split)


def _compact_keywords(
    connection: sqlite3.Connection, generation: int, progress: Progress | None
) -> None:
    """Merge the entries of each term into one row, without those of removed passages."""
    live = np.fromiter(
        (
            key
            for (key,) in connection.execute(
                "SELECT p.key FROM passages AS p JOIN splits AS s ON s.key = p.split"
                " WHERE s.generation = ? ORDER BY p.key",
                (generation,),
            )
        ),
        np.int64,
    )
    (total,) = connection.execute(
        "SELECT count(DISTINCT term) FROM postings WHERE generation = ?", (generation,)
    ).fetchone()
    for done, term in enumerate(_terms(connection, generation), 1):
        _merge(connection, generation, term, live)
        if progress is not None and (done % _TERMS == 0 or done == total):
            progress("compact", done, total)


def _terms(connection: sqlite3.Connection, generation: int) -> Iterator[str | bytes]:
    """Every term, looked up anew after each, for the table changes meanwhile."""
    rows = connection.execute(
        "SELECT DISTINCT term FROM postings WHERE generation = ? ORDER BY term", (generation,)
    ).fetchall()
    return (term for (term,) in rows)


def _merge(
    connection: sqlite3.Connection, generation: int, term: str | bytes, live: np.ndarray
) -> None:
    where = "WHERE generation = ? AND term = ?"
    rows = connection.execute(
        f"SELECT first, entries FROM postings {where} ORDER BY first", (generation, term)
    ).fetchall()
    parts = [decode(first, blob) for first, blob in rows]
    ids = np.concatenate([part[0] for part in parts])
    counts = np.concatenate([part[1] for part in parts])
    keep = np.isin(ids, live, assume_unique=True)
    if len(rows) == 1 and keep.all():
        return
    connection.execute(f"DELETE FROM postings {where}", (generation, term))
    if keep.any():
        first = int(ids[keep][0])
        entries = dict(zip(ids[keep].tolist(), counts[keep].tolist(), strict=True))
        connection.execute(
            "INSERT INTO postings VALUES (?, ?, ?, ?)",
            (generation, term, first, encode(text_of(term), first, entries)),
        )
