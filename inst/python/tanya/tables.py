"""What crosses to R: tables and matrices of plain values.

Two things differ from the engine's own conventions, here and nowhere else: offsets become 1-based
and inclusive, and what is missing is listed beside a column instead of standing in it, because
None in a list would make R turn a vector into a list.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tanya.answering import locate_passage
from tanya.sources import readable
from tanya.types import Document, Failure

if TYPE_CHECKING:
    from tanya.answering import Answer, Evidence, Occurrence
    from tanya.assessment import Verdict
    from tanya.index import Change
    from tanya.models import CatalogueRow
    from tanya.reading import Calibration
    from tanya.retrieval import Hit
    from tanya.store import DocumentRow, Floats, Store
    from tanya.types import Place, StoredPassage

__all__ = [
    "answers",
    "calibrations",
    "catalogue",
    "changes",
    "documents",
    "evidence",
    "hits",
    "matrix",
    "passages",
    "table",
    "texts",
    "verdicts",
]

Row = tuple[object, ...]
Table = dict[str, Any]

_PLACEHOLDERS: dict[str, object] = {"chr": "", "int": 0, "lgl": False, "json": "null"}


def table(columns: Mapping[str, str], rows: Iterable[Row]) -> dict[str, Any]:
    """Rows as columns of one type each.

    Args:
        columns: Type of each column: "chr", "int", "dbl", "lgl" or "json".
        rows: One value a column; None (and NaN) is missing.
    """
    rows = list(rows)
    by_column = zip(*rows, strict=True) if rows else ((),) * len(columns)
    out = {
        name: _column(kind, list(values))
        for (name, kind), values in zip(columns.items(), by_column, strict=True)
    }
    return {"kind": "table", "names": list(columns), "rows": len(rows), "columns": out}


_encode = json.JSONEncoder(ensure_ascii=False).encode


def _to_json(value: object) -> str | None:
    # Encoding takes long beside all else here, and most lists of other places are empty.
    return None if value is None else "[]" if value == [] else _encode(value)


def _column(kind: str, values: list[Any]) -> dict[str, Any]:
    missing: list[int] = []
    if kind == "dbl":
        doubles = np.array(values, np.float64)  # None becomes NaN.
        absent = np.isnan(doubles)
        doubles[absent] = 0
        values, missing = doubles.tolist(), (np.flatnonzero(absent) + 1).tolist()
    else:
        if kind == "json":
            values = list(map(_to_json, values))
        if None in values:  # Most columns of most tables are whole.
            missing = [number for number, value in enumerate(values, start=1) if value is None]
        for number in missing:
            values[number - 1] = _PLACEHOLDERS[kind]
    return {"type": kind, "values": values, "missing": missing}


def matrix(vectors: Floats) -> dict[str, Any]:
    """Rows (n, d) as the bytes of doubles."""
    return {
        "kind": "matrix",
        "rows": vectors.shape[0],
        "columns": vectors.shape[1],
        "doubles": bytearray(np.ascontiguousarray(vectors, "<f8").tobytes()),
    }


_CHANGES = {"document": "chr", "change": "chr", "status": "chr", "message": "chr"}


def changes(rows: Iterable[Change]) -> Table:
    """What happened to documents."""
    return table(
        _CHANGES, ((c.document, c.change, c.status or None, c.message or None) for c in rows)
    )


_TEXTS = {
    "document": "chr",
    "path": "chr",
    "type": "chr",
    "title": "chr",
    "pages": "int",
    "characters": "int",
    "status": "chr",
    "message": "chr",
    "text": "chr",
    "places": "json",
}


def texts(items: Iterable[Document | Failure]) -> Table:
    """Files that were read, with their texts and the places in them."""
    return table(_TEXTS, map(_text_row, items))


def _text_row(item: Document | Failure) -> Row:
    """A row of ``_TEXTS``."""
    shared = (item.id, readable(item.path) or None, item.type or None)
    if isinstance(item, Failure):
        return (*shared, None, None, None, item.status, item.message, None, [])
    return (
        *shared,
        item.title or None,
        item.pages,
        len(item.text),
        "ok",
        item.message or None,
        item.text,
        [_place_row(place) for place in item.places],
    )


def _place_row(place: Place) -> dict[str, object]:
    return {
        "kind": place.kind,
        "label": place.label or None,
        "number": place.number,
        "level": place.level or None,
        "start": place.start + 1,
        "end": place.end,
    }


_DOCUMENTS = {
    "document": "chr",
    "path": "chr",
    "type": "chr",
    "title": "chr",
    "pages": "int",
    "passages": "int",
    "characters": "int",
    "hash": "chr",
    "indexed_at": "chr",
    "status": "chr",
    "message": "chr",
    "metadata": "json",
}


def documents(rows: Iterable[DocumentRow]) -> Table:
    """Documents, and files that gave no text."""
    return table(
        _DOCUMENTS,
        (
            (
                row.id,
                readable(row.path) or None,
                row.type or None,
                row.title or None,
                row.pages,
                row.passages,
                row.characters,
                row.hash or None,
                row.indexed_at,
                row.status,
                row.message or None,
                dict(row.metadata),
            )
            for row in rows
        ),
    )


_PASSAGES = {
    "passage_id": "int",
    "document": "chr",
    "ordinal": "int",
    "start": "int",
    "end": "int",
    "page": "int",
    "place": "chr",
    "text": "chr",
    "context": "chr",
}


def passages(store: Store, rows: Iterable[StoredPassage]) -> Table:
    """Passages and where they stand."""
    return table(_PASSAGES, (_passage_row(store, passage) for passage in rows))


def _passage_row(store: Store, passage: StoredPassage) -> Row:
    at = locate_passage(store, passage)
    return (
        passage.id,
        at.document,
        passage.ordinal + 1,
        at.start + 1,
        at.end,
        at.page,
        at.place or None,
        passage.text,
        passage.context or None,
    )


_HITS = {
    "question": "chr",
    "rank": "int",
    "document": "chr",
    "page": "int",
    "place": "chr",
    "start": "int",
    "end": "int",
    "passage": "chr",
    "retrieval_score": "dbl",
    "cosine": "dbl",
    "bm25": "dbl",
    "passage_id": "int",
    "elsewhere": "json",
}


def hits(store: Store, asked: Sequence[str], found: Sequence[Sequence[Hit]]) -> Table:
    """Passages that were found for questions, or texts."""
    return table(
        _HITS,
        (
            _hit_row(store, question, hit)
            for question, ranked in zip(asked, found, strict=True)
            for hit in ranked
        ),
    )


def _hit_row(store: Store, question: str, hit: Hit) -> Row:
    at = locate_passage(store, hit.passage)
    return (
        question,
        hit.rank,
        at.document,
        at.page,
        at.place or None,
        at.start + 1,
        at.end,
        hit.passage.text,
        hit.score,
        hit.cosine,
        hit.bm25,
        hit.passage.id,
        [_occurrence_row(locate_passage(store, copy)) for copy in hit.copies],
    )


_ANSWERS = {
    "question": "chr",
    "answer": "chr",
    "score": "dbl",
    "document": "chr",
    "page": "int",
    "start": "int",
    "end": "int",
    "passage": "chr",
    "retrieval_score": "dbl",
    "margin": "dbl",
    "rank": "int",
    "place": "chr",
    "candidate": "chr",
    "support": "int",
    "elsewhere": "json",
}


def answers(rows: Iterable[Answer]) -> Table:
    """Answers and where they stand."""
    return table(_ANSWERS, map(_answer_row, rows))


def _answer_row(answer: Answer) -> Row:
    """A row of ``_ANSWERS``. A declined answer has a candidate but no place."""
    at = answer.at if answer.text is not None else None
    hit = answer.hit if answer.text is not None else None
    return (
        answer.question,
        answer.text,
        answer.score,
        at and at.document,
        at and at.page,
        at and at.start + 1,
        at and at.end,
        hit and hit.passage.text,
        answer.hit and answer.hit.score,
        answer.margin,
        answer.rank,
        (at and at.place) or None,
        answer.candidate or None,
        answer.support,
        [_occurrence_row(other) for other in answer.elsewhere],
    )


def _occurrence_row(at: Occurrence) -> dict[str, object]:
    return {
        "document": at.document,
        "page": at.page,
        "place": at.place,
        "start": at.start + 1,
        "end": at.end,
    }


_VERDICTS = {
    "question": "chr",
    "gold": "json",
    "answer": "chr",
    "candidate": "chr",
    "score": "dbl",
    "outcome": "chr",
    "right": "lgl",
    "f1": "dbl",
    "exact_match": "dbl",
    "forced_f1": "dbl",
    "gold_document": "chr",
    "document": "chr",
    "passage_rank": "int",
}


def verdicts(rows: Iterable[Verdict]) -> Table:
    """What became of questions whose answers are known."""
    return table(
        _VERDICTS,
        (
            (
                v.gold.question,
                list(v.gold.answers),
                v.answer.text,
                v.answer.candidate or None,
                v.answer.score,
                v.outcome.value,
                v.is_right,
                v.f1,
                v.exact_match,
                v.forced_f1,
                v.gold.document or None,
                v.answer.at and v.answer.at.document,
                v.passage_rank,
            )
            for v in rows
        ),
    )


_EVIDENCE = {
    "rank": "int",
    "document": "chr",
    "page": "int",
    "place": "chr",
    "retrieval_score": "dbl",
    "cosine": "dbl",
    "bm25": "dbl",
    "candidate": "chr",
    "margin": "dbl",
    "score": "dbl",
    "start": "int",
    "end": "int",
    "passage": "chr",
}


def evidence(rows: Iterable[Evidence]) -> Table:
    """Passages that were read, with the best span in each."""
    return table(
        _EVIDENCE,
        (
            (
                item.hit.rank,
                item.at.document,
                item.at.page,
                item.at.place or None,
                item.hit.score,
                item.hit.cosine,
                item.hit.bm25,
                item.candidate or None,
                item.margin,
                item.score,
                item.at.start + 1,
                item.at.end,
                item.hit.passage.text,
            )
            for item in rows
        ),
    )


def calibrations(rows: Iterable[tuple[str, Calibration]]) -> Table:
    """How a reader scores and declines, and when."""
    return table(
        {"when": "chr", "threshold": "dbl", "temperature": "dbl", "bias": "dbl"},
        ((when, c.threshold, c.temperature, c.bias) for when, c in rows),
    )


_MODELS = {
    "preset": "chr",
    "role": "chr",
    "model": "chr",
    "status": "chr",
    "source": "chr",
    "size_mb": "int",
    "licence": "chr",
    "languages": "chr",
    "abstains": "lgl",
    "threshold": "dbl",
    "temperature": "dbl",
    "bias": "dbl",
    "f1": "dbl",
}


def catalogue(rows: Iterable[CatalogueRow]) -> Table:
    """Models of the presets."""
    return table(
        _MODELS,
        (
            (
                row.preset,
                row.role,
                row.model,
                row.status,
                row.source or None,
                row.size_mb,
                row.licence or None,
                ", ".join(row.languages),
                row.null_trained,
                row.card.get("threshold"),
                row.card.get("temperature"),
                row.card.get("bias"),
                row.card.get("f1"),
            )
            for row in rows
        ),
    )
