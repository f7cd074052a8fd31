"""What the reading algorithm brings, and what it costs, on the same model and data.

    python bench/reading.py quality questions.jsonl    # against the recipe, from an index
    python bench/reading.py speed                      # against a bare forward pass

The recipe, as it is published many times over: embed each document, take the one nearest to the
question, and let a question-answering pipeline mark a span in it, scored by a softmax over the
window. ``all passages`` is the usual step on from there: mark a span in each of the k nearest
passages and take the one with the highest softmax score. Prints one JSON line for each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from measuring import alternate, medians
from transformers import AutoModel, AutoModelForQuestionAnswering

from tanya.evaluation import calibration_error, f1
from tanya.index import Index, Models
from tanya.models import READERS_OF_THE_PACKAGE, load_embedder, load_reader, preset, resolve
from tanya.packed import PackedEncoder
from tanya.reading import Request
from tanya.retrieval import Method, Search
from tanya.sources import from_texts
from tanya.types import PRECISIONS, content_hash

RIGHT_F1 = 0.5
LONGEST = 15
"""Tokens of the longest span that the pipeline considers, by its default."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A span, its score in [0, 1], and whether the method gives it as its answer."""

    text: str
    score: float
    given: bool


class Pipeline:
    """The question-answering pipeline that transformers had until version 5.3, in short.

    Softmax over the starts and over the ends of each window, the span with the highest product,
    no null.
    """

    def __init__(self) -> None:
        from peft import PeftModel

        base = resolve("compact", "embedder").directory
        model = AutoModelForQuestionAnswering.from_pretrained(base)
        adapter = PeftModel.from_pretrained(model, READERS_OF_THE_PACKAGE / "reader")
        self.model = adapter.merge_and_unload().eval()
        self.tokenizer = load_embedder("compact").tokenizer

    def __call__(self, question: str, passage: str) -> tuple[str, float]:
        """The best span of a passage and its softmax score."""
        encoded = self.tokenizer(
            question,
            passage,
            truncation="only_second",
            max_length=384,
            stride=128,
            padding=True,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        inputs = {name: encoded[name] for name in ("input_ids", "attention_mask")}
        with torch.inference_mode():
            output = self.model(**inputs)
        best = ("", -1.0)
        for row, offsets in enumerate(encoded["offset_mapping"].tolist()):
            outside = torch.tensor([side != 1 for side in encoded.sequence_ids(row)])
            start = output.start_logits[row].masked_fill(outside, -1e4).softmax(0)
            end = output.end_logits[row].masked_fill(outside, -1e4).softmax(0)
            product = torch.outer(start, end).triu().tril(LONGEST - 1)
            score, position = product.flatten().max(0)
            first, last = divmod(int(position), len(offsets))
            if float(score) > best[1]:
                best = (passage[offsets[first][0] : offsets[last][1]].strip(), float(score))
        return best


def quality(path: Path, k: int) -> None:
    """Answer the questions of a file from an index of all their contexts."""
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    questions = [row["question"] for row in rows]
    gold = [tuple(answer["text"] for answer in row["answers"]) for row in rows]
    contexts = sorted({row["context"] for row in rows})
    pair = preset("compact")
    pipeline = Pipeline()
    with tempfile.TemporaryDirectory() as folder:
        index = Index.create(Path(folder) / "i", Models(pair.embedder.id, pair.reader.id))
        index.add(from_texts(contexts, [content_hash(context) for context in contexts]))
        near = index.retrieve(questions, Search(k, Method.COSINE))
        first = [index.store.text(hits[0].passage.document) for hits in near]
        recipe = [pipeline(question, text) for question, text in zip(questions, first, strict=True)]
        several = [
            max((pipeline(question, hit.passage.text) for hit in hits), key=lambda span: span[1])
            for question, hits in zip(questions, near, strict=True)
        ]
        # Half of the questions cannot be answered, which the reader's own threshold is made for.
        own = load_reader(pair.reader.id).settings.calibration.threshold
        ours = [ranked[0] for ranked in index.ask(questions, Search(k), threshold=own)]
        index.store.close()
    show("recipe", gold, [Reply(text, score, True) for text, score in recipe])
    show("all passages", gold, [Reply(text, score, True) for text, score in several])
    show("tanya", gold, [Reply(a.candidate, a.score, a.text is not None) for a in ours])


def show(method: str, gold: Sequence[tuple[str, ...]], replies: Sequence[Reply]) -> None:
    """Print the figures of one method."""
    pairs = list(zip(gold, replies, strict=True))
    right = [bool(answers) and f1(reply.text, answers) >= RIGHT_F1 for answers, reply in pairs]
    given = [f1(reply.text if reply.given else None, answers) for answers, reply in pairs]
    answerable = [worth for worth, (answers, _) in zip(given, pairs, strict=True) if answers]
    unanswerable = [worth for worth, (answers, _) in zip(given, pairs, strict=True) if not answers]
    line = {
        "method": method,
        "questions": len(pairs),
        "f1": round(100 * statistics.fmean(given), 2),
        "answerable_f1": round(100 * statistics.fmean(answerable), 2),
        "unanswerable_declined": round(100 * statistics.fmean(unanswerable), 2),
        "forced_f1": round(100 * statistics.fmean(f1(reply.text, a) for a, reply in pairs if a), 2),
        "ece": round(calibration_error([reply.score for reply in replies], right), 4),
        "wrong_but_over_90": round(
            100
            * statistics.fmean(
                reply.score > 0.9 and not good for reply, good in zip(replies, right, strict=True)
            ),
            2,
        ),
    }
    json.dump(line, sys.stdout)
    print(flush=True)


def speed(rounds: int) -> None:
    """Time reading one question over five passages beside forward passes of the same tokens."""
    plain = AutoModel.from_pretrained(resolve("compact", "embedder").directory)
    tokenizer = load_embedder("compact").tokenizer
    sentence = "Cuti tahunan bagi karyawan tetap diberikan selama empat belas hari kerja. "
    passages = []
    for number in range(5):
        text = f"Bagian {number}. "
        while len(tokenizer.tokenize(text + sentence)) <= 200:
            text += sentence
        passages.append(text)
    request = Request("Berapa hari cuti tahunan karyawan tetap?", tuple(passages))
    inputs = tokenizer([request.question] * 5, passages, padding=True, return_tensors="pt")
    inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    rows = [
        row[mask].tolist()
        for row, mask in zip(inputs["input_ids"], inputs["attention_mask"].bool(), strict=True)
    ]
    for precision in PRECISIONS:
        embedder = load_embedder("compact", precision=precision)
        reader = load_reader("compact", embedder)
        packed = PackedEncoder(embedder.encoder, embedder.dtype)
        works = {
            "transformers_float32": lambda: plain(**inputs),
            "forward": lambda packed=packed: packed(rows),
            "read": lambda reader=reader: reader.read([request]),
        }
        with torch.inference_mode():
            middle = medians(alternate(works, rounds))
        line = {
            "precision": precision,
            "tokens": sum(map(len, rows)),
            **{f"{name}_ms": round(1000 * taken, 1) for name, taken in middle.items()},
            "ratio": round(middle["read"] / middle["forward"], 3),
            "rounds": rounds,
        }
        print(json.dumps(line))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    of_quality = commands.add_parser("quality")
    of_quality.add_argument("file", type=Path)
    of_quality.add_argument("-k", type=int, default=5)
    of_speed = commands.add_parser("speed")
    of_speed.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    if arguments.command == "quality":
        quality(arguments.file, arguments.k)
    else:
        speed(arguments.rounds)


if __name__ == "__main__":
    main()
