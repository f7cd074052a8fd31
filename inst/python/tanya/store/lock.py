"""One writer at a time, across threads, processes and machines that share a disk."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from tanya.errors import IndexError_, IndexLocked, IndexReadOnly
from tanya.store.generations import now
from tanya.store.protocol import Waiting
from tanya.store.schema import LOCK, connect_reader, inspect

__all__ = ["WriterLock", "sign"]

_PAUSE = 0.05


class WriterLock:
    """A lock that the operating system frees when its holder dies, however it dies.

    It is the write lock of an empty SQLite file: that one is right on every platform and file
    system on which the index itself works.

    Args:
        directory: The index.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._connection: sqlite3.Connection | None = None

    def acquire(self, wait: float, on_wait: Waiting | None) -> None:
        """Take the lock, or raise IndexLocked after ``wait`` seconds."""
        inspect(self._directory)
        deadline = time.monotonic() + wait
        self._connection = self._open()
        told = False
        try:
            while not self._try():
                if time.monotonic() >= deadline:
                    raise IndexLocked(
                        f"{self._owner()} is writing to {self._directory}.",
                        hint="Try again when it is done; reading is possible all the time.",
                    )
                if on_wait is not None and not told:
                    on_wait(f"{self._owner()} is writing to {self._directory}; waiting for it.")
                    told = True
                time.sleep(_PAUSE)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give the lock back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        uri = f"{(self._directory / LOCK).absolute().as_uri()}?mode=rwc"
        return sqlite3.connect(
            uri, uri=True, isolation_level=None, timeout=0.0, check_same_thread=False
        )

    def _try(self) -> bool:
        assert self._connection is not None
        try:
            self._connection.execute("PRAGMA journal_mode = MEMORY")  # nothing to roll back
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                return False
            raise IndexReadOnly(
                f"The index at {self._directory} cannot be written to ({error})."
            ) from error
        return True

    def _owner(self) -> str:
        row = None
        with (
            suppress(sqlite3.Error, IndexError_),
            closing(connect_reader(self._directory)) as index,
        ):
            row = index.execute("SELECT pid, host, since FROM owner").fetchone()
        if row is None:
            return "Another process"
        return f"Process {row[0]} on {row[1]} (since {row[2]})"


def sign(connection: sqlite3.Connection) -> None:
    """Leave word of who holds the lock, for those who wait."""
    connection.execute("PRAGMA synchronous = NORMAL")  # not worth waiting for the disk
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        connection.execute("DELETE FROM owner")
        connection.execute(
            "INSERT INTO owner VALUES (?, ?, ?)", (os.getpid(), socket.gethostname(), now())
        )
    connection.execute("PRAGMA synchronous = FULL")
