"""Copies of a passage take one place, reranking, and passages like a text."""

from __future__ import annotations

import pytest
from small_models import save_cross_encoder, save_reader

from tanya import models, retrieval
from tanya.duplicates import Distinct, find_again
from tanya.errors import InvalidArgument, ModelInvalid, ModelUnavailable, QuestionTooLong
from tanya.index import Index, Models
from tanya.retrieval import Method, Search
from tanya.sources import from_texts
from tanya.types import StoredPassage

INDONESIAN = Models("naufalihsan/indonesian-sbert-large", "Rifky/Indobert-QA")

RULE = "Karyawan tetap berhak atas cuti tahunan dua belas hari kerja setiap tahun."


@pytest.fixture
def index(indonesian, tmp_path, no_sockets) -> Index:
    """An empty index with small models, made without any network."""
    return Index.create(tmp_path / "made.tanya", INDONESIAN)


def passage(text: str, context: str = "") -> StoredPassage:
    return StoredPassage(0, "a", 0, 0, len(text), text, context)


@pytest.mark.parametrize(
    ("text", "context"),
    [
        (RULE, "Cuti"),
        (RULE.replace(" ", "\n"), "CUTI"),
        (RULE.upper(), "Cuti"),
        (RULE.replace("dua belas", "**dua belas**"), "Cuti"),
        (f"- {RULE}", "Cuti"),
        (RULE.partition(" setiap")[0], "Cuti"),
        (RULE, ""),
    ],
)
def test_a_passage_that_adds_nothing_is_a_copy(text, context):
    distinct = Distinct()
    assert distinct.take(passage("Yang lain sama sekali.")) is None
    assert distinct.take(passage(f"{RULE} Cuti diajukan lewat portal.", "Cuti")) is None
    assert distinct.take(passage(text, context)) == 1


@pytest.mark.parametrize(
    ("text", "context"),
    [
        (RULE.replace("dua belas", "empat belas"), "Cuti"),
        (RULE.replace("berhak", "tidak berhak"), "Cuti"),
        (RULE.replace("hari kerja", "hari kerja (suhu < 5)"), "Cuti"),
        (RULE, "Karyawan kontrak"),
        (f"{RULE} Dan satu hari lagi.", "Cuti"),
        ("!?", ""),
        ("", ""),
    ],
)
def test_a_passage_that_says_something_else_is_none(text, context):
    distinct = Distinct()
    distinct.take(passage(RULE, "Cuti"))
    assert distinct.take(passage(text, context)) is None


def test_a_span_is_found_again_only_where_it_is_certain():
    text = "Uang makan Rp50.000 per hari. Uang saku Rp75.000 per hari."
    start = text.index("Rp75")
    other = "Lihat juga:\nuang saku\nRp75.000 per hari."
    found = find_again(start, start + 8, text, other)
    assert found is not None and other[slice(*found)] == "Rp75.000"
    assert find_again(start, start + 8, text, "Denda Rp75.000 per kasus.") is None
    assert find_again(start, start + 8, text, f"{other} {other}") is None
    twice = "hari hari hari hari hari hari hari hari hari"
    assert find_again(20, 24, twice, twice) == (20, 24)


def test_copies_do_not_fill_the_places_and_are_listed(index):
    texts = {f"salinan-{number}": RULE for number in range(30)}
    texts |= {"lain": "karyawan tetap", "lagi": "cuti tahunan"}
    index.add(from_texts(list(texts.values()), list(texts)))
    for method in Method:
        [hits] = index.retrieve(["cuti tahunan karyawan tetap"], Search(3, method))
        assert [hit.rank for hit in hits] == [1, 2, 3]
        assert {hit.passage.text for hit in hits} == {RULE, "karyawan tetap", "cuti tahunan"}
        [rule] = [hit for hit in hits if hit.passage.text == RULE]
        places = {rule.passage.document, *(copy.document for copy in rule.copies)}
        assert places == {name for name in texts if name.startswith("salinan")}


def test_an_answer_names_its_places_in_copies(index):
    index.add(from_texts([f"{RULE} Selesai.", RULE.replace(" ", "\n")], ["satu", "dua"]))
    [[answer]] = index.ask(["cuti tahunan"], Search(1), threshold=0.0)
    places = [answer.at, *answer.elsewhere]
    assert answer.support == len(places)
    for at in places:
        found = index.store.text(at.document)[at.start : at.end]
        assert found.split() == answer.text.split()


def test_more_passages_do_not_change_the_first_ones(index):
    words = ["cuti", "hari", "karyawan", "tetap", "belas", "tahunan", "siapa", "berapa"]
    texts = [f"{a} {b} {c}" for a in words for b in words for c in words]
    index.add(from_texts(texts))
    [all_of_them] = index.retrieve(["berapa hari cuti"], Search(len(texts)))
    for k in (1, 5, 60, 200):
        [hits] = index.retrieve(["berapa hari cuti"], Search(k))
        assert [hit.passage.id for hit in hits] == [hit.passage.id for hit in all_of_them[:k]]
    scores = [hit.score for hit in all_of_them]
    assert scores == sorted(scores, reverse=True)


def test_similar_passages_leave_out_the_text_itself(index):
    texts = ["cuti tahunan", "cuti  TAHUNAN", "cuti tahunan karyawan", "siapa"]
    index.add(from_texts(texts, ["a", "b", "c", "d"]))
    [hits, others] = index.similar(["cuti tahunan", "apa"], Search(2))
    assert {hit.passage.document for hit in hits} == {"c", "d"}
    assert [hit.rank for hit in hits] == [1, 2]
    assert hits[0].cosine >= hits[1].cosine
    assert len(others) == 2
    [[only]] = index.similar(["cuti"], Search(5, filter=["==", "document", "d"]))
    assert only.passage.document == "d"
    assert index.similar([]) == []
    with pytest.raises(InvalidArgument):
        index.similar([" "])


class ByLength:
    """Stands in for a reranker: the longest passage first."""

    def scores(self, question, passages):
        return [float(len(text)) for text in passages]


def test_a_reranker_orders_what_was_found(index, monkeypatch):
    monkeypatch.setattr(retrieval, "RERANKED", 3)
    index.add(from_texts(["cuti", "cuti hari", "cuti hari hari", "siapa siapa siapa siapa"]))
    search = Search(2, Method.KEYWORD, reranker=ByLength())
    [hits] = index.retrieve(["cuti"], search)
    assert [hit.passage.text for hit in hits] == ["cuti hari hari", "cuti hari"]
    assert [(hit.rank, hit.score) for hit in hits] == [(1, 14.0), (2, 9.0)]
    assert all(hit.bm25 > 0 for hit in hits)


def test_a_cross_encoder_scores_as_its_library_does(tmp_path, no_sockets):
    from sentence_transformers import CrossEncoder

    directory = save_cross_encoder(tmp_path / "cross encoder")
    reranker = models.load_reranker(directory)
    assert models.load_reranker(str(directory)) is reranker
    passages = ["cuti tahunan", "dua belas hari", "siapa"]
    theirs = CrossEncoder(str(directory), local_files_only=True).predict(
        [("berapa hari", text) for text in passages]
    )
    ours = reranker.scores("berapa hari", passages)
    assert sorted(range(3), key=ours.__getitem__) == sorted(range(3), key=theirs.__getitem__)
    assert reranker.scores("berapa hari", []) == []


def test_a_long_passage_is_reranked_to_its_end(tmp_path, no_sockets):
    reranker = models.load_reranker(save_cross_encoder(tmp_path / "cross encoder"))
    ends = ["cuti", "dua", "karyawan", "apa", "siapa"]
    scores = reranker.scores("berapa hari", ["tahunan " * 130 + end for end in ends])
    assert len(set(scores)) > 1
    with pytest.raises(QuestionTooLong):
        reranker.scores("berapa hari " * 40, ["cuti"])


def test_a_reranker_that_cannot_be_had_is_a_classed_error(tmp_path, own_cache, no_sockets):
    models.set_offline(True)
    with pytest.raises(ModelUnavailable):
        models.load_reranker("nobody/has-this")
    with pytest.raises(InvalidArgument):
        models.load_reranker("./nowhere")
    with pytest.raises(ModelInvalid, match="scores for a question"):
        models.load_reranker(save_cross_encoder(tmp_path / "three", labels=3))
    with pytest.raises(ModelInvalid):
        models.load_reranker(save_reader(tmp_path / "reader"))
    pickled = save_cross_encoder(tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(ModelInvalid, match="safetensors only"):
        models.load_reranker(pickled)
