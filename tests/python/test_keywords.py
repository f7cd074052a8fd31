"""Index terms."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tanya.errors import InvalidArgument
from tanya.keywords import languages, terms


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Cuti Tahunan", ["cuti", "tahun"]),
        ("diberikan, pemberian; memberi!", ["beri", "beri", "beri"]),
        ("anak-anak", ["anak", "anak"]),
        ("SK-045/2024", ["sk-045/2024", "sk", "045", "2024"]),
        ("Pasal 5.1.2", ["pasal", "5.1.2", "5", "1", "2"]),
        ("No. 12/2024.", ["no", "12/2024", "12", "2024"]),
        ("Rp1.500.000", ["rp1.500.000", "rp1", "500", "000"]),
        ("Über CAFÉ, cafe\u0301", ["uber", "cafe", "cafe"]),
        ("ﬁle ①２３", ["file", "123"]),
        ("Straße", ["strasse"]),
        ("مُحَمَّد", ["محمد"]),
        ("東京都庁", ["東京", "京都", "都庁"]),
        ("火", ["火"]),
        ("ABC東京", ["abc", "東京"]),
        ("เที่ยว", ["เท", "ที", "ที่"[1:], "่ย", "ยว"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("snake_case", ["snake", "case"]),
        ("", []),
        (" \t\0…—", []),
    ],
)
def test_terms(text: str, wanted: list[str]) -> None:
    language = "english" if "snake" in text else "indonesian"
    assert terms(text, language) == wanted


def test_other_languages() -> None:
    assert terms("running dogs", "english") == ["run", "dog"]
    assert terms("running dogs", "none") == ["running", "dogs"]
    assert "indonesian" in languages()
    with pytest.raises(InvalidArgument, match="klingon") as error:
        terms("x", "klingon")
    assert "indonesian" in error.value.hint


ENGLISH = ["leave", "annual", "policy", "employee", "report", "meeting", "salary"]
OTHERS = ["lead", "annul", "polite", "employ", "reporter", "met", "sale"]


@pytest.mark.parametrize("word", ENGLISH)
def test_the_indonesian_stemmer_keeps_english_words_apart(word: str) -> None:
    assert not set(terms(word)) & {term for other in OTHERS for term in terms(other)}


@given(st.text())
def test_any_text_has_terms_without_spaces(text: str) -> None:
    for term in terms(text):
        assert term
        assert not any(c.isspace() for c in term)


@given(st.text(), st.text())
def test_terms_of_a_text_are_those_of_its_lines(first: str, second: str) -> None:
    assert terms(f"{first}\n{second}") == terms(first) + terms(second)


def test_threads_may_stem_at_once() -> None:
    words = [f"diper{'abcdefgh'[n % 8]}{'aiueo'[n % 5]}{n:x}kan" for n in range(2000)]
    wanted = [terms(word, "indonesian") for word in words]
    found: list[list[list[str]]] = []
    texts = [word + "nya" for word in words]
    threads = [
        threading.Thread(target=lambda: found.append([terms(text) for text in texts]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(each == found[0] for each in found)
    assert [terms(word) for word in words] == wanted
