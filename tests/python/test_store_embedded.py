"""The store in a directory: all that any store does, and what only a directory can do."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from store_conformance import Conformance
from store_support import DIMENSION, MANIFEST, TEXTS, cut, embed, filled, make, put, verify

from tanya.errors import (
    IndexDamaged,
    IndexLocked,
    IndexMissing,
    IndexTooNew,
    InvalidArgument,
    TanyaError,
)
from tanya.store import EmbeddedStore, Store, appending, repair, schema, segments, writing
from tanya.types import Place


class TestEmbedded(Conformance):
    """The conformance suite."""

    def new_store(self, directory: Path) -> Store:
        return EmbeddedStore.create(directory / "indeks.tanya", MANIFEST)


def test_a_new_index_needs_a_new_place(tmp_path: Path) -> None:
    taken = tmp_path / "dokumen"
    taken.mkdir()
    (taken / "surat.txt").write_text("isi")
    for place in (taken, taken / "surat.txt"):
        with pytest.raises(InvalidArgument, match="exists already"):
            EmbeddedStore.create(place, MANIFEST)
    assert [file.name for file in tmp_path.rglob("*")] == ["dokumen", "surat.txt"]
    empty = tmp_path / "kosong"
    empty.mkdir()
    EmbeddedStore.create(empty, MANIFEST).close()
    EmbeddedStore.create(tmp_path / "a" / "b" / "baru", MANIFEST).close()


def test_there_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "x", tmp_path / "file", tmp_path / "file" / "x", "a\0b"):
        with pytest.raises(IndexMissing):
            EmbeddedStore.open(path)


def test_a_closed_index_can_be_copied(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.close()
    files = {file.name for file in store.directory.iterdir()}
    assert files == {schema.DATABASE, schema.VECTORS, schema.LOCK}
    shutil.copytree(store.directory, tmp_path / "salinan 'baru' #1?%20")
    with EmbeddedStore.open(tmp_path / "salinan 'baru' #1?%20") as copy:
        verify(copy, TEXTS)
        with copy.writer() as writer:
            put(writer, make("lain", "lain"))
    with EmbeddedStore.open(store.directory) as store:
        verify(store, TEXTS)


def test_an_index_is_complete_on_disk_after_every_writer(tmp_path: Path) -> None:
    store = filled(tmp_path)
    shutil.copytree(store.directory, tmp_path / "copy", ignore=shutil.ignore_patterns("*-wal"))
    verify(EmbeddedStore.open(tmp_path / "copy"), TEXTS)


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.close()
    store.close()
    with pytest.raises(InvalidArgument, match="was closed"):
        store.documents()


def test_the_second_writer_waits(tmp_path: Path) -> None:
    first, second = filled(tmp_path), EmbeddedStore.open(tmp_path / "indeks")
    heard: list[str] = []
    with first.writer() as writer:
        with pytest.raises(IndexLocked, match=f"Process {os.getpid()} on"):
            second.compact(wait=0)
        with (
            pytest.raises(IndexLocked),
            second.writer(wait=0.1, on_wait=heard.append),
        ):
            pass
        assert len(heard) == 1
        assert "waiting" in heard[0]
        waiting = threading.Thread(target=_remove_all, args=(second,))
        waiting.start()
        put(writer, make("lain", "lain"))
        assert len(second.documents()) == len(TEXTS)
    waiting.join()
    assert first.documents() == []


def _remove_all(store: EmbeddedStore) -> None:
    with store.writer(wait=30) as writer:
        writer.remove(list(store.hashes()))


def test_work_is_committed_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path)
    with store.writer() as writer:
        put(writer, make("a", "satu"))
        assert len(store.documents()) == len(TEXTS)
        monkeypatch.setattr(writing, "_SECONDS", 0.0)
        put(writer, make("b", "dua"))
        assert len(store.documents()) == len(TEXTS) + 2


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupted_commit_is_done_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    store = filled(tmp_path)
    record = appending.Appender.record

    def interrupted(appender: appending.Appender) -> None:
        monkeypatch.undo()
        if when == "after":
            record(appender)
        raise KeyboardInterrupt

    monkeypatch.setattr(appending.Appender, "record", interrupted)
    with pytest.raises(KeyboardInterrupt), store.writer() as writer:
        put(writer, make("a", "satu"))
        writer.commit()
    verify(store, TEXTS | {"a": "satu"})
    assert store.check() == []


def test_an_interrupted_document_is_not_kept_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "seal_split", interrupted)
    with pytest.raises(KeyboardInterrupt), store.writer() as writer:
        put(writer, make("d00", "baru"))
    monkeypatch.undo()
    with store.writer() as writer:
        put(writer, make("b", "dua"))
    verify(store, TEXTS | {"b": "dua"})
    assert store.check() == []


def test_segments_are_filled_before_the_next_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "_SEGMENT_BYTES", 10 * DIMENSION * 4)
    monkeypatch.setattr(appending, "_CHUNK", 4)
    store = filled(tmp_path)
    verify(store, TEXTS)
    assert store.check() == []
    sizes = [file.stat().st_size for file in sorted((store.directory / "vectors").iterdir())]
    assert len(sizes) > 5
    assert set(sizes[:-1]) == {10 * DIMENSION * 4}
    monkeypatch.setattr(segments, "_BLOCK", 1)
    question = embed(cut(TEXTS["d03"]))
    ids, cosines = store.nearest(question, 1)
    assert np.allclose(cosines, 1)
    assert {passage.document for passage in store.passages(ids[:, 0].tolist())} == {"d03"}
    with store.writer() as writer:
        writer.remove([id for id in TEXTS if id > "d05"])
    store.compact()
    verify(store, {id: text for id, text in TEXTS.items() if id <= "d05"})
    assert len(list((store.directory / "vectors").iterdir())) < len(sizes)
    assert store.check() == []


def test_a_reader_outlives_a_compaction_by_another(tmp_path: Path) -> None:
    store, other = filled(tmp_path), EmbeddedStore.open(tmp_path / "indeks")
    question = embed(cut(TEXTS["d01"]))
    with store.reading():
        wanted = store.nearest(question, 5)[0].tolist()
        with other.writer() as writer:
            writer.remove(["d01"])
        other.compact()
        assert store.nearest(question, 5)[0].tolist() == wanted
        verify(store, TEXTS)
    verify(store, {id: text for id, text in TEXTS.items() if id != "d01"})


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.close()
    with closing(sqlite3.connect(store.directory / schema.DATABASE)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.FORMAT + 1}")
    with pytest.raises(IndexTooNew, match=f"format {schema.FORMAT + 1}"):
        EmbeddedStore.open(store.directory)


def test_an_older_format_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path)
    store.close()
    later = schema.TABLES + "CREATE TABLE catatan (isi TEXT NOT NULL);\n"
    steps = {schema.FORMAT: "CREATE TABLE catatan (isi TEXT NOT NULL);"}
    monkeypatch.setattr(schema, "FORMAT", schema.FORMAT + 1)
    monkeypatch.setattr(schema, "TABLES", later)
    with monkeypatch.context() as broken:
        broken.setattr(schema, "MIGRATIONS", {schema.FORMAT - 1: "CREATE TABLE a (b); CREATE"})
        with pytest.raises(IndexDamaged):
            EmbeddedStore.open(store.directory)
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    for _ in range(2):
        with EmbeddedStore.open(store.directory) as store:
            verify(store, TEXTS)
            assert store.check() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_reads_with_connections_of_its_own(tmp_path: Path) -> None:
    store = filled(tmp_path)
    verify(store, TEXTS)
    child = os.fork()
    if not child:
        try:
            verify(store, TEXTS)
            with store.writer() as writer:
                writer.remove(["d00"])
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    verify(store, {id: text for id, text in TEXTS.items() if id != "d00"})
    assert store.check() == []


# An index from a stranger -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        schema.DATABASE,
        f"{schema.DATABASE}-wal",
        f"{schema.DATABASE}-shm",
        schema.LOCK,
        schema.VECTORS,
        "vectors/0000000001.f32",
    ],
)
@pytest.mark.parametrize("kind", ["link", "dangling", "pipe"])
@pytest.mark.skipif(os.name == "nt", reason="makes links and pipes")
def test_planted_files_lead_nowhere(tmp_path: Path, name: str, kind: str) -> None:
    store = filled(tmp_path)
    store.close()
    place, outside = store.directory / name, tmp_path / "luar"
    if place.is_dir() or place.exists():
        place.rename(outside)
    else:
        outside.write_bytes(b"rahasia")
    if kind == "link":
        place.symlink_to(outside)
    elif kind == "dangling":
        place.symlink_to(tmp_path / "tidak ada")
    else:
        os.mkfifo(place)
    before = _contents(outside)
    with pytest.raises(IndexDamaged, match=name.replace(".", r"\.")):
        _read(store.directory)
    for work in (_read, _write, _compact, _repair):
        with suppress(TanyaError):
            work(store.directory)
        assert _contents(outside) == before
        assert not (tmp_path / "tidak ada").exists()


def _contents(path: Path) -> dict[str, bytes]:
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    return {str(file): file.read_bytes() for file in files if file.is_file()}


def _read(directory: Path) -> None:
    with EmbeddedStore.open(directory) as store:
        store.nearest(embed(cut("cuti")), 3)


def _write(directory: Path) -> None:
    with EmbeddedStore.open(directory) as store, store.writer(wait=0) as writer:
        put(writer, make("baru", "dokumen baru"))


def _compact(directory: Path) -> None:
    with EmbeddedStore.open(directory) as store:
        with store.writer(wait=0) as writer:
            writer.remove(["d00"])
        store.compact(wait=0)


def _repair(directory: Path) -> None:
    repair(directory, wait=0)


def test_planted_journals_are_refused(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.close()
    for name in (f"{schema.DATABASE}-journal", f"{schema.LOCK}-journal"):
        planted = store.directory / name
        planted.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"/etc/passwd" * 50)
        for work in (_read, _write, _repair):
            with pytest.raises(IndexDamaged, match=name):
                work(store.directory)
        planted.unlink()
    _read(store.directory)


@pytest.mark.parametrize(
    "planted",
    [
        "CREATE TRIGGER t AFTER INSERT ON documents BEGIN DELETE FROM documents; END",
        "CREATE VIEW v AS SELECT load_extension('/tmp/x.so')",
        "CREATE TABLE tambahan (x)",
        "CREATE INDEX i ON documents (path)",
        "DROP TABLE places; CREATE VIEW places AS SELECT 1",
        "ALTER TABLE texts ADD COLUMN x",
    ],
)
def test_planted_tables_are_refused(tmp_path: Path, planted: str) -> None:
    store = filled(tmp_path)
    store.close()
    with closing(sqlite3.connect(store.directory / schema.DATABASE)) as connection:
        connection.executescript(planted)
    with pytest.raises(IndexDamaged, match="other tables"):
        EmbeddedStore.open(store.directory)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE passages SET vector = 1000000",
        "UPDATE passages SET vector = -1",
        "UPDATE segments SET vectors = 1 << 60",
        "UPDATE documents SET title = 'lain'",
        "UPDATE texts SET content = 'teks'",
        "UPDATE texts SET content = x'ff'",
        "UPDATE passages SET stop = stop + 1",
        "UPDATE places SET kind = 'page'",
        "UPDATE generations SET manifest = '{}'",
        "UPDATE settings SET value = '1'",
        "UPDATE state SET generation = 7",
        "DELETE FROM state",
        "DELETE FROM postings WHERE term = 'cuti'",
        "DELETE FROM texts WHERE document = 3",
        "DELETE FROM chunks",
    ],
)
def test_changed_rows_are_found(tmp_path: Path, change: str) -> None:
    store = filled(tmp_path)
    with store.writer() as writer:
        put(writer, make("a", "isi", places=(Place(0, 3, "row"),)))
    store.close()
    with closing(sqlite3.connect(store.directory / schema.DATABASE)) as connection:
        assert connection.execute(change).rowcount > 0
        connection.commit()
    try:
        with EmbeddedStore.open(store.directory) as changed:
            assert changed.check() != []
            if "vector" in change:
                with pytest.raises(IndexDamaged):
                    changed.nearest(embed(cut("cuti")), 3)
    except IndexDamaged as error:
        assert "index.sqlite" in str(error)
    with suppress(IndexDamaged):
        repair(store.directory, 1)
        with EmbeddedStore.open(store.directory) as repaired:
            for row in repaired.documents():
                assert row.status == "damaged" or repaired.text(row.id) in {*TEXTS.values(), "isi"}


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    store = filled(tmp_path)
    with store.writer() as writer:
        writer.remove(["d00"])
    others = [
        store.directory / "catatan.txt",
        store.directory / "vectors" / ".DS_Store",
        store.directory / "vectors" / "1.f32",
        store.directory / "vectors" / "0000000001.f32.bak",
        store.directory / "vectors" / "00000000¹1.f32",
    ]
    for file in others:
        file.write_text("milik orang")
    stray = store.directory / "vectors" / "0000000099.f32"
    stray.write_text("sisa")
    store.compact()
    assert [file.read_text() for file in others] == ["milik orang"] * 5
    assert not stray.exists()
    assert store.check() == []
