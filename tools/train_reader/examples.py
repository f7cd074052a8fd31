"""Questions with their contexts, and the negatives made from them."""

from __future__ import annotations

import json
import random
import re
import string
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

SHINGLE_WORDS = 13
"""Two contexts that share this many words in a row count as the same text."""


@dataclass(frozen=True)
class Example:
    """One question about one context.

    `source` names the collection that it is from: "id", "en" or "office". `answers` holds
    `(text, start)` pairs, `start` in code points of `context`; it is empty when
    the context does not answer the question. `absent` holds answers known from elsewhere that
    the context of a made negative must never contain.
    """

    id: str
    source: str
    question: str
    context: str
    title: str
    answers: tuple[tuple[str, int], ...]
    absent: tuple[str, ...] = ()

    @property
    def answerable(self) -> bool:
        """Whether the context holds an answer."""
        return bool(self.answers)


def read_examples(path: Path, source: str) -> list[Example]:
    """Read a JSON-lines file of questions and check every answer against its context."""
    examples = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            answers = tuple((answer["text"], answer["start"]) for answer in row["answers"])
            for text, start in answers:
                if row["context"][start : start + len(text)] != text:
                    raise ValueError(f"{path}: answer of {row['id']} is not at its offset")
            examples.append(
                Example(
                    id=str(row["id"]),
                    source=source,
                    question=row["question"].strip(),
                    context=row["context"],
                    title=row.get("title", "").replace("_", " "),
                    answers=answers,
                )
            )
    return examples


def without_overlap(train: Sequence[Example], held_out: Sequence[Example]) -> list[Example]:
    """Drop training examples that share a title or a run of words with a held-out context."""
    titles = {example.title for example in held_out if example.title}
    shingles: set[str] = set()
    for context in {example.context for example in held_out}:
        shingles.update(_shingles(context))
    seen: dict[str, bool] = {}
    kept = []
    for example in train:
        if example.context not in seen:
            seen[example.context] = any(run in shingles for run in _shingles(example.context))
        if not seen[example.context] and example.title not in titles:
            kept.append(example)
    return kept


def _shingles(text: str) -> Iterable[str]:
    words = re.findall(r"\w+", text.lower())
    if len(words) < SHINGLE_WORDS:
        return [" ".join(words)]
    return (" ".join(words[i : i + SHINGLE_WORDS]) for i in range(len(words) - SHINGLE_WORDS + 1))


def normalise(text: str) -> str:
    """Normalise as the SQuAD script does: lower case, no punctuation, no English articles."""
    text = "".join(ch for ch in text.lower() if ch not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Return `(start, end)` offsets of rough sentences; together they cover the whole text."""
    ends = [match.end() for match in re.finditer(r"[.!?][\"')\]]*\s+(?=[^a-z])|\n+", text)]
    starts = [0, *ends]
    return [
        (start, end) for start, end in zip(starts, [*ends, len(text)], strict=True) if end > start
    ]


class ContextIndex:
    """Finds the contexts of a pool that look most like a question or another context."""

    def __init__(self, contexts: Sequence[str]) -> None:
        """Index `contexts` by sublinear tf-idf over words."""
        self.contexts = list(contexts)
        self._vectorizer = TfidfVectorizer(sublinear_tf=True, max_df=0.2, dtype=np.float32)
        self._matrix = self._vectorizer.fit_transform(self.contexts)

    def nearest(self, texts: Sequence[str], k: int, block: int = 500) -> list[list[int]]:
        """Return for each text the numbers of its `k` nearest contexts, best first."""
        found: list[list[int]] = []
        for start in range(0, len(texts), block):
            queries = self._vectorizer.transform(texts[start : start + block])
            scores = (queries @ self._matrix.T).toarray()
            k = min(k, scores.shape[1])
            top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
            order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1)
            found.extend(np.take_along_axis(top, order, axis=1).tolist())
        return found


def retrieved_negatives(
    examples: Sequence[Example], index: ContextIndex, rng: random.Random, per_question: int = 2
) -> list[Example]:
    """Pair answerable questions with retrieved contexts that do not contain the answer.

    This is what a reader behind a retriever mostly sees. A context is rejected when a gold
    answer occurs in it or when it is the question's own.
    """
    asked = [example for example in examples if example.answerable]
    asked = rng.sample(asked, min(len(asked), 6000))
    made = []
    nearest = index.nearest([f"{x.question} {x.title}" for x in asked], k=12)
    for example, candidates in zip(asked, nearest, strict=True):
        gold = _normal_answers(example)
        contexts = [index.contexts[number] for number in candidates]
        wrong = [c for c in contexts if c != example.context and not mentions(c, gold)]
        for context in rng.sample(wrong[:6], min(per_question, len(wrong[:6]))):
            made.append(without_answer(example, context, "wrong"))
    return made


def answer_removed(examples: Sequence[Example]) -> list[Example]:
    """Cut the answer's sentence out of its context: on topic, yet without the answer."""
    made = []
    for example in examples:
        if not example.answerable:
            continue
        text, start = example.answers[0]
        spans = split_sentences(example.context)
        rest = [(a, b) for a, b in spans if b <= start or a >= start + len(text)]
        context = "".join(example.context[a:b] for a, b in rest).strip()
        if len(rest) >= 2 and not mentions(context, _normal_answers(example)):
            made.append(without_answer(example, context, "cut"))
    return made


def _normal_answers(example: Example) -> tuple[str, ...]:
    return tuple(normalise(text) for text, _ in example.answers)


def mentions(context: str, normal_answers: Sequence[str]) -> bool:
    """Whether one of the normalised answers occurs in `context`."""
    text = normalise(context)
    return any(answer in text for answer in normal_answers)


def without_answer(example: Example, context: str, how: str) -> Example:
    """Ask the example's question about `context`, which does not answer it; `how` joins its id."""
    return replace(
        example,
        id=f"{example.id}-{how}",
        context=context,
        answers=(),
        absent=_normal_answers(example),
    )


_NAME = re.compile(r"(?<!^)\b[A-Z][\w'-]+(?:\s+[A-Z][\w'-]+)*")
_NUMBER = re.compile(r"\b\d[\d.,]*\b")


def entity_swapped(examples: Sequence[Example], rng: random.Random) -> list[Example]:
    """Put another name or number of the same article into the question.

    The swapped-in entity is absent from the context, so that the question asks about something
    the context does not speak of, as many of SQuAD 2.0's adversarial questions do.
    """
    pools: dict[tuple[str, str], set[str]] = defaultdict(set)
    for example in examples:
        for kind, pattern in (("name", _NAME), ("number", _NUMBER)):
            pools[example.title, kind].update(pattern.findall(example.question))
    made = []
    for example in examples:
        if not example.answerable:
            continue
        for kind, pattern in (("number", _NUMBER), ("name", _NAME)):
            found = [m for m in pattern.finditer(example.question) if m.group() in example.context]
            others = sorted(x for x in pools[example.title, kind] if x not in example.context)
            if not found or not others:
                continue
            match, asked = rng.choice(found), example.question
            question = asked[: match.start()] + rng.choice(others) + asked[match.end() :]
            made.append(replace(example, id=f"{example.id}-swap", question=question, answers=()))
            break
    return made


def passage_shaped(
    example: Example, neighbours: Sequence[str], rng: random.Random, max_chars: int
) -> Example:
    """Reshape a context into what the engine's splitter gives.

    Joins the context with a neighbouring paragraph, and cuts whole sentences around the answer
    down to `max_chars` code points.
    """
    neighbours = [text for text in neighbours if not mentions(text, example.absent)]
    parts, home = [example.context], 0
    if neighbours and rng.random() < 0.7:
        home = rng.randrange(2)
        parts.insert(1 - home, rng.choice(neighbours))
    joint = rng.choice(["\n\n", "\n"])
    offset = len(parts[0]) + len(joint) if home else 0
    text = joint.join(parts)
    answers = tuple((answer, start + offset) for answer, start in example.answers)
    low, high = _sentence_window(text, answers[0] if answers else None, rng, max_chars, offset)
    kept = tuple(
        (answer, start - low)
        for answer, start in answers
        if start >= low and start + len(answer) <= high
    )
    return replace(example, context=text[low:high], answers=kept)


def _sentence_window(
    text: str, answer: tuple[str, int] | None, rng: random.Random, max_chars: int, anchor: int
) -> tuple[int, int]:
    spans = split_sentences(text)
    low, high = (answer[1], answer[1] + len(answer[0])) if answer else (anchor, anchor + 1)
    inside = [i for i, (a, b) in enumerate(spans) if b > low and a < high] or [0]
    first, last = inside[0], inside[-1]
    while True:
        options = []
        if first > 0 and spans[last][1] - spans[first - 1][0] <= max_chars:
            options.append(-1)
        if last + 1 < len(spans) and spans[last + 1][1] - spans[first][0] <= max_chars:
            options.append(1)
        if not options:
            return spans[first][0], spans[last][1]
        if rng.choice(options) < 0:
            first -= 1
        else:
            last += 1


_DIGITS = re.compile(r"(?<![\w/-])(?:Rp ?|US\$|[$€£])?(\d[\d.,]*\d|\d)(?![\w/-])")
_COUNTED = re.compile(
    r"(^|\n)\W*$|\b(pasal|ayat|bab|nomor|no\.|lampiran|article|section)\W*$", re.IGNORECASE
)
_CLOCK = re.compile(r"([01]?\d|2[0-3])([.:])[0-5]\d")
_YEAR = re.compile(r"(19|20)\d\d")
_SMALL = {
    "id": ["dua", "tiga", "empat", "lima", "enam", "tujuh", "delapan", "sembilan", "sepuluh"],
    "en": ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"],
}


def renumbered(example: Example, rng: random.Random) -> Example:
    """Put other numbers in the place of those in the context, and the same ones in the question.

    What is asked for then has to be read, and cannot be learned by heart. Times stay times, years
    stay years, round sums stay round; numbers of articles and codes are left alone. A number
    that occurs twice is replaced by the same one both times.
    """
    words = {}
    for small in _SMALL.values():
        words.update(zip(small, rng.sample(small, len(small)), strict=True))
    numbers: dict[str, str] = {}
    edits = []
    for match in _DIGITS.finditer(example.context):
        if not _COUNTED.search(example.context[max(0, match.start() - 12) : match.start()]):
            numbers.setdefault(match[1], _other_number(match[1], rng))
            edits.append((*match.span(1), numbers[match[1]]))
    for match in re.finditer(r"\w+", example.context):
        if match[0] in words:
            edits.append((*match.span(), words[match[0]]))
    edits.sort()

    def moved(offset: int) -> int:
        return offset + sum(len(new) - (end - start) for start, end, new in edits if end <= offset)

    bounds = {at for text, start in example.answers for at in (start, start + len(text))}
    if any(start < at < end for start, end, _ in edits for at in bounds):
        return example
    context = _edited(example.context, edits)
    tokens = r"\d[\d.,]*\d|\d|[^\W\d]+"
    others = {**words, **numbers}
    question = re.sub(tokens, lambda match: others.get(match[0], match[0]), example.question)
    answers = tuple(
        (context[moved(start) : moved(start + len(text))], moved(start))
        for text, start in example.answers
    )
    return replace(example, context=context, question=question, answers=answers)


def _edited(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    parts, done = [], 0
    for start, end, new in edits:
        parts += [text[done:start], new]
        done = end
    return "".join([*parts, text[done:]])


def _other_number(old: str, rng: random.Random) -> str:
    if _YEAR.fullmatch(old):
        return str(int(old) + rng.randint(-9, 9))
    clock = _CLOCK.fullmatch(old)
    if clock:
        hour = f"{rng.randrange(24):0{len(clock[1])}d}"
        return f"{hour}{clock[2]}{rng.choice(['00', '15', '30', '45'])}"
    kept = len(old.rstrip("0.,"))
    digits = [rng.choice("123456789") if ch.isdigit() else ch for ch in old[:kept]]
    return "".join(digits) + old[kept:]


def under_heading(example: Example) -> Example:
    """Put the title above the context, as the engine puts headings above a passage.

    Where there is none, the context's first words stand in for it.
    """
    heading = example.title or " ".join(re.findall(r"\w+", example.context)[:3])
    shift = len(heading) + 1
    answers = tuple((text, start + shift) for text, start in example.answers)
    return replace(example, context=f"{heading}\n{example.context}", answers=answers)
