"""One file to its documents: detect, convert, follow attachments, turn every error into a row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tanya.documents.content import Content, Convert, Input, ReadOptions
from tanya.documents.registry import Format, detect, suffix_of
from tanya.errors import (
    DocumentDamaged,
    DocumentEmpty,
    DocumentError,
    DocumentTooLarge,
    DocumentUnsupported,
    TanyaError,
)
from tanya.types import Document, Failure

__all__ = ["convert_file", "failure", "file_hash"]

_CHUNK = 1 << 20


def file_hash(path: str | Path) -> str:
    """SHA-256, in hexadecimal, of a file's bytes."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def convert_file(id: str, path: Path, options: ReadOptions) -> Iterator[Document | Failure]:
    """Convert a file, and the files inside it one after the other, without raising.

    Documents found inside the file carry the ``path`` and the ``hash`` of the file itself, so
    that one hash tells whether any of them has to be done again.
    """
    origin = _Origin(str(path), "")
    try:
        if not path.is_file():
            raise DocumentError("The path is not a regular file, or it cannot be reached.")
        origin = _Origin(str(path), file_hash(path))
        size = path.stat().st_size
        if size > options.max_bytes:
            raise DocumentTooLarge(
                f"The file has {size / 1e6:.0f} MB, over the limit of "
                f"{options.max_bytes / 1e6:.0f} MB."
            )
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        yield origin.failure(id, "", DocumentError(f"The file cannot be opened: {reason}."))
        return
    except TanyaError as error:
        yield origin.failure(id, suffix_of(path.name)[1:], error)
        return
    budget = _Budget(options.max_members, options.max_unpacked)
    yield from _convert(id, Input(data, path.name, options), origin, budget, 0)


def failure(id: str, path: str, hash: str, error: TanyaError, type: str = "") -> Failure:
    """The row that reports an error."""
    status = error.status if isinstance(error, DocumentError) else "failed"
    return Failure(id=id, type=type, hash=hash, status=status, message=str(error), path=path)


@dataclass(frozen=True, slots=True)
class _Origin:
    """The file on disk that everything in it shares."""

    path: str
    hash: str

    def failure(self, id: str, type: str, error: TanyaError) -> Failure:
        return failure(id, self.path, self.hash, error, type)


@dataclass(slots=True)
class _Budget:
    """What the files inside one file may still use up."""

    members: int
    bytes: int


def _convert(
    id: str, file: Input, origin: _Origin, budget: _Budget, depth: int
) -> Iterator[Document | Failure]:
    type = suffix_of(file.name)[1:]
    try:
        detected = detect(file.data, file.name)
        type = detected.format.type
        content = _run(_load(detected.format), file)
        if not content.text.strip() and not content.attachments:
            raise DocumentEmpty(f"The file holds no text. {content.message}".strip())
        if len(content.text) > file.options.max_text:
            raise DocumentTooLarge(
                f"The text has {len(content.text)} characters, over the limit of "
                f"{file.options.max_text}."
            )
    except TanyaError as error:
        yield origin.failure(id, type, error)
        return
    if content.text.strip():
        yield Document(
            id=id,
            text=content.text,
            type=type,
            hash=origin.hash,
            path=origin.path,
            title=content.title,
            places=content.places,
            message=" ".join(filter(None, (detected.message, content.message))),
        )
    taken: set[str] = set()
    for attachment in content.attachments:
        inner = f"{id}/{_member_name(attachment.name, taken)}"
        budget.members -= 1
        try:
            if depth >= file.options.max_depth:
                raise DocumentTooLarge("The file is nested too deep inside others.")
            if budget.members < 0 or budget.bytes < 0:
                raise DocumentTooLarge("The files inside are more than the limit allows.")
            data = attachment.load()
        except TanyaError as error:
            yield origin.failure(inner, suffix_of(attachment.name)[1:], error)
            if budget.members < 0 or budget.bytes < 0:
                return
            continue
        budget.bytes -= len(data)
        within = Input(data, attachment.name, file.options)
        yield from _convert(inner, within, origin, budget, depth + 1)


def _load(format: Format) -> Convert:
    try:
        return format.load()
    except ImportError as error:
        raise DocumentUnsupported(
            f"Reading {format.name} needs the Python package {error.name}, which is missing."
        ) from error


def _run(convert: Convert, file: Input) -> Content:
    """Call a converter. Hostile files break libraries in every way, so every way is caught."""
    try:
        return convert(file)
    except TanyaError:
        raise
    except MemoryError as error:
        raise DocumentTooLarge("Converting the file needs more memory than allowed.") from error
    except RecursionError as error:
        raise DocumentDamaged("The file is nested too deep to be read.") from error
    except Exception as error:
        detail = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise DocumentDamaged(f"The file is damaged or not regular ({detail}).") from error


def _member_name(name: str, taken: set[str]) -> str:
    """A name for a file inside another: forward slashes, no way up, unique among its siblings."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    base = "/".join(parts) or "attachment"
    path = PurePosixPath(base)
    unique = base
    count = 1
    while unique in taken:
        count += 1
        unique = str(path.with_name(f"{path.stem} ({count}){path.suffix}"))
    taken.add(unique)
    return unique
