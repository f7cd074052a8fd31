"""What a killed process, a full disk or a damaged file does to an index."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from store_support import (
    DIMENSION,
    MANIFEST,
    REBUILT,
    TEXTS,
    cut,
    embed,
    filled,
    make,
    put,
    put_again,
    verify,
)

from tanya.errors import (
    IndexDamaged,
    IndexError_,
    IndexFull,
    IndexMissing,
    IndexReadOnly,
    TanyaError,
)
from tanya.keywords import terms
from tanya.store import EmbeddedStore, Manifest, repair
from tanya.store.schema import DATABASE, LOCK, VECTORS
from tanya.types import content_hash

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals")

ROUNDS = 12
KILLS = 7
STEPS = 300  # about as many as a run has


def in_child(work: Callable[[], None], last_step: int = 0) -> int:
    """Run something in a forked process that may die at a step (see ``die_at``); exit status."""
    child = os.fork()
    if not child:
        try:
            if last_step:
                die_at(last_step)
            work()
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_at(number: int) -> None:
    """Kill this process before its n-th write, sync, deletion or SQL statement from now on."""
    steps = itertools.count(1)

    def step() -> None:
        if next(steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def stepping(function: Callable[..., object]) -> Callable[..., object]:
        def stepped(*arguments: object, **named: object) -> object:
            step()
            return function(*arguments, **named)

        return stepped

    class Connection(sqlite3.Connection):
        execute = stepping(sqlite3.Connection.execute)
        executemany = stepping(sqlite3.Connection.executemany)

    connect = sqlite3.connect
    sqlite3.connect = lambda *a, **k: connect(*a, factory=Connection, **k)  # type: ignore
    os.write, os.fsync = stepping(os.write), stepping(os.fsync)  # type: ignore
    Path.unlink = stepping(Path.unlink)  # type: ignore


@dataclass(frozen=True)
class Goal:
    """What an index is to hold in the end, and how it is to be made."""

    texts: dict[str, str]
    manifest: Manifest


def work_on(directory: Path, goal: Goal, journal: Path) -> None:
    """Make an index follow a goal in many commits; note in a journal what each has committed."""

    def note(ids: list[str], keys: list[bytes]) -> None:
        with journal.open("a") as file:
            file.write(json.dumps({"ids": ids, "keys": [key.hex() for key in keys]}) + "\n")

    store = EmbeddedStore.open(directory)
    manifest = replace(store.manifest, created="")
    hashes = store.hashes()
    with store.writer() as writer:
        gone = sorted(set(hashes) - set(goal.texts))
        writer.remove(gone)
        writer.commit()
        note(gone, [])
        changed = [id for id, text in goal.texts.items() if hashes.get(id) != content_hash(text)]
        for ids in (changed[n : n + 2] for n in range(0, len(changed), 2)):
            fresh = []
            for id in ids:
                fresh += put(writer, make(id, goal.texts[id]), manifest)
            writer.commit()
            note(ids, fresh)
    store.compact()
    if manifest != goal.manifest:
        with store.rebuild(goal.manifest) as rebuild:
            for id in rebuild.pending():
                fresh = put_again(rebuild, store, id, goal.manifest)
                rebuild.commit()
                note([], [b"rebuilt" + key for key in fresh])
            rebuild.finish()
    store.close()


def new_goal(generator: random.Random, goal: Goal, number: int) -> Goal:
    """A goal in which some documents are gone, some changed, some new; every third rebuilds."""
    texts = {id: text for id, text in goal.texts.items() if generator.random() > 0.3}
    for _ in range(8):
        id = f"d{generator.randrange(25)}"
        words = " ".join(
            generator.choices(["cuti", "dinas", "mutu", "biaya", "SK-045/2024", "hari"], k=30)
        )
        texts[id] = f"{words} {id} {number}"
    manifest = goal.manifest
    if number % 3 == 2:
        manifest = REBUILT if manifest == MANIFEST else MANIFEST
    return Goal(texts, manifest)


def read_journal(journal: Path) -> tuple[set[str], list[str]]:
    """Ids and keys that were committed for certain."""
    lines = [json.loads(line) for line in journal.read_text().splitlines() if line.endswith("}")]
    return (
        {id for line in lines for id in line["ids"]},
        [key for line in lines for key in line["keys"]],
    )


def verify_between(directory: Path, before: Goal, after: Goal, certain: set[str]) -> None:
    """Fail unless each document is whole, and as before or after; those certain as after."""
    store = EmbeddedStore.open(directory)
    assert store.check() == []
    found = {row.id: store.text(row.id) for row in store.documents()}
    for id in {*before.texts, *after.texts, *found}:
        allowed = [after.texts.get(id)] + ([] if id in certain else [before.texts.get(id)])
        assert found.get(id) in allowed
    verify(store, found)
    store.close()


@posix
def test_a_kill_at_any_moment_loses_nothing_committed(tmp_path: Path) -> None:
    generator = random.Random(4)
    directory = tmp_path / "indeks"
    goal = Goal({}, MANIFEST)
    EmbeddedStore.create(directory, MANIFEST).close()
    kills = 0
    for number in range(ROUNDS):
        before, goal = goal, new_goal(generator, goal, number)
        journal = tmp_path / f"journal-{number}"
        journal.touch()
        for _ in range(KILLS):
            step = generator.randrange(1, STEPS)
            kills += in_child(partial(work_on, directory, goal, journal), step) == -signal.SIGKILL
            verify_between(directory, before, goal, read_journal(journal)[0])
        assert in_child(partial(work_on, directory, goal, journal)) == 0
        store = EmbeddedStore.open(directory)
        verify(store, goal.texts)
        assert replace(store.manifest, created="") == goal.manifest
        store.close()
        keys = read_journal(journal)[1]
        assert len(keys) == len(set(keys)), "a passage was embedded twice"
    assert kills >= 60


@posix
def test_kills_at_unforeseen_times(tmp_path: Path) -> None:
    generator = random.Random(5)
    directory, journal = tmp_path / "indeks", tmp_path / "journal"
    EmbeddedStore.create(directory, MANIFEST).close()
    before = goal = Goal({}, MANIFEST)
    for number in range(15):
        before, goal = goal, new_goal(generator, goal, number)
        journal.write_text("")
        child = os.fork()
        if not child:
            work_on(directory, goal, journal)
            os._exit(0)
        time.sleep(generator.uniform(0, 0.15))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        verify_between(directory, before, goal, read_journal(journal)[0])
        assert in_child(partial(work_on, directory, goal, journal)) == 0


@posix
def test_a_kill_between_the_vectors_and_the_commit(tmp_path: Path) -> None:
    store = filled(tmp_path)

    def work() -> None:
        with store.writer() as writer:
            sync = os.fsync

            def dying(descriptor: int) -> None:
                sync(descriptor)
                os.kill(os.getpid(), signal.SIGKILL)

            os.fsync = dying  # type: ignore[assignment]
            put(writer, make("baru", "dokumen baru " * 40))

    store.close()
    assert in_child(work) == -signal.SIGKILL
    store = EmbeddedStore.open(store.directory)
    verify(store, TEXTS)
    assert store.check() == []
    with store.writer() as writer:
        put(writer, make("lain", "sesuatu yang lain " * 40))
    verify(store, TEXTS | {"lain": "sesuatu yang lain " * 40})
    assert store.check() == []


# A full disk ------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("room", [0, 3_000, 40_000, 150_000])
def test_a_file_that_may_not_grow(tmp_path: Path, room: int) -> None:
    store = filled(tmp_path)
    store.close()
    largest = max(file.stat().st_size for file in store.directory.rglob("*"))

    def work() -> None:
        import resource  # not on Windows

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + room,) * 2)
        _fill(store.directory)

    assert in_child(work) == 0
    _still_there(store.directory)


def test_a_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs to be root")
    try:
        store = filled(disk)
        store.close()
        _fill(store.directory)
        _still_there(store.directory)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_writer_that_failed_does_not_go_on(tmp_path: Path) -> None:
    store = filled(tmp_path)
    with pytest.raises(IndexFull, match="failed before"), store.writer() as writer:
        put(writer, make("a", "satu"))
        writer._connection.execute("ROLLBACK")  # as SQLite does on a full disk
        for again in (
            lambda: put(writer, make("b", "dua")),
            lambda: writer.remove(["d00"]),
            lambda: writer.set_setting("x", 1),
            writer.commit,
        ):
            with pytest.raises(IndexFull, match="failed before"):
                again()
        writer.commit()
    verify(store, TEXTS)
    assert store.check() == []


def _fill(directory: Path) -> None:
    """Add documents until there is no room; fails unless the error says so."""
    store = EmbeddedStore.open(directory)
    with pytest.raises(IndexFull, match="room on the disk"), store.writer() as writer:
        for number in range(2_000):
            put(writer, make(f"e{number}", f"dokumen tambahan {number} " * 400))
            writer.commit()
    assert set(TEXTS) <= set(store.hashes())
    store.close()


def _still_there(directory: Path) -> None:
    """Fail unless what was committed before is, and the rest can be removed again."""
    store = EmbeddedStore.open(directory)
    assert store.check() == []
    extra = sorted(set(store.hashes()) - set(TEXTS))
    verify(store, TEXTS | {id: store.text(id) for id in extra})
    store.close()


# Damaged files ----------------------------------------------------------------------------------


def _truncate(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size // 2)


def _flip(file: Path, where: float = 0.5, number: int = 1) -> None:
    data = bytearray(file.read_bytes())
    start = int(len(data) * where)
    for position in range(start, min(start + number, len(data))):
        data[position] ^= 0xFF
    file.write_bytes(data)


def _replace_by_link(file: Path) -> None:
    other = file.parent.parent.parent / "elsewhere"
    file.rename(other)
    file.symlink_to(other)


@pytest.mark.parametrize(
    ("damage", "saved"),
    [(_truncate, 8), (_flip, 16), (Path.unlink, 0), (_replace_by_link, 0)],
)
def test_damage_of_a_segment_is_named_and_mended(
    tmp_path: Path, damage: Callable[[Path], None], saved: int
) -> None:
    store = filled(tmp_path)
    store.close()
    [segment] = (store.directory / VECTORS).iterdir()
    damage(segment)
    store = EmbeddedStore.open(store.directory)
    assert store.hashes().keys() == TEXTS.keys()
    found = store.check()
    assert {finding.kind for finding in found} == {"vectors", "passages"}
    assert segment.name in found[0].name
    if damage is not _flip:
        with pytest.raises(IndexDamaged, match=segment.name):
            store.nearest(np.eye(1, DIMENSION, dtype=np.float32), 3)
    repaired = store.repair()
    assert {finding.name for finding in repaired if finding.repaired} >= {found[0].name}
    rows = store.documents()
    whole = [row.id for row in rows if row.status == "indexed"]
    assert len(whole) == saved
    verify(store, {id: TEXTS[id] for id in whole})
    lost = [row.id for row in rows if row.status == "incomplete"]
    assert [store.hashes()[id] for id in lost] == [""] * len(lost)
    assert [store.text(id) for id in lost] == [TEXTS[id] for id in lost]
    assert {finding.name for finding in store.check()} == set(lost)
    with store.writer() as writer:
        assert writer.pending() == lost
        for id in lost:
            passages = cut(TEXTS[id])
            writer.restore(id, passages, embed(passages))
    verify(store, TEXTS)
    assert store.check() == []


def test_adding_again_heals_a_damaged_segment(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.close()
    [segment] = (store.directory / VECTORS).iterdir()
    segment.unlink()
    store = EmbeddedStore.open(store.directory)
    with store.writer() as writer:
        for id, text in TEXTS.items():
            put(writer, make(id, text))
    store.compact()
    verify(store, TEXTS)
    assert store.check() == []


def test_compaction_does_not_hide_damage(tmp_path: Path) -> None:
    store = filled(tmp_path)
    with store.writer() as writer:
        writer.remove(["d00"])
    store.close()
    [segment] = (store.directory / VECTORS).iterdir()
    _flip(segment, 0.9)
    store = EmbeddedStore.open(store.directory)
    with pytest.raises(IndexDamaged, match=segment.name):
        store.compact()
    assert store.check() != []


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_of_the_database_are_never_believed(tmp_path: Path, seed: int) -> None:
    store = filled(tmp_path)
    wanted = _everything(store)
    store.close()
    _flip(store.directory / DATABASE, random.Random(seed).random(), 1 + seed % 3 * 8)
    try:
        store = EmbeddedStore.open(store.directory)
        found = store.check()
    except TanyaError as error:
        assert str(store.directory) in str(error) or DATABASE in str(error)
        found = [error]
    if not found:
        assert _everything(store) == wanted
        return
    store.close()
    try:
        repair(store.directory, 1)
    except IndexDamaged as error:
        assert DATABASE in str(error)
        return
    store = EmbeddedStore.open(store.directory)
    for row in store.documents():
        if row.status in ("indexed", "incomplete"):
            assert store.text(row.id) == TEXTS[row.id]
    with store.writer() as writer:
        for id, text in TEXTS.items():
            if store.hashes().get(id) != content_hash(text):
                put(writer, make(id, text))
    verify(store, TEXTS)
    assert store.check() == []


def _everything(store: EmbeddedStore) -> object:
    """All that can be read, but for times."""
    question = embed(cut("cuti dan dinas"))
    return (
        [replace(row, indexed_at="") for row in store.documents()],
        store.passages_of(),
        store.nearest(question, 30)[0].tolist(),
        [found.tolist() for found in store.keyword([terms("cuti SK-003/2024")], 100)],
        store.setting("calibration"),
        replace(store.manifest, created=""),
    )


def test_a_missing_folder_of_vectors_is_mended(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.close()
    shutil.rmtree(store.directory / VECTORS)
    with pytest.raises(IndexDamaged, match=VECTORS):
        EmbeddedStore.open(store.directory)
    repair(store.directory, 1)
    store = EmbeddedStore.open(store.directory)
    with store.writer() as writer:
        assert writer.pending() == sorted(TEXTS)
        for id, text in TEXTS.items():
            put(writer, make(id, text))
    verify(store, TEXTS)
    assert store.check() == []


def test_repair_touches_no_other_folder(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "x"):
        with pytest.raises(IndexMissing):
            repair(folder, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_lost_a_page_gives_most_documents_back(tmp_path: Path) -> None:
    store = EmbeddedStore.create(tmp_path / "indeks", MANIFEST)
    texts = {f"d{n:03}": f"dokumen {n} " * 300 for n in range(60)}
    with store.writer() as writer:
        for id, text in texts.items():
            put(writer, make(id, text))
    store.close()
    file = store.directory / DATABASE
    pages = file.stat().st_size // 4096
    _flip(file, (pages // 2) / pages, 4096)
    findings = repair(store.directory, 1)
    assert any(finding.repaired for finding in findings)
    store = EmbeddedStore.open(store.directory)
    saved = {row.id for row in store.documents() if row.status in ("indexed", "incomplete")}
    assert len(saved) > 40
    assert {id: store.text(id) for id in saved} == {id: texts[id] for id in saved}


def test_a_database_without_its_head_is_refused(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.close()
    file = store.directory / DATABASE
    for content in (b"", b"hello" * 1000, file.read_bytes()[:5000]):
        file.write_bytes(content)
        with pytest.raises(IndexDamaged, match=DATABASE):
            EmbeddedStore.open(store.directory).documents()
        with pytest.raises(IndexDamaged, match=DATABASE):
            repair(store.directory, 1)
    file.unlink()
    with pytest.raises(IndexDamaged, match=DATABASE):
        EmbeddedStore.open(store.directory)
    shutil.rmtree(store.directory)
    with pytest.raises(IndexMissing):
        EmbeddedStore.open(store.directory)


# Rights -----------------------------------------------------------------------------------------


@posix
def test_an_index_that_may_only_be_read(open_path: Path) -> None:
    store = filled(open_path)
    wanted = _everything(store)
    store.close()
    with readable_only(store.directory):

        def work() -> None:
            become_nobody()
            store = EmbeddedStore.open(open_path / "indeks")
            assert _everything(store) == wanted
            assert store.check() == []
            for change in (store.writer().__enter__, store.compact):
                with pytest.raises(IndexReadOnly):
                    change()
            store.close()
            assert sorted(file.name for file in (open_path / "indeks").iterdir()) == [
                DATABASE,
                VECTORS,
                LOCK,
            ]

        assert in_child(work) == 0
    verify(EmbeddedStore.open(store.directory), TEXTS)


@posix
def test_a_reader_without_rights_sees_what_others_write(open_path: Path) -> None:
    store = filled(open_path)
    store.close()
    ready, go = os.pipe(), os.pipe()

    def work() -> None:
        become_nobody()
        reader = EmbeddedStore.open(store.directory)
        verify(reader, TEXTS)
        with pytest.raises(IndexError_, match="while it was being read"), reader.reading():
            os.write(ready[1], b"x")
            os.read(go[0], 1)
        verify(reader, TEXTS | {"baru": "baru"})

    with readable_only(store.directory):
        child = os.fork()
        if not child:
            try:
                work()
            except BaseException as error:
                os.write(2, f"{error!r}\n".encode())
                os._exit(1)
            os._exit(0)
        os.read(ready[0], 1)
        if os.getuid():
            pytest.skip("writing without the right to needs to be root")
        with EmbeddedStore.open(store.directory) as other, other.writer() as writer:
            put(writer, make("baru", "baru"))
        os.write(go[1], b"x")
        assert os.waitpid(child, 0)[1] == 0


@posix
def test_a_log_that_cannot_be_read_is_not_overlooked(open_path: Path) -> None:
    store = filled(open_path)
    store.close()

    def add() -> None:
        with EmbeddedStore.open(store.directory).writer() as writer:
            put(writer, make("baru", "baru"))
            writer.commit()
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(add) == -signal.SIGKILL
    (store.directory / f"{DATABASE}-shm").unlink()
    with readable_only(store.directory):

        def work() -> None:
            become_nobody()
            with pytest.raises(IndexReadOnly, match="closed properly"):
                EmbeddedStore.open(store.directory)

        assert in_child(work) == 0
    verify(EmbeddedStore.open(store.directory), TEXTS | {"baru": "baru"})


@posix
@pytest.mark.parametrize("name", [DATABASE, VECTORS])
def test_a_file_that_may_not_be_read_is_named(open_path: Path, name: str) -> None:
    store = filled(open_path)
    store.close()
    (store.directory / name).chmod(0)

    def work() -> None:
        become_nobody()
        with pytest.raises(TanyaError, match=name):
            EmbeddedStore.open(store.directory).nearest(embed(cut("cuti")), 1)

    status = in_child(work)
    (store.directory / name).chmod(0o755)
    assert status == 0


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that everybody may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def readable_only(directory: Path) -> Iterator[None]:
    """Take the right to write from everybody."""
    everything = [directory, *directory.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield
    finally:
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)


def become_nobody() -> None:
    """Give up the rights of root, which no file can be kept from."""
    if not os.getuid():
        os.setgid(65534)
        os.setuid(65534)
