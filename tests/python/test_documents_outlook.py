"""Outlook messages: header, body, and attachments as documents."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from document_support import STORY, convert, only
from outlook_files import outlook_message

from tanya.types import Document, Failure

SUBJECT, BODY, HTML, CODEPAGE = 0x0037, 0x1000, 0x1013, 0x3FDE
SENDER, SENDER_ADDRESS, SENT = 0x0C1A, 0x0C1F, 0x0039
NAME, ADDRESS = 0x3001, 0x39FE
FILE_NAME, FILE, METHOD = 0x3707, 0x3701, 0x3705

HEADER = {
    SUBJECT: "Keluhan pelanggan \u2014 café",
    SENDER: "Sari Wulandari",
    SENDER_ADDRESS: "sari@contoh.co.id",
    SENT: datetime(2024, 1, 5, 3, 0, tzinfo=UTC),
}


def test_a_message_has_its_header_and_body(tmp_path):
    data = outlook_message(
        {**HEADER, BODY: "\r\n".join(STORY)},
        recipients=[
            {NAME: "Bagian Mutu", ADDRESS: "mutu@contoh.co.id"},
            {ADDRESS: "arsip@contoh.co.id"},
        ],
    )
    document = only(convert(tmp_path, "a.msg", data))
    assert document.title == "Keluhan pelanggan — café"
    assert document.text == (
        'From: "Sari Wulandari" <sari@contoh.co.id>\n'
        "To: Bagian Mutu <mutu@contoh.co.id>; arsip@contoh.co.id\n"
        "Date: 2024-01-05 03:00\nSubject: Keluhan pelanggan — café\n\n" + "\n".join(STORY)
    )


def test_a_body_in_html_only_is_read(tmp_path):
    html = "<h1>Judul é</h1><p>isi</p>".encode()
    document = only(convert(tmp_path, "a.msg", outlook_message({HTML: html, CODEPAGE: 65001})))
    assert document.text == "Judul é\n\nisi"
    assert [place.label for place in document.places] == ["Judul é"]


def test_attachments_are_documents_of_their_own(tmp_path):
    inner = outlook_message({**HEADER, BODY: STORY[1]})
    data = outlook_message(
        {**HEADER, BODY: STORY[0]},
        attachments=[
            {FILE_NAME: "data.csv", FILE: b"kolom,nilai\na,b\n"},
            {FILE_NAME: "foto.png", FILE: b"\x89PNG\r\n\x1a\n\0\0"},
            {FILE_NAME: "lama.msg", FILE: inner},
            {FILE: b"tanpa nama"},
        ],
    )
    results = convert(tmp_path, "surat.msg", data)
    names = ["surat.msg", "data.csv", "foto.png", "lama.msg", "attachment-4"]
    assert [result.id for result in results] == names[:1] + [f"surat.msg/{n}" for n in names[1:]]
    assert [type(result) for result in results] == [
        Document, Document, Failure, Document, Document,
    ]  # fmt: skip
    assert STORY[1] in results[3].text


def test_an_attachment_that_is_no_file_is_not_called_empty(tmp_path):
    data = outlook_message({BODY: STORY[0]}, attachments=[{NAME: "Surat terusan", METHOD: 5}])
    message, attached = convert(tmp_path, "surat.msg", data)
    assert isinstance(message, Document)
    assert isinstance(attached, Failure)
    assert (attached.id, attached.status) == ("surat.msg/Surat terusan", "unsupported")


@pytest.mark.parametrize("length", [1, 2047, 2048, 100_000])
def test_long_and_short_bodies_are_whole(tmp_path, length):
    body = ("Pasal 5 ayat (2). " * (length // 18 + 1))[:length].strip()
    assert only(convert(tmp_path, "a.msg", outlook_message({BODY: body}))).text == body


def test_a_truncated_message_is_damaged_or_what_is_left_of_it(tmp_path):
    data = outlook_message({**HEADER, BODY: STORY[0] * 50})
    for length in range(512, len(data), 700):
        for result in convert(tmp_path, "a.msg", data[:length]):
            if isinstance(result, Failure):
                assert result.status in ("damaged", "unsupported", "empty")
