"""How good answers and rankings are, in the field's usual figures.

Exact match and F1 follow the SQuAD 2.0 evaluation (Rajpurkar et al., 2018, arXiv:1806.03822);
ranking figures assume one or more relevant items of equal worth.
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import regex

__all__ = [
    "calibration_error",
    "exact_match",
    "f1",
    "ndcg",
    "normalise",
    "paired_bootstrap",
    "recall",
    "reciprocal_rank",
]

_ARTICLES = regex.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)


def normalise(text: str) -> str:
    """Lower case, no ASCII punctuation, no English articles, single spaces."""
    bare = "".join(character for character in text.lower() if character not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(answer: str | None, gold: Sequence[str]) -> float:
    """Whether an answer equals one of the gold answers after ``normalise``: 0 or 1.

    An unanswerable question has no gold answers and is matched by None.
    """
    if answer is None or not gold:
        return float(answer is None and not gold)
    return float(normalise(answer) in {normalise(text) for text in gold})


def f1(answer: str | None, gold: Sequence[str]) -> float:
    """Best F1, in [0, 1], over words shared with one of the gold answers.

    An unanswerable question has no gold answers; None then scores 1 and anything else 0.
    """
    if answer is None or not gold:
        return float(answer is None and not gold)
    return max(_f1(normalise(answer).split(), normalise(text).split()) for text in gold)


def _f1(answer: list[str], gold: list[str]) -> float:
    if not answer or not gold:
        return float(answer == gold)
    shared = sum((Counter(answer) & Counter(gold)).values())
    return 2 * shared / (len(answer) + len(gold))


def recall(ranked: Sequence[object], relevant: Collection[object], k: int) -> float:
    """Share, in [0, 1], of the relevant items among the first k."""
    return len(set(ranked[:k]) & set(relevant)) / len(relevant)


def reciprocal_rank(ranked: Sequence[object], relevant: Collection[object]) -> float:
    """One over the 1-based rank of the first relevant item; 0 where there is none."""
    return next((1 / rank for rank, item in enumerate(ranked, 1) if item in relevant), 0.0)


def ndcg(ranked: Sequence[object], relevant: Collection[object], k: int) -> float:
    """Normalised discounted cumulative gain at k, in [0, 1] (Järvelin & Kekäläinen, 2002)."""
    gain = sum(
        1 / math.log2(rank + 1) for rank, item in enumerate(ranked[:k], 1) if item in relevant
    )
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
    return gain / ideal


def calibration_error(scores: Sequence[float], correct: Sequence[bool], bins: int = 10) -> float:
    """Expected calibration error, in [0, 1] (Naeini et al., 2015), over bins of equal width.

    Args:
        scores: Probabilities in [0, 1], (n,).
        correct: Whether each came true, (n,).
        bins: Number of bins.
    """
    if not scores:
        return math.nan
    score = np.asarray(scores, float)
    right = np.asarray(correct, float)
    which = np.minimum((score * bins).astype(int), bins - 1)
    gaps = [
        abs(score[which == number].mean() - right[which == number].mean()) * (which == number).sum()
        for number in range(bins)
        if (which == number).any()
    ]
    return float(sum(gaps) / len(score))


def paired_bootstrap(
    first: Sequence[float], second: Sequence[float], level: float = 0.95, resamples: int = 10_000
) -> tuple[float, float, float]:
    """Mean difference of two systems on the same questions, with a percentile interval.

    Questions are drawn with replacement, and both systems keep their figures for each (Efron and
    Tibshirani, 1993; Koehn, 2004, for paired use). The draws are the same at every call.

    Args:
        first: A figure of the first system for each question, (n,).
        second: The same of the second, (n,).
        level: Of the interval, in (0, 1).
        resamples: How often to draw.

    Returns:
        Mean of ``second - first``, and the lower and upper end of its interval.
    """
    difference = np.asarray(second, float) - np.asarray(first, float)
    if not len(difference):
        return math.nan, math.nan, math.nan
    draws = np.random.default_rng(0).integers(0, len(difference), (resamples, len(difference)))
    low, high = np.quantile(difference[draws].mean(1), [(1 - level) / 2, (1 + level) / 2])
    return float(difference.mean()), float(low), float(high)
