"""The process that converts files on behalf of ``pool``: ``python -m tanya.documents.worker``.

It reads one JSON message a line on standard input (first the options, then files) and answers
each file with a line for each result and a blank line. JSON, and not pickle, so that a worker
that a hostile file has taken over cannot make its parent run code.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

from tanya.documents.content import ReadOptions
from tanya.documents.conversion import convert_file, failure
from tanya.errors import DocumentTooLarge
from tanya.types import Document, Failure, Place

__all__ = ["END", "from_message", "main", "to_message"]

END = b"\n"
"""The line that follows the last result of a file."""

_DOCUMENT_FIELDS = ("id", "text", "type", "hash", "path", "title", "message")
_FAILURE_FIELDS = ("id", "type", "hash", "status", "message", "path")


def to_message(result: Document | Failure) -> bytes:
    """A result as one line of JSON."""
    if isinstance(result, Failure):
        fields = {name: getattr(result, name) for name in _FAILURE_FIELDS}
    else:
        fields = {name: getattr(result, name) for name in _DOCUMENT_FIELDS}
        fields["places"] = [astuple(place) for place in result.places]
    return json.dumps(fields).encode("ascii") + b"\n"


def from_message(line: bytes) -> Document | Failure:
    """A result out of a line of JSON."""
    fields = json.loads(line)
    if "places" not in fields:
        return Failure(**{name: fields[name] for name in _FAILURE_FIELDS})
    places = tuple(Place(*place) for place in fields["places"])
    return Document(**{name: fields[name] for name in _DOCUMENT_FIELDS}, places=places)


def main() -> None:
    """Answer requests until standard input ends."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    # A library that prints must not end up among the answers.
    os.dup2(2, 1)
    options = ReadOptions(**json.loads(requests.readline()))
    _limit_memory(options.max_memory)
    for line in iter(requests.readline, b""):
        request = json.loads(line)
        for message in _messages(request["id"], Path(request["path"]), options):
            answers.write(message)
        answers.write(END)
        answers.flush()


def _messages(id: str, path: Path, options: ReadOptions) -> Iterator[bytes]:
    try:
        yield from map(to_message, convert_file(id, path, options))
    except MemoryError:
        error = DocumentTooLarge("Converting the file needs more memory than allowed.")
        yield to_message(failure(id, str(path), "", error))


def _limit_memory(limit: int) -> None:
    """Let allocations fail in this process before the machine starts to swap."""
    try:
        import resource
    except ImportError:  # Windows has no such limit; the limits on file sizes remain.
        return
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):  # macOS refuses some limits
        return


if __name__ == "__main__":
    main()
