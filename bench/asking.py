"""What rag_ask() takes for one question, warm, and where the time goes.

    python bench/asking.py

The index holds passages of as many tokens as tanya makes them at most, from the words of the
sample documents; their vectors are drawn at random, as the time does not depend on what they
hold. Every question is asked three times, once for each part: embedded; embedded and searched for;
and asked through the bridge, as R asks it. Prints one JSON line, times in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from tanya import bridge
from tanya.documents import read
from tanya.index import Index, Models
from tanya.models import preset
from tanya.passages import split
from tanya.sources import from_paths
from tanya.types import Document, content_hash

SAMPLES = Path(__file__).parents[1] / "inst" / "extdata" / "perusahaan"
WARM_UP = 5
"""Questions that are asked before any is timed."""


def sentences() -> list[str]:
    """Lines of the sample documents."""
    documents = [found for found in read(from_paths([SAMPLES])) if isinstance(found, Document)]
    return [
        line.strip()
        for document in documents
        for line in document.text.splitlines()
        if len(line.split()) > 5
    ]


def fill(index: Index, passages: int) -> None:
    """Put full passages of shuffled sentences with random vectors into an index."""
    chance, numbers = random.Random(4), np.random.default_rng(4)
    lines = sentences()
    with index.store.writer() as writer:
        made = 0
        while made < passages:
            text = "\n".join(chance.choices(lines, k=400))
            document = Document(f"document {made}", text, "text", content_hash(text))
            cut = split(document, index.passage_settings, index.embedder.token_offsets)
            cut = cut[: passages - made]
            vectors = numbers.normal(size=(len(cut), index.embedder.dimension))
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            writer.put(document, cut, vectors.astype(np.float32))
            made += len(cut)


def milliseconds(work: Callable[[], object]) -> float:
    """Time that some work takes."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def asked(path: Path, question: str, k: int) -> None:
    """What rag_ask() calls for one question."""
    for name, arguments in (("ask", {"questions": question, "k": k}), ("reader", {})):
        reply = bridge.call(name, {"path": str(path), **arguments})
        if not reply["ok"]:
            raise RuntimeError(reply["error"]["message"])


def measure(path: Path, index: Index, questions: Sequence[str], k: int) -> dict[str, float]:
    """Times over the questions."""
    for question in questions[:WARM_UP]:
        asked(path, question, k)
    rows = [
        (
            milliseconds(lambda q=question: index.embedder.encode_questions([q])),
            milliseconds(lambda q=question: index.retrieve([q])),
            milliseconds(lambda q=question: asked(path, q, k)),
        )
        for question in questions
    ]
    embedding, searching, asking = (statistics.median(column) for column in zip(*rows, strict=True))
    whole = sorted(row[2] for row in rows)
    return {
        "embedding": round(embedding, 1),
        "search": round(searching - embedding, 1),
        "reading": round(asking - searching, 1),
        "median": round(asking, 1),
        "p95": round(float(np.quantile(whole, 0.95)), 1),
        "worst": round(whole[-1], 1),
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=4000)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("-k", type=int, default=5, help="passages read for a question")
    arguments = parser.parse_args()
    chance = random.Random(9)
    lines = sentences()
    questions = [
        " ".join(["Berapa", *chance.choice(lines).split()[:8]]) for _ in range(arguments.questions)
    ]
    pair = preset("compact")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "asked.tanya"
        index = Index.create(path, Models(pair.embedder.id, pair.reader.id))
        fill(index, arguments.passages)
        line = {
            "passages": index.store.counts().passages,
            "questions": len(questions),
            "k": arguments.k,
            "threads": torch.get_num_threads(),
            **measure(path, index, questions, arguments.k),
        }
        bridge.call("close", {"path": str(path)})
        index.store.close()
    json.dump(line, sys.stdout)
    print()


if __name__ == "__main__":
    main()
