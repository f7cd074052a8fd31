"""Fitted scores are probabilities, and the threshold is the best there is."""

from __future__ import annotations

import numpy as np
import pytest

from tanya.calibration import best_threshold, calibrate, fit
from tanya.errors import InvalidArgument
from tanya.evaluation import calibration_error
from tanya.reading import Calibration


@pytest.mark.parametrize(("temperature", "bias"), [(1.0, 0.0), (2.5, 3.0), (0.7, -2.0)])
def test_fit_finds_what_made_the_data(temperature, bias):
    random = np.random.default_rng(7)
    margins = random.normal(bias, 4 * temperature, 20_000)
    correct = random.random(20_000) < 1 / (1 + np.exp(-(margins - bias) / temperature))
    found = fit(margins, correct)
    assert found == pytest.approx((temperature, bias), abs=0.12)
    scores = [Calibration(*found).score(margin) for margin in margins]
    assert calibration_error(scores, correct) < 0.01


def test_fit_stays_finite_where_margins_separate():
    temperature, bias = fit([-2.0, -1.0, 1.0, 2.0], [False, False, True, True])
    assert 0 < temperature < 10
    assert bias == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("correct", [[True, True, True], [False, False, False]])
def test_one_kind_of_question_is_not_enough(correct):
    with pytest.raises(InvalidArgument):
        fit([0.0, 1.0, 2.0], correct)


def test_a_margin_that_misleads_is_an_error():
    with pytest.raises(InvalidArgument):
        fit([3.0, 2.0, -2.0, -3.0], [False, False, True, True])


def test_threshold_equals_exhaustive_search():
    random = np.random.default_rng(3)
    for _ in range(200):
        count = int(random.integers(1, 30))
        scores = random.integers(0, 8, count) / 8
        answered = random.random(count).round(2)
        declined = (random.random(count) < 0.5).astype(float)

        def gain(threshold, s=scores, a=answered, d=declined):
            return np.where(s >= threshold, a, d).sum()

        found = gain(best_threshold(scores, answered, declined))
        assert found == pytest.approx(
            max(gain(t) for t in np.linspace(0, 1.0625, 35)), abs=1e-9
        ) or (
            # A threshold of 1 still answers at a score of 1.
            scores.max() == 1.0
        )


def test_calibrate_puts_the_threshold_between_right_and_unanswerable():
    margins = [-4.0, -3.0, -2.5, 1.0, 3.0, 4.0, 5.0]
    answered = [0.0, 0.0, 0.0, 0.2, 1.0, 1.0, 0.8]
    declined = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    fitted = calibrate(margins, answered, declined, right=0.5)
    assert fitted.score(-2.5) < fitted.threshold <= fitted.score(1.0)
