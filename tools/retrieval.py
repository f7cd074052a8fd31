"""Score the search on a BEIR folder, and print one JSON line for each method.

The folder holds ``corpus.jsonl`` (``_id``, ``title``, ``text``), ``queries.jsonl`` (``_id``,
``text``) and ``qrels/*.tsv`` (query-id, corpus-id, score; with a header). More corpus files can
be named, to look for the same passages among more others.

    python tools/retrieval.py FOLDER
    python tools/retrieval.py FOLDER --more distractors.jsonl
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from tanya.evaluation import ndcg, recall, reciprocal_rank
from tanya.index import Index, Models
from tanya.models import preset
from tanya.retrieval import Method
from tanya.sources import from_texts

DEPTH = 100


def lines(path: Path) -> Iterator[dict[str, str]]:
    """Objects of a file of JSON lines."""
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file if line.strip())


def relevance(folder: Path) -> dict[str, set[str]]:
    """Relevant corpus ids of each query."""
    relevant: dict[str, set[str]] = defaultdict(set)
    for path in sorted((folder / "qrels").glob("*.tsv")):
        with path.open(encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                if float(row["score"]) > 0:
                    relevant[row["query-id"]].add(row["corpus-id"])
    return relevant


def best_documents(index: Index, questions: Sequence[str], method: Method) -> list[list[str]]:
    """Documents of each question in order of their best passage."""
    return [
        list(dict.fromkeys(hit.passage.document for hit in hits))
        for hits in index.retrieve(questions, DEPTH, method)
    ]


def figures(ranked: Sequence[Sequence[str]], relevant: Sequence[set[str]]) -> Mapping[str, float]:
    """Means over the questions."""
    pairs = list(zip(ranked, relevant, strict=True))
    return {
        **{
            f"recall_at_{k}": round(fmean(recall(r, g, k) for r, g in pairs), 4) for k in (1, 5, 10)
        },
        "mrr": round(fmean(reciprocal_rank(r, g) for r, g in pairs), 4),
        "ndcg_at_10": round(fmean(ndcg(r, g, 10) for r, g in pairs), 4),
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="more corpus files")
    parser.add_argument("--embedder", default=preset("compact").embedder)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    corpus = [row for path in (folder / "corpus.jsonl", *arguments.more) for row in lines(path)]
    relevant = relevance(folder)
    queries = {
        row["_id"]: row["text"] for row in lines(folder / "queries.jsonl") if row["_id"] in relevant
    }
    with tempfile.TemporaryDirectory() as temporary:
        models = Models(arguments.embedder, preset("compact").reader)
        index = Index.create(Path(temporary) / "corpus.tanya", models)
        texts = [f"{row.get('title', '')}\n{row['text']}".strip() for row in corpus]
        index.add(from_texts(texts, [row["_id"] for row in corpus]))
        for method in (Method.COSINE, Method.KEYWORD, Method.HYBRID):
            ranked = best_documents(index, list(queries.values()), method)
            line = {
                "method": method.value,
                **figures(ranked, [relevant[id] for id in queries]),
                "queries": len(queries),
                "passages": index.store.counts().passages,
            }
            json.dump(line, sys.stdout)
            print(flush=True)
        index.store.close()


if __name__ == "__main__":
    main()
