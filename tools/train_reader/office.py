"""Office texts with questions, written for the training of the reader.

A directory under `office/` is a domain: what a document of one domain answers, no document of
another does, but for `mixed`, which has documents of all. Passages with slugs like `staff-03.1` and
`staff-03.2` are of one document, and what one of them answers no other of them does. A passage has
this form, blank lines between its parts being optional:

    ### slug | language of the text
    @ headings above the passage, if any
    <<<
    the passage's text, any number of lines
    >>>
    ? a question | another wording of it | another
    ! an excerpt that occurs once in the text, with [[the answer]] in double brackets
    x a question that the text does not answer | another

`python -m train_reader office` checks the files and counts what is in them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .examples import (
    ContextIndex,
    Example,
    answer_removed,
    mentions,
    retrieved_negatives,
    without_answer,
)

OFFICE = Path(__file__).parent / "office"
MIXED = "mixed"

_MARKED = re.compile(r"\[\[(.+?)\]\]", re.DOTALL)


class OfficeError(ValueError):
    """A file is not in the form that this module's docstring describes."""


@dataclass(frozen=True)
class Fact:
    """One thing that a passage says: the answer's place in the text, and wordings of the question.

    `start` and `end` are code points, `end` exclusive.
    """

    start: int
    end: int
    questions: tuple[str, ...]


@dataclass(frozen=True)
class OfficePassage:
    """A passage of a document, with questions that it answers and questions that it does not."""

    domain: str
    slug: str
    language: str
    heading: str
    text: str
    facts: tuple[Fact, ...]
    absent: tuple[str, ...]


def read_office(directory: Path = OFFICE) -> list[OfficePassage]:
    """Read the files of all domains under `directory`, in the order of their names."""
    found: list[OfficePassage] = []
    for path in sorted(directory.rglob("*.txt")):
        blocks = re.split(r"(?m)^### ", path.read_text(encoding="utf-8"))
        if blocks[0].strip():
            raise OfficeError(f"{path.name} begins with something other than '### '")
        found.extend(_passage(f"### {block}", path) for block in blocks[1:])
    slugs = [passage.slug for passage in found]
    for slug in slugs:
        if slugs.count(slug) > 1:
            raise OfficeError(f"the slug {slug} occurs more than once")
    return found


def _passage(block: str, file: Path) -> OfficePassage:
    form = re.fullmatch(
        r"### (?P<slug>[\w.-]+) \| (?P<language>id|en)\s*\n+(?:@ (?P<heading>.+)\n+)?"
        r"<<<\n(?P<text>.+?)\n>>>\n(?P<asked>.*)",
        block,
        re.DOTALL,
    )
    if form is None:
        raise OfficeError(f"{file.name}: not in form: {block[:80]!r}")
    place = f"{file.name}, {form['slug']}"
    facts, absent = _questions(form["asked"], form["text"], place)
    return OfficePassage(
        file.parent.name,
        form["slug"],
        form["language"],
        form["heading"] or "",
        form["text"],
        facts,
        absent,
    )


def _questions(asked: str, text: str, place: str) -> tuple[tuple[Fact, ...], tuple[str, ...]]:
    facts: list[Fact] = []
    absent: list[str] = []
    waiting: tuple[str, ...] = ()
    for kind, rest in _lines(asked, place):
        if waiting and kind != "!":
            raise OfficeError(f"{place}: no answer to {waiting[0]!r}")
        if kind == "?":
            waiting = _wordings(rest)
        elif kind == "x":
            absent.extend(_wordings(rest))
        elif not waiting:
            raise OfficeError(f"{place}: no question for {rest!r}")
        else:
            facts.append(Fact(*_locate(rest, text, place), questions=waiting))
            waiting = ()
    if waiting:
        raise OfficeError(f"{place}: no answer to {waiting[0]!r}")
    return tuple(facts), tuple(absent)


def _lines(asked: str, place: str) -> Iterator[tuple[str, str]]:
    for line in filter(None, map(str.strip, asked.split("\n"))):
        kind, _, rest = line.partition(" ")
        if kind not in {"?", "!", "x"} or not rest.strip():
            raise OfficeError(f"{place}: neither question nor answer: {line!r}")
        yield kind, rest.strip()


def _wordings(line: str) -> tuple[str, ...]:
    return tuple(wording for wording in map(str.strip, line.split("|")) if wording)


def _locate(excerpt: str, text: str, place: str) -> tuple[int, int]:
    marked = _MARKED.search(excerpt)
    if marked is None:
        raise OfficeError(f"{place}: no [[answer]] in {excerpt!r}")
    plain = excerpt[: marked.start()] + marked[1] + excerpt[marked.end() :]
    if text.count(plain) != 1:
        raise OfficeError(f"{place}: occurs {text.count(plain)} times in the text: {plain!r}")
    start = text.index(plain) + marked.start()
    return start, start + len(marked[1])


def summary(passages: list[OfficePassage]) -> dict[str, int]:
    """Return how many passages, facts, questions, unanswerable questions and characters."""
    facts = [fact for passage in passages for fact in passage.facts]
    return {
        "passages": len(passages),
        "facts": len(facts),
        "questions": sum(len(fact.questions) for fact in facts),
        "unanswerable": sum(len(passage.absent) for passage in passages),
        "characters": sum(len(passage.text) for passage in passages),
    }


HELD_OUT = 10
"""Of documents of several passages, each that has a number n * 10 + 1 is kept for validation."""


def office_split(passages: Sequence[OfficePassage]) -> tuple[list[Example], list[Example]]:
    """Return the examples to train on, and those of the documents held out."""
    train: list[Example] = []
    held_out: list[Example] = []
    for passage in passages:
        numbered = re.search(r"-(\d+)\.\d+$", passage.slug)
        held = numbered is not None and int(numbered[1]) % HELD_OUT == 1
        (held_out if held else train).extend(_examples(passage))
    return train, [*held_out, *answer_removed(_first_of_each_fact(held_out))]


def _examples(passage: OfficePassage) -> Iterator[Example]:
    def example(id: str, question: str, answers: tuple[tuple[str, int], ...]) -> Example:
        name = f"{passage.domain}/{passage.slug}-{id}"
        return Example(name, "office", question, passage.text, passage.heading, answers)

    for number, fact in enumerate(passage.facts):
        answers = ((passage.text[fact.start : fact.end], fact.start),)
        for wording, question in enumerate(fact.questions):
            yield example(f"{number}.{wording}", question, answers)
    for number, question in enumerate(passage.absent):
        yield example(f"x{number}", question, ())


def _first_of_each_fact(examples: Sequence[Example]) -> list[Example]:
    return [example for example in examples if example.id.endswith(".0")]


def domain(example: Example) -> str:
    """Return the domain that the example is from."""
    return example.id.partition("/")[0]


def sibling_negatives(
    examples: Sequence[Example], rng: random.Random, per_question: int = 2
) -> list[Example]:
    """Pair questions with other passages of the same document, which do not answer them."""
    contexts: dict[str, list[str]] = {}
    for example in examples:
        near = contexts.setdefault(_document(example), [])
        if example.context not in near:
            near.append(example.context)
    made = []
    for example in examples:
        near = [text for text in contexts[_document(example)] if text != example.context]
        for context in rng.sample(near, min(per_question, len(near))):
            negative = without_answer(example, context, "sibling")
            if not mentions(context, negative.absent):
                made.append(negative)
    return made


def _document(example: Example) -> str:
    """Return the document that the example's passage is from, or the passage if it is alone."""
    slug = example.id.rpartition("-")[0]
    return slug.partition(".")[0]


def foreign_negatives(examples: Sequence[Example], rng: random.Random) -> list[Example]:
    """Pair questions with passages like them from other domains.

    Passages of the same domain won't do: another organisation's leave rules may well answer.
    """
    made: list[Example] = []
    known = [example for example in examples if domain(example) != MIXED]
    for name in sorted({domain(example) for example in known}):
        ours = [example for example in known if domain(example) == name]
        others = [example.context for example in known if domain(example) != name]
        if others:
            made += retrieved_negatives(ours, ContextIndex(list(dict.fromkeys(others))), rng)
    return made
