"""How well an index answers questions whose answers are known, and why it misses some."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from statistics import fmean
from typing import TYPE_CHECKING

from tanya.calibration import calibrate
from tanya.errors import InvalidArgument
from tanya.evaluation import calibration_error, exact_match, f1, ndcg
from tanya.types import Progress

if TYPE_CHECKING:
    from tanya.answering import Answer
    from tanya.index import Index
    from tanya.reading import Calibration
    from tanya.retrieval import Hit, Search

__all__ = ["Assessment", "Gold", "Outcome", "Verdict", "assess", "recalibrate", "summarise"]

RIGHT_F1 = 0.5
"""Overlap with a gold answer from which on an answer counts as right."""

DEEPEST_RANK = 1000
"""How far down the true rank of a passage that was not retrieved is looked for."""


class Outcome(str, Enum):
    """What became of a question; all but the first two are misses."""

    RIGHT = "right"
    RIGHTLY_DECLINED = "rightly declined"
    NOT_INDEXED = "document not indexed"
    NOT_RETRIEVED = "passage not retrieved"
    BELOW_THRESHOLD = "below the threshold"
    ANOTHER_SPAN = "another span preferred"
    NOT_DECLINED = "not declined"


@dataclass(frozen=True, slots=True)
class Gold:
    """A question with its known answer.

    Attributes:
        question: The question.
        answers: Acceptable answers; none where the documents hold no answer.
        document: Id of the document that holds it, or "" where any will do.
    """

    question: str
    answers: tuple[str, ...] = ()
    document: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One question's result.

    Attributes:
        gold: What was asked and expected.
        answer: What was answered.
        outcome: See ``Outcome``.
        f1: In [0, 1]; SQuAD 2.0's, of the answer given.
        exact_match: 0 or 1.
        forced_f1: F1 of the best candidate, had nothing been declined.
        passage_rank: 1-based rank of the first passage with the answer; None where the question
            is unanswerable or the passage is not among the first ``DEEPEST_RANK``.
        ranking: Relevance of the first ten passages found, for ranking figures.
    """

    gold: Gold
    answer: Answer
    outcome: Outcome
    f1: float
    exact_match: float
    forced_f1: float
    passage_rank: int | None
    ranking: tuple[bool, ...]

    @property
    def is_right(self) -> bool:
        """Whether the answer, or the refusal to answer, is right."""
        return self.outcome in (Outcome.RIGHT, Outcome.RIGHTLY_DECLINED)

    @property
    def candidate_is_right(self) -> bool:
        """Whether the best span is right, be it given as the answer or not."""
        return self.outcome in (Outcome.RIGHT, Outcome.BELOW_THRESHOLD)


@dataclass(frozen=True, slots=True)
class Assessment:
    """Verdicts on all questions, in their order, and the seconds that answering took."""

    verdicts: tuple[Verdict, ...]
    seconds: float


def assess(
    index: Index,
    gold: Sequence[Gold],
    search: Search,
    *,
    threshold: float | None = None,
    progress: Progress | None = None,
) -> Assessment:
    """Ask every question and compare.

    An answer is right where it comes from the gold document and shares enough words with a gold
    answer (F1 of at least 0.5). The passage with the answer is the first that belongs to the gold
    document and contains a gold answer.
    """
    questions = [item.question for item in gold]
    started = time.perf_counter()
    answers = index.ask(questions, search, threshold=threshold, progress=progress)
    seconds = time.perf_counter() - started
    indexed = {row.id for row in index.store.documents() if row.status == "indexed"}
    deep = min(DEEPEST_RANK, max(index.store.counts().passages, 1))
    rankings = index.retrieve(questions, replace(search, k=deep))
    verdicts = [
        _verdict(item, ranked[0], [_holds(item, hit) for hit in hits], indexed, search.k)
        for item, ranked, hits in zip(gold, answers, rankings, strict=True)
    ]
    return Assessment(tuple(verdicts), seconds)


def _holds(gold: Gold, hit: Hit) -> bool:
    """Whether a passage, or a copy of it, contains a gold answer, white space aside."""
    texts = [
        " ".join(passage.text.split())
        for passage in (hit.passage, *hit.copies)
        if gold.document in ("", passage.document)
    ]
    return any(" ".join(answer.split()) in text for answer in gold.answers for text in texts)


def _verdict(
    gold: Gold, answer: Answer, relevant: Sequence[bool], indexed: set[str], k: int
) -> Verdict:
    rank = relevant.index(True) + 1 if True in relevant else None
    return Verdict(
        gold=gold,
        answer=answer,
        outcome=_outcome(gold, answer, rank, indexed, k),
        f1=f1(answer.text, gold.answers),
        exact_match=exact_match(answer.text, gold.answers),
        forced_f1=f1(answer.candidate, gold.answers) if gold.answers else 0.0,
        passage_rank=rank,
        ranking=tuple(relevant[:10]),
    )


def _outcome(gold: Gold, answer: Answer, rank: int | None, indexed: set[str], k: int) -> Outcome:
    if not gold.answers:
        return Outcome.RIGHTLY_DECLINED if answer.text is None else Outcome.NOT_DECLINED
    if _from_right_document(gold, answer) and f1(answer.candidate, gold.answers) >= RIGHT_F1:
        return Outcome.RIGHT if answer.text is not None else Outcome.BELOW_THRESHOLD
    if gold.document and gold.document not in indexed:
        return Outcome.NOT_INDEXED
    if rank is None or rank > k:
        return Outcome.NOT_RETRIEVED
    return Outcome.ANOTHER_SPAN


def _from_right_document(gold: Gold, answer: Answer) -> bool:
    """Whether the best candidate's passage, or a copy of it, is of the gold document."""
    if answer.hit is None:
        return False
    passages = (answer.hit.passage, *answer.hit.copies)
    return not gold.document or gold.document in {passage.document for passage in passages}


def summarise(assessment: Assessment) -> dict[str, float]:
    """Figures over all questions.

    Returns:
        Counts, SQuAD figures and shares in [0, 1], seconds per question; NaN where there is no
        question of the kind. ``ece`` is the calibration error of the score as the probability
        that the best candidate is right.
    """
    verdicts = assessment.verdicts
    answerable = [verdict for verdict in verdicts if verdict.gold.answers]
    unanswerable = [verdict for verdict in verdicts if not verdict.gold.answers]
    ranked = [[position for position, hit in enumerate(v.ranking) if hit][:1] for v in answerable]
    ranks = [v.passage_rank for v in answerable]
    figures = {
        "questions": float(len(verdicts)),
        "answerable": float(len(answerable)),
        "unanswerable": float(len(unanswerable)),
        "answerable_right": _mean([v.is_right for v in answerable]),
        "unanswerable_declined": _mean([v.is_right for v in unanswerable]),
        "exact_match": _mean([v.exact_match for v in verdicts]),
        "f1": _mean([v.f1 for v in verdicts]),
        "answerable_exact_match": _mean([v.exact_match for v in answerable]),
        "answerable_f1": _mean([v.f1 for v in answerable]),
        "forced_f1": _mean([v.forced_f1 for v in answerable]),
    }
    for k in (1, 3, 5, 10):
        figures[f"recall_at_{k}"] = _mean([rank is not None and rank <= k for rank in ranks])
    figures["mrr"] = _mean([1 / rank if rank else 0.0 for rank in ranks])
    figures["ndcg_at_10"] = _mean(
        [ndcg(range(10), first, 10) if first else 0.0 for first in ranked]
    )
    figures["ece"] = calibration_error(
        [v.answer.score for v in verdicts],
        [v.candidate_is_right for v in verdicts],
    )
    figures["seconds_per_question"] = assessment.seconds / max(len(verdicts), 1)
    return figures


def recalibrate(
    index: Index,
    gold: Sequence[Gold],
    search: Search,
    *,
    progress: Progress | None = None,
) -> Calibration:
    """Fit temperature, bias and threshold of an index's reader to these questions, and keep them.

    Raises:
        InvalidArgument: The reader was not trained to decline, or the questions are not enough to
            tell right answers from wrong ones.
    """
    if not index.reader.settings.null_trained:
        raise InvalidArgument(
            f"{index.models.reader} was not trained to decline, so it has no threshold to fit."
        )
    forced = assess(index, gold, search, threshold=0.0, progress=progress)
    found = [verdict for verdict in forced.verdicts if verdict.answer.margin is not None]
    fitted = calibrate(
        [verdict.answer.margin or 0.0 for verdict in found],
        [verdict.f1 if verdict.is_right else 0.0 for verdict in found],
        [float(not verdict.gold.answers) for verdict in found],
        right=RIGHT_F1,
    )
    index.set_calibration(fitted)
    return fitted


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else float("nan")
