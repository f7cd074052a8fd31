"""Spans, SQuAD 2.0 scores and calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .examples import Example, normalise
from .features import Window, collate, plan_batches

NEVER = -1e9


@dataclass(frozen=True)
class Scored:
    """Best spans of n questions, each field an array of n.

    `margin` is the span's log-odds against "no answer"; `f1` and `exact` compare the span with
    the gold answers whether or not the reader would abstain, 0 for unanswerable questions.
    """

    margin: np.ndarray
    answerable: np.ndarray
    f1: np.ndarray
    exact: np.ndarray


def token_f1(predicted: str, gold: str) -> float:
    """Return the F1 of the bags of normalised words."""
    ours, theirs = normalise(predicted).split(), normalise(gold).split()
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs))


def best_spans(
    logits_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    examples: Sequence[Example],
    windows: Sequence[Window],
    pad_id: int,
    max_answer_tokens: int = 50,
    token_budget: int = 8192,
) -> Scored:
    """Read every window with `logits_of(ids, keep)` and keep each question's best span."""
    margins = np.full(len(examples), NEVER)
    texts = [""] * len(examples)
    with torch.inference_mode():
        for numbers in plan_batches([(1, len(w.ids)) for w in windows], token_budget, None):
            batch = collate([windows[number] for number in numbers], pad_id)
            logits = logits_of(batch.ids, batch.keep).float()
            for row, number in enumerate(numbers):
                window = windows[number]
                margin, first, last = _best_span(logits[row], window, max_answer_tokens)
                if margin > margins[window.example]:
                    begin, stop = window.offsets[first][0], window.offsets[last][1]
                    margins[window.example] = margin
                    texts[window.example] = examples[window.example].context[begin:stop].strip()
    golds = [[text for text, _ in example.answers] for example in examples]
    pairs = list(zip(texts, golds, strict=True))
    return Scored(
        margin=margins,
        answerable=np.array([bool(gold) for gold in golds]),
        f1=np.array([max((token_f1(t, g) for g in gold), default=0.0) for t, gold in pairs]),
        exact=np.array([float(normalise(t) in map(normalise, gold)) for t, gold in pairs]),
    )


def _best_span(
    logits: torch.Tensor, window: Window, max_answer_tokens: int
) -> tuple[float, int, int]:
    start = logits[window.first : window.last + 1, 0]
    end = logits[window.first : window.last + 1, 1]
    band = min(max_answer_tokens, len(start))
    padded = torch.cat([end, end.new_full((band - 1,), NEVER)])
    sums = start[:, None] + padded.unfold(0, band, 1)
    best = int(sums.argmax())
    first, width = divmod(best, band)
    null = logits[0, 0] + logits[0, 1]
    return float(sums[first, width] - null), window.first + first, window.first + first + width


def squad_scores(scored: Scored, threshold: float) -> dict[str, float]:
    """Return EM and F1 in percent with abstention at margins of `threshold` or less.

    `forced_*` are over the answerable questions with abstention off.
    """
    answered = scored.margin > threshold
    has = scored.answerable
    f1 = np.where(has, answered * scored.f1, ~answered)
    exact = np.where(has, answered * scored.exact, ~answered)
    return {
        "em": _percent(exact),
        "f1": _percent(f1),
        "answerable_em": _percent(exact[has]),
        "answerable_f1": _percent(f1[has]),
        "unanswerable_accuracy": _percent(f1[~has]),
        "forced_em": _percent(scored.exact[has]),
        "forced_f1": _percent(scored.f1[has]),
    }


def _percent(values: np.ndarray) -> float:
    return 100 * float(values.mean()) if len(values) else float("nan")


@dataclass(frozen=True)
class Calibration:
    """`sigmoid((margin - bias) / temperature)` is the chance that a best span is right."""

    temperature: float
    bias: float

    def score(self, margin: np.ndarray) -> np.ndarray:
        """Return the chance, 0 to 1, for each margin."""
        return 1 / (1 + np.exp(-np.clip((margin - self.bias) / self.temperature, -60, 60)))


def is_right(scored: Scored) -> np.ndarray:
    """Return whether each best span is right: answerable, and F1 with a gold answer >= 0.5."""
    return scored.answerable & (scored.f1 >= 0.5)


def fit_calibration(sets: Sequence[Scored], rounds: int = 50) -> Calibration:
    """Fit temperature and bias by logistic regression (Newton), every set weighing the same."""
    margin = np.concatenate([s.margin for s in sets])
    right = np.concatenate([is_right(s) for s in sets]).astype(float)
    weight = np.concatenate([np.full(len(s.margin), 1 / len(s.margin)) for s in sets])
    inputs = np.stack([margin, np.ones_like(margin)], axis=1)
    slope = np.array([0.3, 0.0])
    for _ in range(rounds):
        chance = 1 / (1 + np.exp(-inputs @ slope))
        gradient = inputs.T @ (weight * (right - chance))
        hessian = (inputs * (weight * chance * (1 - chance))[:, None]).T @ inputs
        slope = slope + np.linalg.solve(hessian, gradient)
    return Calibration(temperature=float(1 / slope[0]), bias=float(-slope[1] / slope[0]))


def expected_calibration_error(chance: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Return the mean gap between chance and frequency over equal-width bins, 0 to 1."""
    bin_of = np.minimum((chance * bins).astype(int), bins - 1)
    error = 0.0
    for number in range(bins):
        inside = bin_of == number
        if inside.any():
            error += inside.mean() * abs(chance[inside].mean() - right[inside].mean())
    return float(error)


def best_margin(sets: Sequence[Scored]) -> float:
    """Return the margin to abstain at that maximises the sets' mean F1."""
    margins = np.concatenate([s.margin for s in sets])
    grid = np.quantile(margins, np.linspace(0.02, 0.98, 400))
    mean_f1 = [np.mean([squad_scores(s, m)["f1"] for s in sets]) for m in grid]
    # The top of the curve is flat and noisy; the middle of the flat part carries over better.
    top = grid[np.array(mean_f1) >= max(mean_f1) - 0.15]
    return float(np.median(top))
