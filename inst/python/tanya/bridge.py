"""The only module that R calls: plain values in, plain values out.

Two things differ from the engine's own conventions, here and nowhere else: offsets become 1-based
and inclusive, and what is missing is listed beside a column instead of standing in it, because
None in a list would make R turn a vector into a list.
"""

from __future__ import annotations

import json
import math
import platform
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from tanya import models
from tanya.answering import Answer, Occurrence, locate_passage
from tanya.assessment import Gold, assess, recalibrate, summarise
from tanya.documents import ReadOptions
from tanya.documents import read as read_documents
from tanya.errors import IndexMissing, InvalidArgument, TanyaError
from tanya.evaluation import paired_bootstrap
from tanya.index import Change, Index, Models
from tanya.passages import PassageSettings
from tanya.reading import Calibration
from tanya.retrieval import Hit, Method, Search
from tanya.sources import from_paths, from_texts
from tanya.store import EmbeddedStore, Floats
from tanya.types import Document, Failure, Place, Progress, StoredPassage

if TYPE_CHECKING:
    from tanya.embedding import Precision

__all__ = ["call"]

Value = dict[str, Any] | str | int | float | bool | None
Row = tuple[object, ...]
_Identity = tuple[int, int]

_FUNCTIONS: dict[str, Callable[..., Value]] = {}
_open: dict[str, tuple[_Identity, Index]] = {}
"""Open indexes by absolute path, so that R can hold a path and nothing else."""
_formats: dict[str, Callable[[Path], str]] = {}
"""The user's own converters by suffix; every reading takes them from here."""
_lock = RLock()


def call(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Call a function of this module by its name.

    Args:
        name: One of the functions below.
        arguments: By name. R's NULL is None.

    Returns:
        ``{"ok": True, "value": ...}`` or ``{"ok": False, "error": ...}`` with the error's code,
        message, hint, details (JSON) and traceback. Interrupts pass through.
    """
    try:
        return {"ok": True, "value": _FUNCTIONS[name](**arguments)}
    except TanyaError as error:
        return _failed(error.code, error.message, error.hint, error.details)
    except MemoryError:
        return _failed("out_of_memory", "Python ran out of memory.", "", {})
    except Exception as error:  # The one border: nothing may reach R unclassed.
        return _failed("internal", f"{type(error).__name__}: {error}", "", {})


def _failed(code: str, message: str, hint: str, details: Mapping[str, object]) -> dict[str, Any]:
    error = {
        "code": code,
        "message": message,
        "hint": hint,
        "details": json.dumps(details, ensure_ascii=False, default=str),
        "traceback": traceback.format_exc(),
    }
    return {"ok": False, "error": error}


def _exported(function: Callable[..., Value]) -> Callable[..., Value]:
    _FUNCTIONS[function.__name__] = function
    return function


_PLACEHOLDERS: dict[str, object] = {"chr": "", "int": 0, "dbl": 0.0, "lgl": False, "json": "null"}


def _table(columns: Mapping[str, str], rows: Iterable[Row]) -> dict[str, Any]:
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


_to_json = json.JSONEncoder(ensure_ascii=False).encode


def _column(kind: str, values: list[Any]) -> dict[str, Any]:
    if kind == "json":
        values = [None if value is None else _to_json(value) for value in values]
    missing = []
    if kind == "dbl" or None in values:  # Most columns of most tables are whole.
        missing = [
            number
            for number, value in enumerate(values, start=1)
            if value is None or (kind == "dbl" and math.isnan(value))
        ]
    for number in missing:
        values[number - 1] = _PLACEHOLDERS[kind]
    return {"type": kind, "values": values, "missing": missing}


def _index(path: str) -> Index:
    key = str(Path(path).absolute())
    with _lock:
        identity = _identity(key)
        if key in _open and _open[key][0] != identity:
            _open.pop(key)[1].store.close()
        if key not in _open:
            _open[key] = (identity, Index.open(Path(key)))
        index = _open[key][1]
        index.on_wait = _notify
        return index


_notifiers: list[Callable[[str], object]] = []


@_exported
def set_notifier(notify: Callable[[str], object]) -> None:
    """Tell R what a person should know while a call is under way."""
    _notifiers[:] = [notify]


def _notify(text: str) -> None:
    for notify in _notifiers:
        notify(text)


def _identity(path: str) -> _Identity:
    """Tells a directory from another that was put in its place."""
    try:
        status = Path(path).stat()
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


@_exported
def close(path: str) -> None:
    """Let go of an index's files; it opens again at the next call."""
    with _lock:
        entry = _open.pop(str(Path(path).absolute()), None)
    if entry is not None:
        entry[1].store.close()


def _method(name: str) -> Method:
    try:
        return Method(name)
    except ValueError:
        known = ", ".join(method.value for method in Method)
        raise InvalidArgument(f"Unknown method {name!r}; there are {known}.") from None


def _search(k: int, method: str, filter: str | None = None, rerank: str | None = None) -> Search:
    return Search(
        k=int(k),
        method=_method(method),
        filter=None if filter is None else json.loads(filter),
        reranker=models.load_reranker(rerank) if rerank else None,
    )


_CHANGES = {"document": "chr", "change": "chr", "status": "chr", "message": "chr"}


def _changes(changes: Iterable[Change]) -> dict[str, Any]:
    return _table(_CHANGES, ((c.document, c.change, c.status, c.message) for c in changes))


@_exported
def build(
    path: str,
    sources: Mapping[str, Any],
    models: Mapping[str, str] | None = None,
    passages: Mapping[str, int] | None = None,
    update: str = "add",
    language: str | None = None,
    precision: str | None = None,
    ocr: str | None = None,
    progress: Progress | None = None,
) -> Value:
    """Make an index or add to one. See ``Index.add`` and ``Index.rebuild``."""
    items = _sources(sources)
    given: dict[str, Any] = {**(models or {}), **({"precision": precision} if precision else {})}
    settings = PassageSettings(**passages) if passages else None
    index = _index_or_new(path, given, settings, language)
    wanted = replace(index.models, **given)
    if update == "rebuild":
        index.rebuild(wanted, settings, language, progress)
    else:
        index.expect(wanted, settings, language)
    return _changes(index.add(items, options=_options(ocr), progress=progress))


def _index_or_new(
    path: str,
    given: Mapping[str, Any],
    settings: PassageSettings | None,
    language: str | None,
) -> Index:
    try:
        return _index(path)
    except IndexMissing:
        pair = models.preset("compact")
        Index.create(
            Path(path).absolute(),
            replace(Models(pair.embedder.id, pair.reader.id), **given),
            settings,
            language or "indonesian",
        ).store.close()
        return _index(path)


def _sources(sources: Mapping[str, Any]) -> list[Any]:
    if sources["kind"] == "paths":
        return from_paths(_strings(sources["paths"]))
    metadata = sources.get("metadata")
    columns = None
    if metadata:
        columns = {name: _values(column) for name, column in metadata.items()}
    ids = sources.get("ids")
    return from_texts(_strings(sources["texts"]), None if ids is None else _strings(ids), columns)


def _strings(values: str | Sequence[str]) -> list[str]:
    """A list, also where R sent a vector of length one."""
    return [values] if isinstance(values, str) else list(values)


def _values(column: Mapping[str, Any]) -> list[Any]:
    """A metadata column: values with the 1-based rows that are missing."""
    values = column["values"]
    values = list(values) if isinstance(values, (list, tuple)) else [values]
    missing = column.get("missing") or []
    for number in missing if isinstance(missing, (list, tuple)) else [missing]:
        values[int(number) - 1] = None
    return values


def _options(ocr: str | None) -> ReadOptions:
    return ReadOptions(ocr=ocr or "", custom=dict(_formats))


@_exported
def register_format(suffix: str, convert: Callable[[str], Mapping[str, str]] | None) -> None:
    """Read files of a suffix with a function of the caller, or no longer where it is None.

    Args:
        suffix: In lower case, with its dot.
        convert: From a path to ``{"text": ...}``, or to ``{"error": message}``, because an error
            of R's would come as one of reticulate's.
    """
    if convert is None:
        _formats.pop(suffix, None)
    else:
        _formats[suffix] = partial(_convert, convert)


def _convert(convert: Callable[[str], Mapping[str, str]], path: Path) -> str:
    reply = convert(str(path))
    if "error" in reply:
        raise RuntimeError(reply["error"])
    return reply["text"]


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


@_exported
def read(
    sources: Mapping[str, Any], ocr: str | None = None, progress: Progress | None = None
) -> Value:
    """Texts of files with the places in them, without an index. See ``documents.read``."""
    items = read_documents(_sources(sources), options=_options(ocr), progress=progress)
    return _table(_TEXTS, map(_text_row, items))


def _text_row(item: Document | Failure) -> Row:
    """A row of ``_TEXTS``."""
    shared = (item.id, item.path or None, item.type or None)
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


@_exported
def describe(path: str) -> Value:
    """Facts about an index for printing."""
    index = _index(path)
    store, counts = index.store, index.store.counts()
    return {
        "path": str(Path(path).absolute()),
        "embedder": index.models.embedder,
        "reader": index.models.reader,
        "precision": index.models.precision,
        "dimension": store.manifest.dimension,
        "documents": counts.documents,
        "failed": counts.failures,
        "passages": counts.passages,
        "language": store.manifest.language,
        "created": store.manifest.created,
        "size_bytes": float(counts.bytes),
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


@_exported
def documents(path: str) -> Value:
    """One row for each document and each file that gave no text."""
    return _table(
        _DOCUMENTS,
        (
            (
                row.id,
                row.path or None,
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
            for row in _index(path).store.documents()
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


@_exported
def passages(path: str, documents: str | Sequence[str] | None = None) -> Value:
    """The passages of some or of all documents."""
    store = _index(path).store
    wanted = None if documents is None else _strings(documents)
    if wanted is not None:
        _must_exist(store, wanted)
    with store.reading():
        return _table(_PASSAGES, (_passage_row(store, p) for p in store.passages_of(wanted)))


def _passage_row(store: EmbeddedStore, passage: StoredPassage) -> Row:
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


@_exported
def vectors(path: str, limit: int) -> Value:
    """Passages, at most ``limit``, evenly spread over the index, and their embeddings."""
    index = _index(path)
    with index.store.reading():
        every = index.store.passages_of()
        count = min(int(limit), len(every))
        chosen = [every[len(every) * number // count] for number in range(count)]
        return {
            "passages": _table(_PASSAGES, (_passage_row(index.store, p) for p in chosen)),
            "vectors": _matrix(index.vectors([passage.id for passage in chosen])),
            "of": len(every),
        }


def _must_exist(store: EmbeddedStore, documents: Sequence[str]) -> None:
    there = {row.id for row in store.documents(documents)}
    unknown = [id for id in documents if id not in there]
    if unknown:
        raise InvalidArgument(
            f"The index has no document {unknown[0]!r}.",
            hint="rag_documents() lists what it has.",
            unknown=unknown,
        )


@_exported
def text(path: str, document: str) -> Value:
    """Canonical text of a document."""
    return _index(path).store.text(document)


@_exported
def remove(path: str, documents: str | Sequence[str]) -> Value:
    """Remove documents."""
    index, wanted = _index(path), _strings(documents)
    _must_exist(index.store, wanted)
    rows = index.store.documents(wanted)
    index.remove(wanted)
    return _changes(Change(row.id, "removed", row.status) for row in rows)


@_exported
def sync(
    path: str,
    folder: str,
    dry_run: bool,
    ocr: str | None = None,
    progress: Progress | None = None,
) -> Value:
    """Make the index follow a folder, or say what that would do."""
    index, options = _index(path), _options(ocr)
    if dry_run:
        return _changes(index.compare(Path(folder), options=options))
    return _changes(index.sync(Path(folder), options=options, progress=progress))


@_exported
def check(path: str, repair: bool) -> Value:
    """What is wrong with the files of an index."""
    if repair:
        close(path)
        findings = Index.repair(Path(path).absolute())
    else:
        findings = _index(path).store.check()
    return _table(
        {"kind": "chr", "name": "chr", "message": "chr", "repaired": "lgl"},
        ((f.kind, f.name, f.message, f.repaired) for f in findings),
    )


@_exported
def compact(path: str, progress: Progress | None = None) -> Value:
    """Give back space; returns bytes before and after."""
    store = _index(path).store
    before = store.counts().bytes
    store.compact(progress=progress)
    return {"before": float(before), "after": float(store.counts().bytes)}


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


@_exported
def retrieve(
    path: str,
    questions: str | Sequence[str],
    k: int,
    method: str = "hybrid",
    filter: str | None = None,
    rerank: str | None = None,
    progress: Progress | None = None,
) -> Value:
    """The k best passages for each question."""
    index, asked = _index(path), _strings(questions)
    return _hits(index, asked, index.retrieve(asked, _search(k, method, filter, rerank)))


@_exported
def similar(
    path: str,
    texts: str | Sequence[str],
    k: int,
    filter: str | None = None,
    progress: Progress | None = None,
) -> Value:
    """The k passages most like each text; as ``retrieve``, the text in place of the question."""
    index, given = _index(path), _strings(texts)
    return _hits(index, given, index.similar(given, _search(k, "cosine", filter)))


def _hits(index: Index, asked: Sequence[str], found: Sequence[Sequence[Hit]]) -> dict[str, Any]:
    return _table(
        _HITS,
        (
            _hit_row(index, question, hit)
            for question, hits in zip(asked, found, strict=True)
            for hit in hits
        ),
    )


def _hit_row(index: Index, question: str, hit: Hit) -> Row:
    at = locate_passage(index.store, hit.passage)
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
        [_occurrence_row(locate_passage(index.store, copy)) for copy in hit.copies],
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


@_exported
def ask(
    path: str,
    questions: str | Sequence[str],
    n: int = 1,
    k: int = 5,
    threshold: float | None = None,
    method: str = "hybrid",
    filter: str | None = None,
    rerank: str | None = None,
    progress: Progress | None = None,
) -> Value:
    """Up to n answers to each question."""
    answers = _index(path).ask(
        _strings(questions),
        _search(k, method, filter, rerank),
        n=int(n),
        threshold=threshold,
        progress=progress,
    )
    return _table(_ANSWERS, (_answer_row(answer) for ranked in answers for answer in ranked))


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


@_exported
def embed(
    texts: str | Sequence[str],
    embedder: str,
    role: str = "none",
    precision: Precision = "float32",
    progress: Progress | None = None,
) -> Value:
    """Unit vectors, one row for each text."""
    model = models.load_embedder(embedder, precision=precision)
    encode = {
        "none": model.encode,
        "question": model.encode_questions,
        "passage": model.encode_passages,
    }.get(role)
    if encode is None:
        raise InvalidArgument(f"Unknown role {role!r}; there are none, question, passage.")
    return _matrix(encode(_strings(texts), progress))


def _matrix(vectors: Floats) -> dict[str, Any]:
    return {
        "kind": "matrix",
        "rows": vectors.shape[0],
        "columns": vectors.shape[1],
        "doubles": bytearray(np.ascontiguousarray(vectors, "<f8").tobytes()),
    }


@_exported
def reader(path: str) -> Value:
    """How the reader of an index scores and declines."""
    settings = _index(path).reader.settings
    return {
        "reader": settings.id,
        "abstains": settings.null_trained,
        "threshold": settings.calibration.threshold if settings.null_trained else 0.0,
        "temperature": settings.calibration.temperature,
        "bias": settings.calibration.bias,
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


@_exported
def evaluate(
    path: str,
    questions: str | Sequence[str],
    answers: Sequence[Sequence[str]],
    documents: str | Sequence[str] | None = None,
    k: int = 5,
    threshold: float | None = None,
    method: str = "hybrid",
    rerank: str | None = None,
    progress: Progress | None = None,
) -> Value:
    """Verdicts on questions whose answers are known, and figures over all of them."""
    assessment = assess(
        _index(path),
        _gold(questions, answers, documents),
        _search(k, method, rerank=rerank),
        threshold=threshold,
        progress=progress,
    )
    rows = (
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
        for v in assessment.verdicts
    )
    figures = summarise(assessment)
    return {
        "verdicts": _table(_VERDICTS, rows),
        "figures": _table({"figure": "chr", "value": "dbl"}, figures.items()),
    }


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


@_exported
def explain(
    path: str,
    question: str,
    k: int = 5,
    method: str = "hybrid",
    filter: str | None = None,
    rerank: str | None = None,
) -> Value:
    """The passages that were read for a question, and the best span in each."""
    evidence = _index(path).explain(question, _search(k, method, filter, rerank))
    return _table(
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
            for item in evidence
        ),
    )


@_exported
def compare(first: Sequence[float], second: Sequence[float]) -> Value:
    """Mean difference of a figure between two evaluations, with a bootstrap interval."""
    difference, low, high = paired_bootstrap(first, second)
    return {"difference": difference, "low": low, "high": high}


def _gold(
    questions: str | Sequence[str],
    answers: Sequence[str | Sequence[str]],
    documents: str | Sequence[str] | None,
) -> list[Gold]:
    asked = _strings(questions)
    homes = [""] * len(asked) if documents is None else _strings(documents)
    return [
        Gold(question, tuple(_strings(accepted)), home or "")
        for question, accepted, home in zip(asked, answers, homes, strict=True)
    ]


@_exported
def calibrate(
    path: str,
    questions: str | Sequence[str],
    answers: Sequence[str | Sequence[str]],
    documents: str | Sequence[str] | None = None,
    k: int = 5,
    method: str = "hybrid",
    rerank: str | None = None,
    progress: Progress | None = None,
) -> Value:
    """Fit the scores and the threshold of an index; returns those before and after."""
    index = _index(path)
    before = index.reader.settings.calibration
    gold = _gold(questions, answers, documents)
    after = recalibrate(index, gold, _search(k, method, rerank=rerank), progress=progress)
    return _calibrations([("before", before), ("after", after)])


@_exported
def reset_calibration(path: str) -> Value:
    """Go back to the reader's own scores and threshold."""
    index = _index(path)
    before = index.reader.settings.calibration
    index.set_calibration(None)
    return _calibrations([("before", before), ("after", index.reader.settings.calibration)])


def _calibrations(rows: Iterable[tuple[str, Calibration]]) -> dict[str, Any]:
    return _table(
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


def _catalogue(rows: Iterable[models.CatalogueRow]) -> dict[str, Any]:
    return _table(
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


@_exported
def list_models() -> Value:
    """The models of the presets."""
    return _catalogue(models.catalogue())


@_exported
def resolve_models(
    preset: str | None = None, embedder: str | None = None, reader: str | None = None
) -> Value:
    """Names of a pair of models: those given, the rest from the preset."""
    pair = models.preset(preset or "compact")
    chosen = models.spec(reader, "reader") if reader else pair.reader
    return {
        "embedder": models.spec(embedder, "embedder").id if embedder else pair.embedder.id,
        "reader": chosen.id,
        "abstains": bool(chosen.null_trained),
    }


@_exported
def install(preset: str, progress: Progress | None = None) -> Value:
    """Fetch the models of a preset."""
    return _catalogue(models.install(preset, progress))


@_exported
def set_offline(offline: bool) -> Value:
    """Forbid or allow the network; returns what was in force before."""
    return models.set_offline(offline)


@_exported
def status() -> Value:
    """Versions and whether the network is forbidden."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "offline": models.is_offline(),
    }
