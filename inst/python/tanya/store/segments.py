"""Segments: files of vectors, written at the end only, mapped into memory, searched exactly.

A segment is ``vectors/<number>.f32``: rows of little-endian float32 and nothing else. How many of
its rows count is known to the database, so what an interrupted writer left behind the last of
them is never read, and is overwritten by the next.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tanya.errors import IndexDamaged, IndexError_, IndexFull, IndexReadOnly
from tanya.store.protocol import Floats, Ids
from tanya.threads import one_blas_thread

__all__ = [
    "Segment",
    "SegmentFile",
    "Vectors",
    "checksum",
    "file_errors",
    "segment_number",
    "segment_path",
]

_FLOAT = np.dtype("<f4")
_BLOCK = 1 << 22  # scores computed at a time: 16 MB
_FEW = 0.1  # share of a segment's rows below which they are gathered instead of scanned


def segment_path(directory: Path, number: int) -> Path:
    """Where a segment is kept. Nothing that an index says can make this lead elsewhere."""
    return directory / f"{number:010d}.f32"


def segment_number(name: str) -> int | None:
    """The segment that a file name belongs to, or None for a file that isn't ours."""
    stem, _, suffix = name.partition(".")
    return (
        int(stem)
        if suffix == "f32" and len(stem) == 10 and stem.isascii() and stem.isdigit()
        else None
    )


def checksum(data: bytes | memoryview) -> bytes:
    """16 bytes that tell whether vectors are still what was written."""
    return hashlib.blake2b(data, digest_size=16).digest()


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Say in our own words what the operating system complains about."""
    try:
        yield
    except FileNotFoundError as error:
        raise IndexDamaged(
            f"{path} is missing.", hint="Check the index and let it be repaired.", file=str(path)
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise IndexFull(
                f"{path} could not be written ({reason}).",
                hint="Make room on the disk; everything committed so far is safe.",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise IndexReadOnly(f"{path} may not be opened ({reason}).") from error
        if error.errno == errno.ELOOP:
            raise IndexDamaged(f"{path} is not a plain file.", file=str(path)) from error
        raise IndexError_(f"{path} could not be read or written ({reason}).") from error


def _open_plain(path: Path, flags: int) -> int:
    """Open a regular file and nothing else: no link, no pipe, no device."""
    safe = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with file_errors(path):
        if path.is_symlink():  # not every platform has O_NOFOLLOW
            raise IndexDamaged(f"{path} is not a plain file.", file=str(path))
        descriptor = os.open(path, flags | safe | getattr(os, "O_CLOEXEC", 0), 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IndexDamaged(f"{path} is not a plain file.", file=str(path))
    return descriptor


class SegmentFile:
    """A segment open for writing.

    Args:
        path: The file; made if it is not there.
        dimension: Length of a vector.
    """

    def __init__(self, path: Path, dimension: int) -> None:
        self._path = path
        self._width = dimension * _FLOAT.itemsize
        self._descriptor = _open_plain(path, os.O_RDWR | os.O_CREAT)

    def write(self, first: int, vectors: Floats) -> None:
        """Put rows (n, d) from row ``first`` on."""
        rest = memoryview(np.ascontiguousarray(vectors, _FLOAT).tobytes())
        with file_errors(self._path):
            os.lseek(self._descriptor, first * self._width, os.SEEK_SET)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def read(self, first: int, count: int) -> bytes:
        """The bytes of ``count`` rows from row ``first`` on; fewer where the file is short."""
        with file_errors(self._path):
            os.lseek(self._descriptor, first * self._width, os.SEEK_SET)
            parts = []
            left = count * self._width
            while left and (part := os.read(self._descriptor, left)):
                parts.append(part)
                left -= len(part)
        return b"".join(parts)

    def sync(self) -> None:
        """Wait until everything written is on the disk."""
        with file_errors(self._path):
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


@dataclass(frozen=True, slots=True)
class Segment:
    """The committed rows of a segment, mapped read-only.

    Attributes:
        number: Its number.
        path: Its file.
        rows: Vectors (n, d), float32; memory that the file backs.
    """

    number: int
    path: Path
    rows: Floats

    @classmethod
    def map(cls, path: Path, number: int, count: int, dimension: int) -> Segment:
        """Map the first ``count`` rows of a segment.

        Raises:
            IndexDamaged: The file is missing, too short or not a plain file.
        """
        size = count * dimension * _FLOAT.itemsize
        descriptor = _open_plain(path, os.O_RDONLY)
        try:
            if os.fstat(descriptor).st_size < size:
                raise IndexDamaged(
                    f"{path} is shorter than it should be.",
                    hint="Check the index and let it be repaired.",
                    file=str(path),
                )
            if not size:
                return cls.none(number, dimension)
            data = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
        return cls(number, path, np.frombuffer(data, _FLOAT).reshape(count, dimension))

    @classmethod
    def none(cls, number: int, dimension: int) -> Segment:
        """A segment of which nothing is wanted."""
        return cls(number, Path(), np.empty((0, dimension), _FLOAT))

    @classmethod
    def map_rest(cls, path: Path, number: int, count: int, dimension: int) -> Segment:
        """Map as many of the first ``count`` rows as there are."""
        size = 0
        with suppress(FileNotFoundError):
            status = path.lstat()
            size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        there = min(count, size // (dimension * _FLOAT.itemsize))
        return cls.map(path, number, there, dimension) if there else cls.none(number, dimension)

    def damaged(self, chunks: Iterable[tuple[int, int, bytes]]) -> list[range]:
        """Rows whose checksum is wrong; chunks are (first row, number of rows, checksum)."""
        return [
            range(first, first + count)
            for first, count, wanted in chunks
            if checksum(self.rows[first : first + count].tobytes()) != wanted
        ]


class Vectors:
    """Which passage has which vector, and the search over all of them.

    Args:
        segments: The segments.
        passages: Ids (n,), ascending.
        owners: Number of the segment that holds each passage's vector (n,).
        rows: The vector's row in that segment (n,).
    """

    def __init__(self, segments: Sequence[Segment], passages: Ids, owners: Ids, rows: Ids) -> None:
        self.passages = passages
        self._segments = segments
        self._owners = owners
        self._rows = rows
        by_row = np.argsort(rows, kind="stable")
        self._members = [by_row[owners[by_row] == segment.number] for segment in segments]

    def positions(self, ids: Ids) -> Ids:
        """Where passages stand in ``passages``; -1 for those that aren't there."""
        if not len(self.passages):
            return np.full(len(ids), -1, np.int64)
        found = np.searchsorted(self.passages, ids).clip(max=len(self.passages) - 1)
        return np.where(self.passages[found] == ids, found, -1)

    def mask(self, allowed: Ids | None) -> npt.NDArray[np.bool_] | None:
        """Whether each of ``passages`` is allowed; None where all are."""
        if allowed is None:
            return None
        mask = np.zeros(len(self.passages), bool)
        positions = self.positions(np.asarray(allowed, np.int64))
        mask[positions[positions >= 0]] = True
        return mask

    def nearest(self, questions: Floats, k: int, allowed: Ids | None) -> tuple[Ids, Floats]:
        """See ``Store.nearest``."""
        k = min(k, len(self.passages))
        best = [Best(k) for _ in questions]
        mask = self.mask(allowed)
        for segment, members in zip(self._segments, self._members, strict=True):
            chosen = members if mask is None else members[mask[members]]
            for positions, scores in self._scores(segment, chosen, questions):
                for pool, row in zip(best, scores, strict=True):
                    pool.add(positions, row)
        ids = np.full((len(questions), k), -1, np.int64)
        cosines = np.full((len(questions), k), -np.inf, np.float32)
        for number, pool in enumerate(best):
            positions, scores = pool.result()
            ids[number, : len(positions)] = self.passages[positions]
            cosines[number, : len(positions)] = scores.clip(-1, 1)
        return ids, cosines

    def cosines(self, questions: Floats, passages: Ids) -> Floats:
        """See ``Store.cosines``."""
        positions = self.positions(np.asarray(passages, np.int64))
        result = np.full((len(questions), len(positions)), np.nan, np.float32)
        for segment in self._segments:
            (here,) = np.nonzero((positions >= 0) & (self._owners[positions] == segment.number))
            if len(here):
                rows = segment.rows[self._rows[positions[here]]]
                result[:, here] = _products(questions, rows, segment).clip(-1, 1)
        return result

    def _scores(
        self, segment: Segment, chosen: Ids, questions: Floats
    ) -> Iterator[tuple[Ids, Floats]]:
        """Cosines of passages, chosen in the order of their rows: positions (m,), scores (q, m)."""
        rows = self._rows[chosen]
        step = max(1, _BLOCK // max(1, len(questions)))
        if len(chosen) < _FEW * len(segment.rows):
            for begin in range(0, len(chosen), step):
                part = slice(begin, begin + step)
                yield chosen[part], _products(questions, segment.rows[rows[part]], segment)
            return
        for begin in range(0, len(segment.rows), step):
            block = segment.rows[begin : begin + step]
            first, last = np.searchsorted(rows, (begin, begin + len(block)))
            if first == last:
                continue
            scores = _products(questions, block, segment)
            inside = rows[first:last] - begin
            if len(inside) != len(block) or not np.array_equal(inside, np.arange(len(block))):
                scores = scores[:, inside]
            yield chosen[first:last], scores


def _products(questions: Floats, rows: Floats, segment: Segment) -> Floats:
    """Cosines (q, m), unless they show that a vector is not one of ours."""
    with one_blas_thread():
        scores: Floats = questions @ rows.T
    if scores.size and not (scores.max() < 1.01 and scores.min() > -1.01):
        raise IndexDamaged(
            f"{segment.path} holds values that are not unit vectors.",
            hint="Check the index and let it be repaired.",
            file=str(segment.path),
        )
    return scores


class Best:
    """The k best of scores that arrive in blocks.

    Args:
        k: How many are wanted.
    """

    def __init__(self, k: int) -> None:
        self._k = k
        self._positions = np.empty(0, np.int64)
        self._scores = np.empty(0, np.float32)
        self._threshold = -np.inf

    def add(self, positions: Ids, scores: Floats) -> None:
        """Take a block: positions (m,) and their scores (m,)."""
        if not self._k:
            return
        (better,) = np.nonzero(scores >= self._threshold)
        if len(better) > self._k:
            found = scores[better]
            better = better[found >= np.partition(found, -self._k)[-self._k]]
        if not len(better):
            return
        self._positions = np.concatenate([self._positions, positions[better]])
        self._scores = np.concatenate([self._scores, scores[better]])
        order = np.lexsort((self._positions, -self._scores))[: self._k]
        self._positions, self._scores = self._positions[order], self._scores[order]
        if len(order) == self._k:
            self._threshold = float(self._scores[-1])

    def result(self) -> tuple[Ids, Floats]:
        """Positions and scores, best first, ties by position."""
        return self._positions, self._scores
