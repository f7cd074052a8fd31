"""The store in one directory: a SQLite file and segments of vectors.

    index.sqlite   documents, texts, places, metadata, passages, keyword index, settings (WAL)
    vectors/       segments
    writer.lock    empty; locked by the one process that writes

Vectors are written and synced before the rows that speak of them are committed, so a reader never
sees half a document, and what a killed writer left behind is never looked at.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tanya.errors import (
    IndexDamaged,
    IndexError_,
    IndexMissing,
    IndexReadOnly,
    InvalidArgument,
    ModelMismatch,
)
from tanya.filters import compile_filter
from tanya.store import schema
from tanya.store.checking import examine
from tanya.store.compacting import compact
from tanya.store.generations import (
    begin_generation,
    current_generation,
    load_json,
    load_manifest,
    put_setting,
    resume_generation,
)
from tanya.store.postings import Keywords
from tanya.store.protocol import (
    Counts,
    DocumentRow,
    Finding,
    Floats,
    Ids,
    Manifest,
    Rebuild,
    Waiting,
    Writer,
)
from tanya.store.records import decode_metadata, read_text
from tanya.store.repairing import repair
from tanya.store.schema import bind, sql_errors, text_of
from tanya.store.segments import Segment, Vectors, segment_path
from tanya.store.writing import EmbeddedRebuild, EmbeddedWriter, delete_strays, writing
from tanya.types import Place, Progress, Scalar, StoredPassage

__all__ = ["EmbeddedStore"]

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class _State:
    """What the vectors and passages of one committed state look like in memory.

    Attributes:
        revision: Counts the commits.
        removals: Counts the commits after which passages were gone or had moved.
        generation: The generation that answers.
        manifest: How it was made.
        segments: Its segments.
        damage: Why a segment could not be mapped, by its number.
    """

    revision: int
    removals: int
    generation: int
    manifest: Manifest
    segments: tuple[Segment, ...]
    damage: Mapping[int, IndexError_]

    def only_grew_into(self, later: _State) -> bool:
        """Whether a state came from this one by additions alone."""
        return self.revision <= later.revision and self.removals == later.removals


@dataclass(frozen=True, slots=True)
class _Passages:
    """The passages of one state.

    Attributes:
        state: That state.
        table: Id, segment, row in the segment, and length in terms of each passage (n, 4),
            ordered by id.
        vectors: Where their vectors are.
    """

    state: _State
    table: Ids
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class _Session:
    """A thread's view of one committed state: an open read transaction, and what goes with it."""

    connection: sqlite3.Connection
    frozen: schema.Frozen | None
    state: _State


class EmbeddedStore:
    """An index directory (see ``tanya.store.Store`` for the methods).

    Use ``create`` or ``open``.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._process = os.getpid()
        self._idle: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._local = threading.local()
        self._state: _State | None = None
        self._passages: _Passages | None = None
        self._closed = False

    # Opening and closing -----------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        directory: str | os.PathLike[str],
        manifest: Manifest,
        settings: Mapping[str, object] | None = None,
    ) -> EmbeddedStore:
        """Make an empty index where there is nothing yet, and open it.

        The directory appears whole, with its first settings: it is prepared beside its place,
        then renamed.

        Raises:
            InvalidArgument: There is something else at that place.
        """
        target = Path(directory).absolute()
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InvalidArgument(f"{target} exists already, and an index needs a new directory.")
        draft = target.with_name(f"{target.name}.{secrets.token_hex(4)}.new")
        try:
            (draft / schema.VECTORS).mkdir(parents=True)
            connection = sqlite3.connect(draft / schema.DATABASE, isolation_level=None)
            try:
                schema.create_tables(connection)
                generation = begin_generation(connection, manifest)
                connection.execute("INSERT INTO state VALUES (?, 1, 1)", (generation,))
                for name, value in (settings or {}).items():
                    put_setting(connection, name, value)
            finally:
                connection.close()
            with suppress(FileNotFoundError):
                target.rmdir()
            draft.rename(target)
        except OSError as error:
            raise IndexError_(f"{target} cannot be made ({error.strerror}).") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return cls.open(target)

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> EmbeddedStore:
        """Open an index. Reads the head of the database only, however large the index is.

        Raises:
            IndexMissing: There is none.
            IndexTooNew: A newer version of tanya wrote it.
            IndexDamaged: A file is missing, not a plain file, or not ours.
            IndexReadOnly: It needs a migration or a recovery, and cannot be written to.
        """
        try:
            resolved = Path(directory).resolve(strict=True)
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:
            raise IndexMissing(f"There is no index at {str(directory)!r}.") from error
        except OSError as error:
            raise IndexError_(f"{directory} cannot be opened ({error.strerror}).") from error
        schema.inspect(resolved)
        store = cls(resolved)
        with sql_errors(resolved):
            connection, _ = store._take()
            try:
                old = schema.needs_migration(connection, resolved)
                if not old:
                    schema.verify_schema(connection, resolved)
            finally:
                connection.close()
        if old:
            store._migrate()
        with store._session():
            pass
        return store

    def _migrate(self) -> None:
        with writing(self.directory, 60.0, None) as connection:
            schema.migrate(connection, self.directory)
            schema.verify_schema(connection, self.directory)

    def close(self) -> None:
        """Let go of all files. Closing twice does nothing."""
        self._closed = True
        self._forget()

    def _forget(self) -> None:
        """Let go of all that is not in use by a thread right now."""
        with self._guard:
            idle, self._idle = self._idle, []
            self._state = self._passages = None
        for connection in idle:
            connection.close()

    def __enter__(self) -> EmbeddedStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # One consistent state ----------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Make all reads of this thread inside the block see one and the same state."""
        with self._session():
            yield

    @contextmanager
    def _session(self) -> Iterator[_Session]:
        session: _Session | None = getattr(self._local, "session", None)
        if session is not None:
            with sql_errors(self.directory):
                yield session
            return
        with sql_errors(self.directory):
            session = self._begin()
            self._local.session = session
            try:
                yield session
            finally:
                self._local.session = None
                self._end(session)

    def _begin(self) -> _Session:
        """Begin a read transaction and map its segments, so that no later step can miss one.

        A compaction may delete a segment between our reading of the list and our mapping of
        it. Then there is a newer state, and we take that one.
        """
        connection, frozen = self._take()
        try:
            for attempt in range(_ATTEMPTS):
                connection.execute("BEGIN")
                state = self._load_state(connection)
                if not state.damage or attempt == _ATTEMPTS - 1:
                    break
                connection.execute("ROLLBACK")
            return _Session(connection, frozen, state)
        except BaseException:
            connection.close()
            raise

    def _end(self, session: _Session) -> None:
        connection = session.connection
        if session.frozen is not None:
            connection.close()
            if schema.Frozen.look(self.directory) != session.frozen:
                raise IndexError_(
                    f"The index at {self.directory} was written to while it was being read.",
                    hint="Ask again.",
                )
            return
        try:
            connection.execute("ROLLBACK")
        except BaseException:
            connection.close()
            raise
        with self._guard:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _take(self) -> tuple[sqlite3.Connection, schema.Frozen | None]:
        if os.getpid() != self._process:
            # A forked child must not touch the connections of its parent, not even to close them.
            self._guard, self._process = threading.Lock(), os.getpid()
            self._inherited, self._idle = self._idle, []
        with self._guard:
            if self._closed:
                raise InvalidArgument(f"The index at {self.directory} was closed.")
            if self._idle:
                return self._idle.pop(), None
        try:
            return schema.connect_reader(self.directory), None
        except IndexReadOnly:
            frozen = schema.Frozen.look(self.directory)
            return schema.connect_frozen(self.directory), frozen

    def _load_state(self, connection: sqlite3.Connection) -> _State:
        row = connection.execute("SELECT generation, revision, removals FROM state").fetchone()
        if row is None:
            raise IndexDamaged(f"{self.directory / schema.DATABASE} says nothing about its state.")
        generation, revision, removals = row
        known = self._state
        if known is not None and known.revision == revision and not known.damage:
            return known
        manifest = load_manifest(connection, generation)
        mapped = {segment.number: segment for segment in known.segments} if known else {}
        segments, damage = [], {}
        for number, count in connection.execute(
            "SELECT key, vectors FROM segments WHERE generation = ? ORDER BY key", (generation,)
        ):
            old = mapped.get(number)
            if old is not None and len(old.rows) == count:
                segments.append(old)
                continue
            path = segment_path(self.directory / schema.VECTORS, number)
            try:
                segments.append(Segment.map(path, number, count, manifest.dimension))
            except IndexError_ as error:
                damage[number] = error
        state = _State(revision, removals, generation, manifest, tuple(segments), damage)
        self._state = state
        return state

    def _load_passages(self, session: _Session) -> _Passages:
        state, known = session.state, self._passages
        if known is not None and known.state is state:
            return known
        table = np.empty((0, 4), np.int64)
        if known is not None and known.state.only_grew_into(state):
            table = known.table  # ids grow, so that what is new comes after what we have
        added = session.connection.execute(
            "SELECT key, segment, vector, terms FROM passages WHERE key > ? ORDER BY key",
            (int(table[-1, 0]) if len(table) else 0,),
        )
        new = np.fromiter(chain.from_iterable(added), np.int64).reshape(-1, 4)
        mine = [*(segment.number for segment in state.segments), *state.damage]
        table = np.concatenate([table, new[np.isin(new[:, 1], mine)]])
        ids, owners, places, _ = np.ascontiguousarray(table.T)
        for number, error in state.damage.items():
            if (owners == number).any():
                raise error
        for segment in state.segments:
            rows = places[owners == segment.number]
            if rows.size and not 0 <= rows.min() <= rows.max() < len(segment.rows):
                raise IndexDamaged(
                    f"{self.directory / schema.DATABASE} refers to vectors that are not there.",
                    hint="Check the index and let it be repaired.",
                    file=schema.DATABASE,
                )
        loaded = _Passages(state, table, Vectors(state.segments, ids, owners, places))
        self._passages = loaded
        return loaded

    # Reading -----------------------------------------------------------------------------------

    @property
    def manifest(self) -> Manifest:
        """How the passages that answer now were made."""
        with self._session() as session:
            return session.state.manifest

    def require(self, manifest: Manifest) -> None:
        """Raise ModelMismatch unless the index was made with the embedder of this manifest."""
        mine = self.manifest
        different = sorted(
            name
            for name in {*mine.embedder, *manifest.embedder}
            if mine.embedder.get(name) != manifest.embedder.get(name)
        )
        if different:
            raise ModelMismatch(
                "The index was made with another embedding model: "
                + ", ".join(
                    f"{name} is {mine.embedder.get(name)!r} there and "
                    f"{manifest.embedder.get(name)!r} here"
                    for name in different
                )
                + ".",
                hint="Install the model it was made with, or embed anew with "
                'rag_index(update = "rebuild").',
                different=different,
            )

    def counts(self) -> Counts:
        """Sizes; cheap."""
        with self._session() as session:
            generation = session.state.generation
            documents, failures = session.connection.execute(
                "SELECT count(*) FILTER (WHERE status = 'indexed'),"
                " count(*) FILTER (WHERE status <> 'indexed') FROM documents"
            ).fetchone()
            (passages,) = session.connection.execute(
                "SELECT coalesce(sum(passages), 0) FROM splits WHERE generation = ?", (generation,)
            ).fetchone()
            (vectors,) = session.connection.execute(
                "SELECT coalesce(sum(vectors), 0) FROM segments WHERE generation = ?", (generation,)
            ).fetchone()
        size = 0
        for folder in (self.directory, self.directory / schema.VECTORS):
            with suppress(FileNotFoundError), os.scandir(folder) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        if entry.is_file(follow_symlinks=False):
                            size += entry.stat(follow_symlinks=False).st_size
        return Counts(documents, failures, passages, vectors, size)

    def documents(self, ids: Sequence[str] | None = None) -> list[DocumentRow]:
        """All documents and failures, or those of the ids that are there; ordered by id."""
        with self._session() as session:
            rows = _select_documents(session, ids)
            metadata = _select_metadata(session, ids)
        return [_document_row(row, metadata.get(row[0], ())) for row in rows]

    def hashes(self) -> dict[str, str]:
        """``DocumentRow.hash`` by id, for telling what changed; "" for incomplete documents."""
        with self._session() as session:
            rows = session.connection.execute(
                "SELECT d.id, iif(d.status = 'indexed' AND s.key IS NULL, '', d.hash)"
                " FROM documents AS d LEFT JOIN splits AS s"
                " ON s.document = d.key AND s.generation = ?",
                (session.state.generation,),
            )
            return {text_of(id): text_of(hash) for id, hash in rows}

    def text(self, id: str) -> str:
        """Canonical text of a document; "" for a failure. Unknown id: InvalidArgument."""
        with self._session() as session:
            return read_text(session.connection, _key(session, id))

    def places(self, id: str, start: int = 0, end: int | None = None) -> list[Place]:
        """Places of a document that overlap code points [start, end), in stored order."""
        with self._session() as session:
            rows = session.connection.execute(
                "SELECT start, stop, kind, label, number, level FROM places"
                " WHERE document = ? AND stop > ? AND (? IS NULL OR start < ?) ORDER BY ordinal",
                (_key(session, id), start, end, end),
            )
            return [
                Place(begin, stop, text_of(kind), text_of(label), number, level)
                for begin, stop, kind, label, number, level in rows
            ]

    def passages(self, ids: Sequence[int]) -> list[StoredPassage]:
        """The passages with these ids, in the order of the ids; ids that are gone left out."""
        with self._session() as session:
            found = []
            for id in ids:
                row = session.connection.execute(
                    f"{_PASSAGE} WHERE p.key = ? AND s.generation = ?",
                    (int(id), session.state.generation),
                ).fetchone()
                if row is not None:
                    found.append(_stored_passage(session, row))
            return found

    def passages_of(self, documents: Sequence[str] | None = None) -> list[StoredPassage]:
        """Passages of some or of all documents, by document id and ordinal."""
        found = []
        with self._session() as session:
            names = self.hashes() if documents is None else documents
            for id in sorted(names, key=_order):
                rows = session.connection.execute(
                    f"{_PASSAGE} WHERE s.document = ? AND s.generation = ? ORDER BY p.ordinal",
                    (_key(session, id), session.state.generation),
                ).fetchall()
                text = read_text(session.connection, rows[0][1]) if rows else ""
                found += [_stored_passage(session, row, text) for row in rows]
        return found

    def setting(self, name: str) -> object:
        """A value kept by ``Writer.set_setting``, or None."""
        with self._session() as session:
            row = session.connection.execute(
                "SELECT value, seal FROM settings WHERE name = ?", (bind(name),)
            ).fetchone()
        try:
            return None if row is None else load_json(*row)
        except ValueError as error:
            raise IndexDamaged(
                f"{self.directory / schema.DATABASE} has lost the setting {name!r}.",
                hint="Check the index and let it be repaired.",
                file=schema.DATABASE,
            ) from error

    def allowed(self, filter: object) -> Ids:
        """Ids of the passages whose document passes a filter (see ``tanya.filters``)."""
        with self._session() as session:
            kinds: dict[str, set[str]] = {}
            for name, kind in session.connection.execute(
                "SELECT DISTINCT name, kind FROM metadata"
            ):
                kinds.setdefault(text_of(name), set()).add(kind)
            condition = compile_filter(
                filter, {name: frozenset(found) for name, found in kinds.items()}
            )
            rows = session.connection.execute(
                "SELECT p.key FROM documents AS d JOIN splits AS s ON s.document = d.key"
                " JOIN passages AS p ON p.split = s.key"
                f" WHERE s.generation = ? AND ({condition.sql}) ORDER BY p.key",
                (session.state.generation, *condition.values),
            )
            return np.fromiter((row[0] for row in rows), np.int64)

    def nearest(self, questions: Floats, k: int, allowed: Ids | None = None) -> tuple[Ids, Floats]:
        """The k passages with the highest cosine (see ``Store.nearest``)."""
        with self._session() as session:
            checked = _questions(questions, session.state.manifest.dimension)
            return self._load_passages(session).vectors.nearest(checked, _count(k), allowed)

    def cosines(self, questions: Floats, passages: Ids) -> Floats:
        """Cosines (q, n) of questions (q, d) with passages (n,); NaN where one is gone."""
        with self._session() as session:
            checked = _questions(questions, session.state.manifest.dimension)
            return self._load_passages(session).vectors.cosines(checked, passages)

    def keyword(
        self, questions: Sequence[Sequence[str]], k: int, allowed: Ids | None = None
    ) -> tuple[Ids, Floats]:
        """The k passages with the highest BM25 score (see ``Store.keyword``)."""
        with self._session() as session:
            passages = self._load_passages(session)
            keywords = Keywords(
                session.connection, session.state.generation, passages.vectors, passages.table[:, 3]
            )
            return keywords.best(questions, _count(k), allowed)

    # Writing -----------------------------------------------------------------------------------

    @contextmanager
    def writer(self, wait: float = 60.0, on_wait: Waiting | None = None) -> Iterator[Writer]:
        """Become the one writer (see ``Store.writer``)."""
        with (
            writing(self.directory, wait, on_wait) as connection,
            EmbeddedWriter(self.directory, connection, current_generation(connection)) as writer,
        ):
            yield writer

    @contextmanager
    def rebuild(
        self, manifest: Manifest, wait: float = 60.0, on_wait: Waiting | None = None
    ) -> Iterator[Rebuild]:
        """Begin or go on with a rebuild (see ``Store.rebuild``)."""
        with (
            writing(self.directory, wait, on_wait) as connection,
            EmbeddedRebuild(
                self.directory, connection, resume_generation(connection, manifest)
            ) as rebuild,
        ):
            yield rebuild

    def compact(self, wait: float = 60.0, progress: Progress | None = None) -> None:
        """Give the space of removed passages back (see ``Store.compact``)."""
        with writing(self.directory, wait, None) as connection:
            compact(self.directory, connection, progress)
            delete_strays(self.directory, connection)

    def check(self) -> list[Finding]:
        """Verify every file, checksum and reference. Empty when all is well."""
        with self._session() as session:
            return examine(self.directory, session.connection).findings

    def repair(self, wait: float = 60.0) -> list[Finding]:
        """Check, and put right what can be (see ``Store.repair``)."""
        self._forget()
        return repair(self.directory, wait)


_DOCUMENT = """
SELECT d.key, d.id, d.path, d.type, d.title, d.pages, coalesce(s.passages, 0), d.characters,
  d.hash, d.indexed_at, iif(d.status = 'indexed' AND s.key IS NULL, 'incomplete', d.status),
  d.message
FROM documents AS d LEFT JOIN splits AS s ON s.document = d.key AND s.generation = ?
"""

_PASSAGE = """
SELECT p.key, s.document, d.id, p.ordinal, p.start, p.stop, p.context
FROM passages AS p JOIN splits AS s ON p.split = s.key JOIN documents AS d ON s.document = d.key
"""


_Row = tuple[Any, ...]
_Entry = tuple[str | bytes, str, Scalar | bytes]


def _document_row(row: _Row, metadata: Iterable[_Entry]) -> DocumentRow:
    _, id, path, type, title, pages, passages, characters, hash, indexed_at, status, message = row
    return DocumentRow(
        text_of(id),
        text_of(path),
        text_of(type),
        text_of(title),
        pages,
        passages,
        characters,
        text_of(hash),
        indexed_at,
        status,
        text_of(message),
        decode_metadata(metadata),
    )


def _select_documents(session: _Session, ids: Sequence[str] | None) -> list[_Row]:
    generation = session.state.generation
    if ids is None:
        return session.connection.execute(f"{_DOCUMENT} ORDER BY d.id", (generation,)).fetchall()
    rows = []
    for id in sorted(set(ids), key=_order):
        rows += session.connection.execute(
            f"{_DOCUMENT} WHERE d.id = ?", (generation, bind(id))
        ).fetchall()
    return rows


def _select_metadata(session: _Session, ids: Sequence[str] | None) -> dict[int, list[_Entry]]:
    sql = "SELECT document, name, kind, value FROM metadata"
    found: dict[int, list[_Entry]] = {}
    if ids is None:
        rows = session.connection.execute(f"{sql} ORDER BY document, ordinal").fetchall()
    else:
        rows = []
        for id in set(ids):
            rows += session.connection.execute(
                f"{sql} WHERE document = (SELECT key FROM documents WHERE id = ?) ORDER BY ordinal",
                (bind(id),),
            ).fetchall()
    for document, name, kind, value in rows:
        found.setdefault(document, []).append((name, kind, value))
    return found


def _order(id: str) -> tuple[bool, bytes]:
    """Sorts ids as SQLite does: texts by their UTF-8, then those kept as bytes."""
    return isinstance(bind(id), bytes), id.encode("utf-8", "surrogatepass")


def _key(session: _Session, id: str) -> int:
    row = session.connection.execute(
        "SELECT key FROM documents WHERE id = ?", (bind(id),)
    ).fetchone()
    if row is None:
        raise InvalidArgument(f"The index has no document {id!r}.", document=id)
    return int(row[0])


def _stored_passage(
    session: _Session, row: tuple[int, int, str | bytes, int, int, int, str | bytes], text: str = ""
) -> StoredPassage:
    key, document, id, ordinal, start, stop, context = row
    stretch = text[start:stop] if text else read_text(session.connection, document, start, stop)
    return StoredPassage(key, text_of(id), ordinal, start, stop, stretch, text_of(context))


def _questions(questions: Floats, dimension: int) -> Floats:
    checked = np.ascontiguousarray(questions, np.float32)
    if checked.ndim != 2 or checked.shape[1] != dimension:
        raise InvalidArgument(
            f"Questions must be an array (q, {dimension}), not {checked.shape}.",
        )
    if not (np.abs(np.einsum("ij,ij->i", checked, checked) - 1) < 0.01).all():
        raise InvalidArgument("Questions must have length 1.")
    return checked


def _count(k: int) -> int:
    if k < 0:
        raise InvalidArgument(f"k must not be negative, and is {k}.")
    return int(k)
