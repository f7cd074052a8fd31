"""Readers and a writer at work on one index, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import random
import time
import traceback
from dataclasses import dataclass, replace
from multiprocessing.queues import Queue
from pathlib import Path

import numpy as np
from store_support import MANIFEST, REBUILT, cut, embed, make, put, put_again

from tanya.keywords import terms
from tanya.store import EmbeddedStore

DOCUMENTS = 40


@dataclass(frozen=True)
class Figures:
    """What one process did.

    Attributes:
        role: ``"reader"`` or ``"writer"``.
        rounds: States read, or commits made.
        slowest: Seconds of the slowest round.
        versions: Different states of the index that a reader has seen.
        error: The traceback of what went wrong, or "".
    """

    role: str
    rounds: int
    slowest: float
    versions: int
    error: str


def run(directory: Path, seconds: float, readers: int = 4) -> list[Figures]:
    """Let the processes work on a new index for some seconds; what each did."""
    EmbeddedStore.create(directory, MANIFEST).close()
    context = multiprocessing.get_context("spawn")
    results: Queue[Figures] = context.Queue()
    until = time.time() + seconds
    processes = [
        context.Process(target=work, args=(role, directory, until, results))
        for role in ["writer"] + ["reader"] * readers
    ]
    for process in processes:
        process.start()
    figures = [results.get(timeout=seconds + 120) for _ in processes]
    for process in processes:
        process.join()
    return figures


def work(role: str, directory: Path, until: float, results: Queue[Figures]) -> None:
    """Run in a process: read or write until the time is over."""
    rounds, slowest, seen, error = 0, 0.0, set[object](), ""
    generator = random.Random(role + str(time.time()))
    store = EmbeddedStore.open(directory)
    try:
        while time.time() < until:
            start = time.perf_counter()
            seen.add(write(store, generator) if role == "writer" else read(store, generator))
            slowest = max(slowest, time.perf_counter() - start)
            rounds += 1
        store.close()
    except Exception:
        error = traceback.format_exc()
    results.put(Figures(role, rounds, slowest, len(seen), error))


def write(store: EmbeddedStore, generator: random.Random) -> object:
    """One commit: documents added, changed and removed; sometimes a compaction or a rebuild."""
    choice = generator.random()
    if choice < 0.05:
        store.compact()
    elif choice < 0.1:
        wanted = MANIFEST if store.manifest.embedder == REBUILT.embedder else REBUILT
        with store.rebuild(wanted) as rebuild:
            for id in rebuild.pending():
                put_again(rebuild, store, id, wanted)
            rebuild.finish()
    else:
        manifest = replace(store.manifest, created="")
        with store.writer() as writer:
            for _ in range(generator.randrange(1, 5)):
                id = f"d{generator.randrange(DOCUMENTS)}"
                if generator.random() < 0.2:
                    writer.remove([id])
                else:
                    version = generator.randrange(10**9)
                    text = f"{id} versi{version} cuti " * generator.randrange(1, 60)
                    put(writer, make(id, text, metadata={"versi": version}), manifest)
    return generator.random()


def read(store: EmbeddedStore, generator: random.Random) -> object:
    """Read one state in many ways; fail where any two do not agree, or a document is partial."""
    with store.reading():
        manifest, rows = store.manifest, store.documents()
        length = int(str(manifest.passages["length"]))
        stored = {passage.id: passage for passage in store.passages_of()}
        assert len(stored) == sum(row.passages for row in rows) == store.counts().passages
        for row in generator.sample(rows, min(3, len(rows))):
            text = store.text(row.id)
            assert text == f"{row.id} versi{row.metadata['versi']} cuti " * text.count("cuti")
            passages = [passage for passage in stored.values() if passage.document == row.id]
            wanted = cut(text, length)
            assert [passage.text for passage in passages] == [passage.text for passage in wanted]
            ids = np.array([passage.id for passage in passages])
            vectors = embed(wanted, manifest.dimension)
            assert np.allclose(np.diag(store.cosines(vectors, ids)), 1, atol=1e-5)
            found, cosines = store.nearest(vectors[:1], 5)
            assert np.isclose(cosines[0, 0], 1, atol=1e-5)
            assert {id for id in found[0].tolist() if id >= 0} <= stored.keys()
            found, _ = store.keyword([terms(f"versi{row.metadata['versi']}")], 1000)
            assert {stored[id].document for id in found[0].tolist() if id >= 0} == {row.id}
            allowed = store.allowed(["==", "versi", row.metadata["versi"]])
            assert allowed.tolist() == ids.tolist()
        return frozenset(stored)
