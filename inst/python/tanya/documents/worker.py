"""The process that converts files on behalf of ``pool``: ``python -m tanya.documents.worker``.

It reads one JSON message a line on standard input (first the options, then files) and answers
each file with one line on standard output. JSON, and not pickle, so that a worker that a hostile
file has taken over cannot make its parent run code.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tanya.documents.content import ReadOptions
from tanya.documents.conversion import convert_file
from tanya.types import Document, Failure, Place

__all__ = ["from_message", "main", "to_message"]


def to_message(results: list[Document | Failure]) -> str:
    """Results as one line of JSON."""
    return json.dumps(
        [
            {"kind": type(result).__name__, **asdict(result), "metadata": {}}
            if isinstance(result, Failure)
            else {
                "kind": "Document",
                **{name: getattr(result, name) for name in _DOCUMENT_FIELDS},
                "places": [
                    (place.start, place.end, place.kind, place.label, place.number, place.level)
                    for place in result.places
                ],
            }
            for result in results
        ]
    )


def from_message(line: str | bytes) -> list[Document | Failure]:
    """Results out of a line of JSON."""
    return [_result(fields) for fields in json.loads(line)]


_DOCUMENT_FIELDS = ("id", "text", "type", "hash", "path", "title", "message")
_FAILURE_FIELDS = ("id", "type", "hash", "status", "message", "path")


def _result(fields: dict[str, Any]) -> Document | Failure:
    if fields["kind"] == "Failure":
        return Failure(**{name: fields[name] for name in _FAILURE_FIELDS})
    return Document(
        **{name: fields[name] for name in _DOCUMENT_FIELDS},
        places=tuple(Place(*place) for place in fields["places"]),
    )


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
        results = convert_file(request["id"], Path(request["path"]), options)
        answers.write(to_message(results).encode("ascii") + b"\n")
        answers.flush()


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
