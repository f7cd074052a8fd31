"""How fast the store is, beside a bare matrix product and beside other stores.

    python bench/store.py [--passages 200000] [--parts search,keyword,growth,load]

Prints one line of JSON for each figure. The index is synthetic: random unit vectors, and texts of
words drawn as words of a language are (Zipf), so that common terms are in nearly every passage.
Times are medians, in seconds, of alternating runs in one process. Stores that are not installed
(faiss-cpu, lancedb, sqlite-vec) are left out, which a line says.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "inst" / "python"))

from tanya.keywords import terms
from tanya.store import EmbeddedStore, Floats, Manifest
from tanya.types import Document, Passage, content_hash

PER_DOCUMENT = 20
WORDS = 60
QUESTION_TERMS = 8


def figure(name: str, **values: object) -> None:
    """Print one figure."""
    rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()}
    print(json.dumps({"figure": name, **rounded}), flush=True)


def unit_rows(generator: np.random.Generator, count: int, dimension: int) -> Floats:
    """Random unit rows (count, dimension)."""
    rows = generator.standard_normal((count, dimension), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def vocabulary(size: int = 50_000) -> tuple[list[str], np.ndarray]:
    """Words, and the share of each among the words of a text."""
    generator = np.random.default_rng(1)
    syllables = [c + v for c in "bcdghjklmnprstwy" for v in "aiueo"]
    words = [
        "".join(generator.choice(syllables, 3)) + str(n % 7) * (n % 3 == 0) for n in range(size)
    ]
    share = 1 / np.arange(2, size + 2)
    return words, share / share.sum()


def documents(passages: int) -> Iterator[tuple[Document, list[Passage]]]:
    """Synthetic documents of ``PER_DOCUMENT`` passages."""
    words, share = vocabulary()
    generator = np.random.default_rng(2)
    for number in range(passages // PER_DOCUMENT):
        drawn = generator.choice(len(words), (PER_DOCUMENT, WORDS), p=share)
        stretches = [" ".join(words[w] for w in row) + "\n" for row in drawn]
        text = "".join(stretches)
        ends = np.cumsum([len(stretch) for stretch in stretches])
        cut = [
            Passage(int(end) - len(stretch), int(end), stretch)
            for end, stretch in zip(ends, stretches, strict=True)
        ]
        yield Document(f"d{number:06}", text, "text", content_hash(text)), cut


def build(directory: Path, vectors: Floats) -> None:
    """Fill an index."""
    store = EmbeddedStore.create(directory, Manifest({}, {}, vectors.shape[1]))
    start = time.perf_counter()
    with store.writer() as writer:
        first = 0
        for document, passages in documents(len(vectors)):
            writer.put(document, passages, vectors[first : first + len(passages)])
            first += len(passages)
    seconds = time.perf_counter() - start
    counts = store.counts()
    figure("build", passages=counts.passages, seconds=seconds, per_second=counts.passages / seconds)
    figure("disk", bytes=counts.bytes, vectors=vectors.nbytes, ratio=counts.bytes / vectors.nbytes)
    store.close()


def median(work: Callable[[], object], runs: int) -> float:
    """Median seconds of a call."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def alternate(works: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Median seconds of each of several calls, taken in turns so that all meet the same noise."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(runs):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def resident() -> int:
    """Resident bytes of this process, mapped files included."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory(directory: Path, questions: Floats, size: int) -> None:
    """What opening and searching adds to the memory of a process."""

    def measure(pipe: object) -> None:
        EmbeddedStore.open(directory).close()
        before = resident()
        start = time.perf_counter()
        store = EmbeddedStore.open(directory)
        opened = time.perf_counter() - start
        start = time.perf_counter()
        store.nearest(questions[:1], 10)
        first = time.perf_counter() - start
        store.nearest(questions, 10)
        store.keyword([["baca"]], 100)
        pipe.send((opened, first, resident() - before))  # type: ignore[attr-defined]

    receiver, sender = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=measure, args=(sender,))
    child.start()
    opened, first, added = receiver.recv()
    child.join()
    figure("open", seconds=opened, limit=0.5)
    figure("first_search", seconds=first)
    figure("resident", bytes=added, ratio=added / size, limit=1.2)


def bare(vectors: Floats, questions: Floats, k: int) -> np.ndarray:
    """The least that has to be done: a matrix product and a partition."""
    scores = questions @ vectors.T
    best = np.argpartition(-scores, k, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
    return np.take_along_axis(best, order, 1)


def rivals(folder: Path, vectors: Floats) -> dict[str, Callable[[Floats], object]]:
    """Exact top-10 search of each other store that is installed."""
    found: dict[str, Callable[[Floats], object]] = {}
    for name, make in (("faiss", _faiss), ("lancedb", _lancedb), ("sqlite_vec", _sqlite_vec)):
        try:
            found[name] = make(importlib.import_module(name), folder, vectors)
        except (ImportError, AttributeError) as error:  # some builds of Python load no extensions
            figure("rival", store=name, missing=str(error))
    return found


def _faiss(faiss, folder: Path, vectors: Floats):  # type: ignore[no-untyped-def]
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return lambda questions: index.search(questions, 10)


def _lancedb(lancedb, folder: Path, vectors: Floats):  # type: ignore[no-untyped-def]
    import pyarrow

    values = pyarrow.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1])
    data = pyarrow.table({"id": np.arange(len(vectors)), "vector": values})
    table = lancedb.connect(str(folder / "lance")).create_table("t", data)

    def search(questions: Floats) -> object:
        return [
            table.search(question).metric("cosine").select(["id", "_distance"]).limit(10).to_arrow()
            for question in questions
        ]

    return search


def _sqlite_vec(sqlite_vec, folder: Path, vectors: Floats):  # type: ignore[no-untyped-def]
    connection = sqlite3.connect(folder / "vec.sqlite")
    connection.enable_load_extension(True)
    sqlite_vec.load(connection)
    connection.execute(f"CREATE VIRTUAL TABLE t USING vec0 (v float[{vectors.shape[1]}])")
    with connection:
        connection.executemany(
            "INSERT INTO t (rowid, v) VALUES (?, ?)",
            ((number, row.tobytes()) for number, row in enumerate(vectors)),
        )

    def search(questions: Floats) -> object:
        query = "SELECT rowid, distance FROM t WHERE v MATCH ? AND k = 10"
        return [connection.execute(query, (q.tobytes(),)).fetchall() for q in questions]

    return search


def search(directory: Path, folder: Path, vectors: Floats, questions: Floats) -> None:
    """Exact top-10 for one question and for a batch of 64, beside the others."""
    store = EmbeddedStore.open(directory)
    others = rivals(folder, vectors)
    for batch in (1, 64):
        asked = questions[:batch]
        wanted = bare(vectors, asked, 10)
        assert (store.nearest(asked, 10)[0] - 1 == wanted).mean() > 0.999
        works = {
            "numpy": lambda asked=asked: bare(vectors, asked, 10),
            "tanya": lambda asked=asked: store.nearest(asked, 10),
        }
        seconds = alternate(works, 15 if batch == 1 else 7)
        for name, work in others.items():
            if batch == 1:
                work(asked)
            seconds[name] = median(
                lambda work=work, asked=asked: work(asked), 3 if batch == 1 else 1
            )
        for name, taken in seconds.items():
            values = {"limit": 1.5} if name == "tanya" else {}
            figure(
                f"top10_batch{batch}",
                store=name,
                seconds=taken,
                ratio=taken / seconds["numpy"],
                **values,
            )
    allowed = np.arange(1, len(vectors) + 1, 3)
    figure(
        "top10_filtered_third", seconds=median(lambda: store.nearest(questions[:1], 10, allowed), 7)
    )
    few = np.arange(1, len(vectors) + 1, 100)
    figure(
        "top10_filtered_hundredth", seconds=median(lambda: store.nearest(questions[:1], 10, few), 7)
    )
    store.close()


def keyword(directory: Path, folder: Path, passages: int) -> None:
    """BM25 of a question of eight words, beside SQLite's FTS5."""
    words, share = vocabulary()
    generator = np.random.default_rng(3)
    asked = [
        [terms(words[w])[0] for w in generator.choice(len(words), QUESTION_TERMS, p=share)]
        for _ in range(20)
    ]
    store = EmbeddedStore.open(directory)
    connection = sqlite3.connect(folder / "fts.sqlite")
    connection.execute("CREATE VIRTUAL TABLE t USING fts5 (words, content='', detail=none)")
    with connection:
        rows = (
            (" ".join(terms(passage.text)),) for _, cut in documents(passages) for passage in cut
        )
        connection.executemany("INSERT INTO t (words) VALUES (?)", rows)

    def fts(question: list[str], k: int) -> object:
        matching = " OR ".join(f'"{term}"' for term in question)
        query = "SELECT rowid, rank FROM t WHERE t MATCH ? ORDER BY rank LIMIT ?"
        return connection.execute(query, (matching, k)).fetchall()

    for name, k in (("best_100", 100), ("all", passages)):
        seconds = alternate(
            {
                "tanya": lambda k=k: [store.keyword([question], k) for question in asked],
                "fts5": lambda k=k: [fts(question, k) for question in asked],
            },
            3,
        )
        for store_name, taken in seconds.items():
            figure(f"keyword_{name}", store=store_name, seconds=taken / len(asked))
    store.close()


def growth(directory: Path, folder: Path, vectors: Floats) -> None:
    """Adding one document of one passage to an index, and to one of a tenth of its size."""
    tenth = folder / "tenth"
    if not tenth.exists():
        build(tenth, vectors[: len(vectors) // 10])
    generator = np.random.default_rng(4)
    texts = (passage.text for _, cut in documents(len(vectors)) for passage in cut)

    def add(index: EmbeddedStore) -> None:
        text = next(texts)
        document = Document(f"x{generator.integers(10**12)}", text, "text", content_hash(text))
        with index.writer() as writer:
            writer.put(
                document, [Passage(0, len(text), text)], unit_rows(generator, 1, vectors.shape[1])
            )

    small, large = EmbeddedStore.open(tenth), EmbeddedStore.open(directory)
    seconds = alternate({"tenth": lambda: add(small), "whole": lambda: add(large)}, 25)
    figure("add_one", **seconds, ratio=seconds["whole"] / seconds["tenth"])
    question = unit_rows(generator, 1, vectors.shape[1])
    large.nearest(question, 10)
    warm = median(lambda: large.nearest(question, 10), 5)
    add(large)
    figure("search_after_add", seconds=median(lambda: large.nearest(question, 10), 1), warm=warm)
    for index in (small, large):
        index.close()


def load(folder: Path, seconds: float) -> None:
    """Four readers and a writer in processes of their own."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "python"))
    from store_load import run

    for found in run(folder / "load", seconds):
        figure(
            "load",
            role=found.role,
            seconds=seconds,
            rounds=found.rounds,
            slowest=found.slowest,
            states_seen=found.versions,
            error=found.error,
        )


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=200_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--folder", type=Path, help="keep the index here, and use it again")
    parser.add_argument("--parts", default="search,keyword,growth,load")
    parser.add_argument("--seconds", type=float, default=60, help="of the load test")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    directory = folder / "large"
    generator = np.random.default_rng(5)
    vectors = unit_rows(generator, arguments.passages, arguments.dimension)
    questions = unit_rows(generator, 64, arguments.dimension)
    parts = arguments.parts.split(",")
    try:
        if not directory.exists():
            build(directory, vectors)
        memory(directory, questions, vectors.nbytes)
        if "search" in parts:
            search(directory, folder, vectors, questions)
        if "keyword" in parts:
            keyword(directory, folder, arguments.passages)
        if "growth" in parts:
            growth(directory, folder, vectors)
        if "load" in parts:
            load(folder, arguments.seconds)
    finally:
        if arguments.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
