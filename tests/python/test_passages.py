"""Passages: sentences, budgets, headings, rows, and that nothing is lost."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from document_support import EXAMPLES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tanya.errors import InvalidArgument
from tanya.passages import PassageSettings, sentences, split
from tanya.types import Document, Passage, Place

WORD = re.compile(r"\w+|[^\w\s]")


def words(texts: Sequence[str]) -> list[list[tuple[int, int]]]:
    """A tokenizer of words and signs."""
    return [[match.span() for match in WORD.finditer(text)] for text in texts]


def words_with_space(texts: Sequence[str]) -> list[list[tuple[int, int]]]:
    """A tokenizer that counts the space before a word in, as SentencePiece does."""
    return [[match.span() for match in re.finditer(r"\s*(?:\w+|[^\w\s])", text)] for text in texts]


def characters(texts: Sequence[str]) -> list[list[tuple[int, int]]]:
    """A tokenizer for which every character is a token."""
    return [[(at, at + 1) for at in range(len(text))] for text in texts]


def document(text: str, *places: Place) -> Document:
    return Document(id="x", text=text, type="text", hash="h", places=places)


def check(source: Document, passages: Sequence[Passage]) -> None:
    """The invariants of every split."""
    covered = bytearray(len(source.text))
    last = (-1, -1)
    for passage in passages:
        assert passage.text == source.text[passage.start : passage.end]
        assert passage.text == passage.text.strip() != ""
        assert passage.start > last[0]
        assert passage.end > last[1]
        assert len(passage.context) <= 160
        last = (passage.start, passage.end)
        covered[passage.start : passage.end] = b"\1" * (passage.end - passage.start)
    lost = [at for at, seen in enumerate(covered) if not seen and not source.text[at].isspace()]
    assert not lost


def cut(source: Document, tokens: int = 200, overlap: int = 0) -> list[Passage]:
    passages = split(source, PassageSettings(tokens=tokens, overlap=overlap), words)
    check(source, passages)
    return passages


def texts_of(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "sentence",
    [
        "Menurut PT. Astra Tbk. di Jl. Sudirman No. 5, Tn. Budi dkk. membayar Rp1.500.000,00.",
        "Buah, sayur, daging, dll. Dibeli tiap hari?",
        "Pasal 5 ayat (2) berlaku a.n. Prof. Dr. A. B. Siregar, S.H. sejak 1 Jan. 2024.",
        "Lihat hlm. 12 dan Gbr. 3 pada No. 7/2024.",
        "Nilainya 3.5 juta, yaitu 12.30 WIB s.d. 14.00 WIB.",
        "Mr. Smith et al. wrote it, e.g. in vol. 3 of the series.",
        '"Sudah?" tanya dia pelan.',
        "Ia lahir di Kab. Bogor pada tgl. 5 Mei.",
        "Bapak H. M. Soeharto menjabat.",
        "Versi 2.0.1 dirilis di www.contoh.co.id kemarin.",
    ],
)
def test_abbreviations_initials_and_numbers_do_not_end_a_sentence(sentence):
    assert texts_of(f"{sentence} Berikutnya lain.") == [sentence, "Berikutnya lain."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Satu. Dua! Tiga? Empat\u2026 Lima", ["Satu.", "Dua!", "Tiga?", "Empat\u2026", "Lima"]),
        ("Berat 5 kg. Harga naik.", ["Berat 5 kg.", "Harga naik."]),
        ("Pukul 10.00 WIB. Besok libur.", ["Pukul 10.00 WIB.", "Besok libur."]),
        (
            "(Benar.) Lalu \u201cya.\u201d Selesai.",
            ["(Benar.)", "Lalu \u201cya.\u201d", "Selesai."],
        ),
        ("Naik.[3] Lalu turun.", ["Naik.[3]", "Lalu turun."]),
        ("a. Pertama\nb. Kedua", ["a. Pertama", "b. Kedua"]),
        ("1. Judul pertama. Isi.", ["1. Judul pertama.", "Isi."]),
        ("baris yang\nterlipat di sini. Lalu", ["baris yang\nterlipat di sini.", "Lalu"]),
        ("Judul\n\nisi", ["Judul", "isi"]),
        ("今天天气很好。我们去公园吧！真的吗？", ["今天天气很好。", "我们去公园吧！", "真的吗？"]),  # noqa: RUF001
        ("यह पहला है। यह दूसरा है।", ["यह पहला है।", "यह दूसरा है।"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_end_where_they_end(text, expected):
    assert texts_of(text) == expected


def test_a_short_text_is_one_passage():
    [passage] = cut(document("  Satu kalimat. Dua kalimat. \n"))
    assert passage.text == "Satu kalimat. Dua kalimat."


def test_the_budget_is_kept_and_sentences_stay_whole():
    text = " ".join(f"Ini kalimat nomor {n} dari banyak." for n in range(100))
    passages = cut(document(text), tokens=40)
    assert len(passages) > 10
    for passage in passages:
        assert len(WORD.findall(passage.text)) <= 40
        assert passage.text.endswith("banyak.")


def test_passages_prefer_to_end_with_a_paragraph():
    paragraph = "Kata " * 29 + "akhir."
    passages = cut(document("\n\n".join([paragraph] * 6)), tokens=50)
    assert [passage.text for passage in passages] == [paragraph] * 6


def test_a_sentence_over_the_budget_is_cut_between_words():
    text = "kata " * 500 + "akhir"
    passages = cut(document(text), tokens=50)
    assert all(len(WORD.findall(passage.text)) <= 50 for passage in passages)
    assert " ".join(passage.text for passage in passages).split() == text.split()


def test_a_cut_prefers_the_end_of_a_clause():
    text = " ".join(["satu dua tiga empat lima enam,"] * 30)
    assert all(passage.text.endswith("enam,") for passage in cut(document(text), tokens=40))


@pytest.mark.parametrize("unit", ["e\u0301", "กำ", "👩🏽", "👩\u200d👧", "क्षि"])
def test_a_cut_never_tears_a_visible_character(unit):
    source = document(unit * 100)
    passages = split(source, PassageSettings(tokens=9), characters)
    check(source, passages)
    assert len(passages) > 1
    for passage in passages:
        assert passage.text[0] not in "\u0301\u200d🏽"


def test_text_without_spaces_is_cut_by_tokens():
    source = document("กขค" * 400)
    passages = split(source, PassageSettings(tokens=50), characters)
    check(source, passages)
    assert {len(passage.text) for passage in passages[:-1]} == {50}


def test_characters_that_the_tokenizer_drops_are_kept():
    source = document("\u200b" * 300 + " kata")
    passages = split(source, PassageSettings(), lambda texts: [[] for _ in texts])
    check(source, passages)


RULES = "BAB II CUTI\n\nPasal 5\nPekerja berhak atas cuti.\n\nPasal 6\n" + "Cuti dibayar. " * 40


def rules() -> Document:
    fifth, sixth = RULES.index("Pasal 5"), RULES.index("Pasal 6")
    end = len(RULES)
    return document(
        RULES,
        Place(0, end, "page", number=1),
        Place(0, end, "heading", label="BAB II CUTI", level=1),
        Place(fifth, sixth, "heading", label="Pasal 5", level=4),
        Place(sixth, end, "heading", label="Pasal 6", level=4),
    )


def test_headings_stay_with_their_text_and_become_context_below():
    passages = cut(rules(), tokens=30)
    assert passages[0].text == "BAB II CUTI\n\nPasal 5\nPekerja berhak atas cuti."
    assert passages[0].context == ""
    assert passages[1].text.startswith("Pasal 6\nCuti dibayar.")
    assert passages[1].context == "BAB II CUTI"
    assert {passage.context for passage in passages[2:]} == {"BAB II CUTI > Pasal 6"}


def test_no_passage_ends_with_a_heading():
    text = "".join(f"Judul {n}\n\n{'kata ' * 20}selesai.\n\n" for n in range(20))
    starts = [match.start() for match in re.finditer("Judul", text)]
    places = [
        Place(start, end, "heading", label=f"Judul {n}", level=1)
        for n, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True))
    ]
    for passage in cut(document(text, *places), tokens=60):
        assert passage.text.endswith("selesai.")


def test_long_paths_lose_their_outer_headings():
    text = "x " * 30
    places = [Place(0, 60, "heading", label=f"{n} " + "judul " * 12, level=n) for n in (1, 2, 3)]
    passages = split(document(text, *places), PassageSettings(tokens=8), words)
    assert passages[-1].context.startswith("2 judul")
    assert " > 3 judul" in passages[-1].context


def test_a_heading_longer_than_the_context_is_shortened():
    text = "x " * 30
    place = Place(0, 60, "heading", label="j" * 400, level=1)
    passages = split(document(text, place), PassageSettings(tokens=8), words)
    assert passages[-1].context == "j" * 159 + "\u2026"


def table(*rows: str) -> Document:
    text = "\n".join(rows)
    places, start = [Place(0, len(text), "sheet", label="Keluhan", number=1)], 0
    for number, row in enumerate(rows, 1):
        places.append(Place(start, start + len(row), "row", number=number))
        start += len(row) + 1
    return document(text, *places)


def test_rows_are_passages_of_their_own_and_know_their_sheet():
    rows = ["kota: Solo. nilai: 4.", "kota: Biak. nilai: 5.", "kota: Medan. catatan: dan lain."]
    passages = cut(table(*rows), overlap=1)
    assert [passage.text for passage in passages] == rows
    assert {passage.context for passage in passages} == {"Keluhan"}


def test_a_long_row_is_split_alone():
    long = "catatan: " + "Kalimat pendek. " * 30
    passages = cut(table("kota: Solo.", long.strip(), "kota: Biak."), tokens=20)
    assert passages[0].text == "kota: Solo."
    assert passages[-1].text == "kota: Biak."


def test_a_row_that_begins_in_lower_case_is_not_taken_for_a_folded_line():
    passages = cut(table("nilai 4", "nilai 5"))
    assert [passage.text for passage in passages] == ["nilai 4", "nilai 5"]


def test_overlap_repeats_sentences_but_not_across_headings():
    text = " ".join(f"Kalimat nomor {n} di sini." for n in range(30))
    passages = cut(document(text), tokens=30, overlap=1)
    for before, after in pairwise(passages):
        assert after.start < before.end
        assert after.text.startswith(texts_of(before.text)[-1])
    starts = [passage.start for passage in cut(rules(), tokens=30, overlap=2)]
    assert RULES.index("Pasal 6") in starts


def test_passages_may_cross_pages():
    text = "Pekerja yang telah bekerja dua belas bulan berhak atas cuti."
    places = [Place(0, 31, "page", number=1), Place(31, len(text), "page", number=2)]
    [passage] = cut(document(text, *places))
    assert passage.text == text


@pytest.mark.parametrize("arguments", [{"tokens": 0}, {"tokens": 7}, {"overlap": -1}])
def test_settings_that_make_no_sense_are_refused(arguments):
    with pytest.raises(InvalidArgument):
        PassageSettings(**arguments)


def test_a_book_is_split_in_a_moment():
    text = "Kalimat ini cukup panjang untuk diuji. Ini satu lagi, nomor 5.\n\n" * 60_000
    began = time.monotonic()
    passages = split(document(text), PassageSettings(), words)
    assert time.monotonic() - began < 30
    assert passages[-1].end == len(text) - 2


def test_one_endless_line_is_split_in_linear_time():
    began = time.monotonic()
    source = document("tanpa titik " * 200_000)
    check(source, split(source, PassageSettings(), words))
    source = document("A. " * 200_000)
    check(source, split(source, PassageSettings(), words))
    assert time.monotonic() - began < 30


PIECES = st.sampled_from(
    [
        *("kata ", "Kata", ". ", "! ", "\n", "\n\n", "PT. ", "No. 5 ", "dll. ", "(2)", "a. "),
        *("\u3002", "\uff1f", "\u0301", "\u200d", "\u00a0", "\u3000", "\u2028", "😀", "🏽", "ก"),
        *(
            "漢字",
            "\t",
            "  ",
            "1.000,00",
            '"',
            "\u201d ",
            "-",
            "\x1f",
            "\u200b",
            "\ufeff",
            "x" * 50,
        ),
    ]
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Texts of awkward pieces with places of every kind anywhere."""
    text = draw(st.lists(PIECES, min_size=1, max_size=120).map("".join) | st.text(min_size=1))
    places = []
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        kind = draw(st.sampled_from(["row", "heading", "slide", "sheet", "page", "section"]))
        label = draw(st.sampled_from(["", "Judul", "BAB II " * 30]))
        places.append(Place(start, end, kind, label=label, level=int(kind == "heading")))
    places.sort(key=lambda place: place.start)
    return document(text, *places)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    documents(),
    st.integers(8, 60),
    st.integers(0, 3),
    st.sampled_from([words, words_with_space, characters]),
)
def test_every_split_covers_its_document_within_the_budget(source, tokens, overlap, tokenizer):
    passages = split(source, PassageSettings(tokens=tokens, overlap=overlap), tokenizer)
    check(source, passages)
    for passage in passages:
        # White space between sentences is no token to the tokenizers of embedding models.
        visible = "".join(passage.text.split()) if tokenizer is characters else passage.text
        assert len(tokenizer([visible])[0]) <= tokens + 1


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(PIECES, max_size=80).map("".join) | st.text())
def test_sentences_are_in_order_and_leave_only_white_space_between(text):
    position = 0
    for start, end in sentences(text):
        assert position <= start < end
        assert not text[position:start].strip()
        assert text[start:end].strip()
        position = end
    assert not text[position:].strip()
