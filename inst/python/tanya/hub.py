"""Models on the Hugging Face hub, and in its cache on this machine.

Cached or not, a model goes through ``snapshot_download`` with the same patterns. Weights come as
safetensors or not at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tanya.errors import ModelInvalid
from tanya.modeldir import check_directory
from tanya.network import TIMEOUT, forbid_telemetry

__all__ = ["HubUnavailable", "cached", "download"]

_WANTED = [
    "*.json",
    "*model*.safetensors",
    "vocab.txt",
    "merges.txt",
    "*.bpe.model",
    "spiece.model",
    "README.md",
]
_UNWANTED = ["onnx/*", "openvino/*", "checkpoint-*", "runs/*"]


class HubUnavailable(Exception):
    """The hub, or its cache, has no such model. Internal: the resolver reports it."""


def cached(model: str, role: Literal["embedder", "reader"]) -> Path:
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
    from huggingface_hub import _CACHED_NO_EXIST, snapshot_download, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        directory = Path(
            snapshot_download(
                model,
                local_files_only=True,
                allow_patterns=_WANTED,
                ignore_patterns=_UNWANTED,
            )
        )
    except HFValidationError as error:
        raise HubUnavailable(f"{model!r} is not a hub id") from error
    except OSError as error:
        raise HubUnavailable("not in the hub cache, or only in part") from error
    try:
        check_directory(directory)
    except ModelInvalid as error:
        if "pickles" in error.details:
            raise
        raise HubUnavailable(f"incomplete in the hub cache ({error.message})") from error
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
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        HTTPError,
        RepositoryNotFoundError,
    )

    try:
        facts = HfApi().model_info(model, timeout=TIMEOUT)
        names = [file.rfilename for file in facts.siblings or []]
        if not any(name.endswith(".safetensors") for name in names):
            raise ModelInvalid(
                f"{model} has no safetensors weights on the hub; tanya loads no pickle files,"
                " which can run any code.",
                hint="Convert it once with 'python -m tanya convert DIRECTORY NEW_DIRECTORY' from"
                " a downloaded copy, if you trust its author, and name the new directory.",
                files=names,
            )
        return Path(
            snapshot_download(
                model,
                allow_patterns=_WANTED,
                ignore_patterns=_UNWANTED,
                etag_timeout=TIMEOUT,
            )
        )
    except GatedRepoError as error:
        raise HubUnavailable("the hub asks for its licence to be accepted first") from error
    except RepositoryNotFoundError as error:
        raise HubUnavailable("the hub has no such model, or it is private") from error
    except HFValidationError as error:
        raise HubUnavailable(f"{model!r} is not a hub id") from error
    except (HTTPError, OSError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise HubUnavailable(f"the hub cannot be reached ({reason[0]})") from error
