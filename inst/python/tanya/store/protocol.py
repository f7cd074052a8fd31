"""What a store is: the values it returns and the methods every implementation has.

Reading is done on the store, writing on the writer that ``Store.writer()`` lends out. Only what
is committed can be read, and a document is committed whole or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tanya.types import Document, Failure, Passage, Place, Progress, Scalar, StoredPassage

__all__ = [
    "Counts",
    "DocumentRow",
    "Finding",
    "Floats",
    "Ids",
    "Manifest",
    "Rebuild",
    "Store",
    "Waiting",
    "Writer",
    "passage_key",
]

Floats = npt.NDArray[np.float32]
"""Vectors or scores."""

Ids = npt.NDArray[np.int64]
"""Passage ids."""

Waiting = Callable[[str], None]
"""Called once with a message when another process is writing and we wait for it."""


def passage_key(passage: Passage | StoredPassage) -> bytes:
    """16 bytes that are equal for passages that get the same embedding."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (passage.context, passage.text):
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.digest()


@dataclass(frozen=True, slots=True)
class Manifest:
    """How the passages and vectors of an index were made.

    Attributes:
        embedder: The embedder's fingerprint as plain values; compared for equality.
        passages: The passage settings as plain values.
        dimension: Length of a vector.
        language: Language of the keyword index (see ``tanya.keywords.terms``).
        created: When the index, or its latest rebuild, was begun; UTC, ISO 8601. Filled in by
            the store.
    """

    embedder: Mapping[str, Scalar]
    passages: Mapping[str, Scalar]
    dimension: int
    language: str = "indonesian"
    created: str = ""


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """One document, or one source that gave no text, as the store lists it.

    Attributes:
        id: Name in the index, unique there.
        path: Absolute path of the file, or "" for a held text.
        type: Format, such as ``"pdf"``; "" where it was not recognised.
        title: The document's own title, or "".
        pages: Number of pages or slides; None for formats without any.
        passages: Number of passages.
        characters: Length of the canonical text in code points.
        hash: ``Document.hash``.
        indexed_at: UTC, ISO 8601, to the second.
        status: ``"indexed"``, the status of the failure, or ``"incomplete"`` for a document whose
            text is there but whose passages were lost to damage (see ``Writer.restore``).
        message: What a person should know, or "".
        metadata: As given, in the given order.
    """

    id: str
    path: str
    type: str
    title: str
    pages: int | None
    passages: int
    characters: int
    hash: str
    indexed_at: str
    status: str
    message: str
    metadata: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """Sizes of an index.

    Attributes:
        documents: Documents with text.
        failures: Sources that gave none.
        passages: Passages that can be found.
        vectors: Vectors on disk, those that no passage uses any more included.
        bytes: Size of all files on disk.
    """

    documents: int
    failures: int
    passages: int
    vectors: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a check found wrong.

    Attributes:
        kind: ``"file"``, ``"vectors"``, ``"document"``, ``"passages"``, ``"keywords"`` or
            ``"stray"``.
        name: The file or document concerned.
        message: One plain sentence.
        repaired: Whether it was put right.
    """

    kind: str
    name: str
    message: str
    repaired: bool = False


class Writer(Protocol):
    """Changes an index. Work is committed every second or so and when the block is left.

    A document that was put completely is kept even when the block is left by an exception:
    documents don't depend on each other, and embedding them took time.
    """

    def known(self, keys: Sequence[bytes]) -> dict[bytes, Floats]:
        """The vectors (d,) that the index already has, by ``passage_key``."""
        ...

    def keep(self, keys: Sequence[bytes], vectors: Floats) -> None:
        """Store vectors (n, d) ahead of the documents that need them.

        So that an interrupted run has not embedded a long document in vain: from the next
        commit on, ``known`` knows them. ``Store.compact`` drops those that nothing came to use.
        """
        ...

    def put(self, document: Document, passages: Sequence[Passage], vectors: Floats) -> None:
        """Store a document, in place of an older one with its id.

        Args:
            document: The converted document.
            passages: Its passages, in order.
            vectors: Unit rows (n, d), one for each passage. A row whose passage is known is not
                stored a second time.

        Raises:
            InvalidArgument: The passages are not stretches of the document's text, or the
                vectors have another shape or length.
        """
        ...

    def pending(self) -> list[str]:
        """Ids of the documents whose text is there and whose passages were lost to damage."""
        ...

    def restore(self, id: str, passages: Sequence[Passage], vectors: Floats) -> None:
        """Give a pending document its passages back."""
        ...

    def put_failure(self, failure: Failure) -> None:
        """Store a row for a source that gave no text, in place of an older one with its id."""
        ...

    def remove(self, ids: Sequence[str]) -> int:
        """Remove documents and failures; ids that are not there are left out. How many were."""
        ...

    def set_setting(self, name: str, value: object) -> None:
        """Keep a small value that JSON can hold; None removes it."""
        ...

    def commit(self) -> None:
        """Make everything so far visible and durable, now."""
        ...


class Rebuild(Protocol):
    """Makes all passages and vectors anew while the old ones go on answering."""

    def pending(self) -> list[str]:
        """Ids of the documents still to be put, in order; shrinks as they are."""
        ...

    def known(self, keys: Sequence[bytes]) -> dict[bytes, Floats]:
        """As ``Writer.known``, among the new vectors."""
        ...

    def keep(self, keys: Sequence[bytes], vectors: Floats) -> None:
        """As ``Writer.keep``, among the new vectors."""
        ...

    def commit(self) -> None:
        """As ``Writer.commit``; the old passages go on answering."""
        ...

    def put(self, id: str, passages: Sequence[Passage], vectors: Floats) -> None:
        """Store the new passages and vectors of a document."""
        ...

    def finish(self) -> None:
        """Let the new passages answer from now on, and drop the old ones.

        Raises:
            InvalidArgument: Documents are still pending.
        """
        ...


class Store(Protocol):
    """An index. Every method may be called from any thread.

    Each call sees the latest committed state; ``reading()`` makes several calls see the same.
    """

    @property
    def manifest(self) -> Manifest:
        """How the passages that answer now were made."""
        ...

    def require(self, manifest: Manifest) -> None:
        """Raise ModelMismatch unless the index was made with the embedder of this manifest."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """Make all reads of this thread inside the block see one and the same state."""
        ...

    def counts(self) -> Counts:
        """Sizes; cheap."""
        ...

    def documents(self, ids: Sequence[str] | None = None) -> list[DocumentRow]:
        """All documents and failures, or those of the ids that are there; ordered by id."""
        ...

    def hashes(self) -> dict[str, str]:
        """``DocumentRow.hash`` by id, for telling what changed; "" for incomplete documents."""
        ...

    def text(self, id: str) -> str:
        """Canonical text of a document; "" for a failure. Unknown id: InvalidArgument."""
        ...

    def places(self, id: str, start: int = 0, end: int | None = None) -> list[Place]:
        """Places of a document that overlap code points [start, end), in stored order."""
        ...

    def passages(self, ids: Sequence[int]) -> list[StoredPassage]:
        """The passages with these ids, in the order of the ids; ids that are gone left out."""
        ...

    def passages_of(self, documents: Sequence[str] | None = None) -> list[StoredPassage]:
        """Passages of some or of all documents, by document id and ordinal."""
        ...

    def setting(self, name: str) -> object:
        """A value kept by ``Writer.set_setting``, or None."""
        ...

    def allowed(self, filter: object) -> Ids:
        """Ids of the passages whose document passes a filter (see ``tanya.filters``)."""
        ...

    def nearest(self, questions: Floats, k: int, allowed: Ids | None = None) -> tuple[Ids, Floats]:
        """The k passages with the highest cosine, exactly; ties go to the lower id.

        Args:
            questions: Unit rows (q, d).
            k: How many to return for each question.
            allowed: Only these passages.

        Returns:
            Ids and cosines in [-1, 1], both (q, min(k, number of passages)), best first. Where
            fewer are allowed the rest is -1 and -inf.
        """
        ...

    def cosines(self, questions: Floats, passages: Ids) -> Floats:
        """Cosines (q, n) of questions (q, d) with passages (n,); NaN where one is gone."""
        ...

    def keyword(
        self, questions: Sequence[Sequence[str]], k: int, allowed: Ids | None = None
    ) -> tuple[Ids, Floats]:
        """The k passages with the highest BM25 score; ties go to the lower id.

        Args:
            questions: Index terms of each question, from ``tanya.keywords.terms`` with the
                manifest's language.
            k: How many to return for each question; at least the number of passages for all.
            allowed: Only these passages. Term statistics are those of the whole index.

        Returns:
            Ids and scores, both (q, min(k, number of passages)), best first. Passages that share no
            term with the question are not returned; the rest is -1 and -inf.
        """
        ...

    def writer(
        self, wait: float = 60.0, on_wait: Waiting | None = None
    ) -> AbstractContextManager[Writer]:
        """Become the one writer.

        Args:
            wait: Seconds to wait for another writer to finish.
            on_wait: Told once, in words, that and for whom we wait.

        Raises:
            IndexLocked: Another process was writing all the time.
            IndexReadOnly: The index cannot be written to.
        """
        ...

    def rebuild(
        self, manifest: Manifest, wait: float = 60.0, on_wait: Waiting | None = None
    ) -> AbstractContextManager[Rebuild]:
        """Begin a rebuild, or go on with the one that was interrupted with the same manifest."""
        ...

    def compact(self, wait: float = 60.0, progress: Progress | None = None) -> None:
        """Give the space of removed passages back and merge what many small commits left."""
        ...

    def check(self) -> list[Finding]:
        """Verify every file, checksum and reference. Empty when all is well."""
        ...

    def repair(self, wait: float = 60.0) -> list[Finding]:
        """Check, and put right what can be: what is sound stays, what is not is taken out."""
        ...

    def close(self) -> None:
        """Let go of all files. Closing twice does nothing."""
        ...
