"""Plain text in any encoding, and Markdown."""

from __future__ import annotations

import codecs

import pytest
from document_support import STORY, convert, labels, only

from tanya.documents.content import clean
from tanya.documents.decoding import decode
from tanya.errors import DocumentUnsupported
from tanya.types import Failure

INDONESIAN = "\n\n".join(STORY)


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"],
)
def test_an_indonesian_text_reads_the_same_in_every_encoding(encoding, tmp_path):
    document = only(convert(tmp_path, "cerita.txt", INDONESIAN.encode(encoding)))
    assert document.text == INDONESIAN
    assert document.type == "text"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp932", "日本語の文章です。今日は良い天気ですね。私たちは公園に行きました。" * 5),
        ("gb18030", "今天天气很好。我们一起去公园散步。孩子们在草地上玩得很开心。" * 5),
        ("euc-kr", "오늘은 날씨가 아주 좋습니다. 우리는 함께 공원에 갔습니다. " * 5),
        ("cp1251", "Сегодня очень хорошая погода, и мы вместе пошли гулять в парк. " * 5),
        ("iso2022_jp", "日本語の文章です。" * 3),
        ("latin-1", "Le café de la forêt était fermé; où êtes-vous allés, déjà ? " * 3),
    ],
)
def test_other_languages_are_recognised(encoding, text):
    assert decode(text.encode(encoding)).text == text


def test_a_guess_is_told():
    decoded = decode("Harga café naik".encode("cp1252") * 3)
    assert decoded.encoding == "cp1252"
    assert "cp1252" in decoded.message


def test_damaged_characters_are_replaced_and_told():
    data = INDONESIAN.encode()
    torn = data[: data.index("—".encode()) + 1]
    decoded = decode(torn)
    assert decoded.encoding == "utf-8"
    assert decoded.text.endswith("\ufffd")
    assert "1 damaged character" in decoded.message


def test_a_declared_encoding_does_not_override_the_bytes():
    assert decode("naïve — café".encode(), "cp1251").text == "naïve — café"
    assert decode(codecs.BOM_UTF16_LE + "abc".encode("utf-16-le"), "utf-8").text == "abc"


@pytest.mark.parametrize("declared", ["rot13", "hex", "no such thing", "utf-8\0", "zip"])
def test_a_declared_encoding_may_be_nonsense(declared):
    assert "caf" in decode("café à la carte".encode("cp1252"), declared).text


def test_what_is_no_text_is_refused():
    with pytest.raises(DocumentUnsupported):
        decode(bytes(range(256)) * 20)


def test_line_ends_and_control_characters_are_made_canonical(tmp_path):
    document = only(convert(tmp_path, "a.txt", b"satu\r\ndua\rtiga\0\x07\x1b\n\nempat"))
    assert document.text == "satu\ndua\ntiga\n\nempat"
    assert clean("a\ud800b\ufeff") == "a\ufffdb"


def test_nothing_else_is_changed(tmp_path):
    text = "  Tab\tdan  spasi, ﬁ, É, e\u0301, \uff12\uff10, 😀\u200d\n\n\n  akhir  "
    assert only(convert(tmp_path, "a.txt", text.encode())).text == text


def test_form_feeds_begin_pages(tmp_path):
    document = only(convert(tmp_path, "a.txt", b"satu\fdua\r\nlagi\ftiga"))
    pages = [
        (place.number, document.text[place.start : place.end].strip()) for place in document.places
    ]
    assert pages == [(1, "satu"), (2, "dua\nlagi"), (3, "tiga")]


@pytest.mark.parametrize("data", [b"", b" \n\t\r\n", "\u00a0\u2003".encode()])
def test_a_blank_file_is_empty(data, tmp_path):
    [failure] = convert(tmp_path, "a.txt", data)
    assert isinstance(failure, Failure)
    assert failure.status == "empty"


MARKDOWN = """---
title: "Laporan Keluhan"
author: Sari
---

# Ringkasan {#ringkasan}

Teks *penting*.

```{r}
# bukan judul
```

Rincian
-------

## Per **kota** dan [tautan](http://contoh.id)

~~~
## juga bukan
~~~

# Penutup #
"""


@pytest.mark.parametrize("suffix", ["md", "qmd", "Rmd", "markdown"])
def test_markdown_keeps_its_text_and_names_its_sections(suffix, tmp_path):
    document = only(convert(tmp_path, f"laporan.{suffix}", MARKDOWN.encode()))
    assert document.text == MARKDOWN
    assert document.title == "Laporan Keluhan"
    headings = {place.label: place for place in document.places}
    assert list(headings) == ["Ringkasan", "Rincian", "Per kota dan tautan", "Penutup"]
    assert [place.level for place in headings.values()] == [1, 2, 2, 1]
    section = headings["Ringkasan"]
    assert document.text[section.start : section.end].startswith("# Ringkasan")
    assert section.end == headings["Penutup"].start
    assert headings["Rincian"].end == headings["Per kota dan tautan"].start


def test_markdown_without_front_matter_takes_its_title_from_the_first_heading(tmp_path):
    document = only(convert(tmp_path, "a.md", b"# Judul\n\nisi\n\n* * *\n\nlagi\n"))
    assert document.title == "Judul"
    assert labels(document, "heading") == ["Judul"]


def test_a_rule_below_a_list_is_no_heading(tmp_path):
    document = only(convert(tmp_path, "a.md", b"- butir\n---\n\n| a | b |\n---\n\n> kutip\n---\n"))
    assert not document.places
