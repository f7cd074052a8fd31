"""Worker processes that convert files, one file at a time each, under a time limit.

PDFium is not thread-safe, and a hostile file may hang or crash any parser: so each file is
converted in a process that can be ended and replaced. The processes are plain children that run
``tanya.documents.worker``; ``multiprocessing`` would start a second R, or run the caller's script
again, where Python is embedded or the script has no main guard.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

from tanya.children import environment, interpreter
from tanya.documents.content import ReadOptions
from tanya.documents.conversion import failure, file_hash
from tanya.documents.worker import END, from_message
from tanya.errors import DocumentDamaged, DocumentError, DocumentTimeout, TanyaError
from tanya.types import Document, Failure

__all__ = ["Pool"]

_PROGRAM = ("-m", "tanya.documents.worker")


class Pool:
    """Converts files in worker processes. Use it as a context manager."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._executor = ThreadPoolExecutor(max_workers=options.workers)
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._workers = [_Worker(options) for _ in range(options.workers)]
        for worker in self._workers:
            self._idle.put(worker)

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.close()
        self._executor.shutdown(wait=True)

    def submit(self, id: str, path: Path) -> Future[list[Document | Failure]]:
        """Queue a file for conversion."""
        return self._executor.submit(self._convert, id, path)

    def _convert(self, id: str, path: Path) -> list[Document | Failure]:
        worker = self._idle.get()
        try:
            return worker.convert(id, path)
        except TanyaError as error:
            return [failure(id, str(path), _hash_or_blank(path), error)]
        finally:
            self._idle.put(worker)


class _Worker:
    """One child process, started when first needed and again after its end."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._closed = False

    def convert(self, id: str, path: Path) -> list[Document | Failure]:
        process = self._running()
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            process.kill()

        limit = self._options.ocr_timeout if self._options.ocr else self._options.timeout
        timer = threading.Timer(limit, expire)
        timer.daemon = True
        timer.start()
        try:
            results = _ask(process, {"id": id, "path": str(path)})
        finally:
            timer.cancel()
            if expired.is_set():
                process.wait()  # or the next file might be sent to a dying worker
        if results is not None:
            return results
        code = _end(process)
        if expired.is_set():
            raise DocumentTimeout(f"Converting the file took longer than {limit:g} seconds.")
        if self._closed:
            raise DocumentError("Reading was stopped.")
        raise DocumentDamaged(f"The file made its converter crash (exit code {code}).")

    def close(self) -> None:
        """End the process, whatever it is doing."""
        with self._lock:
            self._closed = True
            process = self._process
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    # What was still to be sent to the process has nowhere to go.
                    with suppress(BrokenPipeError):
                        stream.close()

    def _running(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise DocumentError("Reading was stopped.")
            if self._process is not None and self._process.poll() is None:
                return self._process
            if self._process is not None:
                for stream in (self._process.stdin, self._process.stdout):
                    if stream is not None:
                        stream.close()
            self._process = _start()
        _send(self._process, _plain(self._options))
        return self._process


def _start() -> subprocess.Popen[bytes]:
    python = interpreter()
    if python is None:
        raise DocumentError(
            "No Python program was found to convert files with.",
            hint="Use ReadOptions(workers=0) to convert in this process.",
        )
    package = Path(__file__).resolve().parents[2]
    search = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH", ""))))
    return subprocess.Popen(
        [python, *_PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**environment(), "PYTHONPATH": search, "PYTHONIOENCODING": "utf-8"},
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _plain(options: ReadOptions) -> dict[str, object]:
    return {
        name: getattr(options, name)
        for name in ReadOptions.__dataclass_fields__
        if name != "custom"
    }


def _ask(
    process: subprocess.Popen[bytes], request: dict[str, object]
) -> list[Document | Failure] | None:
    """Send a request and wait for its results; None where the worker ended before they did."""
    results: list[Document | Failure] = []
    try:
        _send(process, request)
        for line in process.stdout or ():
            if line == END:
                return results
            results.append(from_message(line))
    except (OSError, ValueError):  # the other end of the pipe is gone, or a line is torn
        return None
    return None


def _send(process: subprocess.Popen[bytes], message: dict[str, object]) -> None:
    if process.stdin is not None:
        process.stdin.write(json.dumps(message).encode("ascii") + b"\n")
        process.stdin.flush()


def _end(process: subprocess.Popen[bytes]) -> int:
    """Exit code of a process that has stopped answering."""
    try:
        return process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _hash_or_blank(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError:
        return ""
