"""The store in a directory: all that any store does, and what only a directory can do."""

from __future__ import annotations

from pathlib import Path

from store_conformance import Conformance
from store_support import MANIFEST

from tanya.store import EmbeddedStore, Store


class TestEmbedded(Conformance):
    """The conformance suite."""

    def new_store(self, directory: Path) -> Store:
        return EmbeddedStore.create(directory / "indeks.tanya", MANIFEST)
