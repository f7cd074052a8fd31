"""No file hangs, crashes, fills the memory, opens a connection or reads another file."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from document_support import check_places
from hostile_files import HOSTILE, make_all, paragraph, word

from tanya.documents import ReadOptions, read
from tanya.sources import from_paths
from tanya.types import Document, Failure

MEGABYTE = 1 << 20
LIMITS = ReadOptions(
    workers=2,
    timeout=60.0,
    max_bytes=24 * MEGABYTE,
    max_unpacked=48 * MEGABYTE,
    max_text=4_000_000,
)


@pytest.fixture(scope="module")
def listener() -> Iterator[list[str]]:
    """Connections to the address that hostile files name."""
    met: list[str] = []
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", 9))
        except OSError:
            yield met
            return
        server.listen()
        server.settimeout(0.1)
        stop = threading.Event()

        def listen() -> None:
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                met.append("connected")
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield met
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def outcome(
    tmp_path_factory, listener
) -> dict[str, tuple[list[Document | Failure], frozenset[str]]]:
    """What reading gave for each hostile file, and the statuses that are right."""
    folder = tmp_path_factory.mktemp("hostile")
    made = make_all(folder)
    results: dict[str, list[Document | Failure]] = {path.name: [] for path in made}
    for result in read(from_paths([folder]), options=LIMITS):
        results[Path(result.path).name].append(result)
    return {path.name: (results[path.name], statuses) for path, statuses in made.items()}


def test_there_are_enough_of_them():
    assert len(HOSTILE) >= 40


@pytest.mark.parametrize("name", [name for name, _, _ in HOSTILE])
def test_a_hostile_file_is_a_row_with_the_right_status(name, outcome):
    results, statuses = outcome[name]
    assert results
    for result in results:
        if isinstance(result, Document):
            check_places(result)
        else:
            assert result.message.endswith(".")
    found = {result.status if isinstance(result, Failure) else "ok" for result in results}
    assert found <= statuses, results


def test_nothing_connects(outcome, listener):
    assert not listener


def test_no_secret_is_read(outcome):
    for results, _ in outcome.values():
        for result in results:
            assert "root:" not in (result.text if isinstance(result, Document) else result.message)


def test_members_cannot_climb_out_of_their_archive(outcome):
    ids = [result.id for result in outcome["climbing.zip"][0]]
    assert ids == [
        "climbing.zip/etc/passwd", "climbing.zip/abs.txt", "climbing.zip/C:/x/y.txt",
        "climbing.zip/a.txt", "climbing.zip/con",
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="limits on memory hold on Linux only")
def test_a_worker_stays_within_its_memory(tmp_path):
    psutil = pytest.importorskip("psutil")
    big = tmp_path / "besar.docx"
    big.write_bytes(word(paragraph("ha " * 60_000_000)))
    most = 0
    stop = threading.Event()
    me = psutil.Process()

    def watch() -> None:
        nonlocal most
        while not stop.is_set():
            for child in me.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    most = max(most, child.memory_info().rss)
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        [failure] = read(from_paths([big]), options=ReadOptions(workers=1))
    finally:
        stop.set()
        thread.join()
    assert isinstance(failure, Failure)
    assert failure.status in ("too_large", "damaged")
    assert 0 < most < 1024 * MEGABYTE
