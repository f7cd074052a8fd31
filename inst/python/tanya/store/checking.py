"""Checking an index: every file, checksum and reference, against what was once committed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tanya.errors import IndexError_
from tanya.store.generations import current_generation, load_json, load_manifest
from tanya.store.postings import decode, is_whole
from tanya.store.protocol import Finding, passage_key
from tanya.store.records import document_seal, read_text, split_seal
from tanya.store.schema import DATABASE, VECTORS, text_of, verify_schema
from tanya.store.segments import Segment, segment_path
from tanya.types import Passage

__all__ = ["Examination", "examine"]


_STRANGE = (AttributeError, OverflowError, TypeError, ValueError)  # of values we never wrote


@dataclass(slots=True)
class Examination:
    """What is wrong with an index, for people and for the repair.

    Attributes:
        findings: In words.
        unreadable: Whether SQLite cannot read all of its file.
        settings: Names of settings that are not what was committed.
        documents: Keys of documents that are not what was committed.
        splits: Keys of splits whose passages are not, or whose vectors are lost.
        segments: Numbers of segments with damage, and which of their rows are lost.
        keywords: Generations whose keyword index is not what their passages say.
    """

    findings: list[Finding] = field(default_factory=list)
    unreadable: bool = False
    settings: set[str] = field(default_factory=set)
    documents: set[int] = field(default_factory=set)
    splits: set[int] = field(default_factory=set)
    segments: dict[int, list[range]] = field(default_factory=dict)
    keywords: set[int] = field(default_factory=set)

    def add(self, kind: str, name: str, message: str) -> None:
        """Note a finding."""
        self.findings.append(Finding(kind, name, message))

    def repaired(self) -> list[Finding]:
        """The findings, as things that were put right."""
        return [replace(finding, repaired=True) for finding in self.findings]


def examine(directory: Path, connection: sqlite3.Connection) -> Examination:
    """Verify everything in the state that the connection sees."""
    found = Examination()
    steps = (
        _check_schema,
        _check_database,
        _check_documents,
        _check_vectors,
        _check_passages,
        _check_keywords,
    )
    for step in steps:
        try:
            step(found, directory, connection)
        except (sqlite3.DatabaseError, IndexError_, *_STRANGE) as error:
            found.unreadable = True
            found.add("file", DATABASE, f"The database cannot be read ({error}).")
            break
    return found


def _check_schema(found: Examination, directory: Path, connection: sqlite3.Connection) -> None:
    try:
        verify_schema(connection, directory)
    except IndexError_ as error:
        found.unreadable = True
        found.add("file", DATABASE, error.message)


def _check_database(found: Examination, directory: Path, connection: sqlite3.Connection) -> None:
    for (message,) in connection.execute("PRAGMA integrity_check(5)"):
        if message != "ok":
            found.unreadable = True
            found.add("file", DATABASE, f"The database is damaged ({message}).")
    for table, *_ in connection.execute("PRAGMA foreign_key_check").fetchall()[:5]:
        found.unreadable = True
        found.add("file", DATABASE, f"A row of the table {table} belongs to nothing.")
    for name, *value in connection.execute("SELECT name, value, seal FROM settings"):
        try:
            load_json(*value)
        except ValueError:
            found.settings.add(text_of(name))
            found.add("file", DATABASE, f"The setting {text_of(name)!r} is not what was written.")


def _check_documents(found: Examination, directory: Path, connection: sqlite3.Connection) -> None:
    for key, id, seal in connection.execute("SELECT key, id, seal FROM documents ORDER BY id"):
        if document_seal(connection, key) != seal:
            found.documents.add(key)
            found.add("document", text_of(id), "The stored text or data is not what was written.")


def _check_vectors(found: Examination, directory: Path, connection: sqlite3.Connection) -> None:
    for number, generation, count in connection.execute(
        "SELECT key, generation, vectors FROM segments ORDER BY key"
    ).fetchall():
        path = segment_path(directory / VECTORS, number)
        dimension = load_manifest(connection, generation).dimension
        chunks = connection.execute(
            "SELECT first, vectors, checksum FROM chunks WHERE segment = ? ORDER BY first",
            (number,),
        ).fetchall()
        message = "{lost} of {count} vectors are not what was written."
        try:
            segment = Segment.map(path, number, count, dimension)
        except IndexError_ as error:
            message = f"{error.message.rstrip('.')}; {{lost}} of {{count}} vectors are lost."
            segment = Segment.map_rest(path, number, count, dimension)
        lost = segment.damaged(chunks)
        if sum(size for _, size, _ in chunks) != count:
            lost = [range(count)]
        if lost:
            found.segments[number] = lost
            rows = sum(len(part) for part in lost)
            found.add("vectors", f"{VECTORS}/{path.name}", message.format(lost=rows, count=count))


def _check_passages(found: Examination, directory: Path, connection: sqlite3.Connection) -> None:
    counts = {
        (number, generation): count
        for number, generation, count in connection.execute(
            "SELECT key, generation, vectors FROM segments"
        )
    }
    for split, id, document, generation, number, seal in connection.execute(
        "SELECT s.key, d.id, d.key, s.generation, s.passages, s.seal FROM splits AS s"
        " JOIN documents AS d ON d.key = s.document ORDER BY d.id"
    ):
        rows = connection.execute(
            "SELECT start, stop, context, content, segment, vector FROM passages WHERE split = ?",
            (split,),
        ).fetchall()
        if (
            len(rows) != number
            or split_seal(connection, split) != seal
            or not _match_text(rows, read_text(connection, document))
            or any(row >= counts.get((segment, generation), 0) for *_, segment, row in rows)
        ):
            found.splits.add(split)
            found.add("passages", text_of(id), "Its passages are not what was written.")
        elif any(
            row in part for *_, segment, row in rows for part in found.segments.get(segment, ())
        ):
            found.splits.add(split)
            found.add("passages", text_of(id), "Vectors of its passages are lost.")
    current = current_generation(connection)
    for (id,) in connection.execute(
        "SELECT id FROM documents AS d WHERE status = 'indexed' AND NOT EXISTS"
        " (SELECT 1 FROM splits WHERE document = d.key AND generation = ?) ORDER BY id",
        (current,),
    ):
        found.add("document", text_of(id), "It has no passages; index it again.")


def _match_text(rows: Sequence[tuple[Any, ...]], text: str) -> bool:
    """Whether each passage is the stretch of text that was embedded."""
    return all(
        0 <= start < stop <= len(text)
        and passage_key(Passage(start, stop, text[start:stop], text_of(context))) == content
        for start, stop, context, content, *_ in rows
    )


def _check_keywords(found: Examination, directory: Path, connection: sqlite3.Connection) -> None:
    for (generation,) in connection.execute("SELECT key FROM generations").fetchall():
        if not _keywords_match(connection, generation):
            found.keywords.add(generation)
            found.add("keywords", DATABASE, "The keyword index is not what the passages say.")


def _keywords_match(connection: sqlite3.Connection, generation: int) -> bool:
    """Whether every passage has as many terms in the keyword index as it should."""
    lengths = np.array(
        connection.execute(
            "SELECT p.key, p.terms FROM passages AS p JOIN splits AS s ON s.key = p.split"
            " WHERE s.generation = ? ORDER BY p.key",
            (generation,),
        ).fetchall(),
        np.int64,
    ).reshape(-1, 2)
    ids, wanted = lengths.T
    totals = np.zeros(len(ids), np.int64)
    for term, first, blob in connection.execute(
        "SELECT term, first, entries FROM postings WHERE generation = ?", (generation,)
    ):
        if not is_whole(text_of(term), first, blob):
            return False
        passages, counts = decode(first, blob)
        positions = np.searchsorted(ids, passages)
        inside = positions < len(ids)
        live = inside & (ids[np.where(inside, positions, 0)] == passages) if len(ids) else inside
        totals[positions[live]] += counts[live]
    return bool((totals == wanted).all())
