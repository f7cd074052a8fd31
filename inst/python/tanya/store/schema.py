"""The SQLite file of an index: its tables, its version, and how to open it safely.

A document is one row of ``documents`` with its text, places and metadata. A *generation* is one
way to cut all documents into passages and embed them; ``state`` says which one answers, and counts
the commits, and those after which passages were gone or had moved. During a rebuild there is a
second generation, which nobody sees before it is whole. A *split* is one document's passages in one
generation. ``spares`` are vectors whose passages are not there yet.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tanya.errors import (
    IndexDamaged,
    IndexError_,
    IndexFull,
    IndexLocked,
    IndexMissing,
    IndexReadOnly,
    IndexTooNew,
)

__all__ = [
    "DATABASE",
    "FORMAT",
    "LOCK",
    "MIGRATIONS",
    "TABLES",
    "VECTORS",
    "Frozen",
    "bind",
    "connect_frozen",
    "connect_reader",
    "connect_writer",
    "create_tables",
    "inspect",
    "migrate",
    "needs_migration",
    "sql_errors",
    "text_of",
    "verify_schema",
]

DATABASE = "index.sqlite"
LOCK = "writer.lock"
VECTORS = "vectors"

FORMAT = 1
"""Version of the format that this code writes, kept as ``PRAGMA user_version``."""

_APPLICATION = 0x74616E79  # "tany", so that file(1) and we can tell an index from other databases

TABLES = """
CREATE TABLE state (
  generation INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  removals INTEGER NOT NULL
);
CREATE TABLE settings (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  seal BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE owner (pid INTEGER NOT NULL, host TEXT NOT NULL, since TEXT NOT NULL);
CREATE TABLE documents (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  path TEXT NOT NULL,
  type TEXT NOT NULL,
  title TEXT NOT NULL,
  pages INTEGER,
  characters INTEGER NOT NULL,
  hash TEXT NOT NULL,
  indexed_at TEXT NOT NULL,
  status TEXT NOT NULL,
  message TEXT NOT NULL,
  seal BLOB NOT NULL
);
CREATE TABLE texts (
  document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
  start INTEGER NOT NULL,
  content BLOB NOT NULL,
  PRIMARY KEY (document, start)
) WITHOUT ROWID;
CREATE TABLE places (
  document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
  ordinal INTEGER NOT NULL,
  start INTEGER NOT NULL,
  stop INTEGER NOT NULL,
  kind TEXT NOT NULL,
  label TEXT NOT NULL,
  number INTEGER,
  level INTEGER NOT NULL,
  PRIMARY KEY (document, ordinal)
) WITHOUT ROWID;
CREATE TABLE metadata (
  document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
  ordinal INTEGER NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  value,
  PRIMARY KEY (document, ordinal)
) WITHOUT ROWID;
CREATE TABLE generations (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  manifest TEXT NOT NULL,
  seal BLOB NOT NULL
);
CREATE TABLE segments (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  generation INTEGER NOT NULL REFERENCES generations ON DELETE CASCADE,
  vectors INTEGER NOT NULL
);
CREATE TABLE chunks (
  segment INTEGER NOT NULL REFERENCES segments ON DELETE CASCADE,
  first INTEGER NOT NULL,
  vectors INTEGER NOT NULL,
  checksum BLOB NOT NULL,
  PRIMARY KEY (segment, first)
) WITHOUT ROWID;
CREATE TABLE splits (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
  generation INTEGER NOT NULL REFERENCES generations ON DELETE CASCADE,
  passages INTEGER NOT NULL,
  seal BLOB NOT NULL,
  UNIQUE (document, generation)
);
CREATE TABLE passages (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  split INTEGER NOT NULL REFERENCES splits ON DELETE CASCADE,
  ordinal INTEGER NOT NULL,
  start INTEGER NOT NULL,
  stop INTEGER NOT NULL,
  context TEXT NOT NULL,
  content BLOB NOT NULL,
  segment INTEGER NOT NULL,
  vector INTEGER NOT NULL,
  terms INTEGER NOT NULL,
  UNIQUE (split, ordinal)
);
CREATE INDEX passages_content ON passages (content);
CREATE TABLE spares (
  generation INTEGER NOT NULL REFERENCES generations ON DELETE CASCADE,
  content BLOB NOT NULL,
  segment INTEGER NOT NULL,
  vector INTEGER NOT NULL,
  PRIMARY KEY (generation, content)
) WITHOUT ROWID;
CREATE TABLE postings (
  generation INTEGER NOT NULL REFERENCES generations ON DELETE CASCADE,
  term TEXT NOT NULL,
  first INTEGER NOT NULL,
  entries BLOB NOT NULL,
  PRIMARY KEY (generation, term, first)
) WITHOUT ROWID;
"""

MIGRATIONS: Mapping[int, str] = {}
"""SQL that turns an index of a format into one of the next."""


def bind(text: str) -> str | bytes:
    """A string as SQLite can keep it: UTF-8, or bytes where it holds lone surrogates.

    File names of POSIX systems may hold any bytes; Python hands those that are not UTF-8 over as
    lone surrogates.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def text_of(value: str | bytes) -> str:
    """The string that ``bind`` was given."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


@contextmanager
def sql_errors(directory: Path) -> Iterator[None]:
    """Say in our own words what SQLite complains about."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error, directory / DATABASE) from error


def _translated(error: sqlite3.Error, file: Path) -> IndexError_:
    reason = str(error)
    if "locked" in reason or "busy" in reason:
        return IndexLocked(f"Another process holds {file}.", hint="Try again in a moment.")
    if "readonly" in reason:
        return IndexReadOnly(f"{file} cannot be written to.")
    if "is full" in reason or "disk I/O" in reason:
        return IndexFull(
            f"{file} could not be read or written ({reason}).",
            hint="Make room on the disk; everything committed so far is safe.",
        )
    if "unable to open" in reason and os.access(file, os.R_OK):
        return IndexReadOnly(f"{file} cannot be read without writing a log beside it.")
    if "unable to open" in reason:
        return IndexError_(
            f"{file} cannot be opened.",
            hint="Check the permissions of the index directory and of the files in it.",
        )
    return IndexDamaged(
        f"{file} is damaged ({reason}).",
        hint="Check the index and let it be repaired.",
        file=str(file),
    )


def inspect(directory: Path) -> None:
    """Refuse a directory that is not an index, or whose files could lead out of it.

    SQLite follows symbolic links, and what a rollback journal says can make it delete any file;
    an index never has either, so we don't let SQLite see one.
    """
    if not os.path.lexists(directory / DATABASE):
        if (directory / VECTORS).is_dir():
            raise IndexDamaged(f"{directory / DATABASE} is missing.", file=DATABASE)
        raise IndexMissing(f"There is no index at {directory}.")
    files = [DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", LOCK]
    for name in files:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG((directory / name).lstat().st_mode):
                raise IndexDamaged(f"{directory / name} is not a plain file.", file=name)
    if not stat.S_ISDIR(_mode(directory / VECTORS)):
        raise IndexDamaged(f"{directory / VECTORS} is not a directory.", file=VECTORS)
    for name in (f"{DATABASE}-journal", f"{LOCK}-journal"):
        if os.path.lexists(directory / name):
            raise IndexDamaged(
                f"{directory / name} does not belong to an index.",
                hint="Whoever put it there may mean harm; look at it, then delete it.",
                file=name,
            )


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return 0


def connect_writer(directory: Path) -> sqlite3.Connection:
    """A connection that may change the index."""
    connection = _connect(directory, "mode=rw")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def connect_reader(directory: Path) -> sqlite3.Connection:
    """A connection that reads.

    Raises:
        IndexReadOnly: It needs to write first, and may not; see ``connect_frozen``.
    """
    writable = os.access(directory, os.W_OK) and os.access(directory / DATABASE, os.W_OK)
    # Without rights, this works beside a writer with more of them, whose -shm file we can map.
    connection = _connect(directory, "mode=rw" if writable else "mode=ro")
    connection.execute("PRAGMA query_only = ON")
    return connection


@dataclass(frozen=True, slots=True)
class Frozen:
    """A database that nobody changes, as far as can be seen: its size and time of change."""

    size: int
    changed: int

    @classmethod
    def look(cls, directory: Path) -> Frozen:
        """Look at an index that cannot be written to."""
        log = directory / f"{DATABASE}-wal"
        if log.exists() and log.stat().st_size:
            raise IndexReadOnly(
                f"{directory} was not closed properly, and what was written last can be read only "
                "where its files can be written to.",
                hint="Open it once with write access, or copy it to a place that you can write to.",
            )
        status = (directory / DATABASE).stat()
        return cls(status.st_size, status.st_mtime_ns)


def connect_frozen(directory: Path) -> sqlite3.Connection:
    """A connection that takes for granted that nobody changes the database (see ``Frozen``).

    On a read-only disk SQLite reads a database in WAL mode in no other way. It takes no locks, and
    sees no changes: use it once, and look whether there were any.
    """
    connection = _connect(directory, "mode=ro&immutable=1")
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(directory: Path, options: str) -> sqlite3.Connection:
    uri = f"{(directory / DATABASE).absolute().as_uri()}?{options}"
    with sql_errors(directory):
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30.0
        )
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            connection.close()
            raise
    return connection


def create_tables(connection: sqlite3.Connection) -> None:
    """Make an empty database an index without generations."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.executescript(TABLES)


def migrate(connection: sqlite3.Connection, directory: Path) -> None:
    """Bring an older index to the present format, step by step."""
    while (version := _version(connection, directory)) < FORMAT:
        connection.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[version]}; PRAGMA user_version = {version + 1}; COMMIT;"
        )


def _version(connection: sqlite3.Connection, directory: Path) -> int:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if application != _APPLICATION:
        raise IndexDamaged(f"{directory / DATABASE} is not an index of tanya.", file=DATABASE)
    if version > FORMAT:
        raise IndexTooNew(
            f"The index at {directory} has format {version}; this version of tanya reads up to "
            f"{FORMAT}.",
            hint="Install a newer version of tanya.",
            format=version,
        )
    return version


def needs_migration(connection: sqlite3.Connection, directory: Path) -> bool:
    """Whether the index has an older format."""
    return _version(connection, directory) < FORMAT


def verify_schema(connection: sqlite3.Connection, directory: Path) -> None:
    """Refuse tables, views and triggers that we did not create: a stranger's could do things."""
    wanted = sqlite3.connect(":memory:")
    try:
        wanted.executescript(TABLES)
        if _schema(connection) != _schema(wanted):
            raise IndexDamaged(
                f"{directory / DATABASE} holds other tables than an index has.", file=DATABASE
            )
    finally:
        wanted.close()


def _schema(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    return set(
        connection.execute(
            "SELECT type, name, coalesce(sql, '') FROM sqlite_master"
            " WHERE name NOT LIKE 'sqlite_stat%'"
        )
    )
