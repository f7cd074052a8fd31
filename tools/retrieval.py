"""Score the search on a BEIR folder, and print one JSON line for each method.

The folder holds ``corpus.jsonl`` (``_id``, ``title``, ``text``), ``queries.jsonl`` (``_id``,
``text``) and ``qrels/*.tsv`` (query-id, corpus-id, score; with a header). More corpus files can
be named, to look for the same passages among more others.

    python tools/retrieval.py FOLDER
    python tools/retrieval.py FOLDER --more distractors.jsonl

Cosine, keyword and hybrid search the texts alone. For ``hybrid + context headings`` each text
stands under its title, as a passage of a document stands under its headings: the title is given
to the embedder and to the keyword search, and is no part of the text.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from tanya.evaluation import ndcg, recall, reciprocal_rank
from tanya.index import Index, Models
from tanya.models import preset
from tanya.passages import split
from tanya.retrieval import Method, Search
from tanya.types import Document, content_hash, in_context

DEPTH = 100
"""Passages that are ranked for a question."""

BATCH = 512
"""Rows of the corpus that are embedded at a time."""


@dataclass(frozen=True, slots=True)
class Row:
    """A text of the corpus."""

    id: str
    title: str
    text: str

    @property
    def hash(self) -> str:
        """Tells whether an index has the text under this title."""
        return content_hash(f"{self.title}\n{self.text}" if self.title else self.text)


@dataclass(frozen=True, slots=True)
class Query:
    """A question and the ids of the texts that answer it."""

    text: str
    relevant: frozenset[str]


def lines(path: Path) -> Iterator[dict[str, str]]:
    """Objects of a file of JSON lines."""
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file if line.strip())


def read_corpus(paths: Sequence[Path]) -> list[Row]:
    """Rows of some corpus files; those without text are left out, as nothing can find them."""
    rows = (
        Row(line["_id"], line.get("title", "").strip(), line["text"])
        for path in paths
        for line in lines(path)
    )
    return [row for row in rows if row.text.strip()]


def read_queries(folder: Path) -> list[Query]:
    """Questions with at least one relevant text."""
    relevant: dict[str, set[str]] = defaultdict(set)
    for path in sorted((folder / "qrels").glob("*.tsv")):
        with path.open(encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                if float(row["score"]) > 0:
                    relevant[row["query-id"]].add(row["corpus-id"])
    return [
        Query(line["text"], frozenset(relevant[line["_id"]]))
        for line in lines(folder / "queries.jsonl")
        if line["_id"] in relevant
    ]


def add(index: Index, rows: Sequence[Row]) -> None:
    """Index rows, each as a document under its title; those that are there already stay."""
    there = index.store.hashes()
    documents = [(row, Document(row.id, row.text, "text", row.hash)) for row in rows]
    missing = [pair for pair in documents if there.get(pair[0].id) != pair[1].hash]
    for first in range(0, len(missing), BATCH):
        print(f"{first} of {len(missing)} embedded", end="\r", file=sys.stderr)
        batch = [
            (
                document,
                [
                    replace(passage, context=row.title)
                    for passage in split(
                        document, index.passage_settings, index.embedder.token_offsets
                    )
                ],
            )
            for row, document in missing[first : first + BATCH]
        ]
        vectors = iter(
            index.embedder.encode_passages(
                [in_context(passage) for _, passages in batch for passage in passages]
            )
        )
        with index.store.writer() as writer:
            for document, passages in batch:
                writer.put(document, passages, np.stack([next(vectors) for _ in passages]))


@contextmanager
def opened(path: Path, models: Models, language: str) -> Iterator[Index]:
    """An index, made where there is none yet."""
    index = Index.open(path) if path.exists() else Index.create(path, models, language=language)
    with closing(index.store):
        yield index


def score(index: Index, queries: Sequence[Query], method: Method) -> dict[str, float]:
    """Means over the questions; a text ranks as its best passage, a copy as what it repeats."""
    found = index.retrieve([query.text for query in queries], Search(DEPTH, method))
    ranked = [
        list(dict.fromkeys(p.document for hit in hits for p in (hit.passage, *hit.copies)))
        for hits in found
    ]
    pairs = [(ids, query.relevant) for ids, query in zip(ranked, queries, strict=True)]
    figures = {
        **{f"recall_at_{k}": fmean(recall(r, g, k) for r, g in pairs) for k in (1, 5, 10)},
        "mrr": fmean(reciprocal_rank(r, g) for r, g in pairs),
        "ndcg_at_10": fmean(ndcg(r, g, 10) for r, g in pairs),
    }
    return {name: round(value, 4) for name, value in figures.items()}


def show(name: str, index: Index, queries: Sequence[Query], method: Method) -> None:
    """Print the line of a method."""
    line = {
        "method": name,
        **score(index, queries, method),
        "queries": len(queries),
        "passages": index.store.counts().passages,
    }
    print(json.dumps(line), flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="more corpus files")
    parser.add_argument("--embedder", default=preset("compact").embedder.id)
    parser.add_argument("--language", default="indonesian", help="stemmer of the keyword search")
    parser.add_argument("--keep", type=Path, help="folder to keep the indexes in, for another run")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    corpus = read_corpus([folder / "corpus.jsonl", *arguments.more])
    queries = read_queries(folder)
    models = Models(arguments.embedder, preset("compact").reader.id)
    with tempfile.TemporaryDirectory() as temporary:
        where: Path = arguments.keep or Path(temporary)
        where.mkdir(parents=True, exist_ok=True)
        bare, headed = where / "bare.tanya", where / "headed.tanya"
        with opened(bare, models, arguments.language) as index:
            add(index, [replace(row, title="") for row in corpus])
            for method in (Method.COSINE, Method.KEYWORD, Method.HYBRID):
                show(method.value, index, queries, method)
        if not headed.exists():
            shutil.copytree(bare, headed)  # What has no title need not be embedded again.
        with opened(headed, models, arguments.language) as index:
            add(index, corpus)
            show("hybrid + context headings", index, queries, Method.HYBRID)


if __name__ == "__main__":
    main()
