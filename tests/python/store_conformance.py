"""The tests that every implementation of ``Store`` has to pass.

A test module subclasses ``Conformance`` and says how to make an empty store.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from store_support import DIMENSION, MANIFEST, REBUILT, cut, embed, make, put, put_again, verify

from tanya.errors import InvalidArgument, ModelMismatch
from tanya.keywords import terms
from tanya.store import Store, passage_key
from tanya.types import Failure, Passage, Place

CUTI = "Cuti tahunan diberikan dua belas hari kerja. Cuti melahirkan tiga bulan penuh. Selesai."
DINAS = "Perjalanan dinas dibayar menurut SK-045/2024 tentang biaya perjalanan dinas pegawai."
MUTU = "Sampel keripik diuji setiap pagi; kadar air tidak boleh lebih dari empat persen."


class Conformance:
    """Behaviour of a store."""

    def new_store(self, directory: Path) -> Store:
        """An empty store with ``MANIFEST``."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return self.new_store(tmp_path)

    @pytest.fixture
    def filled(self, store: Store) -> Store:
        with store.writer() as writer:
            put(writer, make("cuti.txt", CUTI, metadata={"tahun": 2023, "jenis": "SOP"}))
            put(writer, make("dinas.txt", DINAS, metadata={"tahun": 2024, "jenis": "SK"}))
            put(writer, make("mutu.txt", MUTU, metadata={"tahun": 2024, "jenis": "SOP"}))
        return store

    def test_an_empty_store_answers(self, store: Store) -> None:
        question = embed(cut("apa?"))
        assert store.documents() == []
        assert store.counts().passages == 0
        assert store.nearest(question, 2)[0].shape == (1, 0)
        assert store.keyword([["cuti"]], 3)[0].shape == (1, 0)
        assert store.allowed(["==", "type", "pdf"]).tolist() == []
        assert store.passages_of() == []
        assert store.check() == []

    def test_a_document_comes_back_whole(self, store: Store) -> None:
        document = make(
            "laporan/Q1.pdf",
            CUTI,
            type="pdf",
            path="/berkas/laporan/Q1.pdf",
            title="Laporan 'triwulan'",
            message="Halaman 3 perlu OCR",
            places=(
                Place(0, 40, "page", "i", 1),
                Place(0, len(CUTI), "heading", "BAB I", None, 1),
                Place(40, len(CUTI), "page", "2", 2),
            ),
            metadata={"b": True, "i": 7, "f": 7.0, "t": "x", "n": None, "a": False, "": "kosong"},
        )
        with store.writer() as writer:
            put(writer, document)
        [row] = store.documents()
        assert (row.id, row.path, row.type, row.title) == (
            document.id, document.path, document.type, document.title,
        )  # fmt: skip
        assert (row.pages, row.passages, row.characters) == (2, 3, len(CUTI))
        assert (row.hash, row.status, row.message) == (document.hash, "indexed", document.message)
        assert list(row.metadata.items()) == list(document.metadata.items())
        assert [type(value) for value in row.metadata.values()] == [
            type(value) for value in document.metadata.values()
        ]
        assert store.text(document.id) == CUTI
        assert store.places(document.id) == list(document.places)
        assert store.places(document.id, 40, 41) == list(document.places[1:])
        assert store.hashes() == {document.id: document.hash}
        verify(store, {document.id: CUTI})

    def test_documents_are_listed_by_id(self, filled: Store) -> None:
        assert [row.id for row in filled.documents()] == ["cuti.txt", "dinas.txt", "mutu.txt"]
        assert [row.id for row in filled.documents(["mutu.txt", "lain", "cuti.txt"])] == [
            "cuti.txt",
            "mutu.txt",
        ]
        assert {passage.document for passage in filled.passages_of(["dinas.txt"])} == {"dinas.txt"}

    def test_unknown_documents_are_an_error(self, filled: Store) -> None:
        for read in (filled.text, filled.places):
            with pytest.raises(InvalidArgument, match=r"lain\.txt"):
                read("lain.txt")

    def test_a_second_put_replaces(self, filled: Store) -> None:
        before = {passage.id for passage in filled.passages_of(["cuti.txt"])}
        with filled.writer() as writer:
            assert put(writer, make("cuti.txt", DINAS, metadata={"baru": 1})) == []
        verify(filled, {"cuti.txt": DINAS, "dinas.txt": DINAS, "mutu.txt": MUTU})
        assert filled.documents(["cuti.txt"])[0].metadata == {"baru": 1}
        assert filled.passages(sorted(before)) == []
        assert not before & {passage.id for passage in filled.passages_of()}

    def test_the_same_content_has_one_vector(self, store: Store) -> None:
        with store.writer() as writer:
            assert len(put(writer, make("a", CUTI))) == 3
            assert put(writer, make("b", CUTI)) == []
            assert put(writer, make("a", CUTI)) == []
        assert store.counts().passages == 6
        assert store.counts().vectors == 3
        verify(store, {"a": CUTI, "b": CUTI})

    def test_vectors_can_be_kept_ahead_of_their_document(self, store: Store) -> None:
        passages = cut(CUTI)
        keys = [passage_key(passage) for passage in passages]
        with store.writer() as writer:
            writer.keep(keys[:2], embed(passages[:2]))
        assert store.counts().passages == 0
        with store.writer() as writer:
            assert set(writer.known(keys)) == set(keys[:2])
            assert put(writer, make("a", CUTI)) == [keys[2]]
        assert store.counts().vectors == 3
        verify(store, {"a": CUTI})

    def test_failures_are_rows(self, filled: Store) -> None:
        failure = Failure("cuti.txt", "pdf", "h", "needs_ocr", "Hanya gambar", "/x", {"tahun": 1})
        with filled.writer() as writer:
            writer.put_failure(failure)
        row = filled.documents(["cuti.txt"])[0]
        assert (row.status, row.message, row.hash) == ("needs_ocr", "Hanya gambar", "h")
        assert (row.passages, row.pages, row.characters) == (0, None, 0)
        assert row.metadata == {"tahun": 1}
        assert filled.text("cuti.txt") == ""
        counts = filled.counts()
        assert (counts.documents, counts.failures) == (2, 1)

    def test_removal(self, filled: Store) -> None:
        with filled.writer() as writer:
            assert writer.remove(["cuti.txt", "lain.txt", "cuti.txt"]) == 1
        verify(filled, {"dinas.txt": DINAS, "mutu.txt": MUTU})
        ids, _ = filled.nearest(embed(cut(CUTI)), 10)
        assert {p.document for p in filled.passages(ids[ids >= 0].tolist())} == {
            "dinas.txt",
            "mutu.txt",
        }
        ids, _ = filled.keyword([terms("cuti melahirkan")], 10)
        assert (ids == -1).all()

    def test_nothing_is_seen_before_it_is_committed(self, store: Store) -> None:
        with store.writer() as writer:
            put(writer, make("a", CUTI))
            assert store.documents() == []
            writer.commit()
            verify(store, {"a": CUTI})
            put(writer, make("b", DINAS))
            verify(store, {"a": CUTI})
        verify(store, {"a": CUTI, "b": DINAS})

    def test_what_was_put_survives_an_error(self, store: Store) -> None:
        class Stop(Exception):
            pass

        with pytest.raises(Stop), store.writer() as writer:
            put(writer, make("a", CUTI))
            raise Stop
        verify(store, {"a": CUTI})

    def test_a_refused_document_changes_nothing(self, filled: Store) -> None:
        passages = cut(CUTI)
        good = embed(passages)
        shifted = [Passage(p.start + 1, p.end + 1, p.text, p.context) for p in passages]
        with filled.writer() as writer:
            for refused, vectors, message in (
                (shifted, good, "not that part"),
                (passages, good[:2], "must be an array"),
                (passages, good * 2, "length 1"),
                (passages, good * np.nan, "length 1"),
            ):
                with pytest.raises(InvalidArgument, match=message):
                    writer.put(make("cuti.txt", CUTI), refused, vectors)
            with pytest.raises(InvalidArgument, match="Metadata"):
                writer.put(make("cuti.txt", CUTI, metadata={"x": []}), passages, good)
            with pytest.raises(InvalidArgument, match="large"):
                writer.put(make("cuti.txt", CUTI, metadata={"x": 2**70}), passages, good)
            put(writer, make("z", MUTU * 2))
        verify(
            filled,
            {"cuti.txt": CUTI, "dinas.txt": DINAS, "mutu.txt": MUTU, "z": MUTU * 2},
        )
        assert filled.check() == []

    def test_a_block_of_reading_sees_one_state(self, filled: Store) -> None:
        question = embed(cut(CUTI))
        with filled.reading():
            before = filled.nearest(question, 3)[0]
            other = threading.Thread(target=_replace, args=(filled,))
            other.start()
            other.join()
            assert filled.nearest(question, 3)[0].tolist() == before.tolist()
            assert len(filled.passages(before[0].tolist())) == 3
            assert filled.text("cuti.txt") == CUTI
        assert filled.text("cuti.txt") == MUTU

    def test_settings(self, filled: Store) -> None:
        with filled.writer() as writer:
            writer.set_setting("calibration", {"T": 1.5, "ragam": ["a", None]})
            writer.set_setting("sementara", 1)
        assert filled.setting("calibration") == {"T": 1.5, "ragam": ["a", None]}
        with filled.writer() as writer:
            writer.set_setting("sementara", None)
        assert filled.setting("sementara") is None

    def test_another_embedder_is_refused(self, filled: Store) -> None:
        filled.require(MANIFEST)
        filled.require(replace(MANIFEST, passages={"length": 99}))
        with pytest.raises(ModelMismatch, match="version is None there and 2 here") as error:
            filled.require(REBUILT)
        assert "rebuild" in error.value.hint
        assert error.value.details["different"] == ["version"]

    def test_nearest_is_exact(self, store: Store) -> None:
        generator = np.random.default_rng(7)
        texts = {f"d{n:03}": f"dokumen {n} " + "isi " * (n % 40) for n in range(150)}
        with store.writer() as writer:
            for id, text in texts.items():
                put(writer, make(id, text))
            writer.remove([f"d{n:03}" for n in range(0, 150, 3)])
        stored = store.passages_of()
        vectors = embed([Passage(p.start, p.end, p.text, p.context) for p in stored])
        questions = generator.normal(size=(5, DIMENSION)).astype(np.float32)
        questions /= np.linalg.norm(questions, axis=1, keepdims=True)
        allowed = np.array([p.id for p in stored if p.ordinal == 1])
        for k in (1, 3, 10, 10_000):
            for only in (None, allowed, allowed[:3], allowed[:0]):
                ids, cosines = store.nearest(questions, k, only)
                assert ids.shape == cosines.shape == (5, min(k, len(stored)))
                assert (cosines[ids < 0] == -np.inf).all()
                for row, question in enumerate(questions):
                    wanted = sorted(
                        (-float(vector @ question), passage.id)
                        for vector, passage in zip(vectors, stored, strict=True)
                        if only is None or passage.id in only
                    )[:k]
                    found = ids[row][ids[row] >= 0]
                    assert np.allclose(
                        cosines[row][: len(wanted)], [-score for score, _ in wanted], atol=1e-5
                    )
                    assert len(found) == len(wanted)
                    assert set(found) == {id for _, id in wanted} or k < 10_000

    def test_ties_go_to_the_lower_id(self, store: Store) -> None:
        with store.writer() as writer:
            for number in range(30):
                put(writer, make(f"d{number}", "sama"))
        ids, cosines = store.nearest(embed(cut("sama")), 4)
        assert ids.tolist() == [sorted(p.id for p in store.passages_of())[:4]]
        assert np.allclose(cosines, 1)
        assert store.keyword([["sama"]], 4)[0].tolist() == ids.tolist()

    def test_cosines(self, filled: Store) -> None:
        stored = filled.passages_of()
        ids = np.array([stored[1].id, 10**9, stored[0].id])
        found = filled.cosines(embed(cut(CUTI)), ids)
        assert found.shape == (3, 3)
        assert np.isclose(found[0, 2], 1, atol=1e-5)
        assert np.isnan(found[:, 1]).all()

    def test_questions_of_another_model_are_refused(self, filled: Store) -> None:
        wrong = np.ones((1, DIMENSION + 1), np.float32)
        for search in (lambda: filled.nearest(wrong, 1), lambda: filled.nearest(wrong[0], 1)):
            with pytest.raises(InvalidArgument, match=str(DIMENSION)):
                search()
        for length in (np.nan, np.inf, 0, 2):
            with pytest.raises(InvalidArgument, match="length 1"):
                filled.nearest(np.array([[length] + [0.0] * (DIMENSION - 1)], np.float32), 1)
        with pytest.raises(InvalidArgument, match="negative"):
            filled.nearest(np.eye(1, DIMENSION, dtype=np.float32), -1)

    def test_keywords_find_words_stems_and_codes(self, filled: Store) -> None:
        for question, document in (
            ("melahirkan", "cuti.txt"),
            ("SK-045/2024", "dinas.txt"),
            ("sk 045", "dinas.txt"),
            ("pengujian keripik", "mutu.txt"),
        ):
            ids, scores = filled.keyword([terms(question)], 1)
            assert filled.passages(ids[0].tolist())[0].document == document
            assert scores[0, 0] > 0

    def test_keyword_scores_are_bm25(self, filled: Store) -> None:
        stored = filled.passages_of()
        bags = {p.id: terms(f"{p.context}\n{p.text}") for p in stored}
        average = np.mean([len(bag) for bag in bags.values()])
        question = terms("biaya perjalanan dinas")
        wanted = {}
        for id, bag in bags.items():
            score = 0.0
            for term in question:
                found = sum(term in other for other in bags.values())
                rarity = np.log1p((len(bags) - found + 0.5) / (found + 0.5))
                count = bag.count(term)
                score += rarity * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(bag) / average))
            if score:
                wanted[id] = score
        ids, scores = filled.keyword([question], 100)
        assert ids.shape == (1, len(stored))
        assert dict(zip(ids[0][ids[0] >= 0].tolist(), scores[0], strict=False)) == pytest.approx(
            wanted, rel=1e-5
        )
        assert (np.diff(scores[0][ids[0] >= 0]) <= 0).all()

    def test_keywords_among_allowed_passages(self, filled: Store) -> None:
        allowed = filled.allowed(["==", "jenis", "SOP"])
        ids, _ = filled.keyword([terms("perjalanan dinas"), terms("cuti")], 5, allowed)
        assert (ids[0] == -1).all()
        assert set(ids[1][ids[1] >= 0]) <= set(allowed)

    def test_filters_choose_passages(self, filled: Store) -> None:
        allowed = filled.allowed(["and", [">=", "tahun", 2024], ["==", "jenis", "SOP"]])
        assert {p.document for p in filled.passages(allowed.tolist())} == {"mutu.txt"}
        assert (np.diff(allowed) > 0).all()
        with pytest.raises(InvalidArgument, match=r"no column 'tahn'") as error:
            filled.allowed([">=", "tahn", 2024])
        assert "tahun" in error.value.hint

    def test_rebuild_answers_with_the_old_until_the_new_is_whole(self, filled: Store) -> None:
        texts = {"cuti.txt": CUTI, "dinas.txt": DINAS, "mutu.txt": MUTU}
        with filled.rebuild(REBUILT) as rebuild:
            assert rebuild.pending() == sorted(texts)
            fresh = put_again(rebuild, filled, "cuti.txt")
            with pytest.raises(InvalidArgument, match=r"dinas\.txt"):
                rebuild.finish()
            verify(filled, texts)
        verify(filled, texts)
        assert len(fresh) == 4
        with filled.writer() as writer:
            put(writer, make("dinas.txt", MUTU))
            put(writer, make("baru.txt", MUTU))
            writer.remove(["mutu.txt"])
        assert filled.check() == []
        with filled.rebuild(REBUILT) as rebuild:
            assert rebuild.pending() == ["baru.txt", "dinas.txt"]
            assert set(rebuild.known(fresh)) == set(fresh)
            for id in rebuild.pending():
                put_again(rebuild, filled, id)
            rebuild.finish()
            assert rebuild.pending() == []
        texts = {"cuti.txt": CUTI, "dinas.txt": MUTU, "baru.txt": MUTU}
        assert filled.manifest.embedder == REBUILT.embedder
        verify(filled, texts)
        assert filled.check() == []
        ids, _ = filled.keyword([terms("melahirkan")], 1)
        assert filled.passages(ids[0].tolist())[0].document == "cuti.txt"

    def test_another_rebuild_drops_the_unfinished_one(self, filled: Store) -> None:
        with filled.rebuild(REBUILT) as rebuild:
            put_again(rebuild, filled, "cuti.txt")
        with filled.rebuild(MANIFEST) as rebuild:
            assert len(rebuild.pending()) == 3
        assert filled.check() == []

    def test_compaction_changes_no_answer(self, filled: Store) -> None:
        with filled.writer() as writer:
            for number in range(40):
                put(writer, make(f"d{number}", f"{MUTU} {number}"))
                writer.commit()
            writer.remove([f"d{number}" for number in range(0, 40, 2)])
        question = embed(cut(CUTI))
        wanted = filled.nearest(question, 20), filled.keyword([terms("kadar air")], 20)
        filled.compact()
        found = filled.nearest(question, 20), filled.keyword([terms("kadar air")], 20)
        for (ids, scores), (ids_before, scores_before) in zip(found, wanted, strict=True):
            assert ids.tolist() == ids_before.tolist()
            assert np.allclose(scores, scores_before, atol=1e-5)
        vectors = {passage_key(passage) for passage in filled.passages_of()}
        assert filled.counts().vectors == len(vectors)
        assert filled.check() == []

    def test_threads_share_a_store(self, filled: Store) -> None:
        question = embed(cut(CUTI))
        wanted = filled.nearest(question, 3)[0].tolist()
        wrong: list[object] = []

        def ask() -> None:
            for _ in range(30):
                found = filled.nearest(question, 3)[0].tolist()
                if found != wanted or filled.text("cuti.txt") != CUTI:
                    wrong.append(found)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        with filled.writer() as writer:
            for number in range(10):
                writer.put_failure(Failure(f"x{number}", "", "", "failed", "tidak bisa"))
                writer.commit()
        for thread in threads:
            thread.join()
        assert wrong == []

    def test_hostile_names_and_texts(self, store: Store) -> None:
        names = [
            "../../etc/passwd", "/etc/passwd", "C:\\Windows\\system32", "nul", "CON", "a\0b", "\0",
            "'; DROP TABLE documents; --", '"', "%", "_", "x" * 4096, "🙂" * 50, "\udcff.txt",
            " ", ".", "..", "a\nb", "A", "a", "\u202etxt.exe", "é", "e\u0301",
        ]  # fmt: skip
        texts = {
            name: f"isi {number} \0 \ud800 ' \" ; -- 🙂 \u202e" * (1 + 3000 * (number == 3))
            for number, name in enumerate(names)
        }
        with store.writer() as writer:
            for name, text in texts.items():
                metadata = {name: name, "judul": text[:50]}
                put(writer, make(name, text, title=name, path=name, metadata=metadata))
        verify(store, texts)
        for name in names:
            [row] = store.documents([name])
            assert (row.id, row.title, row.path, row.metadata[name]) == (name,) * 4
            allowed = store.allowed(["and", ["==", "id", name], ["==", name, name]])
            assert {p.document for p in store.passages(allowed.tolist())} == {name}
        assert store.check() == []
        with store.writer() as writer:
            assert writer.remove(names) == len(names)
        assert store.documents() == []

    def test_long_texts_are_read_in_part(self, store: Store) -> None:
        text = "".join(chr(0x1F600 + n % 50) + f" kata {n} é" for n in range(20_000))
        with store.writer() as writer:
            put(writer, make("panjang", text))
        stored = store.passages_of(["panjang"])
        assert "".join(passage.text for passage in stored) == text
        chosen = stored[:: len(stored) // 7]
        assert store.passages([passage.id for passage in chosen]) == chosen


def _replace(store: Store) -> None:
    with store.writer() as writer:
        put(writer, make("cuti.txt", MUTU))
    store.compact()
