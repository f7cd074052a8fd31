"""Models on the Hugging Face hub, and in its cache on this machine.

Cached or not, a model goes through ``snapshot_download`` with the same patterns. Weights come as
safetensors or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from tanya.errors import ModelInvalid
from tanya.modeldir import CONVERT, check_directory
from tanya.network import TIMEOUT, forbid_telemetry, is_offline

__all__ = ["HubUnavailable", "cached", "download", "pickled"]

_WANTED = [
    "*.json",
    "*model*.safetensors",
    "vocab.txt",
    "merges.txt",
    "*.bpe.model",
    "spiece.model",
    "README.md",
]
_WITH_PICKLES = [*_WANTED, "pytorch_model*.bin", "*/pytorch_model*.bin"]
_UNWANTED = ["onnx/*", "openvino/*", "checkpoint-*", "runs/*"]


class HubUnavailable(Exception):
    """The hub, or its cache, has no such model. Internal: the resolver reports it."""


def cached(model: str, role: Literal["embedder", "reader", "reranker"]) -> Path:
    """Return a model's directory in the hub cache; never uses the network.

    Args:
        model: Hub id, ``organisation/name``.
        role: What it is wanted for. An embedder's snapshot without ``modules.json`` is complete
            only if the cache knows that the hub has none either: guessing the pooling would give
            wrong vectors without a word.

    Raises:
        HubUnavailable: It is not there, or only in part.
        ModelInvalid: It is there, with its weights in pickle files only.
    """
    forbid_telemetry()
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache

    with _reported(model):
        directory = _snapshot(model, _WANTED, offline=True)
    try:
        check_directory(directory)
    except ModelInvalid as error:
        if "pickles" in error.details:
            error.hint = CONVERT.format(model=model)
            raise
        raise HubUnavailable(f"incomplete in the hub cache: {error.message}") from error
    if role == "embedder" and not (directory / "modules.json").is_file():
        known = try_to_load_from_cache(model, "modules.json", revision=directory.name)
        if known is not _CACHED_NO_EXIST:
            raise HubUnavailable("incomplete in the hub cache (modules.json was never fetched)")
    return directory


def download(model: str) -> Path:
    """Fetch a model from the hub into its cache.

    The hub is asked once, and only briefly, whether it has the model, before anything is fetched.

    Raises:
        HubUnavailable: The hub cannot be reached, or has no such model.
        ModelInvalid: The model's weights are in pickle files only.
    """
    forbid_telemetry()
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    with _reported(model):
        facts = HfApi().model_info(model, timeout=TIMEOUT)
        names = [file.rfilename for file in facts.siblings or []]
        if not any(name.endswith(".safetensors") for name in names):
            raise ModelInvalid(
                f"{model} has no safetensors weights on the hub; tanya loads no pickle files,"
                " which can run any code.",
                hint=CONVERT.format(model=model),
                pickles=[name for name in names if name.endswith(".bin")],
            )
        directory = _snapshot(model, _WANTED, offline=False)
        if "modules.json" not in names:
            # Asking for it makes the client note in its cache that there is none: see ``cached``.
            with suppress(EntryNotFoundError):
                hf_hub_download(model, "modules.json", etag_timeout=TIMEOUT)
        return directory


def pickled(model: str) -> Path:
    """Return a model's directory in the hub cache, weights in pickle files included.

    For a person who asked to convert them; nothing else calls it.

    Raises:
        HubUnavailable: It cannot be had.
    """
    forbid_telemetry()
    from huggingface_hub import HfApi

    try:
        with _reported(model):
            directory = _snapshot(model, _WITH_PICKLES, offline=True)
        if is_offline() or any(directory.glob("pytorch_model*.bin")):
            return directory
    except HubUnavailable:
        if is_offline():
            raise
    with _reported(model):
        HfApi().model_info(model, timeout=TIMEOUT)
        return _snapshot(model, _WITH_PICKLES, offline=False)


def _snapshot(model: str, patterns: list[str], *, offline: bool) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            model,
            allow_patterns=patterns,
            ignore_patterns=_UNWANTED,
            local_files_only=offline,
            etag_timeout=TIMEOUT,
        )
    )


@contextmanager
def _reported(model: str) -> Iterator[None]:
    """Say in one sentence why the hub, or its cache, gives no such model."""
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        GatedRepoError,
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        raise HubUnavailable("the hub asks for its licence to be accepted first") from error
    except RepositoryNotFoundError as error:
        raise HubUnavailable("the hub has no such model, or it is private") from error
    except HFValidationError as error:
        raise HubUnavailable(f"{model!r} is not a hub id") from error
    except LocalEntryNotFoundError as error:
        raise HubUnavailable("not in the hub cache, or only in part") from error
    except (HTTPError, OSError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise HubUnavailable(f"the hub cannot be reached ({reason[0]})") from error
