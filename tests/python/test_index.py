"""An index with its models: adding, following a folder, asking, rebuilding."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from tanya import models, packed, tables
from tanya.answering import ASKED_THRESHOLD
from tanya.errors import FileMissing, IndexDamaged, InvalidArgument, ModelMismatch
from tanya.index import Change, Index, Models
from tanya.passages import PassageSettings
from tanya.reading import Calibration
from tanya.retrieval import Method, Search
from tanya.sources import from_paths, from_texts

INDONESIAN = Models("naufalihsan/indonesian-sbert-large", "Rifky/Indobert-QA")

DIFFICULT = [
    "cuti tahunan 😀 dua belas hari 👩‍👩‍👧 untuk karyawan tetap",
    "cuti\r\ntahunan\r\n\r\ndua belas hari\r\n",
    "cafe\u0301 cuti dua\u0301 belas hari",
    "שלום cuti عيد dua belas hari",
    "年假 cuti 十二 hari",
    "\ufeffcuti\u00a0tahunan\u2028dua belas\u200bhari",
]


@pytest.fixture
def index(indonesian, tmp_path, no_sockets) -> Index:
    """An empty index with small models, made without any network."""
    return Index.create(tmp_path / "made.tanya", INDONESIAN)


@pytest.fixture
def folder(tmp_path) -> Path:
    directory = tmp_path / "documents"
    (directory / "sub").mkdir(parents=True)
    (directory / "cuti.txt").write_text("cuti tahunan dua belas hari", encoding="utf-8")
    (directory / "sub" / "hari.md").write_text("# hari\n\nsiapa karyawan tetap", encoding="utf-8")
    return directory


def by_document(changes: list[Change]) -> dict[str, str]:
    return {change.document: change.change for change in changes}


def test_the_indonesian_pair_works_from_the_hub_cache_without_network(index, folder):
    assert by_document(index.add(from_paths([folder]))) == {"cuti.txt": "new", "sub/hari.md": "new"}
    [[answer], [other]] = index.ask(["berapa hari cuti tahunan", "siapa karyawan"])
    for found in (answer, other):
        text = index.store.text(found.at.document)
        assert text[found.at.start : found.at.end] == found.text == found.candidate
        assert 0 <= found.score <= 1
    assert index.embedder.max_tokens * 3 // 4 == index.passage_settings.tokens


def test_nothing_is_done_twice(index, folder):
    index.add(from_paths([folder]))
    vectors = index.store.counts().vectors
    assert set(by_document(index.add(from_paths([folder]))).values()) == {"unchanged"}
    assert index.store.counts().vectors == vectors


def test_a_changed_file_replaces_its_old_text(index, folder):
    index.add(from_paths([folder]))
    (folder / "cuti.txt").write_text("cuti karyawan", encoding="utf-8")
    changes = by_document(index.add(from_paths([folder])))
    assert changes == {"cuti.txt": "changed", "sub/hari.md": "unchanged"}
    assert list(changes) == ["cuti.txt", "sub/hari.md"]
    assert index.store.text("cuti.txt") == "cuti karyawan"
    assert all("belas" not in hit.passage.text for [hit, *_] in index.retrieve(["dua belas"]))


def test_a_file_without_text_is_a_row_and_stops_nothing(index, folder):
    (folder / "kosong.txt").write_text("", encoding="utf-8")
    (folder / "rusak.docx").write_bytes(b"PK\x03\x04 and then nothing")
    changes = {change.document: change for change in index.add(from_paths([folder]))}
    assert changes["kosong.txt"].change == changes["rusak.docx"].change == "failed"
    assert changes["kosong.txt"].message and changes["rusak.docx"].message
    assert changes["cuti.txt"].change == "new"
    rows = {row.id: row.status for row in index.store.documents()}
    assert rows["cuti.txt"] == "indexed"
    assert "indexed" not in (rows["kosong.txt"], rows["rusak.docx"])


def test_sync_follows_the_folder_and_leaves_the_rest(index, folder):
    index.add(from_paths([folder]))
    index.add(from_texts(["cuti dua hari"], ["catatan"]))
    (folder / "cuti.txt").unlink()
    (folder / "baru.txt").write_text("karyawan tetap", encoding="utf-8")
    expected = {"baru.txt": "new", "sub/hari.md": "unchanged", "cuti.txt": "gone"}
    assert by_document(index.compare(folder)) == expected
    assert {row.id for row in index.store.documents()} == {"cuti.txt", "sub/hari.md", "catatan"}
    assert by_document(index.sync(folder)) == expected
    assert {row.id for row in index.store.documents()} == {"baru.txt", "sub/hari.md", "catatan"}
    assert sorted(path.name for path in folder.rglob("*.*")) == ["baru.txt", "hari.md"]


def test_sync_follows_a_folder_behind_a_link(index, folder, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(folder)
    index.sync(link)
    (folder / "cuti.txt").unlink()
    assert by_document(index.sync(link)) == {"sub/hari.md": "unchanged", "cuti.txt": "gone"}
    (folder / "sub" / "hari.md").unlink()
    assert by_document(index.sync(folder)) == {"sub/hari.md": "gone"}


def test_sync_follows_a_folder_that_was_moved(index, folder, tmp_path):
    index.sync(folder)
    moved = folder.rename(tmp_path / "moved")
    assert set(by_document(index.sync(moved))) == {"cuti.txt", "sub/hari.md"}
    assert {Path(row.path).parent for row in index.store.documents()} == {moved, moved / "sub"}
    assert set(by_document(index.sync(moved)).values()) == {"unchanged"}
    (moved / "cuti.txt").unlink()
    assert by_document(index.sync(moved)) == {"sub/hari.md": "unchanged", "cuti.txt": "gone"}


def test_folders_with_files_of_one_name_are_synced_apart(index, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cuti.txt").write_text(f"cuti tahunan {name}", encoding="utf-8")
    index.add(from_paths([tmp_path / "a", tmp_path / "b"]))
    for name in ("a", "b"):
        assert by_document(index.sync(tmp_path / name)) == {f"{name}/cuti.txt": "unchanged"}
    other = tmp_path / "c" / "a"
    other.mkdir(parents=True)
    (other / "hari.txt").write_text("hari kerja", encoding="utf-8")
    index.sync(other)
    (tmp_path / "b" / "hari.txt").write_text("dua hari kerja", encoding="utf-8")
    assert by_document(index.sync(tmp_path / "b")) == {
        "b/cuti.txt": "unchanged",
        "b/hari.txt": "new",
    }
    assert {row.id for row in index.store.documents()} == {
        "a/cuti.txt",
        "b/cuti.txt",
        "hari.txt",
        "b/hari.txt",
    }


def test_texts_and_files_named_below_a_file_are_not_its_content(index, folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "cuti.txt").mkdir(parents=True)
    (elsewhere / "cuti.txt" / "lama.txt").write_text("cuti dua hari", encoding="utf-8")
    others = [*from_texts(["siapa karyawan"], ["cuti.txt/12"]), *from_paths([elsewhere])]
    index.add([*from_paths([folder / "cuti.txt"]), *others])
    assert by_document(index.add(from_paths([folder / "cuti.txt"]))) == {"cuti.txt": "unchanged"}
    (folder / "cuti.txt").write_text("cuti tahunan dua hari", encoding="utf-8")
    assert by_document(index.add(from_paths([folder / "cuti.txt"]))) == {"cuti.txt": "changed"}
    index.sync(folder)
    assert {"cuti.txt/12", "cuti.txt/lama.txt"} < set(index.store.hashes())


def test_what_a_file_no_longer_contains_is_forgotten(index, tmp_path):
    archive = tmp_path / "surat.zip"
    for names in (["cuti.txt", "hari.txt"], ["hari.txt"]):
        with ZipFile(archive, "w") as file:
            for name in names:
                file.writestr(name, f"siapa {name}")
        index.add(from_paths([archive]))
        assert set(index.store.hashes()) == {f"surat.zip/{name}" for name in names}


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
def test_files_whose_names_are_no_unicode(index, tmp_path):
    folder = tmp_path / "lama"
    folder.mkdir()
    name = os.fsdecode(b"\xff.zip")
    with ZipFile(folder / name, "w") as file:
        file.writestr("cuti.txt", "cuti dua hari")
    assert by_document(index.sync(folder)) == {"\\udcff.zip/cuti.txt": "new"}
    [row] = tables.documents(index.store.documents())["columns"]["path"]["values"]
    assert row == f"{folder}/\\udcff.zip"
    assert by_document(index.sync(folder)) == {"\\udcff.zip/cuti.txt": "unchanged"}
    (folder / name).unlink()
    assert by_document(index.sync(folder)) == {"\\udcff.zip/cuti.txt": "gone"}


def test_an_index_inside_its_folder_is_not_a_document(indonesian, folder):
    made = Index.create(folder / "semua.tanya", INDONESIAN)
    for _ in range(2):
        assert set(by_document(made.sync(folder))) == {"cuti.txt", "sub/hari.md"}


def test_sync_of_a_missing_folder_removes_nothing(index, folder, tmp_path):
    index.add(from_paths([folder]))
    with pytest.raises(FileMissing):
        index.sync(tmp_path / "elsewhere")
    assert index.store.counts().documents == 2


def test_answers_are_pieces_of_the_text(index):
    names = [f"teks-{number}" for number in range(len(DIFFICULT))]
    index.add(from_texts(DIFFICULT, names))
    for ranked in index.ask(["berapa hari cuti", "apa", "😀", "عيد"], Search(k=10), n=10):
        for answer in ranked:
            text = index.store.text(answer.at.document)
            assert text == DIFFICULT[names.index(answer.at.document)]
            assert text[answer.at.start : answer.at.end] == answer.text
            assert [answer.rank for answer in ranked] == list(range(1, len(ranked) + 1))


def test_equal_answers_are_grouped_and_never_overlap(index):
    index.add(from_texts(["cuti dua belas hari"] * 3, ["a", "b", "c"]))
    ranked = index.ask(["berapa hari cuti"], Search(k=10), n=20)[0]
    assert len({answer.text.casefold() for answer in ranked}) == len(ranked)
    first = ranked[0]
    assert first.support == 3
    assert {first.at.document, *(at.document for at in first.elsewhere)} == {"a", "b", "c"}
    taken: set[int] = set()
    for answer in ranked:
        characters = set(range(answer.at.start, answer.at.end))
        assert not taken & characters
        taken |= characters


def test_below_the_threshold_there_is_one_row_with_the_candidate(index):
    index.add(from_texts(["cuti dua belas hari"]))
    [[answer]] = index.ask(["berapa hari"], n=5, threshold=1.0)
    assert answer.text is None
    assert answer.candidate and answer.support == 0 and answer.elsewhere == ()


def test_an_empty_index_declines(index):
    [[answer]] = index.ask(["berapa hari"])
    assert (answer.text, answer.score, answer.at, answer.hit) == (None, 0.0, None, None)
    assert index.ask([]) == []
    with pytest.raises(InvalidArgument):
        index.ask([" "])


def test_filters_choose_documents(index):
    columns = {"tahun": [2023, 2024, None]}
    index.add(from_texts(["cuti dua hari", "cuti belas hari", "hari"], ["a", "b", "c"], columns))
    for method in Method:
        [hits] = index.retrieve(["cuti hari"], Search(5, method, [">=", "tahun", 2024]))
        assert [hit.passage.document for hit in hits] == ["b"]
    [[answer]] = index.ask(["apa"], Search(filter=["==", "tahun", 1999]))
    assert answer.text is None


def test_methods_rank_by_what_they_say(index):
    index.add(from_texts(["cuti tahunan karyawan", "dua belas", "siapa apa"], ["a", "b", "c"]))
    [by_words] = index.retrieve(["belas"], Search(5, Method.KEYWORD))
    assert [hit.passage.document for hit in by_words] == ["b"]
    for method in (Method.COSINE, Method.HYBRID):
        [hits] = index.retrieve(["belas"], Search(5, method))
        assert [hit.rank for hit in hits] == [1, 2, 3]
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert all(-1.001 <= hit.cosine <= 1.001 for hit in hits)
    with pytest.raises(InvalidArgument):
        Search(k=0)


def test_an_index_opens_again_with_its_models(index, tmp_path):
    index.add(from_texts(["cuti dua belas hari"], ["a"]))
    before = index.ask(["berapa hari cuti"])
    index.store.close()
    models.forget()
    again = Index.open(tmp_path / "made.tanya")
    assert again.models == INDONESIAN
    assert again.ask(["berapa hari cuti"]) == before


def test_another_model_under_the_same_name_is_noticed(index, hub_cache, tiny_embedder, tmp_path):
    from transformers import BertModel

    changed = BertModel.from_pretrained(tiny_embedder)
    changed.embeddings.word_embeddings.weight.data.add_(0.5)
    shutil.copytree(tiny_embedder, tmp_path / "changed")
    changed.save_pretrained(tmp_path / "changed")
    hub_cache.add(INDONESIAN.embedder, tmp_path / "changed", revision="f" * 40)
    models.forget()
    models.set_offline(True)
    with pytest.raises(ModelMismatch):
        Index.open(tmp_path / "made.tanya").retrieve(["cuti"])


def test_expecting_other_models_or_settings(index, tiny_embedder, tiny_reader):
    index.expect(INDONESIAN)
    other = Models(INDONESIAN.embedder, str(tiny_reader))
    index.expect(other)
    assert index.models == other
    with pytest.raises(ModelMismatch):
        index.expect(Models(str(tiny_embedder), INDONESIAN.reader))
    with pytest.raises(InvalidArgument):
        index.expect(other, PassageSettings(tokens=20))


def test_rebuild_embeds_anew_and_keeps_the_documents(index, tiny_embedder):
    index.add(from_texts(["cuti tahunan dua belas hari " * 9, "karyawan tetap"], ["a", "b"]))
    old = index.store.counts().passages
    other = Models(str(tiny_embedder), INDONESIAN.reader)
    index.rebuild(other, PassageSettings(tokens=12))
    assert index.models == other
    assert index.store.counts().passages > old
    assert index.passage_settings == PassageSettings(tokens=12)
    [hits] = index.retrieve(["karyawan tetap"], Search(3, Method.KEYWORD))
    assert hits[0].passage.document == "b"


def test_a_calibration_is_kept(index, tmp_path):
    fitted = Calibration(2.0, 1.0, 0.25)
    index.set_calibration(fitted)
    index.store.close()
    assert Index.open(tmp_path / "made.tanya").reader.settings.calibration == fitted
    index = Index.open(tmp_path / "made.tanya")
    index.set_calibration(None)
    assert index.reader.settings.calibration == Calibration(threshold=ASKED_THRESHOLD)


def test_an_interrupted_run_resumes_behind_what_it_embedded(index, monkeypatch):
    from tanya import index as module

    monkeypatch.setattr(module, "EMBED_AT_ONCE", 4)
    sentences = [f"cuti {number} hari {number} karyawan tetap {number}." for number in range(90)]
    [source] = from_texts([" ".join(sentences)], ["panjang"])
    embedder, embedded = index.embedder, []
    encode = type(embedder).encode_passages

    def counted(self, texts, progress=None):
        if len(embedded) == 8:
            raise KeyboardInterrupt
        embedded.extend(texts)
        return encode(self, texts, progress)

    monkeypatch.setattr(type(embedder), "encode_passages", counted)
    with pytest.raises(KeyboardInterrupt):
        index.add([source])
    assert index.store.counts().documents == 0
    before = list(embedded)
    embedded[:] = ["counted from here"]
    index.add([source])
    assert not set(before) & set(embedded)
    assert len(before) + len(embedded) - 1 == index.store.counts().vectors


def test_repair_embeds_what_was_lost(index, tmp_path):
    index.add(from_texts(["cuti dua belas hari", "karyawan tetap"], ["a", "b"]))
    expected = index.ask(["berapa hari cuti"])
    index.store.close()
    for segment in (tmp_path / "made.tanya" / "vectors").iterdir():
        segment.unlink()
    assert Index.repair(tmp_path / "made.tanya")
    again = Index.open(tmp_path / "made.tanya")
    assert again.store.check() == []
    assert [a.text for [a] in again.ask(["berapa hari cuti"])] == [a.text for [a] in expected]


def test_repair_replaces_a_setting_that_was_lost(index, tmp_path):
    path = tmp_path / "made.tanya"
    index.add(from_texts(["cuti dua belas hari"], ["a"]))
    index.store.close()
    with closing(sqlite3.connect(path / "index.sqlite")) as connection, connection:
        connection.execute("UPDATE settings SET value = '{}' WHERE name = 'models'")
    with pytest.raises(IndexDamaged):
        Index.open(path)
    [finding] = Index.repair(path)
    assert "'models'" in finding.message
    again = Index.open(path)
    assert again.models == replace(INDONESIAN, reader=models.preset("compact").reader.id)
    again.set_reader(INDONESIAN.reader)
    assert again.ask(["berapa hari cuti"])


def test_an_index_keeps_its_precision(indonesian, folder, tmp_path):
    exact = replace(INDONESIAN, precision="float32")
    made = Index.create(tmp_path / "exact.tanya", exact)
    made.add(from_paths([folder]))
    made.store.close()
    opened = Index.open(tmp_path / "exact.tanya")
    assert opened.embedder.fingerprint.precision == "float32"
    assert opened.ask(["berapa hari cuti tahunan"])[0][0].candidate
    with pytest.raises(ModelMismatch, match="precision"):
        opened.expect(INDONESIAN)
    opened.rebuild(INDONESIAN)
    opened.expect(INDONESIAN)
    assert opened.embedder.fingerprint.precision == "bfloat16"


def test_a_processor_without_bfloat16_works_on_an_index_made_with_it(
    indonesian, folder, tmp_path, monkeypatch
):
    made = Index.create(tmp_path / "fast.tanya", replace(INDONESIAN, precision="bfloat16"))
    made.add(from_paths([folder / "cuti.txt"]))
    made.store.close()
    models.forget()
    monkeypatch.setattr(packed, "has_fast_bfloat16", lambda: False)
    opened = Index.open(tmp_path / "fast.tanya")
    opened.add(from_paths([folder]))
    [hits] = opened.retrieve(["siapa karyawan tetap"])
    assert {hit.passage.document for hit in hits} == set(opened.store.hashes())
    models.forget()


def test_the_manifest_says_what_the_precision_is(indonesian, folder, tmp_path):
    made = Index.create(tmp_path / "old.tanya", replace(INDONESIAN, precision="float32"))
    with made.store.writer() as writer:
        writer.set_setting("models", {"embedder": INDONESIAN.embedder, "reader": INDONESIAN.reader})
    made.store.close()
    opened = Index.open(tmp_path / "old.tanya")
    assert opened.models == replace(INDONESIAN, precision="float32")
    opened.add(from_paths([folder]))


def test_an_unknown_precision_is_an_error(indonesian, tmp_path):
    with pytest.raises(InvalidArgument, match="bfloat16, float32"):
        Index.create(tmp_path / "made.tanya", replace(INDONESIAN, precision="int8"))
