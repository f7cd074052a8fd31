"""PDF: pages, reading order, paragraphs, headings, what repeats, scans and OCR."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Sequence

import pytest
from document_support import STORY, convert, labels, only
from PIL import Image, ImageDraw
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader, simpleSplit
from reportlab.pdfgen.canvas import Canvas

from tanya.documents import ReadOptions
from tanya.documents.layout import HYPHEN, Line, Page, in_reading_order
from tanya.documents.paragraphs import blocks, seam
from tanya.types import Document, Failure

WIDTH, HEIGHT = A4


class Pages:
    """A PDF in the making; y counts downwards, in lines of 14 points."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self.canvas = Canvas(self._buffer, pagesize=A4)

    def line(self, row: float, text: str, x: float = 72, *, font: str = "Helvetica", size=11):
        self.canvas.setFont(font, size)
        self.canvas.drawString(x, HEIGHT - 72 - 14 * row, text)

    def paragraph(self, row: float, text: str, x: float = 72, width: float = 450) -> float:
        for line in simpleSplit(text, "Helvetica", 11, width):
            self.line(row, line, x)
            row += 1
        return row

    def end_page(self) -> None:
        self.canvas.showPage()

    def bytes(self) -> bytes:
        self.canvas.save()
        return self._buffer.getvalue()


def page_texts(document: Document) -> list[str]:
    return [
        document.text[place.start : place.end].strip()
        for place in document.places
        if place.kind == "page"
    ]


def picture(text: str) -> Image.Image:
    image = Image.new("L", (1240, 600), "white")
    draw = ImageDraw.Draw(image)
    draw.text((100, 200), text, fill="black", font_size=64)
    return image


def test_lines_of_a_paragraph_flow_and_paragraphs_stay_apart(tmp_path):
    pdf = Pages()
    row = pdf.paragraph(0, STORY[0] + " " + STORY[1])
    pdf.paragraph(row + 1, STORY[1])
    text = only(convert(tmp_path, "a.pdf", pdf.bytes())).text
    assert text == f"{STORY[0]} {STORY[1]}\n\n{STORY[1]}"


def test_fifty_planted_sentences_have_the_right_page(tmp_path):
    pdf = Pages()
    for number in range(1, 61):
        pdf.line(-2, "LAPORAN TAHUNAN PT. NUSANTARA PANGAN")
        row = pdf.paragraph(2, STORY[0])
        if number <= 50:
            pdf.line(row + 2, f"Kalimat rahasia nomor {number * 37} ada di sini.")
        pdf.paragraph(row + 4, STORY[1])
        pdf.line(52, f"- {number} -", 290)
        pdf.end_page()
    document = only(convert(tmp_path, "a.pdf", pdf.bytes()))
    for number in range(1, 51):
        offset = document.text.index(f"Kalimat rahasia nomor {number * 37} ada")
        assert document.page_at(offset) == number
    assert document.text.count("LAPORAN TAHUNAN") == 1
    assert not any(f"- {number} -" in document.text for number in range(1, 61))


def test_page_labels_are_kept(tmp_path):
    pdf = Pages()
    pdf.canvas._doc.Catalog.PageLabels = None
    from reportlab.pdfbase import pdfdoc

    pages = pdfdoc.PDFPageLabels()
    pages.addPageLabel(0, pdfdoc.PDFPageLabel("ROMAN_LOWER"))
    pages.addPageLabel(2, pdfdoc.PDFPageLabel("ARABIC"))
    pdf.canvas._doc.Catalog.PageLabels = pages
    for text in ("Kata pengantar buku ini.", "Daftar isi buku ini.", "Bab pertama buku ini."):
        pdf.line(1, text)
        pdf.end_page()
    document = only(convert(tmp_path, "a.pdf", pdf.bytes()))
    assert labels(document, "page") == ["i", "ii", "1"]


REGULATION = [
    "BAB II", "HAK DAN KEWAJIBAN", "Bagian Kesatu", "Cuti Tahunan", "Pasal 5",
    "(1) Setiap pekerja berhak atas cuti tahunan sebagaimana dimaksud dalam Pasal 4 ayat",
    "(2) dan Pasal 7, paling sedikit dua belas hari kerja; dan",
    "(2) Ketentuan lebih lanjut mengenai cuti diatur dengan peraturan perusahaan:",
    "a. cuti besar; dan", "b. cuti bersalin.", "Pasal 6", "Cukup jelas.",
]  # fmt: skip


def test_a_regulation_has_its_chapters_and_articles_as_headings(tmp_path):
    pdf = Pages()
    for row, line in enumerate(REGULATION):
        pdf.line(row, line, 72 if line[0] in "(ab" or row > 10 else 250)
    document = only(convert(tmp_path, "a.pdf", pdf.bytes()))
    headings = [(p.label, p.level) for p in document.places if p.kind == "heading"]
    assert headings == [
        ("BAB II HAK DAN KEWAJIBAN", 1), ("Bagian Kesatu Cuti Tahunan", 2), ("Pasal 5", 4),
        ("Pasal 6", 4),
    ]  # fmt: skip
    assert "Pasal 4 ayat (2) dan Pasal 7, paling" in document.text
    assert "\na. cuti besar; dan\nb. cuti bersalin." in document.text


def test_larger_and_bold_lines_are_headings_elsewhere(tmp_path):
    pdf = Pages()
    pdf.line(0, "Laporan Mutu", size=20)
    row = pdf.paragraph(3, STORY[0])
    pdf.line(row + 1, "Hasil", font="Helvetica-Bold")
    pdf.paragraph(row + 2, STORY[1])
    document = only(convert(tmp_path, "a.pdf", pdf.bytes()))
    assert labels(document, "heading") == ["Laporan Mutu", "Hasil"]


@pytest.mark.parametrize("order", ["by column", "row by row"])
def test_columns_are_read_one_after_the_other(order, tmp_path):
    columns = [
        [f"Kolom {side} baris {row} berisi kata-kata biasa saja" for row in range(25)]
        for side in ("kiri", "kanan")
    ]
    places = [(row, side) for side in (0, 1) for row in range(25)]
    if order == "row by row":
        places.sort()
    pdf = Pages()
    pdf.line(-1.5, "Judul yang membentang di atas kedua kolom tulisan", 150, size=14)
    for row, side in places:
        pdf.line(row, columns[side][row], 60 + 255 * side, size=10)
    text = only(convert(tmp_path, "a.pdf", pdf.bytes())).text
    expected = " ".join(
        ["Judul yang membentang di atas kedua kolom tulisan", *columns[0], *columns[1]]
    )
    assert text.split() == expected.split()


def test_table_rows_stay_whole(tmp_path):
    pdf = Pages()
    for row in range(12):
        for column, value in enumerate((f"Kota {row}", f"{row * 1000}", "baik")):
            pdf.line(row, value, 72 + 150 * column)
    text = only(convert(tmp_path, "a.pdf", pdf.bytes())).text
    assert text.splitlines() == [f"Kota {row} {row * 1000} baik" for row in range(12)]


def test_numbers_at_the_top_of_pages_are_no_furniture(tmp_path):
    pdf = Pages()
    for amount in (812, 77, 4521, 3, 990):
        pdf.line(0, f"{amount}.000 {amount}.500")
        pdf.paragraph(3, STORY[0])
        pdf.end_page()
    text = only(convert(tmp_path, "a.pdf", pdf.bytes())).text
    assert all(f"{amount}.000 {amount}.500" in text for amount in (812, 77, 4521, 3, 990))


def test_a_sentence_goes_on_over_the_page(tmp_path):
    pdf = Pages()
    for text in ("Pekerja yang telah bekerja dua belas bulan", "berhak atas cuti tahunan."):
        pdf.line(1, text)
        pdf.end_page()
    document = only(convert(tmp_path, "a.pdf", pdf.bytes()))
    assert document.text == "Pekerja yang telah bekerja dua belas bulan berhak atas cuti tahunan."
    assert page_texts(document)[1] == "berhak atas cuti tahunan."


@pytest.mark.parametrize(
    ("left", "right", "joined"),
    [
        ("peraturan perundang-", "undangan yang", "peraturan perundang-undangan yang"),
        ("masing-", "masing pihak", "masing-masing pihak"),
        ("Undang-", "Undang Dasar", "Undang-Undang Dasar"),
        ("tolong-", "menolong", "tolong-menolong"),
        ("perusa" + HYPHEN, "haan itu", "perusahaan itu"),
        ("perusa-", "haan itu", "perusahaan itu"),
        ("non-", "tunai", "non-tunai"),
        ("tahun 2020-", "2024", "tahun 2020-2024"),
        ("satu", "dua", "satu dua"),
        ("harga \u2013", "naik", "harga \u2013 naik"),
    ],
)
def test_words_torn_at_line_ends_are_put_together(left, right, joined):
    assert "".join(seam(left, right, Counter({"non-tunai": 2}))) + right == joined


def test_ligatures_are_spelled_out_and_hyphens_at_line_ends_go(tmp_path):
    pdf = Pages()
    pdf.line(0, "Para pekerja di pabrik itu menerima penghar-")
    pdf.line(1, "gaan dan surat-surat resmi dari direksi.")
    text = only(convert(tmp_path, "a.pdf", pdf.bytes())).text
    assert (
        text
        == "Para pekerja di pabrik itu menerima penghargaan dan surat-surat resmi dari direksi."
    )


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_turned_pages_are_read(angle, tmp_path):
    pdf = Pages()
    pdf.canvas.translate(WIDTH / 2, HEIGHT / 2)
    pdf.canvas.rotate(angle)
    pdf.canvas.setFont("Helvetica", 11)
    for row, line in enumerate(simpleSplit(STORY[0] + " " + STORY[1], "Helvetica", 11, 400)):
        pdf.canvas.drawString(-200, 100 - 14 * row, line)
    assert only(convert(tmp_path, "a.pdf", pdf.bytes())).text == f"{STORY[0]} {STORY[1]}"


def test_what_is_filled_into_a_form_is_read(tmp_path):
    pdf = Pages()
    pdf.line(0, "Nama:")
    pdf.canvas.acroForm.textfield(value="Budi Santoso", x=120, y=HEIGHT - 76, width=200, height=16)
    pdf.line(2, "Tanda tangan di bawah ini.")
    text = only(convert(tmp_path, "a.pdf", pdf.bytes())).text
    assert " ".join(text.split()) == "Nama: Budi Santoso Tanda tangan di bawah ini."


def scanned(pages: Sequence[str]) -> bytes:
    pdf = Pages()
    for text in pages:
        if text.startswith("teks:"):
            pdf.paragraph(0, text)
        else:
            pdf.canvas.drawImage(ImageReader(picture(text)), 0, 300, WIDTH, WIDTH * 600 / 1240)
        pdf.end_page()
    return pdf.bytes()


def test_a_scan_needs_ocr(tmp_path):
    [failure] = convert(tmp_path, "a.pdf", scanned(["CUTI TAHUNAN", "DUA BELAS"]))
    assert isinstance(failure, Failure)
    assert failure.status == "needs_ocr"


def test_scanned_pages_among_others_are_named(tmp_path):
    pages = [f"teks: {STORY[0]}", "CUTI", "HARI", f"teks: {STORY[1]}", "LIMA"]
    document = only(convert(tmp_path, "a.pdf", scanned(pages)))
    assert document.message == "Pages 2-3, 5 need OCR."
    assert [place.number for place in document.places if place.kind == "page"] == [1, 4]


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="needs the program tesseract")
def test_ocr_reads_scanned_pages(tmp_path):
    pages = [f"teks: {STORY[0]}", "CUTI TAHUNAN DUA BELAS HARI"]
    document = only(convert(tmp_path, "a.pdf", scanned(pages), ReadOptions(ocr="eng")))
    assert page_texts(document)[1] == "CUTI TAHUNAN DUA BELAS HARI"
    assert not document.message


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="needs the program tesseract")
def test_ocr_reads_pictures(tmp_path):
    buffer = io.BytesIO()
    picture("CUTI TAHUNAN").save(buffer, "PNG", dpi=(150, 150))
    document = only(convert(tmp_path, "a.png", buffer.getvalue(), ReadOptions(ocr="eng")))
    assert (document.text, document.type) == ("CUTI TAHUNAN", "image")


def test_an_encrypted_pdf_says_so(tmp_path):
    from reportlab.lib.pdfencrypt import StandardEncryption

    buffer = io.BytesIO()
    canvas = Canvas(buffer, encrypt=StandardEncryption("rahasia", strength=128))
    canvas.drawString(72, 72, "isi")
    canvas.save()
    [failure] = convert(tmp_path, "a.pdf", buffer.getvalue())
    assert isinstance(failure, Failure)
    assert failure.status == "encrypted"


def test_a_pdf_under_another_name_is_read_and_told(tmp_path):
    pdf = Pages()
    pdf.line(0, "Isi surat ini jelas.")
    document = only(convert(tmp_path, "surat.docx", b"sampah\n" + pdf.bytes()))
    assert document.type == "pdf"
    assert document.message == "The file is named .docx but was read as a PDF."


def line(text: str, left: float, top: float, right: float) -> Line:
    return Line(text, left, top - 10, right, top, size=10.0)


def test_pieces_of_one_line_are_joined_from_left_to_right():
    pieces = [
        line("kedua", 200, 700, 240),
        line("bawah", 50, 680, 90),
        line("pertama", 50, 701, 110),
    ]
    assert [found.text for found in in_reading_order(pieces)] == ["pertama kedua", "bawah"]


def test_a_catchword_that_announces_the_next_page_goes():
    pages = [
        Page(
            (line("Pasal ini berlaku.", 72, 700, 300), line("(3) Dalam . . .", 400, 80, 500)),
            595,
            842,
        ),
        Page((line("(3) Dalam hal pekerja sakit.", 72, 700, 300),), 595, 842),
    ]
    assert [block.text for block in blocks(pages)] == [
        "Pasal ini berlaku.", "(3) Dalam hal pekerja sakit."
    ]  # fmt: skip
