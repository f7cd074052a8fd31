"""Any sequence of changes leaves the index as a plain dict says it should be."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from store_support import MANIFEST, REBUILT, make, put, put_again, verify

from tanya.store import EmbeddedStore, Manifest
from tanya.types import Failure, Scalar, content_hash

IDS = st.sampled_from(["a", "b", "folder/c.pdf", "d'\"\0", "🙂"])
TEXTS = st.one_of(
    st.sampled_from(["cuti tahunan " * 9, "perjalanan dinas", "x"]), st.text(min_size=1)
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(),
)
METADATA = st.dictionaries(st.text(max_size=5), VALUES, max_size=3)


class StoreMachine(RuleBasedStateMachine):
    """An index beside a dict of texts, a dict of metadata and a set of failures."""

    @initialize()
    def create(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = EmbeddedStore.create(self.folder / "indeks", MANIFEST)
        self.manifest: Manifest = MANIFEST
        self.texts: dict[str, str] = {}
        self.metadata: dict[str, dict[str, Scalar]] = {}
        self.failures: set[str] = set()

    @rule(id=IDS, text=TEXTS, metadata=METADATA)
    def add(self, id: str, text: str, metadata: dict[str, Scalar]) -> None:
        with self.store.writer() as writer:
            put(writer, make(id, text, metadata=metadata), self.manifest)
        self.texts[id], self.metadata[id] = text, metadata
        self.failures.discard(id)

    @rule(id=IDS)
    def fail(self, id: str) -> None:
        with self.store.writer() as writer:
            writer.put_failure(Failure(id, "pdf", "", "damaged", "rusak"))
        self._forget(id)
        self.failures.add(id)

    @rule(ids=st.lists(IDS))
    def remove(self, ids: list[str]) -> None:
        there = {*self.texts, *self.failures}
        with self.store.writer() as writer:
            assert writer.remove(ids) == len(there & set(ids))
        for id in ids:
            self._forget(id)

    @rule(goal=st.dictionaries(IDS, TEXTS))
    def sync(self, goal: dict[str, str]) -> None:
        hashes = self.store.hashes()
        with self.store.writer() as writer:
            writer.remove([id for id in hashes if id not in goal])
            for id, text in goal.items():
                if hashes.get(id) != content_hash(text):
                    put(writer, make(id, text), self.manifest)
        for id in {*self.texts, *self.failures, *goal}:
            if self.texts.get(id) != goal.get(id):
                self._forget(id)
            if id in goal:
                self.texts[id] = goal[id]
                self.metadata.setdefault(id, {})
        self.failures.clear()

    @rule()
    def compact(self) -> None:
        self.store.compact()

    @rule()
    def rebuild(self) -> None:
        self.manifest = REBUILT if self.manifest is MANIFEST else MANIFEST
        with self.store.rebuild(self.manifest) as rebuild:
            for id in rebuild.pending():
                put_again(rebuild, self.store, id, self.manifest)
            rebuild.finish()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = EmbeddedStore.open(self.folder / "indeks")

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        verify(self.store, self.texts)
        rows = {row.id: row for row in self.store.documents()}
        assert rows.keys() == self.texts.keys() | self.failures
        for id, metadata in self.metadata.items():
            assert rows[id].metadata == metadata
        assert replace(self.store.manifest, created="") == self.manifest

    def teardown(self) -> None:
        assert self.store.check() == []
        self.store.close()
        shutil.rmtree(self.folder)

    def _forget(self, id: str) -> None:
        self.texts.pop(id, None)
        self.metadata.pop(id, None)
        self.failures.discard(id)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=20,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
