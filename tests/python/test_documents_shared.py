"""Real files: regulations of Indonesia, and what peers test their readers with."""

from __future__ import annotations

from pathlib import Path

import pytest
from document_support import check_places

from tanya.documents import ReadOptions, read
from tanya.sources import from_paths
from tanya.types import Document, Failure

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "documents"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"needs the files in {FOLDER}")

FAILURES = {
    "empty": [
        "encodings/empty.md", "encodings/whitespace_only.txt", "pdfium_empty.pdf",
    ],
    "damaged": [
        "encodings/truncated_half.docx", "encodings/truncated_half.pdf",
        "fixtures/unreadablemetadata.pdf",
    ],
    "encrypted": [
        "fixtures/aes-128.pdf", "fixtures/aes-256-r6.pdf", "fixtures/aes-256.pdf",
        "fixtures/libreoffice-writer-password.pdf", "fixtures/rc4-128.pdf", "fixtures/rc4-40.pdf",
        "fixtures/testEXCEL_protected_passtika.xlsx", "fixtures/testODTEncrypted.odt",
        "fixtures/testPPT_protected_passtika.pptx", "fixtures/testUnicodePassword.pdf",
        "fixtures/testWORD_protected_passtika.docx", "pdfium_encrypted.pdf",
    ],
    "needs_ocr": [
        "MEDRPT-2024-PAT-3847_medical_report_scan.pdf", "fixtures/encrypted_doc_no_id.pdf",
        "fixtures/grayscale-image.pdf", "fixtures/pdf-with-jbig2.pdf",
        "fixtures/test-incremental-updates.eml/testPDF_incrementalUpdates.pdf",
        "fixtures/testPDF_jpeg2000.pdf", "id/Bapeten_SE.1904.2019.pdf",
    ],
    "unsupported": [
        "fixtures/testEXCEL.xls", "fixtures/testEXCEL_95.xls",
        "fixtures/testEXCEL_big_numbers.xls", "fixtures/testEmailWithPNGAtt.eml/testPNG.png",
        "fixtures/testPDF_childAttachments.pdf/Unit10.doc", "fixtures/testPPT.ppt",
        "fixtures/testWORD.doc", "fixtures/testWORD_protected_passtika.doc",
        "fixtures/with-attachment.pdf/image.png",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def results() -> dict[str, Document | Failure]:
    """What reading all of the files gave."""
    options = ReadOptions(workers=2)
    return {result.id: result for result in read(from_paths([FOLDER]), options=options)}


def document(results: dict[str, Document | Failure], id: str) -> Document:
    found = results[id]
    assert isinstance(found, Document), found
    check_places(found)
    return found


def test_every_file_gives_text_or_the_right_status(results):
    found: dict[str, list[str]] = {}
    for result in results.values():
        if isinstance(result, Failure):
            found.setdefault(result.status, []).append(result.id)
        else:
            check_places(result)
    assert {status: sorted(ids) for status, ids in found.items()} == {
        status: sorted(ids) for status, ids in FAILURES.items()
    }


@pytest.mark.parametrize(
    ("name", "sentence", "page"),
    [
        ("POJK13PenyelenggaraanUsahaLKM_1416309052.pdf",
         "(1) Kegiatan usaha LKM meliputi jasa pengembangan usaha dan pemberdayaan masyarakat", 3),
        ("SAL_-_POJK_Fintech.pdf",
         "secara langsung melalui sistem elektronik dengan menggunakan jaringan internet.", 3),
        ("Kepres_49_Tahun_1986_-_Pengesahan_Convention_on_Physical_Protection.pdf",
         "may only be submitted to arbitration or to the International Court of Justice", 3),
        ("Perba_10_Tahun_2011_-_Sistem_Manajemen_Bapeten.pdf",
         "meliputi penetapan dan penerapan persyaratan manajemen secara menyeluruh", 3),
    ],
)  # fmt: skip
def test_sentences_of_regulations_are_whole_and_on_their_pages(results, name, sentence, page):
    found = document(results, f"id/{name}")
    assert found.page_at(found.text.index(sentence)) == page


def test_a_regulation_has_its_articles_as_headings(results):
    found = document(results, "id/SAL_-_POJK_Fintech.pdf")
    articles = [p.label for p in found.places if p.kind == "heading" and p.level == 4]
    assert articles == [f"Pasal {number}" for number in range(1, 53)]


def test_illegible_pages_of_a_scan_are_named(results):
    [id] = [id for id in results if "Perpres_60" in id]
    assert document(results, id).message == "Pages 8-87 need OCR."


@pytest.mark.parametrize(
    "name", ["cp1252_crlf", "cr_only", "utf16be_bom", "utf16le_bom", "utf16le_nobom"]
)
def test_one_law_reads_alike_in_every_encoding(results, name):
    found = document(results, f"encodings/uu22-2009_{name}.txt")
    reference = document(results, "encodings/uu22-2009_utf8_bom.txt")
    assert found.text.split() == reference.text.split()


def test_accents_in_a_western_encoding_are_read(results):
    found = document(results, "encodings/uu22-2009_latin1_accents.txt")
    assert found.text.startswith("Café Réu")
