"""Score the reader on a file of questions, and print one JSON line.

Each line of the file is an object with ``question``, ``context``, ``answers`` (a list of
``{"text": ...}``, empty where the context holds no answer). By default the reader is given the
context of each question; with ``--open`` all contexts become one index and the passage must be
found first.

    python tools/quality.py questions.jsonl
    python tools/quality.py --open questions.jsonl
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from tanya.evaluation import calibration_error, exact_match, f1
from tanya.index import Index, Models
from tanya.models import load_reader, preset
from tanya.reading import Reader, Request
from tanya.retrieval import Search
from tanya.sources import from_texts
from tanya.types import content_hash

RIGHT_F1 = 0.5


@dataclass(frozen=True, slots=True)
class Question:
    """One line of the file."""

    text: str
    context: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the reader made of a question; ``candidate`` is given even where it declines."""

    candidate: str | None
    score: float


def load(path: Path) -> list[Question]:
    """Read the file of questions."""
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    return [
        Question(
            row["question"],
            row["context"],
            tuple(answer["text"] for answer in row["answers"]),
        )
        for row in rows
    ]


def read_given(reader: Reader, questions: Sequence[Question]) -> list[Reply]:
    """Answer each question from its own context."""
    found = reader.read([Request(question.text, (question.context,)) for question in questions])
    return [
        Reply(question.context[spans[0].start : spans[0].end], reader.score(spans[0].margin))
        if spans
        else Reply(None, 0.0)
        for question, spans in zip(questions, found, strict=True)
    ]


def read_open(
    models: Models, questions: Sequence[Question], k: int, folder: Path
) -> tuple[list[Reply], dict[str, float], float]:
    """Answer each question from an index of all contexts.

    Returns:
        Replies, recall of the question's own context at 1 and 5, and the seconds of asking.
    """
    contexts = sorted({question.context for question in questions})
    index = Index.create(folder / "contexts.tanya", models)
    index.add(from_texts(contexts, [content_hash(context) for context in contexts]))
    started = time.perf_counter()
    asked = [question.text for question in questions]
    answers = [ranked[0] for ranked in index.ask(asked, Search(k), threshold=0.0)]
    seconds = time.perf_counter() - started
    replies = [Reply(answer.candidate or None, answer.score) for answer in answers]
    ranked = [[hit.passage.document for hit in hits] for hits in index.retrieve(asked)]
    own = [content_hash(question.context) for question in questions]
    recalls = {
        f"recall_at_{depth}": fmean(
            document in documents[:depth] for document, documents in zip(own, ranked, strict=True)
        )
        for depth in (1, 5)
    }
    index.store.close()
    return replies, recalls, seconds


def figures(
    questions: Sequence[Question], replies: Sequence[Reply], threshold: float
) -> dict[str, float]:
    """SQuAD 2.0 figures in percent, and the calibration error of the score."""
    pairs = list(zip(questions, replies, strict=True))
    given = [
        (question, reply.candidate if reply.score >= threshold else None)
        for question, reply in pairs
    ]
    answerable = [(question, answer) for question, answer in given if question.answers]
    unanswerable = [answer for question, answer in given if not question.answers]
    forced = [(question, reply.candidate) for question, reply in pairs if question.answers]
    return {
        "n": len(pairs),
        "em": _percent([exact_match(answer, question.answers) for question, answer in given]),
        "f1": _percent([f1(answer, question.answers) for question, answer in given]),
        "answerable_f1": _percent([f1(answer, q.answers) for q, answer in answerable]),
        "answerable_em": _percent([exact_match(answer, q.answers) for q, answer in answerable]),
        "unanswerable_accuracy": _percent([answer is None for answer in unanswerable]),
        "forced_f1": _percent([f1(answer, q.answers) for q, answer in forced]),
        "ece": round(
            calibration_error(
                [reply.score for _, reply in pairs],
                [
                    bool(q.answers) and f1(reply.candidate, q.answers) >= RIGHT_F1
                    for q, reply in pairs
                ],
            ),
            4,
        ),
    }


def _percent(values: Sequence[float]) -> float | None:
    return round(100 * fmean(values), 2) if values else None


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="questions, one JSON object a line")
    parser.add_argument("--open", action="store_true", help="find the passage first")
    parser.add_argument("--reader", default=preset("compact").reader)
    parser.add_argument("--embedder", default=preset("compact").embedder)
    parser.add_argument("-k", type=int, default=5, help="passages read for a question")
    arguments = parser.parse_args()
    questions = load(arguments.file)
    reader = load_reader(arguments.reader)
    if arguments.open:
        with tempfile.TemporaryDirectory() as folder:
            models = Models(arguments.embedder, arguments.reader)
            replies, recalls, seconds = read_open(models, questions, arguments.k, Path(folder))
    else:
        started = time.perf_counter()
        replies, recalls = read_given(reader, questions), {}
        seconds = time.perf_counter() - started
    line = figures(questions, replies, reader.settings.calibration.threshold)
    rate = {"questions_per_second": round(len(questions) / seconds, 2)}
    rounded = {name: round(100 * value, 2) for name, value in recalls.items()}
    json.dump({**line, **rate, **rounded}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
