"""The figures agree with other people's programs and with their definitions."""

from __future__ import annotations

import math
import random
import re
import string

import numpy as np
import pytest

from tanya.evaluation import (
    calibration_error,
    exact_match,
    f1,
    ndcg,
    paired_bootstrap,
    recall,
    reciprocal_rank,
)


def rankings(count: int) -> list[tuple[list[str], set[str]]]:
    """Random rankings of documents with one to five relevant ones, not all of them ranked."""
    chance = random.Random(11)
    cases = []
    for _ in range(count):
        documents = [f"d{number}" for number in range(chance.randint(5, 60))]
        relevant = set(chance.sample(documents, chance.randint(1, 5)))
        chance.shuffle(documents)
        cases.append((documents[: chance.randint(1, len(documents))], relevant))
    return cases


def test_ranking_figures_equal_trec_eval():
    trec = pytest.importorskip("pytrec_eval")
    cases = rankings(250)
    judged = {f"q{i}": dict.fromkeys(relevant, 1) for i, (_, relevant) in enumerate(cases)}
    run = {
        f"q{i}": {document: 1.0 / rank for rank, document in enumerate(ranked, 1)}
        for i, (ranked, _) in enumerate(cases)
    }
    measures = {"recall.1,3,5,10", "recip_rank", "ndcg_cut.10"}
    theirs = trec.RelevanceEvaluator(judged, measures).evaluate(run)
    for i, (ranked, relevant) in enumerate(cases):
        expected = theirs[f"q{i}"]
        for k in (1, 3, 5, 10):
            assert recall(ranked, relevant, k) == pytest.approx(expected[f"recall_{k}"], abs=1e-9)
        assert reciprocal_rank(ranked, relevant) == pytest.approx(expected["recip_rank"], abs=1e-9)
        assert ndcg(ranked, relevant, 10) == pytest.approx(expected["ndcg_cut_10"], abs=1e-9)


def squad_f1(answer: str, gold: str) -> float:
    """F1 straight from the definition: multiset overlap of words, articles and points removed."""

    def words(text: str) -> list[str]:
        text = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    left, right = words(answer), words(gold)
    if not left or not right:
        return float(left == right)
    overlap = 0
    rest = list(right)
    for word in left:
        if word in rest:
            rest.remove(word)
            overlap += 1
    if overlap == 0:
        return 0.0
    precision, share = overlap / len(left), overlap / len(right)
    return 2 * precision * share / (precision + share)


def test_f1_and_exact_match_equal_the_squad_definition():
    chance = random.Random(5)
    vocabulary = ["cuti", "Hari", "the", "dua", "belas", "a", "14", "kerja.", "Rp1.500", "—", "an,"]
    for _ in range(400):
        answer = " ".join(chance.choices(vocabulary, k=chance.randint(0, 6)))
        gold = [
            " ".join(chance.choices(vocabulary, k=chance.randint(1, 6)))
            for _ in range(chance.randint(1, 3))
        ]
        assert f1(answer, gold) == pytest.approx(max(squad_f1(answer, g) for g in gold), abs=1e-9)
        assert exact_match(answer, gold) == max(
            float(squad_f1(answer, g) == 1.0 and _same_order(answer, g)) for g in gold
        )


def _same_order(answer: str, gold: str) -> bool:
    bare = str.maketrans("", "", string.punctuation)
    clean = [
        re.sub(r"\b(a|an|the)\b", " ", text.lower().translate(bare)).split()
        for text in (answer, gold)
    ]
    return clean[0] == clean[1]


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [(None, [], 1.0), ("something", [], 0.0), (None, ["dua"], 0.0), ("", ["dua"], 0.0)],
)
def test_declining_is_right_only_where_there_is_no_answer(answer, gold, expected):
    assert f1(answer, gold) == exact_match(answer, gold) == expected


def test_calibration_error():
    assert calibration_error([0.25] * 4, [True, False, False, False]) == pytest.approx(0.0)
    assert calibration_error([0.95, 0.95, 0.05], [False, False, False]) == pytest.approx(
        (2 * 0.95 + 0.05) / 3
    )
    assert calibration_error([1.0], [True]) == 0.0
    assert math.isnan(calibration_error([], []))


def test_paired_bootstrap_covers_the_true_difference_about_as_often_as_it_says():
    chance = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        easy = chance.normal(size=120)
        first, second = easy + chance.normal(size=120), easy + 0.3 + chance.normal(size=120)
        difference, low, high = paired_bootstrap(first, second, resamples=500)
        assert low < difference < high
        covered += low <= 0.3 <= high
    assert 0.88 <= covered / 200 <= 0.99
    assert paired_bootstrap([1.0, 0.0], [1.0, 0.0]) == (0.0, 0.0, 0.0)
