"""Messages, mailboxes and archives: every file inside is a document of its own."""

from __future__ import annotations

import gzip
from email.message import EmailMessage

from document_support import STORY, convert, only, zipped

from tanya.documents import ReadOptions
from tanya.types import Document, Failure


def message() -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Sari Wulandari <sari@contoh.co.id>"
    mail["To"] = "mutu@contoh.co.id"
    mail["Date"] = "Fri, 05 Jan 2024 10:00:00 +0700"
    mail["Subject"] = "Keluhan pelanggan \u2014 café"
    mail.set_content(STORY[0])
    return mail


def test_a_message_has_its_header_and_body(tmp_path):
    document = only(convert(tmp_path, "a.eml", message().as_bytes()))
    assert document.title == "Keluhan pelanggan — café"
    assert document.text == (
        "From: Sari Wulandari <sari@contoh.co.id>\nTo: mutu@contoh.co.id\n"
        "Date: Fri, 05 Jan 2024 10:00:00 +0700\nSubject: Keluhan pelanggan — café\n\n" + STORY[0]
    )


def test_the_plain_body_is_preferred_to_the_same_in_html(tmp_path):
    mail = message()
    mail.add_alternative("<p>versi HTML</p>", subtype="html")
    assert "versi HTML" not in only(convert(tmp_path, "a.eml", mail.as_bytes())).text


def test_a_body_in_html_only_is_read(tmp_path):
    mail = EmailMessage()
    mail["Subject"] = "x"
    mail.set_content("<h1>Judul</h1><p>isi</p>", subtype="html")
    document = only(convert(tmp_path, "a.eml", mail.as_bytes()))
    assert document.text == "Subject: x\n\nJudul\n\nisi"
    assert [place.label for place in document.places] == ["Judul"]


def test_attachments_are_documents_of_their_own(tmp_path):
    mail = message()
    mail.add_attachment("kolom,nilai\na,b\n", filename="data.csv", subtype="csv")
    mail.add_attachment(b"\x89PNG\r\n\x1a\n\0\0", maintype="image", subtype="png", filename="f.png")
    inner = message()
    inner.add_attachment("dalam", filename="data.csv")
    mail.add_attachment(inner)
    results = convert(tmp_path, "surat.eml", mail.as_bytes())
    assert [result.id for result in results] == [
        "surat.eml",
        "surat.eml/data.csv",
        "surat.eml/f.png",
        "surat.eml/message-3.eml",
        "surat.eml/message-3.eml/data.csv",
    ]
    assert isinstance(results[2], Failure)
    assert results[2].status == "unsupported"
    assert len({result.hash for result in results}) == 1
    assert {result.path for result in results} == {str(tmp_path / "surat.eml")}


def test_attachments_of_one_name_are_told_apart(tmp_path):
    mail = message()
    for text in ("satu", "dua"):
        mail.add_attachment(text, filename="../../nota.txt")
    ids = [result.id for result in convert(tmp_path, "a.eml", mail.as_bytes())]
    assert ids[1:] == ["a.eml/nota.txt", "a.eml/nota (2).txt"]


def test_a_picture_inside_the_body_is_told_not_listed(tmp_path):
    mail = message()
    mail.add_related(b"\x89PNG\r\n", "image", "png", cid="<logo>")
    document = only(convert(tmp_path, "a.eml", mail.as_bytes()))
    assert document.message == "1 picture(s) inside the message were not read."


def test_headers_in_unknown_encodings_are_kept_as_they_are(tmp_path):
    data = b"From: a@b.c\nSubject: =?x-unknown?Q?abc?=\n\nisi"
    assert "=?x-unknown?Q?abc?=" in only(convert(tmp_path, "a.eml", data)).text


def test_a_mailbox_is_its_messages(tmp_path):
    mails = b"".join(
        b"From a@b.c Fri Jan  5 10:00:00 2024\n" + message().as_bytes() + b"\n\n" for _ in range(3)
    )
    results = convert(tmp_path, "kotak.mbox", mails)
    assert [result.id for result in results] == [f"kotak.mbox/message-{n}.eml" for n in (1, 2, 3)]
    assert all(STORY[0] in result.text for result in results if isinstance(result, Document))


def test_a_message_without_suffix_is_recognised(tmp_path):
    assert only(convert(tmp_path, "pesan", message().as_bytes())).type == "email"


def test_a_zip_is_its_members(tmp_path):
    data = zipped(
        {
            "laporan/a.txt": STORY[0],
            "laporan/b.bin": bytes(range(256)) * 10,
            "__MACOSX/._a.txt": b"x",
            "dalam.zip": zipped({"c.md": "# Judul"}),
        }
    )
    results = convert(tmp_path, "arsip.zip", data)
    assert [(result.id, isinstance(result, Document)) for result in results] == [
        ("arsip.zip/laporan/a.txt", True),
        ("arsip.zip/laporan/b.bin", False),
        ("arsip.zip/dalam.zip/c.md", True),
    ]


def test_an_empty_zip_is_empty(tmp_path):
    [failure] = convert(tmp_path, "a.zip", zipped({}))
    assert isinstance(failure, Failure)
    assert failure.status == "empty"


def test_a_gzip_file_is_unpacked(tmp_path):
    document = only(convert(tmp_path, "catatan.txt.gz", gzip.compress(STORY[0].encode())))
    assert (document.id, document.text) == ("catatan.txt.gz/catatan.txt", STORY[0])


def test_archives_nest_only_so_deep(tmp_path):
    data = zipped({"a.txt": "dasar"})
    for _ in range(5):
        data = zipped({"x.zip": data})
    [failure] = convert(tmp_path, "a.zip", data, ReadOptions(max_depth=2))
    assert isinstance(failure, Failure)
    assert failure.status == "too_large"
    assert failure.id == "a.zip/x.zip/x.zip/x.zip"
