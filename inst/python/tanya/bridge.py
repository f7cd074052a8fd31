"""The only module that R calls: plain values in, plain values out (see ``tanya.tables``)."""

from __future__ import annotations

import json
import platform
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any

from tanya import models, tables
from tanya.assessment import Gold, assess, recalibrate, summarise
from tanya.documents import ReadOptions
from tanya.documents import read as read_documents
from tanya.errors import IndexError_, IndexMissing, InvalidArgument, TanyaError
from tanya.evaluation import paired_bootstrap
from tanya.index import Change, Index, Models
from tanya.passages import PassageSettings
from tanya.retrieval import Method, Search
from tanya.sources import from_paths, from_texts
from tanya.store import EmbeddedStore
from tanya.types import DEFAULT_PRECISION, Precision, Progress

__all__ = ["call"]

Value = dict[str, Any] | str | int | float | bool | None
_Identity = tuple[int, int]

_FUNCTIONS: dict[str, Callable[..., Value]] = {}
_open: dict[str, tuple[_Identity, Index]] = {}
"""Open indexes by absolute path, so that R can hold a path and nothing else."""
_formats: dict[str, Callable[[Path], str]] = {}
"""The user's own converters by suffix; every reading takes them from here."""
_lock = RLock()

_LEFT_R = "(Unknown exception occurred)"
"""What reticulate says where an R function that Python called was left by a jump: by Ctrl-C, which
reticulate's own signal handler hands to R. An error in R has its message."""


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
        _let_interrupts_through(error)
        return _failed("internal", f"{type(error).__name__}: {error}", "", {})


def _let_interrupts_through(error: Exception) -> None:
    if str(error) == _LEFT_R:
        raise KeyboardInterrupt from None


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
    return tables.changes(index.add(items, options=_options(ocr), progress=progress))


@_exported
def add(
    path: str,
    sources: Mapping[str, Any],
    ocr: str | None = None,
    progress: Progress | None = None,
) -> Value:
    """Add to an index. See ``Index.add``."""
    items = _sources(sources)
    return tables.changes(_index(path).add(items, options=_options(ocr), progress=progress))


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
        pair_given = replace(Models(pair.embedder.id, pair.reader.id), **given)
        try:
            Index.create(
                Path(path).absolute(), pair_given, settings, language or "indonesian"
            ).store.close()
        except (InvalidArgument, IndexError_):
            # Another session may have made it meanwhile.
            with suppress(IndexMissing):
                return _index(path)
            raise
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
    try:
        reply = convert(str(path))
    except Exception as error:
        _let_interrupts_through(error)
        raise
    if "error" in reply:
        raise RuntimeError(reply["error"])
    return reply["text"]


@_exported
def read(
    sources: Mapping[str, Any], ocr: str | None = None, progress: Progress | None = None
) -> Value:
    """Texts of files with the places in them, without an index. See ``documents.read``."""
    items = read_documents(_sources(sources), options=_options(ocr), progress=progress)
    return tables.texts(items)


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


@_exported
def documents(path: str) -> Value:
    """One row for each document and each file that gave no text."""
    return tables.documents(_index(path).store.documents())


@_exported
def passages(path: str, documents: str | Sequence[str] | None = None) -> Value:
    """The passages of some or of all documents."""
    store = _index(path).store
    wanted = None if documents is None else _strings(documents)
    if wanted is not None:
        _must_exist(store, wanted)
    with store.reading():
        return tables.passages(store, store.passages_of(wanted))


@_exported
def vectors(path: str, limit: int) -> Value:
    """Passages, at most ``limit``, evenly spread over the index, and their embeddings."""
    index = _index(path)
    with index.store.reading():
        every = index.store.passages_of()
        count = min(int(limit), len(every))
        chosen = [every[len(every) * number // count] for number in range(count)]
        return {
            "passages": tables.passages(index.store, chosen),
            "vectors": tables.matrix(index.vectors([passage.id for passage in chosen])),
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
    return tables.changes(Change(row.id, "removed", row.status) for row in rows)


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
        return tables.changes(index.compare(Path(folder), options=options))
    return tables.changes(index.sync(Path(folder), options=options, progress=progress))


@_exported
def check(path: str, repair: bool) -> Value:
    """What is wrong with the files of an index."""
    if repair:
        close(path)
        findings = Index.repair(Path(path).absolute())
    else:
        findings = _index(path).store.check()
    return tables.table(
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
    return tables.hits(
        index.store, asked, index.retrieve(asked, _search(k, method, filter, rerank))
    )


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
    return tables.hits(index.store, given, index.similar(given, _search(k, "cosine", filter)))


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
    return tables.answers(answer for ranked in answers for answer in ranked)


@_exported
def embed(
    texts: str | Sequence[str],
    embedder: str,
    role: str = "none",
    precision: Precision = DEFAULT_PRECISION,
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
    return tables.matrix(encode(_strings(texts), progress))


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
    figures = summarise(assessment)
    return {
        "verdicts": tables.verdicts(assessment.verdicts),
        "figures": tables.table({"figure": "chr", "value": "dbl"}, figures.items()),
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
    return tables.evidence(_index(path).explain(question, _search(k, method, filter, rerank)))


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
    return tables.calibrations([("before", before), ("after", after)])


@_exported
def reset_calibration(path: str) -> Value:
    """Go back to the reader's own scores and threshold."""
    index = _index(path)
    before = index.reader.settings.calibration
    index.set_calibration(None)
    return tables.calibrations([("before", before), ("after", index.reader.settings.calibration)])


@_exported
def list_models() -> Value:
    """The models of the presets."""
    return tables.catalogue(models.catalogue())


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
    return tables.catalogue(models.install(preset, progress))


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
