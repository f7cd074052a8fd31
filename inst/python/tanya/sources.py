"""Paths and held texts to sources with ids that stay the same from run to run."""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tanya.errors import FileMissing, InvalidArgument
from tanya.store.schema import DATABASE, VECTORS
from tanya.types import Scalar, Source, content_hash

__all__ = ["from_paths", "from_texts", "is_junk", "readable"]

_JUNK_NAMES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r", "__macosx"})
_JUNK_PREFIXES = (".", "~$")
_JUNK_SUFFIXES = (".tmp", ".crdownload", ".part", "~")


def from_paths(paths: Sequence[str | Path]) -> list[Source]:
    """List the files that paths name.

    A folder stands for all files below it, sorted by path; links to folders are followed, each
    real folder once. Left out are files and folders whose name begins with ``.`` or ``~$`` (the
    lock files of Office) or ends with ``~``, ``.tmp``, ``.part`` or ``.crdownload``,
    ``Thumbs.db``, ``desktop.ini`` and ``__MACOSX``, and the folders of indexes. A file that is
    named directly is never left out. A file named twice, directly or through its folder, is
    listed once.

    The id of a file in a folder is its path relative to that folder; of a file named directly,
    its name. Files that would share an id are told apart by as many parent folders as it takes,
    and what is no Unicode in a name is written out (see ``readable``).
    What cannot be listed or opened is listed all the same, and reading reports it.

    Raises:
        FileMissing: A path does not exist. ``details["paths"]`` lists all that do not.
        InvalidArgument: A path is blank.
    """
    given = [_path(path) for path in paths]
    missing = [str(path) for path in given if not os.path.lexists(path)]
    if missing:
        raise FileMissing(
            f"There is no file or folder {missing[0]}"
            + (f" (and {len(missing) - 1} more are missing)." if len(missing) > 1 else "."),
            hint="Paths are relative to the working directory.",
            paths=missing,
        )
    files: dict[Path, str] = {}
    for path in given:
        listed = _walk(path) if path.is_dir() else [(path, path.name)]
        for file, id in listed:
            where = Path(os.path.abspath(file))  # noqa: PTH100 (keeps links)
            files.setdefault(where, readable(id))
    return [Source(id=id, path=path) for path, id in _unique(files).items()]


def from_texts(
    texts: Sequence[str],
    ids: Sequence[str] | None = None,
    metadata: Mapping[str, Sequence[Scalar]] | None = None,
) -> list[Source]:
    """Make sources of texts that the caller holds.

    Args:
        texts: Taken verbatim.
        ids: A name for each text; without them a text is named after its content,
            ``"text-<12 hexadecimal digits>"``, and equal texts with equal metadata are one source.
        metadata: Columns with a value for each text.

    Raises:
        InvalidArgument: Lengths differ, an id is blank or comes twice, a text is no string, or a
            number of the metadata is infinite.
    """
    columns = metadata or {}
    for name, values in columns.items():
        _check_length(f"Metadata column {name!r}", len(values), len(texts))
        if any(isinstance(value, float) and math.isinf(value) for value in values):
            raise InvalidArgument(f"Metadata column {name!r} holds an infinite number.")
    if ids is not None:
        _check_length("`ids`", len(ids), len(texts))
        _check_ids(ids)
    sources: dict[str, Source] = {}
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidArgument(f"Text {position + 1} is not a string.")
        row = {name: values[position] for name, values in columns.items()}
        id = ids[position] if ids is not None else f"text-{content_hash(text, row)[:12]}"
        sources.setdefault(id, Source(id=id, text=text, metadata=row))
    return list(sources.values())


def _path(path: str | Path) -> Path:
    if not str(path).strip() or "\0" in str(path):
        raise InvalidArgument("A path is blank or holds a NUL character.")
    return Path(path).expanduser()


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files below a folder with their ids, sorted; an unreadable folder is listed as itself."""
    visited: set[tuple[int, int]] = set()

    def identity(path: Path) -> tuple[int, int]:
        status = path.stat()
        return status.st_dev, status.st_ino

    stack = [(folder, "")]
    visited.add(identity(folder))
    found: list[tuple[Path, str]] = []
    while stack:
        current, prefix = stack.pop()
        try:
            with os.scandir(current) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError:
            found.append((current, prefix.rstrip("/") or current.name))
            continue
        for name in names:
            path = current / name
            if is_junk(name):
                continue
            if not path.is_dir():
                found.append((path, prefix + name))
                continue
            if _is_index(path):
                continue
            key = identity(path)
            # A link back up would go round forever.
            if key not in visited:
                visited.add(key)
                stack.append((path, f"{prefix}{name}/"))
    return iter(sorted(found, key=lambda item: item[1]))


def _is_index(folder: Path) -> bool:
    return (folder / DATABASE).is_file() and (folder / VECTORS).is_dir()


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name belongs to a program, not to a person."""
    lower = name.lower()
    return (
        lower in _JUNK_NAMES or lower.startswith(_JUNK_PREFIXES) or lower.endswith(_JUNK_SUFFIXES)
    )


def readable(name: str) -> str:
    r"""A name that R can hold: ``\udcff`` for a byte FF in a file name that is not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _unique(files: Mapping[Path, str]) -> dict[Path, str]:
    """Put parent folders before the ids that clash, as many as make them differ."""
    ids = dict(files)
    for _ in range(max((len(path.parts) for path in ids), default=0)):
        counts = Counter(ids.values())
        groups: dict[str, list[Path]] = defaultdict(list)
        for path, id in ids.items():
            if counts[id] > 1:
                groups[id].append(path)
        if not groups:
            break
        for clashing in groups.values():
            for path in clashing:
                depth = ids[path].count("/") + 2
                ids[path] = readable("/".join(path.parts[-depth:]).replace("//", "/"))
    return ids


def _check_length(what: str, length: int, expected: int) -> None:
    if length != expected:
        raise InvalidArgument(f"{what} has {length} value(s) for {expected} text(s).")


def _check_ids(ids: Sequence[str]) -> None:
    for id, count in Counter(ids).items():
        if not isinstance(id, str) or not id.strip():
            raise InvalidArgument("An id is blank.")
        if count > 1:
            raise InvalidArgument(f"The id {id!r} is given {count} times.", id=id)
