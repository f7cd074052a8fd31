"""A model on disk: where the engine keeps its own, what a usable directory holds, its digest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from tanya.errors import ModelInvalid

__all__ = [
    "CONVERT",
    "Json",
    "cache_dir",
    "check_directory",
    "converted_dir",
    "file_sha256",
    "modules",
    "read_json",
    "weights_digest",
    "write_atomically",
]

CONVERT = "If you trust its author, convert it once: python -m tanya convert {model}"
"""The way out for weights in pickle files."""

Json = Any
"""What ``json.loads`` gives."""

_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
_TOKENIZER_FILES = ("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "*.bpe.model")


def cache_dir() -> Path:
    """Directory for what the engine makes and can make again, not yet created.

    ``TANYA_CACHE`` where it is set; else ``tanya`` in the platform's cache directory.
    """
    chosen = os.environ.get("TANYA_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA")
        return (Path(root) if root else Path.home() / "AppData" / "Local") / "tanya" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "tanya"
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "tanya"


def converted_dir(model: str) -> Path:
    """Directory of the copy of a model that the engine converted to safetensors, or would."""
    return cache_dir() / "models" / model.strip("/").replace("/", "--").replace(":", "")


def read_json(path: Path) -> Json:
    """Parse a JSON file of a model.

    Raises:
        ModelInvalid: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelInvalid(f"{path} cannot be read as JSON: {error}.") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a small file so that nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def modules(directory: Path) -> list[tuple[str, Path]]:
    """Read the modules of a sentence-transformers model, in order.

    Returns:
        Pairs of the class name ("Transformer", "Pooling", "Normalize" ...) and the module's
        directory; none for a plain transformers model.

    Raises:
        ModelInvalid: ``modules.json`` is damaged, or points outside of the directory.
    """
    path = directory / "modules.json"
    if not path.is_file():
        return []
    found = []
    try:
        for entry in read_json(path):
            inside = PurePosixPath(entry["path"])
            if inside.is_absolute() or ".." in inside.parts:
                raise ModelInvalid(f"{path} points outside of the model: {entry['path']!r}.")
            found.append((str(entry["type"]).rpartition(".")[2], directory / inside))
    except (KeyError, TypeError) as error:
        raise ModelInvalid(f"{path} is not a list of modules.") from error
    return found


def check_directory(directory: Path) -> None:
    """Check that a directory holds a model that can be loaded safely.

    Raises:
        ModelInvalid: ``config.json``, safetensors weights, the tokenizer or a listed module is
            missing. Weights in pickle files are refused: loading one can run any code.
    """
    body = next((place for kind, place in modules(directory) if kind == "Transformer"), directory)
    if (directory / "adapter_config.json").is_file():
        wanted, config = "adapter_model*.safetensors", directory / "adapter_config.json"
    else:
        wanted, config = "model*.safetensors", body / "config.json"
    if not config.is_file():
        raise ModelInvalid(f"{directory} is not a model: it has no {config.name}.")
    if not any(body.glob(wanted)):
        pickles = sorted(path.name for pattern in _PICKLES for path in body.glob(pattern))
        if pickles:
            raise ModelInvalid(
                f"{directory} holds its weights only as {', '.join(pickles)}, a format that can"
                " run any code when it is loaded; tanya reads safetensors only.",
                hint=CONVERT.format(model=directory),
                pickles=pickles,
            )
        raise ModelInvalid(f"{directory} holds no weights ({wanted}).")
    if config.name == "config.json" and not _tokenizer_files(body):
        raise ModelInvalid(f"{directory} holds no tokenizer.")
    for kind, place in modules(directory):
        if kind in ("Pooling", "Dense") and not (place / "config.json").is_file():
            raise ModelInvalid(f"{place} is listed in modules.json but has no config.json.")


def weights_digest(directory: Path) -> str:
    """SHA-256, in hexadecimal, of a model's weights and tokenizer.

    It is taken over the lines ``<name> <sha256>`` of every safetensors file of the model and its
    tokenizer's files, sorted by name. The digest of each file is remembered in the cache directory
    under its path, size and time of change, so that half a gigabyte is not read at each start.
    """
    bodies = {directory, *(place for _, place in modules(directory))}
    files = {path for body in bodies for path in body.glob("*model*.safetensors")}
    files.update(path for body in bodies for path in _tokenizer_files(body))
    known = _Digests.load()
    lines = sorted(
        f"{path.relative_to(directory).as_posix()} {known.sha256(path)}" for path in files
    )
    known.save()
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _tokenizer_files(body: Path) -> list[Path]:
    whole = body / "tokenizer.json"
    if whole.is_file():
        return [whole]
    return [path for pattern in _TOKENIZER_FILES for path in body.glob(pattern)]


class _Digests:
    """Digests of files seen before. A lost or unwritable record only costs time."""

    def __init__(self, entries: dict[str, str]) -> None:
        self._entries = entries
        self._changed = False

    @classmethod
    def load(cls) -> _Digests:
        try:
            entries = json.loads(cls._path().read_text(encoding="utf-8"))
        except (OSError, ValueError):
            entries = {}
        return cls(entries if isinstance(entries, dict) else {})

    def sha256(self, path: Path) -> str:
        real = path.resolve()
        facts = real.stat()
        key = f"{real}|{facts.st_size}|{facts.st_mtime_ns}"
        if key not in self._entries:
            stale = [old for old in self._entries if old.startswith(f"{real}|")]
            for old in stale:
                del self._entries[old]
            self._entries[key] = file_sha256(real)
            self._changed = True
        return self._entries[key]

    def save(self) -> None:
        if self._changed:
            with contextlib.suppress(OSError):
                write_atomically(self._path(), json.dumps(self._entries, indent=1).encode())

    @staticmethod
    def _path() -> Path:
        return cache_dir() / "digests.json"
