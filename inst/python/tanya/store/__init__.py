"""The index on disk: documents, passages, vectors and keywords, and nothing lost.

``Store`` says what any store can do; ``EmbeddedStore`` keeps one in a directory.
"""

from __future__ import annotations

from tanya.store.embedded import EmbeddedStore
from tanya.store.protocol import (
    Counts,
    DocumentRow,
    Finding,
    Floats,
    Ids,
    Manifest,
    Rebuild,
    Store,
    Waiting,
    Writer,
    passage_key,
)
from tanya.store.repairing import repair

__all__ = [
    "Counts",
    "DocumentRow",
    "EmbeddedStore",
    "Finding",
    "Floats",
    "Ids",
    "Manifest",
    "Rebuild",
    "Store",
    "Waiting",
    "Writer",
    "passage_key",
    "repair",
]
