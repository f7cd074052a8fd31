"""Retrieve, read, rank, and decline where nothing in the documents answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tanya.duplicates import find_again
from tanya.evaluation import normalise
from tanya.reading import Request
from tanya.retrieval import retrieve
from tanya.types import Place, Progress, StoredPassage

if TYPE_CHECKING:
    from tanya.embedding import Embedder
    from tanya.reading import Reader, Span
    from tanya.retrieval import Hit, Search
    from tanya.store.protocol import Store

RANK_PRIOR = 3.0
"""How fast the chance that the answer is in a passage falls with its rank r: as r to minus this.

From the ranks at which the hybrid search finds the passage with the answer on TyDi QA Indonesian:
85 % first and 96 % among the first five, as r^-3 has it.
"""

ASKED_THRESHOLD = 0.25
"""Score below which an answer is declined, for an index that was not calibrated on own questions.

The reader's own threshold balances answers against wrong ones where half of the questions cannot be
answered and nobody sees the score. Who asks a collection mostly asks what it holds, and sees the
score and the place beside the answer: a right answer that is kept back costs more than a doubtful
one that says so. So an answer is given where its chance of being right is one in four or more. On
the written documents held out from the reader's training, each an index of its own, that answers
72 % of the 1,963 answerable questions right and declines 58 % of 692 that almost fit; at one in
five it would be 73 and 49 %, at the reader's own threshold 65 and 83 %.
"""

__all__ = [
    "ASKED_THRESHOLD",
    "Answer",
    "Evidence",
    "Occurrence",
    "answer",
    "explain",
    "locate_passage",
]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Where a span stands.

    Attributes:
        document: Id of the document.
        start: First code point in the document's text.
        end: One past the last.
        page: 1-based page or slide, or None for formats without any.
        place: What a person would call it: "page 3", "row 12", "BAB II > Cuti"; may be "".
    """

    document: str
    start: int
    end: int
    page: int | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to one question, or the statement that there is none.

    Attributes:
        question: As asked.
        rank: 1-based among the answers to the question.
        text: The answer, verbatim from the document, or None where the documents hold none.
        score: Calibrated probability, in [0, 1], that ``candidate`` is right.
        margin: The reader's log-odds of the span and the log prior of its passage's rank, added;
            None where there was nothing to read.
        candidate: The best span, also where it was declined; "" where there was nothing to read.
        at: Where the candidate stands, or None.
        hit: The passage it was read from, or None.
        support: In how many places the same answer was found with a score that is not below the
            threshold, this one included; 0 where it was declined.
        elsewhere: The other of these places, best first.
    """

    question: str
    rank: int
    text: str | None
    score: float
    margin: float | None = None
    candidate: str = ""
    at: Occurrence | None = None
    hit: Hit | None = None
    support: int = 0
    elsewhere: tuple[Occurrence, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What became of one passage on the way to an answer.

    Attributes:
        hit: The passage, its rank and its retrieval scores.
        candidate: The best span that the reader saw in it, or "".
        margin: Of that span, as in ``Answer``; None where there was none.
        score: Of that span, in [0, 1].
        at: Where the span stands; the passage itself where there was none.
    """

    hit: Hit
    candidate: str
    margin: float | None
    score: float
    at: Occurrence


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A span with its margin, log prior of its passage's rank included."""

    text: str
    margin: float
    at: Occurrence
    hit: Hit

    def everywhere(self) -> Iterator[Occurrence]:
        """Where the span stands, its own place first, then those in copies of its passage."""
        yield self.at
        passage = self.hit.passage
        start, end = self.at.start - passage.start, self.at.end - passage.start
        for other in self.hit.copies:
            found = find_again(start, end, passage.text, other.text)
            if found is not None:
                yield _occurrence(other, *found)

    def overlaps(self, other: _Candidate) -> bool:
        """Whether both claim a code point of the same document."""
        return (
            self.at.document == other.at.document
            and self.at.start < other.at.end
            and other.at.start < self.at.end
        )


def answer(
    store: Store,
    embedder: Embedder,
    reader: Reader,
    questions: Sequence[str],
    search: Search,
    *,
    n: int = 1,
    threshold: float | None = None,
    progress: Progress | None = None,
) -> list[list[Answer]]:
    """Answer questions from an index.

    Args:
        store: The index.
        embedder: The index's embedding model.
        reader: Reads the passages that were found.
        questions: Not blank.
        search: How the passages to read are found.
        n: Answers wanted for each question, at least 1.
        threshold: Score, in [0, 1], below which an answer is declined; None for the reader's own,
            which is never to decline where the reader was not trained to.
        progress: Called with ("read", windows done, windows in all).

    Returns:
        For each question one to n answers, best first. Where the best is below the threshold
        there is one, whose ``text`` is None.
    """
    if threshold is None:
        calibrated = reader.settings.calibration.threshold
        threshold = calibrated if reader.settings.null_trained else 0.0
    with store.reading():
        hits = retrieve(store, embedder, questions, search)
        requests = [
            _request(question, found) for question, found in zip(questions, hits, strict=True)
        ]
        spans = reader.read(requests, progress)
        answers = []
        for question, found, candidates in zip(questions, hits, spans, strict=True):
            ranked = sorted(
                (_candidate(found[span.passage], span) for span in candidates),
                key=lambda candidate: -candidate.margin,
            )
            rows = _answers(question, _distinct(ranked), reader, n, threshold)
            answers.append([_located(store, row) for row in rows])
        return answers


def explain(
    store: Store,
    embedder: Embedder,
    reader: Reader,
    question: str,
    search: Search,
) -> list[Evidence]:
    """Each passage that is read for a question, with the best span that the reader sees in it."""
    with store.reading():
        [hits] = retrieve(store, embedder, [question], search)
        [spans] = reader.read([_request(question, hits)])
        evidence = []
        for position, hit in enumerate(hits):
            span = next((span for span in spans if span.passage == position), None)
            text = hit.passage.text
            start, end = (span.start, span.end) if span else (0, len(text))
            margin = span.margin + _log_prior(hit) if span else None
            evidence.append(
                Evidence(
                    hit=hit,
                    candidate=text[start:end] if span else "",
                    margin=margin,
                    score=0.0 if margin is None else reader.score(margin),
                    at=_locate(store, _occurrence(hit.passage, start, end)),
                )
            )
        return evidence


def _request(question: str, hits: Sequence[Hit]) -> Request:
    return Request(
        question,
        tuple(hit.passage.text for hit in hits),
        tuple(hit.passage.context for hit in hits),
    )


def _candidate(hit: Hit, span: Span) -> _Candidate:
    return _Candidate(
        text=hit.passage.text[span.start : span.end],
        margin=span.margin + _log_prior(hit),
        at=_occurrence(hit.passage, span.start, span.end),
        hit=hit,
    )


def _log_prior(hit: Hit) -> float:
    """Log-odds that a passage of this rank holds the answer, against the first one."""
    return -RANK_PRIOR * math.log(hit.rank)


def _occurrence(passage: StoredPassage, start: int, end: int) -> Occurrence:
    return Occurrence(passage.document, passage.start + start, passage.start + end)


def _distinct(candidates: Iterable[_Candidate]) -> list[list[_Candidate]]:
    """Group candidates, best first, by what they say; drop those that overlap a better one.

    Returns:
        Groups in order of their best member, which comes first in its group.
    """
    kept: list[_Candidate] = []
    groups: dict[str, list[_Candidate]] = {}
    for candidate in candidates:
        if any(candidate.overlaps(better) for better in kept):
            continue
        kept.append(candidate)
        groups.setdefault(normalise(candidate.text) or candidate.text, []).append(candidate)
    return list(groups.values())


def _answers(
    question: str,
    groups: Sequence[Sequence[_Candidate]],
    reader: Reader,
    n: int,
    threshold: float,
) -> list[Answer]:
    """The n best groups as answers, or one answer that declines."""
    if not groups:
        return [Answer(question, rank=1, text=None, score=0.0)]
    answers = []
    for rank, group in enumerate(groups[:n], start=1):
        best = group[0]
        score = reader.score(best.margin)
        holding = [
            at
            for member in group
            if reader.score(member.margin) >= threshold
            for at in member.everywhere()
        ]
        if rank > 1 and not holding:
            break
        answers.append(
            Answer(
                question=question,
                rank=rank,
                text=best.text if holding else None,
                score=score,
                margin=best.margin,
                candidate=best.text,
                at=best.at,
                hit=best.hit,
                support=len(holding),
                elsewhere=tuple(holding[1:]),
            )
        )
        if not holding:
            break
    return answers


def _located(store: Store, answer: Answer) -> Answer:
    """The same answer with the page and place of each of its occurrences."""
    return replace(
        answer,
        at=answer.at and _locate(store, answer.at),
        elsewhere=tuple(_locate(store, at) for at in answer.elsewhere),
    )


def _locate(store: Store, at: Occurrence) -> Occurrence:
    places = store.places(at.document, at.start, at.start + 1)
    return replace(at, page=_page_of(places), place=_describe_place(places))


def locate_passage(store: Store, passage: StoredPassage) -> Occurrence:
    """Where a passage stands, with the page and place of its first character."""
    return _locate(store, _occurrence(passage, 0, len(passage.text)))


def _page_of(places: Sequence[Place]) -> int | None:
    """Number of the page or slide among the places of a code point."""
    return next((place.number for place in places if place.kind in ("page", "slide")), None)


def _describe_place(places: Sequence[Place]) -> str:
    """Words for the places of a code point, the widest first: "page 3", "Leave > Sick leave"."""
    parts = []
    for place in places:
        if place.kind in ("page", "slide", "row"):
            parts.append(f"{place.kind} {place.label or place.number}")
        elif place.kind != "heading":
            parts.append(place.label)
    headings = sorted((p for p in places if p.kind == "heading"), key=lambda p: p.level)
    if headings:
        parts.append(" > ".join(heading.label for heading in headings))
    return ", ".join(part for part in parts if part)
