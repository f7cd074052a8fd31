"""Questions to ranked passages: exact cosine, BM25, a mix of the two, and reranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from tanya.duplicates import Distinct, plain
from tanya.errors import InvalidArgument
from tanya.keywords import terms
from tanya.types import StoredPassage, in_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from tanya.embedding import Embedder
    from tanya.reranking import Reranker
    from tanya.store.protocol import Floats, Ids, Store

    _Rank = Callable[[Sequence[int], int], "list[_Ranking]"]
    """From positions of questions and a depth to a ranking of at most that depth for each."""

__all__ = ["Hit", "Method", "Search", "retrieve", "similar"]

KEYWORD_WEIGHT = 0.3
"""Weight of BM25 beside cosine in the hybrid, both as z-scores.

Chosen on questions for training, 1,500 each on the 3,877 Indonesian contexts of id.train and on
4,000 English ones of en.train (recall@5, MRR): cosine 0.929, 0.827 and 0.966, 0.906; BM25 0.846,
0.710 and 0.934, 0.867; hybrid 0.939, 0.839 and 0.983, 0.941. Indonesian does best with weights
from 0.2 to 0.3, English from 0.4 to 0.5; pools from 50 to 200 differ by less than 0.003.
"""

POOL = 100
"""Passages that each part of the hybrid proposes, and over which scores are standardised."""

RERANKED = 30
"""Passages that a reranker reads for each question: it takes as long as the reader for each."""


class Method(str, Enum):
    """How passages are ranked."""

    HYBRID = "hybrid"
    COSINE = "cosine"
    KEYWORD = "keyword"


@dataclass(frozen=True, slots=True)
class Search:
    """How passages are looked for.

    Attributes:
        k: How many passages for each question, at least 1.
        method: See ``Method``.
        filter: Only passages whose document passes it (see ``tanya.filters``), or None.
        reranker: Ranks anew what the method found, or None.
    """

    k: int = 5
    method: Method = Method.HYBRID
    filter: object = None
    reranker: Reranker | None = None

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InvalidArgument(f"k must be at least 1, not {self.k}.")


@dataclass(frozen=True, slots=True)
class Hit:
    """A retrieved passage.

    Attributes:
        passage: The passage.
        rank: 1-based.
        score: What ranked it: the cosine, BM25, their mix, or the reranker's score.
        cosine: In [-1, 1]; NaN where it was not computed.
        bm25: At least 0; 0 where no term of the question occurs, NaN where it was not computed.
        copies: Passages further down that only repeat this one (see ``tanya.duplicates``).
    """

    passage: StoredPassage
    rank: int
    score: float
    cosine: float
    bm25: float
    copies: tuple[StoredPassage, ...] = ()


@dataclass(frozen=True, slots=True)
class _Ranking:
    """Passages of one question, best first; all arrays (n,)."""

    ids: Ids
    scores: Floats
    cosines: Floats
    bm25: Floats


def retrieve(
    store: Store, embedder: Embedder, questions: Sequence[str], search: Search
) -> list[list[Hit]]:
    """Rank passages for each question.

    The hybrid is ``z(cosine) + 0.3 z(BM25)``, each standardised for each question over the
    passages that either part proposes: a sum of standardised scores keeps how much better a
    passage is, which reciprocal rank fusion throws away (Bruch et al., 2023, arXiv:2210.11934).

    Args:
        store: The index.
        embedder: The index's embedding model.
        questions: Not blank.
        search: How to look.

    Returns:
        For each question at most k hits, best first; fewer where fewer passages qualify. A
        passage that repeats a better one is a copy of that hit, and not a hit itself. Neighbours
        in a document stay apart: read as one passage they gave no better answers (on the sample
        questions a forced F1 of 61.7 instead of 62.8).
    """
    _check(questions, "Question")
    if not questions:
        return []
    by_words = search.method is Method.KEYWORD
    vectors = None if by_words else embedder.encode_questions(questions)
    with store.reading():
        allowed = None if search.filter is None else store.allowed(search.filter)

        def rank(rows: Sequence[int], depth: int) -> list[_Ranking]:
            asked = [questions[row] for row in rows]
            if vectors is None:
                return _keyword(store, asked, depth, allowed)
            if search.method is Method.COSINE:
                return _cosine(store, vectors[rows], depth, allowed)
            return _hybrid(store, vectors[rows], asked, depth, allowed)

        wanted = search.k if search.reranker is None else max(search.k, RERANKED)
        found = _distinct(store, rank, len(questions), wanted)
    if search.reranker is None:
        return found
    return [
        _reranked(search.reranker, question, hits)[: search.k]
        for question, hits in zip(questions, found, strict=True)
    ]


def similar(
    store: Store, embedder: Embedder, texts: Sequence[str], search: Search
) -> list[list[Hit]]:
    """Passages most like each text, by the cosine of their embeddings.

    Args:
        store: The index.
        embedder: The index's embedding model.
        texts: Not blank.
        search: Its method and reranker, which are for questions, do not count.

    Returns:
        As ``retrieve``. A passage that says the same as the text is left out.
    """
    _check(texts, "Text")
    if not texts:
        return []
    vectors = embedder.encode_passages(texts)
    with store.reading():
        allowed = None if search.filter is None else store.allowed(search.filter)

        def rank(rows: Sequence[int], depth: int) -> list[_Ranking]:
            return _cosine(store, vectors[rows], depth, allowed)

        found = _distinct(store, rank, len(texts), search.k + 1)
    return [
        _numbered([hit for hit in hits if plain(hit.passage.text) != plain(text)])[: search.k]
        for text, hits in zip(texts, found, strict=True)
    ]


def _check(texts: Sequence[str], name: str) -> None:
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            raise InvalidArgument(f"{name} {number} is blank.", position=number)


def _distinct(store: Store, rank: _Rank, questions: int, wanted: int) -> list[list[Hit]]:
    """At least ``wanted`` hits for each question, where there are so many, copies told apart."""
    found: list[list[Hit]] = [[] for _ in range(questions)]
    short, depth = list(range(questions)), 2 * wanted
    while short:
        rankings = rank(short, depth)
        for row, ranking in zip(short, rankings, strict=True):
            found[row] = _hits(store, ranking, wanted)
        short = [
            row
            for row, ranking in zip(short, rankings, strict=True)
            if len(found[row]) < wanted and len(ranking.ids) == depth
        ]
        depth *= 4
    return found


def _terms(store: Store, questions: Sequence[str]) -> list[list[str]]:
    language = store.manifest.language
    return [terms(question, language) for question in questions]


def _cosine(store: Store, vectors: Floats, k: int, allowed: Ids | None) -> list[_Ranking]:
    return [
        _Ranking(ids[ids >= 0], scores[ids >= 0], scores[ids >= 0], _unknown(ids[ids >= 0]))
        for ids, scores in zip(*store.nearest(vectors, k, allowed), strict=True)
    ]


def _keyword(store: Store, questions: Sequence[str], k: int, allowed: Ids | None) -> list[_Ranking]:
    return [
        _Ranking(ids[ids >= 0], scores[ids >= 0], _unknown(ids[ids >= 0]), scores[ids >= 0])
        for ids, scores in zip(*store.keyword(_terms(store, questions), k, allowed), strict=True)
    ]


def _hybrid(
    store: Store, vectors: Floats, questions: Sequence[str], k: int, allowed: Ids | None
) -> list[_Ranking]:
    proposed = max(POOL, k)
    asked = _terms(store, questions)
    by_cosine, _ = store.nearest(vectors, proposed, allowed)
    by_words, _ = store.keyword(asked, proposed, allowed)
    rankings = []
    for row, words in enumerate(asked):
        ids = _together(by_cosine[row], by_words[row])
        # The same passages whatever k is, so that more of them do not change the first ones.
        usual = np.searchsorted(ids, _together(by_cosine[row][:POOL], by_words[row][:POOL]))
        cosines = store.cosines(vectors[row : row + 1], ids)[0]
        bm25 = _bm25(store, words, ids)
        scores = _standard(cosines, usual) + KEYWORD_WEIGHT * _standard(bm25, usual)
        best = np.lexsort((ids, -scores))[:k]
        rankings.append(_Ranking(ids[best], scores[best], cosines[best], bm25[best]))
    return rankings


def _together(first: Ids, second: Ids) -> Ids:
    """The passages of two lists, ascending; -1, which stands for none, left out."""
    ids = np.union1d(first, second)
    return ids[ids >= 0]


def _bm25(store: Store, words: Sequence[str], ids: Ids) -> Floats:
    """Scores of some passages, in their order; 0 where one shares no term with the question."""
    bm25 = np.zeros(len(ids), np.float32)
    if not len(ids):
        return bm25
    [found], [scores] = store.keyword([words], len(ids), ids)
    bm25[np.searchsorted(ids, found[found >= 0])] = scores[found >= 0]
    return bm25


def _standard(scores: Floats, usual: Ids) -> Floats:
    """Scores less their mean over the usual positions, in standard deviations over these.

    All 0 where they do not vary.
    """
    spread = scores[usual].std() if len(usual) else 0.0
    return (scores - scores[usual].mean()) / spread if spread > 0 else np.zeros_like(scores)


def _unknown(ids: Ids) -> Floats:
    return np.full(len(ids), np.nan, np.float32)


def _hits(store: Store, ranking: _Ranking, wanted: int) -> list[Hit]:
    """The first distinct passages of a ranking, with their copies."""
    passages = {passage.id: passage for passage in store.passages(ranking.ids.tolist())}
    rows = zip(
        ranking.ids.tolist(),
        ranking.scores.tolist(),
        ranking.cosines.tolist(),
        ranking.bm25.tolist(),
        strict=True,
    )
    distinct, hits = Distinct(), list[Hit]()
    copies: list[list[StoredPassage]] = []
    for id, score, cosine, bm25 in rows:
        repeated = distinct.take(passages[id])
        if repeated is None:
            hits.append(Hit(passages[id], len(hits) + 1, score, cosine, bm25))
            copies.append([])
        else:
            copies[repeated].append(passages[id])
    together = zip(hits, copies, strict=True)
    return [replace(hit, copies=tuple(others)) for hit, others in together][:wanted]


def _reranked(reranker: Reranker, question: str, hits: Sequence[Hit]) -> list[Hit]:
    """The same hits in the order that a reranker gives them."""
    scores = reranker.scores(question, [in_context(hit.passage) for hit in hits])
    scored = [replace(hit, score=score) for hit, score in zip(hits, scores, strict=True)]
    return _numbered(sorted(scored, key=lambda hit: -hit.score))


def _numbered(hits: Sequence[Hit]) -> list[Hit]:
    return [replace(hit, rank=rank) for rank, hit in enumerate(hits, start=1)]
