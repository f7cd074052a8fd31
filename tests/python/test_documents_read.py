"""Reading many sources: order, isolation, limits, progress, the caller's own converters."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from document_support import STORY, zipped

from tanya.documents import FORMATS, ReadOptions, file_hash, pool, read
from tanya.documents.registry import Format, detect
from tanya.errors import DocumentUnsupported, MissingDependency
from tanya.sources import from_paths, from_texts
from tanya.types import Document, Failure, Source, content_hash


def write(folder: Path, **files: str | bytes) -> list[Source]:
    """Files by name, with ``__`` for the point before the suffix."""
    for name, data in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return from_paths([folder])


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_documents_come_in_the_order_of_their_sources(workers, tmp_path):
    sources = write(tmp_path, **{f"f{n:02}__txt": f"isi {n}\n" * (40 - n) for n in range(20)})
    found = list(read(sources, options=ReadOptions(workers=workers)))
    assert [document.id for document in found] == [source.id for source in sources]
    assert all(document.text.startswith(f"isi {n}\n") for n, document in enumerate(found))


def test_a_document_knows_its_file(tmp_path):
    [source] = write(tmp_path, a__md="# Judul\n\nisi")
    [document] = read([Source(id="x", path=source.path, metadata={"tahun": 2024})])
    assert document.path == str(tmp_path / "a.md")
    assert document.hash == file_hash(tmp_path / "a.md")
    assert document.metadata == {"tahun": 2024}
    assert document.places[0].label == "Judul"


def test_held_texts_are_never_altered():
    text = "  \ufeffBaris\r\nﬁ\0\u2028 akhir  "
    [document] = read(from_texts([text], metadata={"a": [1]}))
    assert document.text == text
    assert document.hash == content_hash(text, {"a": 1})
    assert document.path == ""


def test_a_blank_text_is_a_failure():
    results = list(read(from_texts(["isi", " \n"], ids=["a", "b"])))
    assert isinstance(results[0], Document)
    assert isinstance(results[1], Failure)
    assert (results[1].id, results[1].status) == ("b", "empty")


def test_what_cannot_be_opened_is_a_row(tmp_path):
    sources = write(tmp_path, a__txt="isi")
    gone = Source(id="hilang", path=tmp_path / "hilang.txt")
    folder = Source(id="map", path=tmp_path)
    results = list(read([gone, folder, *sources]))
    assert [result.id for result in results] == ["hilang", "map", "a.txt"]
    assert all(isinstance(result, Failure) for result in results[:2])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_a_row(tmp_path):
    sources = write(tmp_path, a__txt="isi")
    (tmp_path / "a.txt").chmod(0)
    [failure] = read(sources)
    assert isinstance(failure, Failure)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipa.txt")
    [failure] = read(from_paths([tmp_path]), options=ReadOptions(workers=1, timeout=20))
    assert isinstance(failure, Failure)
    assert "regular file" in failure.message


def test_a_file_over_the_limit_is_too_large(tmp_path):
    sources = write(tmp_path, a__txt="isi " * 1000)
    [failure] = read(sources, options=ReadOptions(workers=1, max_bytes=1000))
    assert isinstance(failure, Failure)
    assert failure.status == "too_large"
    [failure] = read(sources, options=ReadOptions(workers=1, max_text=1000))
    assert isinstance(failure, Failure)
    assert failure.status == "too_large"


BAD_WORKER = """
import os, time
from tanya.documents import plain, worker
convert_text = plain.convert_text
def convert(file):
    if b"HANG" in file.data: time.sleep(600)
    if b"DIE" in file.data: os._exit(7)
    print("noise on standard output", flush=True)
    return convert_text(file)
plain.convert_text = convert
worker.main()
"""


@pytest.fixture
def bad_converters(monkeypatch) -> None:
    """Worker processes whose converter of text hangs, dies or prints."""
    monkeypatch.setattr(pool, "_PROGRAM", ("-c", BAD_WORKER))


def test_a_file_that_hangs_or_kills_its_worker_costs_one_row(tmp_path, bad_converters):
    folder = tmp_path / "files"
    folder.mkdir()
    sources = write(folder, a__txt="satu", b__txt="HANG", c__txt="DIE", d__txt="dua", e__txt="tiga")
    began = time.monotonic()
    results = list(read(sources, options=ReadOptions(workers=2, timeout=3)))
    assert time.monotonic() - began < 60
    assert [getattr(result, "status", "ok") for result in results] == [
        "ok", "timeout", "damaged", "ok", "ok"
    ]  # fmt: skip
    assert isinstance(results[1], Failure)
    assert "3 seconds" in results[1].message
    assert results[1].hash == file_hash(folder / "b.txt")


def test_stopping_early_ends_the_workers(tmp_path):
    psutil = pytest.importorskip("psutil")
    sources = write(tmp_path, **{f"f{n}__txt": "isi" for n in range(30)})
    found = read(sources, options=ReadOptions(workers=2))
    next(found)
    assert psutil.Process().children()
    found.close()
    deadline = time.monotonic() + 10
    while psutil.Process().children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.Process().children()


@pytest.mark.skipif(os.name == "nt", reason="signals differ on Windows")
def test_an_interrupt_reaches_the_caller(tmp_path, bad_converters):
    folder = tmp_path / "files"
    folder.mkdir()
    sources = write(folder, a__txt="HANG")
    # A shell starts its background jobs with interrupts ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(read(sources, options=ReadOptions(workers=1, timeout=60)))
    finally:
        signal.signal(signal.SIGINT, before)


def test_scripts_need_no_main_guard(tmp_path):
    script = tmp_path / "skrip.py"
    (tmp_path / "a.txt").write_text("isi")
    script.write_text(
        "from tanya.documents import read\nfrom tanya.sources import from_paths\n"
        f"print([d.text for d in read(from_paths([{str(tmp_path / 'a.txt')!r}]))])\n"
    )
    package = Path(__file__).parents[2] / "inst" / "python"
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(package)}, check=True,
    )  # fmt: skip
    assert done.stdout == "['isi']\n"


def test_reading_needs_no_model_library(tmp_path):
    """Workers start fast because none of the heavy packages is imported."""
    package = Path(__file__).parents[2] / "inst" / "python"
    code = "import sys, tanya.documents.worker; print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(package)}, check=True,
    )  # fmt: skip
    assert done.stdout == "set()\n"


def test_progress_is_told_in_the_callers_thread(tmp_path):
    told: list[tuple[str, int, int]] = []
    threads = set()

    def progress(stage: str, done: int, total: int) -> None:
        told.append((stage, done, total))
        threads.add(threading.get_ident())

    sources = write(tmp_path, a__txt="isi", b__txt="", c__txt="isi")
    list(read(sources, options=ReadOptions(workers=2), progress=progress))
    assert told == [("read", 1, 3), ("read", 2, 3), ("read", 3, 3)]
    assert threads == {threading.get_ident()}


def test_the_callers_own_converter_comes_first(tmp_path):
    sources = write(tmp_path, a__xyz="isi", b__txt="biasa", c__xyz="rusak", d__xyz="kosong")

    def convert(path: Path) -> str:
        text = path.read_text()
        if text == "rusak":
            raise RuntimeError("tidak bisa")
        return "" if text == "kosong" else f"<{text}>\r\n"

    results = list(read(sources, options=ReadOptions(workers=1, custom={".xyz": convert})))
    assert isinstance(results[0], Document)
    assert (results[0].text, results[0].type) == ("<isi>\n", "xyz")
    assert isinstance(results[1], Document)
    assert isinstance(results[2], Failure)
    assert (results[2].status, "tidak bisa" in results[2].message) == ("failed", True)
    assert isinstance(results[3], Failure)
    assert results[3].status == "empty"


def test_ocr_without_its_program_is_an_error_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency):
        next(read(from_texts(["isi"]), options=ReadOptions(ocr="ind")))


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.type)
def test_every_format_has_a_converter(format: Format):
    assert callable(format.load())


def test_suffixes_are_not_shared():
    suffixes = [suffix for format in FORMATS for suffix in format.suffixes]
    assert len(suffixes) == len(set(suffixes))


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\0\0\0\x18ftypmp42" + bytes(99), "video"),
        (b"ID3\x03\0\0" + bytes(99), "sound"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(99), "archive"),
        (b"SQLite format 3\0" + bytes(99), "database"),
        (b"\x7fELF" + bytes(99), "program"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le"), ".docx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "Workbook".encode("utf-16-le"), ".xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "PowerPoint Document".encode("utf-16-le"), ".pptx"),
    ],
)
def test_unsupported_files_say_what_they_are_and_the_way_out(data, word):
    with pytest.raises(DocumentUnsupported) as caught:
        detect(data, "berkas.bin")
    assert word in str(caught.value)


@pytest.mark.parametrize(
    "members",
    [
        {"mimetype": "application/vnd.oasis.opendocument.graphics", "content.xml": "<a/>"},
        {"[Content_Types].xml": "<Types/>", "visio/document.xml": "<a/>"},
        {"META-INF/MANIFEST.MF": "Main-Class: x", "x.class": "x"},
        {"xl/workbook.bin": "x"},
    ],
)
def test_a_zip_that_is_no_archive_is_not_taken_apart(members):
    with pytest.raises(DocumentUnsupported):
        detect(zipped(members), "a.zip")


def test_a_text_without_a_known_suffix_is_text(tmp_path):
    sources = write(tmp_path, catatan=STORY[0], skrip__py="print('halo')")
    assert [result.type for result in read(sources)] == ["text", "text"]


def test_a_text_that_begins_like_another_format_is_text():
    assert detect(b"%PDF- adalah tanda awal berkas PDF.", "a.txt").format.type == "pdf"
    assert detect(b"Tanda awalnya %PDF- itu.", "a.txt").format.type == "text"
    assert detect(b"BZh adalah tanda bzip2.", "a.txt").format.type == "text"
    assert detect(b"MZ\x90 ".replace(b"\x90", b"a"), "a.txt").format.type == "text"
