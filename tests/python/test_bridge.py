"""What R sees: plain columns, 1-based offsets, errors with codes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tanya import bridge
from tanya.index import Index
from tanya.sources import from_texts

MODELS = {"embedder": "naufalihsan/indonesian-sbert-large", "reader": "Rifky/Indobert-QA"}


def call(name: str, **arguments: Any) -> Any:
    reply = bridge.call(name, arguments)
    assert reply["ok"], reply
    return reply["value"]


def rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    """A table as R restores it: what is missing is None."""
    columns = {}
    for name in table["names"]:
        column = table["columns"][name]
        values = list(column["values"])
        assert len(values) == table["rows"] and None not in values
        for number in column["missing"]:
            values[number - 1] = None
        columns[name] = values
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def held(texts: list[str], ids: list[str], **metadata: list[Any]) -> dict[str, Any]:
    columns = {name: {"values": values, "missing": []} for name, values in metadata.items()}
    return {"kind": "texts", "texts": texts, "ids": ids, "metadata": columns or None}


@pytest.fixture
def path(indonesian, tmp_path, no_sockets) -> str:
    where = str(tmp_path / "r.tanya")
    sources = held(["cuti 😀 dua belas hari", "karyawan"], ["a", "b"], tahun=[2023, 2024])
    call("build", path=where, sources=sources, models=MODELS)
    yield where
    call("close", path=where)


def test_offsets_are_those_of_r(path):
    for answer in rows(call("ask", path=path, questions="berapa hari cuti", n=5)):
        text = call("text", path=path, document=answer["document"])
        assert text[answer["start"] - 1 : answer["end"]] == answer["answer"]
    for passage in rows(call("passages", path=path)):
        text = call("text", path=path, document=passage["document"])
        assert text[passage["start"] - 1 : passage["end"]] == passage["text"]
        assert passage["ordinal"] == 1


def test_one_question_is_a_string_and_many_are_a_list(path):
    assert len(rows(call("ask", path=path, questions="apa"))) == 1
    assert len(rows(call("ask", path=path, questions=["apa", "siapa", "apa"]))) == 3
    assert call("ask", path=path, questions=[])["rows"] == 0


def test_what_is_missing_stands_beside_the_column(path):
    [declined] = rows(call("ask", path=path, questions="apa", threshold=1.0))
    missing = ("answer", "document", "page", "start", "end", "passage")
    assert all(declined[name] is None for name in missing)
    assert declined["candidate"]


def test_metadata_filters_and_returns(path):
    found = rows(call("retrieve", path=path, questions="hari", k=5, filter='["==", "tahun", 2024]'))
    assert [row["document"] for row in found] == ["b"]
    metadata = [json.loads(row["metadata"]) for row in rows(call("documents", path=path))]
    assert metadata == [{"tahun": 2023}, {"tahun": 2024}]


def test_errors_carry_code_hint_details_and_traceback(path):
    reply = bridge.call("ask", {"path": path, "questions": [" "]})
    assert not reply["ok"]
    error = reply["error"]
    assert error["code"] == "invalid_argument"
    assert json.loads(error["details"]) == {"position": 1}
    assert "Traceback" in error["traceback"]
    assert bridge.call("describe", {"path": path + "x"})["error"]["code"] == "index_not_found"
    assert bridge.call("ask", {"nonsense": 1})["error"]["code"] == "internal"


def test_interrupts_pass(path, monkeypatch):
    def interrupted(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tanya.index.retrieve", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bridge.call("retrieve", {"path": path, "questions": "apa", "k": 1})


def test_a_directory_put_in_place_of_another_is_noticed(path, tmp_path):
    other = str(tmp_path / "other.tanya")
    call("build", path=other, sources=held(["siapa"], ["c"]), models=MODELS)
    call("close", path=other)
    shutil.rmtree(path)
    shutil.move(other, path)
    assert [row["document"] for row in rows(call("documents", path=path))] == ["c"]


def test_documents_are_removed_and_unknown_ones_are_an_error(path):
    assert [row["document"] for row in rows(call("remove", path=path, documents="a"))] == ["a"]
    reply = bridge.call("remove", {"path": path, "documents": ["b", "a"]})
    assert reply["error"]["code"] == "invalid_argument"
    assert [row["document"] for row in rows(call("documents", path=path))] == ["b"]


def test_a_matrix_crosses_as_bytes(path):
    value = call("embed", texts=["cuti", "hari"], embedder=MODELS["embedder"])
    vectors = np.frombuffer(value["doubles"], "<f8").reshape(value["rows"], value["columns"])
    assert vectors.shape == (2, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("gold", "document", "threshold", "outcome"),
    [
        (["dua belas hari"], "elsewhere", 0.0, "document not indexed"),
        (["karyawan"], "b", 0.0, "passage not retrieved"),
        (["dua belas hari"], "a", 1.0, "below the threshold"),
        (["😀"], "a", 0.0, "another span preferred"),
        (["dua belas hari"], "a", 0.0, "right"),
        ([], "", 0.0, "not declined"),
        ([], "", 1.0, "rightly declined"),
    ],
)
def test_each_outcome_has_its_reason(path, monkeypatch, gold, document, threshold, outcome):
    from tanya.reading import Reader, Span

    def marks_the_words(self, requests, progress=None):
        found = []
        for request in requests:
            text = request.passages[0]
            start = max(text.find("dua belas hari"), 0)
            found.append([Span(0, start, min(start + 14, len(text)), -1.0)])
        return found

    monkeypatch.setattr(Reader, "read", marks_the_words)
    value = call(
        "evaluate",
        path=path,
        questions=["dua belas hari"],
        answers=[gold],
        documents=[document],
        k=1,
        threshold=threshold,
        method="keyword",
    )
    [verdict] = rows(value["verdicts"])
    assert verdict["outcome"] == outcome
    assert verdict["right"] == (outcome in ("right", "rightly declined"))


def test_explaining_shows_every_passage_that_was_read(path):
    evidence = rows(call("explain", path=path, question="berapa hari cuti", k=5))
    assert [item["rank"] for item in evidence] == [1, 2]
    for item in evidence:
        text = call("text", path=path, document=item["document"])
        assert text[item["start"] - 1 : item["end"]] == item["candidate"]
        assert 0 <= item["score"] <= 1


def files(*paths: Path) -> dict[str, Any]:
    return {"kind": "paths", "paths": [str(path) for path in paths]}


@pytest.fixture
def own_format() -> Iterator[Callable[[Any], None]]:
    """Registers a converter for .catatan until the test ends."""
    yield lambda convert: call("register_format", suffix=".catatan", convert=convert)
    call("register_format", suffix=".catatan", convert=None)


def test_files_are_read_without_an_index(tmp_path, no_sockets):
    (tmp_path / "a.md").write_text("# Cuti 😀\n\nDua belas hari.", encoding="utf-8")
    (tmp_path / "b.txt").write_text("", encoding="utf-8")
    read, empty = rows(call("read", sources=files(tmp_path)))
    assert (read["document"], read["status"], read["message"]) == ("a.md", "ok", None)
    assert read["characters"] == len(read["text"])
    [heading] = json.loads(read["places"])
    assert (heading["kind"], heading["label"], heading["number"]) == ("heading", "Cuti 😀", None)
    assert read["text"][heading["start"] - 1 : heading["end"]].endswith("Dua belas hari.")
    assert (empty["status"], empty["text"], empty["places"]) == ("empty", None, "[]")
    reply = bridge.call("read", {"sources": files(tmp_path / "nowhere")})
    assert reply["error"]["code"] == "file_not_found"


def test_a_registered_format_is_read_until_it_is_taken_away(tmp_path, own_format):
    path = tmp_path / "a.catatan"
    path.write_text("isi", encoding="utf-8")
    own_format(lambda name: {"text": f"{Path(name).name} dibaca"})
    [row] = rows(call("read", sources=files(path)))
    assert (row["text"], row["type"]) == ("a.catatan dibaca", "catatan")
    own_format(lambda name: {"error": "tinta habis"})
    [row] = rows(call("read", sources=files(path)))
    assert (row["status"], row["text"]) == ("failed", None)
    assert "tinta habis" in row["message"]
    own_format(None)
    [row] = rows(call("read", sources=files(path)))
    assert row["text"] == "isi"


def test_a_new_format_is_tried_on_files_that_could_not_be_read(path, tmp_path, own_format):
    folder = tmp_path / "berkas"
    folder.mkdir()
    (folder / "a.catatan").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (folder / "b.txt").write_text("karyawan", encoding="utf-8")
    built = rows(call("build", path=path, sources=files(folder), models=MODELS))
    assert [row["change"] for row in built] == ["failed", "new"]
    own_format(lambda name: {"text": "cuti"})
    for dry_run in (True, False):
        synced = rows(call("sync", path=path, folder=str(folder), dry_run=dry_run))
        changes = {row["document"]: row["change"] for row in synced}
        assert changes == {"a.catatan": "changed", "b.txt": "unchanged"}
    assert call("text", path=path, document="a.catatan") == "cuti"
    again = rows(call("sync", path=path, folder=str(folder), dry_run=False))
    assert {row["change"] for row in again} == {"unchanged"}


def test_ocr_reaches_the_converters(path, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("tanya.documents.ocr.check", asked.append)
    (tmp_path / "a.txt").write_text("karyawan", encoding="utf-8")
    call("read", sources=files(tmp_path / "a.txt"), ocr="ind")
    call("build", path=path, sources=files(tmp_path / "a.txt"), models=MODELS, ocr="ind+eng")
    call("read", sources=files(tmp_path / "a.txt"), ocr=None)
    assert asked == ["ind", "ind+eng"]


def test_a_second_writer_says_that_it_waits(path):
    from threading import Thread

    from tanya.store import EmbeddedStore

    said: list[str] = []
    call("set_notifier", notify=said.append)
    other = EmbeddedStore.open(path)
    with other.writer():
        waiting = Thread(target=lambda: call("remove", path=path, documents="a"))
        waiting.start()
        while not said and waiting.is_alive():
            waiting.join(0.05)
    waiting.join(20)
    assert len(said) == 1 and not waiting.is_alive()
    assert [row["document"] for row in rows(call("documents", path=path))] == ["b"]


def test_an_index_that_another_session_makes_meanwhile(path, tmp_path, monkeypatch):
    where, create, seen = tmp_path / "two.tanya", bridge.Index.create, []

    def late(*arguments: Any) -> Index:
        index = create(*arguments)  # The other session.
        index.add(from_texts(["karyawan tetap"], ["theirs"]))
        index.store.close()
        seen.append(where)
        return create(*arguments)

    monkeypatch.setattr(bridge.Index, "create", late)
    call("build", path=str(where), sources=held(["cuti"], ["ours"]), models=MODELS)
    assert seen == [where]
    documents = rows(call("documents", path=str(where)))
    assert [row["document"] for row in documents] == ["ours", "theirs"]
    call("close", path=str(where))


def test_what_is_no_index_is_not_taken_for_one(path, tmp_path):
    (tmp_path / "isi").mkdir()
    (tmp_path / "isi" / "surat.txt").write_text("cuti", encoding="utf-8")
    arguments = {"path": str(tmp_path / "isi"), "sources": held(["cuti"], ["a"]), "models": MODELS}
    reply = bridge.call("build", arguments)
    assert reply["error"]["code"] == "invalid_argument"
    assert [file.name for file in (tmp_path / "isi").iterdir()] == ["surat.txt"]


def test_an_interrupt_that_r_took_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def left() -> None:
        raise RuntimeError("(Unknown exception occurred)")

    monkeypatch.setitem(bridge._FUNCTIONS, "left", left)
    with pytest.raises(KeyboardInterrupt):
        bridge.call("left", {})


def test_an_interrupt_inside_a_converter_passes_through(path, tmp_path):
    def left(path: str) -> None:
        raise RuntimeError("(Unknown exception occurred)")

    (tmp_path / "a.catatan").write_text("cuti", encoding="utf-8")
    call("register_format", suffix=".catatan", convert=left)
    try:
        with pytest.raises(KeyboardInterrupt):
            bridge.call("read", {"sources": files(tmp_path / "a.catatan")})
    finally:
        call("register_format", suffix=".catatan", convert=None)


def test_adding_to_an_index_that_is_gone_makes_none(tmp_path):
    (tmp_path / "a.txt").write_text("cuti", encoding="utf-8")
    reply = bridge.call("add", {"path": str(tmp_path / "x.tanya"), "sources": files(tmp_path)})
    assert reply["error"]["code"] == "index_not_found"
    assert not (tmp_path / "x.tanya").exists()


def test_an_infinite_number_in_metadata_is_an_error(path):
    column = {"values": [float("inf")], "missing": None}
    sources = {"kind": "texts", "texts": ["cuti"], "ids": None, "metadata": {"x": column}}
    reply = bridge.call("add", {"path": path, "sources": sources})
    assert reply["error"]["code"] == "invalid_argument"
