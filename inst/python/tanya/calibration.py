"""Fitting scores and the threshold to questions whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tanya.errors import InvalidArgument
from tanya.reading import Calibration

__all__ = ["best_threshold", "calibrate", "fit"]

_STEPS = 100
_TOLERANCE = 1e-9
_RIDGE = 1e-3
"""Keeps the slope finite where margins tell right from wrong without error."""


def fit(
    margins: Sequence[float], correct: Sequence[bool], weights: Sequence[float] | None = None
) -> tuple[float, float]:
    """Temperature and bias by Platt scaling (Platt, 1999).

    Args:
        margins: Margin of the best span of each question, (n,).
        correct: Whether it is a right answer, (n,).
        weights: How much each question counts, (n,); None for equally.

    Returns:
        Temperature, above 0, and bias, such that ``sigmoid((margin - bias) / temperature)`` is
        the probability of being right.

    Raises:
        InvalidArgument: All are right or all are wrong, or a higher margin makes an answer less
            likely to be right.
    """
    right = np.asarray(correct, float)
    if not 0 < right.sum() < len(right):
        raise InvalidArgument(
            "Calibration needs questions that are answered right and such that are not.",
            right=int(right.sum()),
            questions=len(right),
        )
    weight = np.ones(len(right)) if weights is None else np.asarray(weights, float)
    positive, negative = (weight * right).sum(), (weight * (1 - right)).sum()
    # Platt's targets: as if one more of each kind had been seen.
    target = np.where(right > 0, (positive + 1) / (positive + 2), 1 / (negative + 2))
    design = np.column_stack([np.asarray(margins, float), np.ones(len(right))])
    slope = np.zeros(2)
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(design @ slope, -35, 35)))
        gradient = design.T @ (weight * (probability - target)) + _RIDGE * slope
        curvature = weight * probability * (1 - probability)
        hessian = (design * curvature[:, None]).T @ design + _RIDGE * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        slope -= step
        if np.abs(step).max() < _TOLERANCE:
            break
    if slope[0] <= 0:
        raise InvalidArgument("On these questions a higher margin is no sign of a right answer.")
    return float(1 / slope[0]), float(-slope[1] / slope[0])


def best_threshold(
    scores: Sequence[float],
    answered: Sequence[float],
    declined: Sequence[float],
    weights: Sequence[float] | None = None,
) -> float:
    """The threshold with the highest mean gain.

    Args:
        scores: Score of each question's best span, in [0, 1], (n,).
        answered: What answering is worth, such as its F1, (n,).
        declined: What declining is worth: 1 for an unanswerable question, else 0; (n,).
        weights: How much each question counts, (n,); None for equally.

    Returns:
        A threshold in [0, 1] halfway between two neighbouring scores, so that it does not hang on
        a single question's last digit.
    """
    order = np.argsort(scores)
    score = np.asarray(scores, float)[order]
    gain = (np.asarray(answered, float) - np.asarray(declined, float))[order]
    if weights is not None:
        gain = gain * np.asarray(weights, float)[order]
    # Declining the first i in order of score gives up their gains.
    lost = np.concatenate([[0.0], np.cumsum(gain)])
    cuts = np.concatenate([[0.0], (score[1:] + score[:-1]) / 2, [1.0]])
    distinct = np.concatenate([[True], score[1:] > score[:-1], [True]])
    allowed = np.flatnonzero(distinct)
    return float(cuts[allowed[np.argmin(lost[allowed])]])


def calibrate(
    margins: Sequence[float], answered: Sequence[float], declined: Sequence[float], right: float
) -> Calibration:
    """Fit temperature, bias and threshold together.

    Args:
        margins: Margin of each question's best span, (n,).
        answered: F1 of that span, 0 for an unanswerable question, (n,).
        declined: 1 for an unanswerable question, else 0, (n,).
        right: F1 from which on a span counts as right.
    """
    temperature, bias = fit(margins, [worth >= right for worth in answered])
    fitted = Calibration(temperature, bias)
    scores = [fitted.score(margin) for margin in margins]
    return Calibration(temperature, bias, best_threshold(scores, answered, declined))
