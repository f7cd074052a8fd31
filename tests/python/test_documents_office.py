"""Word, PowerPoint, OpenDocument, RTF and EPUB."""

from __future__ import annotations

import io

import docx
import pptx
import pytest
from document_support import STORY, convert, labels, only, zipped
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from pptx.util import Inches


def saved(document: object) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


@pytest.fixture
def word() -> docx.document.Document:
    document = docx.Document()
    document.core_properties.title = "Peraturan Perusahaan"
    document.add_heading("Peraturan Perusahaan", 0)
    document.add_heading("Cuti", 1)
    document.add_paragraph(STORY[0])
    document.add_paragraph("satu", style="List Number")
    document.add_paragraph("dua", style="List Number")
    document.add_paragraph("titik", style="List Bullet")
    document.add_heading("Cuti tahunan", 2)
    document.add_paragraph(STORY[1])
    return document


def test_word_reads_in_order_with_headings_and_lists(word, tmp_path):
    document = only(convert(tmp_path, "a.docx", saved(word)))
    assert document.title == "Peraturan Perusahaan"
    assert document.text == (
        f"Peraturan Perusahaan\n\nCuti\n\n{STORY[0]}\n1. satu\n2. dua\n- titik\n\n"
        f"Cuti tahunan\n\n{STORY[1]}"
    )
    assert [(place.label, place.level) for place in document.places] == [
        ("Peraturan Perusahaan", 1), ("Cuti", 1), ("Cuti tahunan", 2)
    ]  # fmt: skip


def test_word_tables_stand_where_they_are(word, tmp_path):
    table = word.add_table(rows=3, cols=3)
    for row, values in zip(
        table.rows,
        [["Kota", "Harga", "Stok"], ["Solo", "Rp5.000", "3"], ["Biak", "", "4"]],
        strict=True,
    ):
        for cell, value in zip(row.cells, values, strict=True):
            cell.text = value
    word.add_paragraph(STORY[2])
    text = only(convert(tmp_path, "a.docx", saved(word))).text
    assert text.endswith(
        f"Kota: Solo. Harga: Rp5.000. Stok: 3.\nKota: Biak. Stok: 4.\n\n{STORY[2]}"
    )


def test_word_shows_revisions_as_accepted(word, tmp_path):
    paragraph = word.add_paragraph("harga ")
    for change, tag, text in (("del", "delText", "lama"), ("ins", "t", "baru")):
        paragraph._p.append(
            parse_xml(
                f'<w:{change} {nsdecls("w")} w:id="1" w:author="x"><w:r>'
                f"<w:{tag}>{text}</w:{tag}></w:r></w:{change}>"
            )
        )
    text = only(convert(tmp_path, "a.docx", saved(word))).text
    assert text.endswith("harga baru")


def test_word_reads_text_boxes_once_and_fields_by_what_they_show(word, tmp_path):
    paragraph = word.add_paragraph()
    paragraph._p.append(
        parse_xml(
            f"<w:r {nsdecls('w')} xmlns:mc="
            '"http://schemas.openxmlformats.org/markup-compatibility/2006">'
            "<mc:AlternateContent><mc:Choice><w:drawing><w:txbxContent><w:p><w:r><w:t>kotak</w:t>"
            "</w:r></w:p></w:txbxContent></w:drawing></mc:Choice><mc:Fallback><w:pict>"
            "<w:txbxContent><w:p><w:r><w:t>kotak</w:t></w:r></w:p></w:txbxContent></w:pict>"
            "</mc:Fallback></mc:AlternateContent><w:instrText>PAGE</w:instrText></w:r>"
        )
    )
    text = only(convert(tmp_path, "a.docx", saved(word))).text
    assert text.count("kotak") == 1
    assert "PAGE" not in text


def test_word_footnotes_and_comments_follow_their_paragraph(word, tmp_path):
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    space = nsdecls("w")
    data = zipped(
        {
            "[Content_Types].xml": f'<Types><Override PartName="/d" ContentType="{main}"/></Types>',
            "_rels/.rels": "<Relationships>"
            f'<Relationship Id="r" Type="{office}/officeDocument" Target="word/document.xml"/>'
            "</Relationships>",
            "word/_rels/document.xml.rels": "<Relationships>"
            f'<Relationship Id="a" Type="{office}/footnotes" Target="footnotes.xml"/>'
            f'<Relationship Id="b" Type="{office}/comments" Target="/word/comments.xml"/>'
            "</Relationships>",
            "word/document.xml": f"<w:document {space}><w:body><w:p><w:r><w:t>Kalimat</w:t>"
            '<w:footnoteReference w:id="2"/><w:commentReference w:id="0"/></w:r></w:p>'
            "<w:p><w:r><w:t>Berikutnya</w:t></w:r></w:p></w:body></w:document>",
            "word/footnotes.xml": f'<w:footnotes {space}><w:footnote w:id="2"><w:p><w:r>'
            "<w:t>Sumber: BPS</w:t></w:r></w:p></w:footnote></w:footnotes>",
            "word/comments.xml": f'<w:comments {space}><w:comment w:id="0" w:author="Sari"><w:p>'
            "<w:r><w:t>Periksa!</w:t></w:r></w:p></w:comment></w:comments>",
        }
    )
    text = only(convert(tmp_path, "a.docx", data)).text
    assert text == "Kalimat [1]\n[1] Sumber: BPS\n[Sari: Periksa!]\n\nBerikutnya"


@pytest.fixture
def slides() -> pptx.presentation.Presentation:
    deck = pptx.Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.shapes.title.text = "Hasil survei"
    first.placeholders[1].text = "Butir pertama\nButir kedua"
    first.notes_slide.notes_text_frame.text = "Ucapkan terima kasih."
    second = deck.slides.add_slide(deck.slide_layouts[5])
    second.shapes.title.text = "Tabel"
    table = second.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
    for row, values in enumerate([["Kota", "Nilai"], ["Solo", "4,5"]]):
        for column, value in enumerate(values):
            table.cell(row, column).text = value
    group = deck.slides.add_slide(deck.slide_layouts[6]).shapes.add_group_shape()
    box = group.shapes.add_textbox(Inches(1), Inches(1), Inches(2), Inches(1))
    box.text_frame.text = STORY[0]
    return deck


def test_slides_have_numbers_titles_notes_and_tables(slides, tmp_path):
    document = only(convert(tmp_path, "a.pptx", saved(slides)))
    assert document.text == (
        "Hasil survei\n\nButir pertama\nButir kedua\n\nUcapkan terima kasih.\n\n"
        f"Tabel\n\nKota: Solo. Nilai: 4,5.\n\n{STORY[0]}"
    )
    pages = [(place.number, place.label) for place in document.places if place.kind == "slide"]
    assert pages == [(1, "Hasil survei"), (2, "Tabel"), (3, "")]
    assert document.page_at(document.text.index("Solo")) == 2
    assert labels(document, "heading") == ["Hasil survei", "Tabel"]


def test_a_presentation_without_text_is_empty(tmp_path):
    deck = pptx.Presentation()
    deck.slides.add_slide(deck.slide_layouts[6])
    [failure] = convert(tmp_path, "a.pptx", saved(deck))
    assert failure.status == "empty"


OPEN = """<?xml version="1.0" encoding="UTF-8"?>
<office:document-content
  xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
  xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
  xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"
  xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"
  xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body>%s</office:body>
</office:document-content>"""


def open_document(kind: str, body: str) -> bytes:
    mime = f"application/vnd.oasis.opendocument.{kind}"
    return zipped({"mimetype": mime, "content.xml": OPEN % body})


def test_an_opendocument_text_has_headings_lists_notes_and_tables(tmp_path):
    body = (
        '<office:text><text:h text:outline-level="2">Bab <text:span>Satu</text:span></text:h>'
        "<text:p>Dua<text:s text:c='2'/>spasi<text:line-break/>baris"
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>catatan"
        "</text:p></text:note-body></text:note>.</text:p>"
        "<text:list><text:list-item><text:p>butir</text:p></text:list-item></text:list>"
        "<table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>Kota"
        "</text:p></table:table-cell><table:table-cell><text:p>Nilai</text:p></table:table-cell>"
        "</table:table-row></table:table-header-rows><table:table-row><table:table-cell><text:p>"
        "Solo</text:p></table:table-cell><table:table-cell><text:p>4</text:p></table:table-cell>"
        "</table:table-row></table:table>"
        "<text:p><draw:frame><draw:text-box><text:p>kotak</text:p></draw:text-box></draw:frame>"
        "akhir</text:p></office:text>"
    )
    document = only(convert(tmp_path, "a.odt", open_document("text", body)))
    assert document.text == (
        "Bab Satu\n\nDua  spasi\nbaris [1].\n[1] catatan\n- butir\n\nKota: Solo. Nilai: 4.\n\n"
        "akhir\n\nkotak"
    )
    assert [(place.label, place.level) for place in document.places] == [("Bab Satu", 2)]


def test_an_opendocument_presentation_has_slides(tmp_path):
    body = (
        "<office:presentation><draw:page><draw:frame><draw:text-box><text:p>isi</text:p>"
        '</draw:text-box></draw:frame><draw:frame presentation:class="title"><draw:text-box>'
        "<text:p>Judul</text:p></draw:text-box></draw:frame></draw:page>"
        "<draw:page><draw:frame><draw:text-box><text:p>dua</text:p></draw:text-box></draw:frame>"
        "</draw:page></office:presentation>"
    )
    document = only(convert(tmp_path, "a.odp", open_document("presentation", body)))
    assert document.text == "Judul\n\nisi\n\ndua"
    assert [place.number for place in document.places if place.kind == "slide"] == [1, 2]


def test_an_encrypted_opendocument_text_says_so(tmp_path):
    manifest = "<manifest><file-entry><encryption-data/></file-entry></manifest>"
    mime = "application/vnd.oasis.opendocument.text"
    data = zipped({"mimetype": mime, "content.xml": b"\x00", "META-INF/manifest.xml": manifest})
    [failure] = convert(tmp_path, "a.odt", data)
    assert failure.status == "encrypted"


RTF = (
    r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Arial;}{\f1\fcharset128 MS Gothic;}}"
    r"{\info{\title Surat}}{\*\generator x;}{\header kop}"
    r"Caf\'e9 \u8212? \b tebal\b0\par \{kurung\}\~tetap\line baris\par"
    r"{\f1 \'93\'fa\'96\'7b}{\v tersembunyi}{\footnote catatan}\par"
    r"\trowd Kota\cell Nilai\cell Ket\cell\row\trowd Solo\cell 4\cell baik\cell\row\pard akhir\par"
    r"\u-10179?\u-8704?}"
)


def test_rtf_reads_code_pages_unicode_tables_and_notes(tmp_path):
    document = only(convert(tmp_path, "a.rtf", RTF.encode("ascii")))
    assert document.title == "Surat"
    assert document.text == (
        "Café — tebal\n\n{kurung} tetap\n\nbaris\n\n日本 [catatan]\n\n"
        "Kota: Solo. Nilai: 4. Ket: baik.\n\nakhir\n\n😀"
    )


def test_rtf_outline_levels_are_headings(tmp_path):
    data = rb"{\rtf1{\stylesheet{\s1\outlinelevel0 x;}}\pard\s1\outlinelevel1 Judul\par\pard isi}"
    document = only(convert(tmp_path, "a.rtf", data))
    assert document.text == "Judul\n\nisi"
    assert [(place.label, place.level) for place in document.places] == [("Judul", 2)]


def test_rtf_with_binary_data_is_not_read_as_words(tmp_path):
    data = b"{\\rtf1 satu{\\pict\\bin5 }}}}}}dua}"
    assert only(convert(tmp_path, "a.rtf", data)).text == "satudua"


@pytest.mark.parametrize("data", [b"{\\rtf1 terpotong {\\b tebal", b"{\\rtf1 lebih}}}} tutup"])
def test_unbalanced_rtf_is_read(data, tmp_path):
    assert only(convert(tmp_path, "a.doc", data)).type == "rtf"


def epub(chapters: dict[str, str]) -> bytes:
    items = "".join(f'<item id="{name}" href="teks/{name}.xhtml"/>' for name in chapters)
    spine = "".join(f'<itemref idref="{name}"/>' for name in chapters)
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": "<container><rootfiles>"
            '<rootfile full-path="OEBPS/isi.opf"/></rootfiles></container>',
            "OEBPS/isi.opf": '<package><metadata xmlns:dc="x"><dc:title>Buku</dc:title></metadata>'
            f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
            **{
                f"OEBPS/teks/{name}.xhtml": f"<html><body>{text}</body></html>"
                for name, text in chapters.items()
                if text
            },
        }
    )


def test_an_ebook_has_its_chapters_in_order(tmp_path):
    chapters = {"b": f"<h1>Awal</h1><p>{STORY[0]}</p>", "a": f"<h2>Akhir</h2><p>{STORY[1]}</p>"}
    document = only(convert(tmp_path, "a.epub", epub(chapters)))
    assert document.title == "Buku"
    assert document.text == f"Awal\n\n{STORY[0]}\n\nAkhir\n\n{STORY[1]}"
    sections = [(place.number, place.label) for place in document.places if place.kind == "section"]
    assert sections == [(1, "Awal"), (2, "Akhir")]
    assert labels(document, "heading") == ["Awal", "Akhir"]


def test_a_missing_chapter_is_told(tmp_path):
    document = only(convert(tmp_path, "a.epub", epub({"a": "<p>isi</p>", "b": ""})))
    assert document.message == "1 chapter(s) could not be read."


def test_an_ebook_without_chapters_is_damaged(tmp_path):
    [failure] = convert(tmp_path, "a.epub", epub({"a": ""}))
    assert failure.status == "damaged"
