"""Files to canonical text with the place of every character.

``read`` turns sources into documents. It never raises for a file: what gives no text comes back
as a ``Failure`` that says why. Files are converted in worker processes, so that a file that hangs
or crashes its parser costs one row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tanya.documents import ocr
from tanya.documents.content import ReadOptions, clean
from tanya.documents.conversion import convert_file, failure, file_hash
from tanya.documents.pool import Pool
from tanya.documents.registry import FORMATS, Format, suffix_of
from tanya.errors import DocumentEmpty, DocumentError, TanyaError
from tanya.types import Document, Failure, Progress, Source, content_hash

__all__ = ["FORMATS", "Format", "ReadOptions", "file_hash", "read"]

_Results = list[Document | Failure]

_POLL = 0.2
"""Seconds after which waiting looks whether the user has interrupted."""


def read(
    sources: Iterable[Source],
    *,
    options: ReadOptions | None = None,
    progress: Progress | None = None,
) -> Iterator[Document | Failure]:
    """Convert sources, in their order.

    A source may give several documents: an attachment ``lampiran.pdf`` of ``surat.eml`` follows it
    with the id ``surat.eml/lampiran.pdf``, and so do the members of an archive. Such documents
    share the ``path`` and the ``hash`` of the file on disk. Held texts are never altered.

    Args:
        sources: What to read, as ``tanya.sources`` makes it.
        options: Limits, workers, OCR; ``ReadOptions()`` where None.
        progress: Called in this thread as ("read", sources done, sources in all).

    Yields:
        A ``Document`` for whatever gave text and a ``Failure`` for whatever did not.

    Raises:
        MissingDependency: OCR is asked for, and tesseract or one of its languages is missing.
    """
    options = options or ReadOptions()
    if options.ocr:
        ocr.check(options.ocr)
    total = len(sources) if isinstance(sources, Sized) else 0
    waiting: deque[tuple[Source, _Results | Future[_Results]]] = deque()
    done = 0
    with ExitStack() as stack:
        pool = stack.enter_context(Pool(options)) if options.workers else None
        for source in sources:
            waiting.append((source, _begin(source, options, pool)))
            # Converted documents wait here for their turn: keep the line short.
            while len(waiting) > 2 * options.workers:
                yield from _finish(*waiting.popleft())
                done += 1
                if progress is not None:
                    progress("read", done, total)
        while waiting:
            yield from _finish(*waiting.popleft())
            done += 1
            if progress is not None:
                progress("read", done, total)


def _begin(source: Source, options: ReadOptions, pool: Pool | None) -> _Results | Future[_Results]:
    if source.path is None:
        return [_held(source)]
    path = source.path.absolute()
    own = options.custom.get(suffix_of(path.name))
    if own is not None:
        return [_custom(source.id, path, own)]
    if pool is None:
        return list(convert_file(source.id, path, options))
    return pool.submit(source.id, path)


def _finish(source: Source, results: _Results | Future[_Results]) -> Iterator[Document | Failure]:
    while isinstance(results, Future):
        try:
            results = results.result(timeout=_POLL)
        except FutureTimeout:
            continue
    for result in results:
        yield replace(result, metadata=source.metadata)


def _held(source: Source) -> Document | Failure:
    text = source.text or ""
    hash = content_hash(text, source.metadata)
    if not text.strip():
        return failure(source.id, "", hash, DocumentEmpty("The text is blank."), "text")
    return Document(id=source.id, text=text, type="text", hash=hash)


def _custom(id: str, path: Path, convert: Callable[[Path], str]) -> Document | Failure:
    """Run the caller's own converter, whose errors are as foreign as a hostile file's."""
    type = suffix_of(path.name)[1:]
    try:
        hash = file_hash(path)
    except OSError as error:
        return failure(id, str(path), "", _unreadable(error), type)
    try:
        text = clean(convert(path))
        if not text.strip():
            raise DocumentEmpty("The converter for this kind of file found no text.")
    except TanyaError as error:
        return failure(id, str(path), hash, error, type)
    except Exception as error:
        return failure(
            id, str(path), hash, DocumentError(f"The converter for {type} failed: {error}"), type
        )
    return Document(id=id, text=text, type=type, hash=hash, path=str(path))


def _unreadable(error: OSError) -> DocumentError:
    return DocumentError(f"The file cannot be opened: {error.strerror or type(error).__name__}.")
