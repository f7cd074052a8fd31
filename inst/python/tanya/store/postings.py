"""The keyword index: for each term the passages that hold it, scored by BM25.

It lives in one ordinary table, not in SQLite's FTS5: every build of SQLite has it, the terms are
ours (see ``tanya.keywords``), and scoring all passages of a common term with numpy is many times
faster than row by row (bench/store.py compares). An entry is (passage, count); the entries of
one commit for one term are one blob: 4 bytes of passage id relative to the row's ``first``, for
each, one byte of count for each, and a CRC-32. Entries of removed passages stay until ``compact``;
they are recognised by their passage being gone.

BM25 after Robertson & Zaragoza (2009), "The Probabilistic Relevance Framework", with the
non-negative inverse document frequency of Lucene.
"""

from __future__ import annotations

import sqlite3
import struct
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tanya.store.protocol import Floats, Ids
from tanya.store.schema import bind
from tanya.store.segments import Best, Vectors

__all__ = ["Keywords", "Pending", "decode", "encode", "is_whole"]

_K1 = 1.2
_B = 0.75
_ID = np.dtype("<u4")
_CHECKSUM = 4
_MOST = 255  # a count of more says nothing more; BM25 is flat there


def encode(term: str, first: int, entries: Mapping[int, int]) -> bytes:
    """Entries {passage: count} of one term as a blob; passages ascend and start at ``first``."""
    ids = (passage - first for passage in entries)
    payload = struct.pack(f"<{len(entries)}I{len(entries)}B", *ids, *entries.values())
    return payload + _checksum(term, first, payload)


def decode(first: int, blob: bytes) -> tuple[Ids, Ids]:
    """Passage ids (n,) and counts (n,) of a blob."""
    number = (len(blob) - _CHECKSUM) // (_ID.itemsize + 1)
    ids = np.frombuffer(blob, _ID, number).astype(np.int64) + first
    return ids, np.frombuffer(blob, np.uint8, number, number * _ID.itemsize).astype(np.int64)


def is_whole(term: str, first: int, blob: bytes) -> bool:
    """Whether a blob is what ``encode`` made."""
    return _checksum(term, first, blob[:-_CHECKSUM]) == blob[-_CHECKSUM:]


def _checksum(term: str, first: int, payload: bytes) -> bytes:
    label = f"{first} {term}".encode("utf-8", "surrogatepass")
    return zlib.crc32(payload, zlib.crc32(label)).to_bytes(_CHECKSUM, "little")


class Pending:
    """Terms of passages whose commit is being prepared.

    A passage may be taken and then not come to be, because its document could not be stored; what
    is written is only what is there.
    """

    def __init__(self) -> None:
        self._counts: dict[int, dict[str, int]] = {}

    def add(self, passage: int, terms: Iterable[str]) -> int:
        """Take the terms of a passage; its length in terms."""
        counts = {term: min(count, _MOST) for term, count in Counter(terms).items()}
        self._counts[passage] = counts
        return sum(counts.values())

    def write(self, connection: sqlite3.Connection, generation: int) -> None:
        """Write everything taken so far, and forget it."""
        if not self._counts:
            return
        entries: defaultdict[str, dict[int, int]] = defaultdict(dict)
        for (passage,) in connection.execute(
            "SELECT key FROM passages WHERE key >= ? ORDER BY key", (min(self._counts),)
        ):
            for term, count in self._counts[passage].items():
                entries[term][passage] = count
        connection.executemany(
            "INSERT OR REPLACE INTO postings VALUES (?, ?, ?, ?)",
            (
                (generation, bind(term), first := next(iter(found)), encode(term, first, found))
                for term, found in sorted(entries.items())
            ),
        )
        self._counts.clear()


class Keywords:
    """BM25 over the passages of one state of the index.

    Args:
        connection: A connection that sees that state.
        generation: The generation whose passages answer.
        vectors: Its passages.
        lengths: Number of terms of each passage (n,).
    """

    def __init__(
        self, connection: sqlite3.Connection, generation: int, vectors: Vectors, lengths: Ids
    ) -> None:
        self._connection = connection
        self._generation = generation
        self._vectors = vectors
        average = float(lengths.mean()) if len(lengths) else 0.0
        self._norms = (_K1 * (1 - _B + _B * lengths / max(average, 1.0))).astype(np.float32)

    def best(
        self, questions: Sequence[Sequence[str]], k: int, allowed: Ids | None
    ) -> tuple[Ids, Floats]:
        """See ``Store.keyword``."""
        passages = self._vectors.passages
        mask = self._vectors.mask(allowed)
        k = min(k, len(passages))
        ids = np.full((len(questions), k), -1, np.int64)
        scores = np.full((len(questions), k), -np.inf, np.float32)
        for number, terms in enumerate(questions):
            all_scores = self._scores(terms)
            matching = all_scores > 0 if mask is None else (all_scores > 0) & mask
            (positions,) = np.nonzero(matching)
            best = Best(k)
            best.add(positions, all_scores[positions])
            positions, found = best.result()
            ids[number, : len(positions)] = passages[positions]
            scores[number, : len(positions)] = found
        return ids, scores

    def _scores(self, terms: Iterable[str]) -> Floats:
        """Score of every passage (n,); 0 where it shares no term."""
        scores = np.zeros(len(self._norms), np.float32)
        for term, weight in Counter(terms).items():
            positions, counts = self._entries(term)
            rarity = np.log1p((len(scores) - len(positions) + 0.5) / (len(positions) + 0.5))
            gain = counts * (_K1 + 1) / (counts + self._norms[positions])
            scores[positions] += np.float32(weight * rarity) * gain
        return scores

    def _entries(self, term: str) -> tuple[Ids, Floats]:
        """Positions and counts of the passages that hold a term and are still there."""
        rows = self._connection.execute(
            "SELECT first, entries FROM postings WHERE generation = ? AND term = ? ORDER BY first",
            (self._generation, bind(term)),
        )
        parts = [decode(first, blob) for first, blob in rows]
        if not parts:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        positions = self._vectors.positions(np.concatenate([ids for ids, _ in parts]))
        counts = np.concatenate([counts for _, counts in parts]).astype(np.float32)
        live = positions >= 0
        return positions[live], counts[live]
