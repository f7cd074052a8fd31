"""How long an answer takes, beside haystack and beside the scripts that are copied around.

    python bench/asking_peers.py [--passages 5000] [--rounds 5]

All have the same two models, read the same number of passages for a question, and search as many.
``recipe`` is what published scripts do: the cosine with each passage in a loop, and a
question-answering pipeline on each of the passages found (``reading.Pipeline``). haystack needs
``haystack-ai`` and ``transformers-haystack``, which ``make bench`` installs in a place of its own;
its in-memory store is what its tutorials use, and its embedder is ours, called by a component,
because its own would only add to its time.

Only the passages that the questions are about are embedded; the vectors of all others are random,
so that they cost what passages cost but are not found. Then a break-down of ours by stage, with
the share of time that is inside matrix products and attention.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from measuring import alternate, figure, medians, mixed_texts, qa_rows
from reading import Pipeline
from torch.nn import functional

from tanya import answering, retrieval
from tanya.index import Index, Models
from tanya.models import preset
from tanya.packed import PackedEncoder
from tanya.passages import PassageSettings
from tanya.reading import Reader
from tanya.retrieval import Method, Search
from tanya.types import Document, Passage, content_hash

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")

READ = 5
SEARCH = Search(k=READ, method=Method.COSINE)
"""As the others search, so that all read the same passages."""
ABOUT = 200
"""Passages with embeddings of their own."""
AT_ONCE = 100
LARGEST_OF_HAYSTACK = 20_000
"""Above it the store of haystack takes gigabytes: each vector is a list of Python's numbers."""


def main() -> None:
    """Measure at each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", default="5000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    arguments = parser.parse_args()
    questions, texts = material(max(map(int, arguments.passages.split(","))))
    with tempfile.TemporaryDirectory() as folder:
        for count in map(int, arguments.passages.split(",")):
            index = make(Path(folder) / str(count), texts[:count])
            compare(index, texts[:count], questions, arguments.rounds)
            stages(index, questions[0], arguments.rounds)
            together(index, questions[: arguments.at_once])
            index.store.close()


def material(count: int) -> tuple[list[str], list[str]]:
    """Questions, and texts that begin with those that the questions are about."""
    rows = random.Random(2).sample(list(qa_rows("id.valid")), ABOUT)
    contexts = list(dict.fromkeys(row["context"][:1200] for row in rows))
    others = mixed_texts(min(count, 60_000))
    repeats = -(-count // len(others))
    # Beyond the texts there are, they come again with a number before them.
    filler = [f"{n} {text}" if n else text for n in range(repeats) for text in others]
    return list(dict.fromkeys(row["question"] for row in rows)), (contexts + filler)[:count]


def make(folder: Path, texts: Sequence[str]) -> Index:
    """An index with a passage for each text."""
    pair = preset("compact")
    index = Index.create(
        folder, Models(pair.embedder.id, pair.reader.id), PassageSettings(), "indonesian"
    )
    vectors = np.random.default_rng(1).standard_normal((len(texts), 384), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[:ABOUT] = index.embedder.encode_passages(texts[:ABOUT])
    with index.store.writer() as writer:
        for number, text in enumerate(texts):
            document = Document(f"d{number}", text, "text", content_hash(text))
            writer.put(document, [Passage(0, len(text), text)], vectors[number : number + 1])
    return index


def compare(index: Index, texts: Sequence[str], questions: Sequence[str], rounds: int) -> None:
    """One question at a time, each round another one."""
    works = {
        "tanya": lambda question: index.ask([question], search=SEARCH),
        "recipe": recipe(index, texts),
    }
    if len(texts) <= LARGEST_OF_HAYSTACK:
        try:
            works["haystack"] = haystack(index, texts)
        except ImportError as error:
            figure("asking", method="haystack", missing=str(error))
    middle = medians(
        alternate({name: turn(work, questions) for name, work in works.items()}, rounds)
    )
    for name, taken in middle.items():
        figure(
            "asking",
            method=name,
            passages=len(texts),
            seconds=taken,
            beside_tanya=taken / middle["tanya"],
        )


def turn(work: Callable[[str], object], questions: Sequence[str]) -> Callable[[], object]:
    """A work that asks the next question each time."""
    asked = iter(questions)
    return lambda: work(next(asked))


def recipe(index: Index, texts: Sequence[str]) -> Callable[[str], object]:
    """The cosine with each passage in turn, then a pipeline on each of the nearest."""
    pipeline = Pipeline()
    with index.store.reading():
        vectors = vectors_of(index, len(texts))

    def ask(question: str) -> object:
        [asked] = index.embedder.encode_questions([question])
        length = np.linalg.norm(asked)
        cosines = [float(row @ asked) / (np.linalg.norm(row) * length) for row in vectors]
        best = sorted(range(len(cosines)), key=cosines.__getitem__)[-READ:]
        return max((pipeline(question, texts[row]) for row in best), key=lambda span: span[1])

    return ask


def vectors_of(index: Index, count: int) -> np.ndarray:
    """All vectors of an index whose passages are numbered from 1."""
    return index.vectors(range(1, count + 1))


def haystack(index: Index, texts: Sequence[str]) -> Callable[[str], object]:
    """Haystack's own pipeline with its in-memory store and its extractive reader."""
    from haystack import Document as Held
    from haystack import Pipeline as Assembly
    from haystack import component
    from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore
    from haystack_integrations.components.readers.transformers import TransformersExtractiveReader

    @component
    class Embed:
        """The same vectors, as the lists that haystack passes on."""

        @component.output_types(embedding=list[float])
        def run(self, text: str) -> dict[str, list[float]]:
            return {"embedding": index.embedder.encode_questions([text])[0].tolist()}

    with tempfile.TemporaryDirectory() as folder:
        plain = Pipeline()
        plain.model.save_pretrained(folder)
        plain.tokenizer.save_pretrained(folder)
        reader = TransformersExtractiveReader(folder, top_k=1, no_answer=True)
        reader.warm_up()
    store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
    rows = zip(texts, vectors_of(index, len(texts)).tolist(), strict=True)
    store.write_documents(
        [Held(id=str(n), content=text, embedding=row) for n, (text, row) in enumerate(rows)]
    )
    assembly = Assembly()
    assembly.add_component("embed", Embed())
    assembly.add_component("retrieve", InMemoryEmbeddingRetriever(store, top_k=READ))
    assembly.add_component("read", reader)
    assembly.connect("embed.embedding", "retrieve.query_embedding")
    assembly.connect("retrieve.documents", "read.documents")
    return lambda question: assembly.run({"embed": {"text": question}, "read": {"query": question}})


def stages(index: Index, question: str, rounds: int) -> None:
    """Where the time of one question goes."""
    taken: dict[str, float] = {}

    def timed(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def run(*args: object, **kwargs: object) -> object:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                taken[name] = taken.get(name, 0.0) + time.perf_counter() - started

        return run

    def ask() -> object:
        return index.ask([question], search=SEARCH)

    ask()
    embedder = type(index.embedder)
    with (
        mock.patch.object(embedder, "encode_questions", timed("embed", embedder.encode_questions)),
        mock.patch.object(Reader, "read", timed("read", Reader.read)),
        mock.patch.object(answering, "retrieve", timed("retrieve", retrieval.retrieve)),
    ):
        started = time.perf_counter()
        for _ in range(rounds):
            ask()
        whole = time.perf_counter() - started
    taken["retrieve"] -= taken["embed"]
    rest = whole - sum(taken.values())
    parts = {name: 1000 * seconds / rounds for name, seconds in {**taken, "rest": rest}.items()}
    figure("stages_ms", passages=index.store.counts().passages, **parts)
    taken.clear()
    attention = functional.scaled_dot_product_attention
    with (
        mock.patch.object(torch, "addmm", timed("products", torch.addmm)),
        mock.patch.object(functional, attention.__name__, timed("attention", attention)),
        mock.patch.object(PackedEncoder, "__call__", timed("models", PackedEncoder.__call__)),
    ):
        started = time.perf_counter()
        for _ in range(rounds):
            ask()
        whole = time.perf_counter() - started
    figure("share_of_time", **{name: seconds / whole for name, seconds in taken.items()})


def together(index: Index, questions: list[str]) -> None:
    """Many questions in one call, beside one call each."""
    works = {
        "one_by_one": lambda: [index.ask([question], search=SEARCH) for question in questions],
        "at_once": lambda: index.ask(questions, search=SEARCH),
    }
    each = {name: taken / len(questions) for name, taken in medians(alternate(works, 1)).items()}
    ratio = each["one_by_one"] / each["at_once"]
    figure("at_once", questions=len(questions), **each, ratio=ratio)


if __name__ == "__main__":
    main()
