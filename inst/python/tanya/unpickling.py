"""Weights in pickle files to safetensors, when a person asks for it.

A pickle file can run code when it is opened, so the engine never opens one by itself. Here it does,
by PyTorch's restricted loader, which rebuilds tensors and nothing else (``weights_only``; safe
against crafted files from PyTorch 2.6 on, CVE-2025-32434).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tanya import hub
from tanya.errors import InvalidArgument, MissingDependency, ModelInvalid, ModelUnavailable
from tanya.modeldir import check_directory, converted_dir

__all__ = ["convert"]

_SAFE_TORCH = (2, 6)
_PICKLE = "pytorch_model*.bin"
_COPIED = frozenset({".json", ".txt", ".model", ".md", ".safetensors"})


def convert(model: str) -> Path:
    """Convert a model whose weights are in pickle files; from then on it is found by its name.

    Args:
        model: Hub id, whose files are fetched if need be; or a directory.

    Returns:
        The new directory in the engine's cache.

    Raises:
        InvalidArgument: The model holds no pickled weights.
        ModelUnavailable: The model is not here and cannot be fetched.
        ModelInvalid: The files hold something else than tensors, or do not make up a model.
        MissingDependency: PyTorch is too old to do it safely.
    """
    import torch

    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < _SAFE_TORCH:
        raise MissingDependency("Converting pickled weights safely needs PyTorch 2.6 or newer.")
    source = _files(model)
    target = converted_dir(source.resolve().as_posix() if Path(model).is_dir() else model)
    if target.exists():
        return target
    pickles = [path for path in _model_files(source) if path.match(_PICKLE)]
    if not pickles:
        raise InvalidArgument(f"{model} has no {_PICKLE} to convert.")
    scratch = target.with_name(f".{target.name}.converting")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        for path in _model_files(source):
            if path.suffix in _COPIED:
                copy = scratch / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
        for folder in {path.parent for path in pickles}:
            shards = sorted(path for path in pickles if path.parent == folder)
            _write(shards, scratch / folder.relative_to(source) / "model.safetensors")
        check_directory(scratch)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _files(model: str) -> Path:
    if Path(model).is_dir():
        return Path(model)
    try:
        return hub.pickled(model)
    except hub.HubUnavailable as error:
        raise ModelUnavailable(f"{model}: {error}.", tried=[f"hub: {error}"]) from error


def _model_files(source: Path) -> Iterator[Path]:
    """Files of the model and of its modules; nothing deeper, such as checkpoints."""
    for pattern in ("*", "*/*"):
        yield from (path for path in sorted(source.glob(pattern)) if path.is_file())


def _write(shards: list[Path], target: Path) -> None:
    import pickle

    import torch
    from safetensors.torch import save_file

    tensors: dict[str, Any] = {}
    for shard in shards:
        try:
            tensors.update(torch.load(shard, map_location="cpu", weights_only=True))
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelInvalid(f"{shard} holds something else than tensors: {reason}") from error
    if not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise ModelInvalid(f"{shards[0].parent} holds something else than tensors.")
    # Cloned, since tied weights share their memory, which the format cannot express.
    whole = {name: value.clone().contiguous() for name, value in tensors.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(whole, target, metadata={"format": "pt"})
