"""Make a BEIR folder, for tools/retrieval.py, out of questions with known answers.

    python tools/beir.py questions.jsonl FOLDER      # a file as tools/quality.py reads it
    python tools/beir.py gold.csv FOLDER DOCUMENTS   # as rag_evaluate() takes it

From a file of questions the pool is all contexts, and the context of a question is what has to be
found; questions without an answer are left out. From gold.csv and its documents the pool is
tanya's own passages, under their headings, and what has to be found is every passage of the right
document that holds a known answer.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tanya.documents import read
from tanya.models import load_embedder
from tanya.passages import PassageSettings, split
from tanya.sources import from_paths
from tanya.types import Document, content_hash

Row = Mapping[str, str]
Relevant = Mapping[str, list[str]]
"""Ids of the texts to be found, for the id of each question."""


def from_questions(path: Path) -> tuple[list[Row], list[Row], Relevant]:
    """Corpus, queries and what is relevant, from a file of questions with their contexts."""
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    contexts = {content_hash(row["context"]): row for row in rows}
    corpus = [
        {"_id": id, "title": row.get("title", ""), "text": row["context"]}
        for id, row in contexts.items()
    ]
    answerable = [row for row in rows if row["answers"]]
    queries = [{"_id": str(row["id"]), "text": row["question"]} for row in answerable]
    return corpus, queries, {str(r["id"]): [content_hash(r["context"])] for r in answerable}


def from_gold(path: Path, folder: Path) -> tuple[list[Row], list[Row], Relevant]:
    """Corpus, queries and what is relevant, from known answers and the documents they are in."""
    embedder = load_embedder()
    documents = [found for found in read(from_paths([folder])) if isinstance(found, Document)]
    passages = {
        f"{document.id}#{number}": (document.id, passage)
        for document in documents
        for number, passage in enumerate(split(document, PassageSettings(), embedder.token_offsets))
    }
    corpus = [
        {"_id": id, "title": passage.context, "text": passage.text}
        for id, (_, passage) in passages.items()
    ]
    with path.open(encoding="utf-8", newline="") as file:
        gold = [row for row in csv.DictReader(file) if row["answer"]]
    relevant = {
        row["id"]: [
            id
            for id, (document, passage) in passages.items()
            if document == row["document"] and _holds(passage.text, row["answer"].split(" || "))
        ]
        for row in gold
    }
    for row in gold:
        if not relevant[row["id"]]:
            print(f"left out, as no passage holds its answer whole: {row['question']}")
    found = [row for row in gold if relevant[row["id"]]]
    return corpus, [{"_id": row["id"], "text": row["question"]} for row in found], relevant


def _holds(text: str, answers: Iterable[str]) -> bool:
    """Whether a text holds one of the answers, white space aside."""
    plain = " ".join(text.split())
    return any(" ".join(answer.split()) in plain for answer in answers)


def write(folder: Path, corpus: list[Row], queries: list[Row], relevant: Relevant) -> None:
    """Write the three files of a BEIR folder."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name, rows in (("corpus", corpus), ("queries", queries)):
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with (folder / "qrels" / "test.tsv").open("w", encoding="utf-8") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        for row in queries:
            file.writelines(f"{row['_id']}\t{id}\t1\n" for id in relevant[row["_id"]])
    print(f"{len(queries)} questions on {len(corpus)} texts in {folder}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="questions: .jsonl with contexts, or .csv")
    parser.add_argument("folder", type=Path, help="folder to make")
    parser.add_argument("documents", type=Path, nargs="?", help="folder that a .csv speaks of")
    arguments = parser.parse_args()
    if arguments.file.suffix == ".csv":
        if arguments.documents is None:
            parser.error("a .csv of questions needs the folder of its documents")
        write(arguments.folder, *from_gold(arguments.file, arguments.documents))
    else:
        write(arguments.folder, *from_questions(arguments.file))


if __name__ == "__main__":
    main()
