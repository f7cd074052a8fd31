"""Appending vectors to segments, and recording them in the transaction that speaks of them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import numpy as np

from tanya.store.protocol import Floats
from tanya.store.schema import VECTORS
from tanya.store.segments import SegmentFile, checksum, segment_path

__all__ = ["Appender", "Location"]

_SEGMENT_BYTES = 1 << 30  # few large ones: every matrix product waits for all its threads
_CHUNK = 1024  # vectors under one checksum, so that damage costs no more

Location = tuple[int, int]
"""Segment and row of a vector."""


class Appender:
    """Appends vectors to the segments of a generation.

    Rows that are not recorded by ``record`` don't exist for anybody else.

    Args:
        directory: The index.
        connection: A connection in a write transaction.
        generation: The generation whose segments these are.
        dimension: Length of a vector.
        closed: Segments to keep away from.
    """

    def __init__(
        self,
        directory: Path,
        connection: sqlite3.Connection,
        generation: int,
        dimension: int,
        closed: Collection[int] = (),
    ) -> None:
        self._directory = directory / VECTORS
        self._connection = connection
        self._generation = generation
        self._dimension = dimension
        self._capacity = max(1, _SEGMENT_BYTES // (4 * dimension))
        self._files: dict[int, SegmentFile] = {}
        self._recorded = self._usable_segments(closed)
        self._written = dict(self._recorded)

    def _usable_segments(self, closed: Collection[int]) -> dict[int, int]:
        """Recorded rows of each open segment whose file is there and long enough."""
        usable = {}
        for number, count in self._connection.execute(
            "SELECT key, vectors FROM segments WHERE generation = ?", (self._generation,)
        ):
            if number in closed:
                continue
            with suppress(OSError):
                size = segment_path(self._directory, number).lstat().st_size
                if size >= count * self._dimension * 4:
                    usable[number] = count
        return usable

    def append(self, vectors: Floats) -> list[Location]:
        """Write vectors (n, d); where each went."""
        locations: list[Location] = []
        while len(locations) < len(vectors):
            number = self._segment_with_room()
            first = self._written[number]
            part = vectors[len(locations) :][: self._capacity - first]
            self._file(number).write(first, part)
            self._written[number] += len(part)
            locations += [(number, row) for row in range(first, first + len(part))]
        return locations

    def _segment_with_room(self) -> int:
        number = max(self._written, default=0)
        if number and self._written[number] < self._capacity:
            return number
        fresh = self._connection.execute(
            "INSERT INTO segments (generation, vectors) VALUES (?, 0)", (self._generation,)
        ).lastrowid
        assert fresh is not None
        self._recorded[fresh] = self._written[fresh] = 0
        return fresh

    def _file(self, number: int) -> SegmentFile:
        if number not in self._files:
            path = segment_path(self._directory, number)
            self._files[number] = SegmentFile(path, self._dimension)
        return self._files[number]

    def read(self, location: Location) -> Floats | None:
        """A vector (d,), or None where what is there is not one."""
        number, row = location
        if row >= self._written.get(number, 0):
            return None
        vector = np.frombuffer(self._file(number).read(row, 1), "<f4")
        if len(vector) != self._dimension or not abs(float(vector @ vector) - 1) < 0.02:
            return None
        return vector

    def record(self) -> None:
        """Make what was written durable, and record it in the transaction."""
        for number, written in self._written.items():
            first = self._recorded[number]
            if first == written:
                continue
            file = self._file(number)
            file.sync()
            for start in range(first, written, _CHUNK):
                count = min(_CHUNK, written - start)
                self._connection.execute(
                    "INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?)",
                    (number, start, count, checksum(file.read(start, count))),
                )
            self._connection.execute(
                "UPDATE segments SET vectors = ? WHERE key = ?", (written, number)
            )
        _sync_directory(self._directory)

    def recorded(self) -> None:
        """The transaction was committed."""
        self._recorded = dict(self._written)

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            file.close()


def _sync_directory(directory: Path) -> None:
    """Make new names in a directory durable, where the platform has a way to."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
