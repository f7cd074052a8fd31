"""Generated input: no decoder or converter breaks, and what they give is canonical."""

from __future__ import annotations

import codecs
import io
import json
import zipfile
from pathlib import Path

import pytest
from document_support import EXAMPLES, STORY, check_places, zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tanya.documents import ReadOptions
from tanya.documents.content import Input, clean
from tanya.documents.conversion import convert_file
from tanya.documents.decoding import decode
from tanya.documents.registry import FORMATS, detect
from tanya.errors import DocumentUnsupported, TanyaError
from tanya.types import Document

FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
SMALL = ReadOptions(max_bytes=1_000_000, max_unpacked=2_000_000, max_text=1_000_000)

MARKUP = {
    "html": ["<p>", "</p>", "<h1>", "</h2>", "<table>", "<tr>", "<td>", "</table>", "<li>", "<ol>",
             "<pre>", "<br/>", "&amp;", "&#0;", "&#xD800;", "<!--", "<script>", "</nav>", "<main>"],
    "markdown": ["# ", "## ", "\n", "```\n", "===\n", "---\n", "title: x\n", "- ", "    ", "> "],
    "csv": [",", ";", '"', "\n", "\r\n", "\t", "|", "1", "sep=;\n"],
    "rtf": ["{\\rtf1 ", "{", "}", "\\par ", "\\'e9", "\\u8364?", "\\uc2 ", "\\cell ", "\\row ",
            "\\*", "\\bin3 ", "{\\fonttbl{\\f1\\fcharset128 x;}}", "\\f1 ", "{\\footnote ", "\\\\"],
    "email": ["From: a@b.c\n", "Subject: =?utf-8?q?=C3?=\n", "\n", "Content-Type: text/html\n",
              "Content-Type: multipart/mixed; boundary=x\n", "--x\n", "--x--\n",
              "Content-Transfer-Encoding: base64\n", "Content-Disposition: attachment\n"],
    "mbox": ["From a@b.c Fri\n", "\n\n", "Subject: x\n"],
    "json": ["{", "}", "[", "]", ",", ":", '"a"', "1e999", "NaN", "null", "true", "\\ud800"],
    "jsonl": ["{", "}", '"a":1', "\n", "[1]"],
    "text": ["\f", "\r", "\0", "\x85", "\u2028", "\ufeff"],
}  # fmt: skip


@FUZZ
@given(st.binary(max_size=400))
def test_any_bytes_are_decoded_or_refused(data):
    try:
        decoded = decode(data)
    except DocumentUnsupported:
        return
    decoded.text.encode("utf-8", "surrogatepass")
    assert codecs.lookup(decoded.encoding)


@FUZZ
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_a_text_survives_the_encodings_that_name_themselves(text, encoding):
    if text.startswith(("\ufeff", "\0")):
        return  # is, or makes, the mark of another encoding
    if "\x1b" in text or (encoding == "utf-8" and "\0" in text):
        return  # escapes to a Japanese encoding; looks like another encoding or like no text
    assert decode(text.encode(encoding)).text == text


@FUZZ
@given(st.text(st.characters(codec="utf-8")) | st.text("a\r\n\0\x0b\ud800\ufeff\x1b"))
def test_cleaning_twice_is_cleaning_once(text):
    once = clean(text)
    assert clean(once) == once
    once.encode("utf-8")


def converted(name: str, data: bytes) -> None:
    """Convert as ``convert_file`` does but without a file."""
    try:
        detected = detect(data, name)
        content = detected.format.load()(Input(data, name, SMALL))
    except TanyaError:
        return
    except RecursionError:
        return  # becomes a row
    if content.text.strip():
        check_places(Document("x", content.text, "x", "h", places=content.places))


@pytest.mark.parametrize("format", [f for f in FORMATS if f.type in MARKUP], ids=lambda f: f.type)
def test_broken_markup_of_every_kind_is_converted(format):
    pieces = st.sampled_from([*MARKUP[format.type], "kata ", "Kalimat satu. ", "é", "漢", "😀"])

    @FUZZ
    @given(st.lists(pieces, max_size=60).map("".join))
    def run(text: str) -> None:
        prefix = "{\\rtf1 " if format.type == "rtf" else ""
        converted(f"a{format.suffixes[0]}", (prefix + text).encode("utf-8"))

    run()


PARTS = {
    "[Content_Types].xml": "<Types/>",
    "word/document.xml": '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/'
    f'2006/main"><w:body><w:p><w:r><w:t>{STORY[0]}</w:t></w:r></w:p></w:body></w:document>',
}


@settings(max_examples=min(EXAMPLES, 300), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 255)), max_size=30))
def test_a_zip_with_changed_bytes_is_a_row(tmp_path_factory, changes):
    data = bytearray(zipped(PARTS))
    for place, value in changes:
        data[place % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "diubah.docx"
    path.write_bytes(data)
    for result in convert_file("x", path, SMALL):
        if isinstance(result, Document):
            check_places(result)


def test_records_of_any_json_are_rows():
    values = st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )

    @FUZZ
    @given(st.lists(values))
    def run(records: list[object]) -> None:
        converted("a.json", json.dumps(records).encode())
        converted("a.jsonl", "\n".join(map(json.dumps, records)).encode())

    run()


def test_the_zip_helper_makes_zips():
    with zipfile.ZipFile(io.BytesIO(zipped(PARTS))) as archive:
        assert Path(archive.namelist()[1]).name == "document.xml"
