"""The sample documents and the gold questions about them agree with each other."""

import csv
from functools import cache
from pathlib import Path

import pytest

docx = pytest.importorskip("docx")
pdfium = pytest.importorskip("pypdfium2")
bs4 = pytest.importorskip("bs4")

EXTDATA = Path(__file__).resolve().parents[2] / "inst" / "extdata"
DOCUMENTS = EXTDATA / "perusahaan"
COLUMNS = ["id", "question", "answer", "document", "page", "language"]


def read_gold():
    with (EXTDATA / "gold.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


GOLD = read_gold()
ANSWERABLE = [row for row in GOLD if row["answer"]]
UNANSWERABLE = [row for row in GOLD if not row["answer"]]


def squash(text):
    return " ".join(text.split())


def alternatives(field):
    return field.split(" || ")


@cache
def pages_of(name):
    """The text of a document, one string per page; other formats are one page."""
    path = DOCUMENTS / name
    if path.suffix == ".pdf":
        with pdfium.PdfDocument(path) as pdf:
            return tuple(squash(page.get_textpage().get_text_range()) for page in pdf)
    if path.suffix == ".docx":
        document = docx.Document(path)
        parts = [p.text for p in document.paragraphs]
        parts += [c.text for t in document.tables for row in t.rows for c in row.cells]
        return (squash("\n".join(parts)),)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        text = bs4.BeautifulSoup(text, "html.parser").get_text(" ")
    if path.suffix == ".csv":
        text = "\n".join(cell for row in csv.reader(text.splitlines()) for cell in row)
    return (squash(text),)


def sample_files():
    return sorted(p for p in DOCUMENTS.rglob("*") if p.is_file())


def test_every_format_is_there_and_the_folder_is_small():
    files = sample_files()
    assert len(files) >= 14
    assert {p.suffix for p in files} == {".txt", ".md", ".pdf", ".docx", ".html", ".csv"}
    assert sum(p.stat().st_size for p in files) < 600_000


def test_documents_have_something_to_say():
    for path in sample_files():
        name = path.relative_to(DOCUMENTS).as_posix()
        assert len(" ".join(pages_of(name)).split()) >= 300, name


def test_the_regulation_has_several_pages_with_numbers():
    pages = pages_of("peraturan_perusahaan_2024-2026.pdf")
    assert len(pages) >= 6
    for number, text in enumerate(pages, 1):
        assert f"Halaman {number} dari {len(pages)}" in text


def test_the_complaints_are_a_table():
    with (DOCUMENTS / "keluhan_pelanggan.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 60
    assert list(rows[0]) == ["id", "tanggal", "kanal", "kota", "produk", "komentar", "status"]
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(all(row.values()) for row in rows)


def test_gold_has_enough_questions_of_each_kind():
    assert list(GOLD[0]) == COLUMNS
    assert len(GOLD) >= 60
    assert len(UNANSWERABLE) >= 0.25 * len(GOLD)
    assert {row["language"] for row in GOLD} == {"id", "en"}
    for column in ("id", "question"):
        assert len({row[column] for row in GOLD}) == len(GOLD)


def test_unanswerable_questions_point_nowhere():
    for row in UNANSWERABLE:
        assert row["document"] == row["page"] == "", row["id"]


def test_every_document_is_asked_about():
    asked = {name for row in ANSWERABLE for name in alternatives(row["document"])}
    assert asked == {p.relative_to(DOCUMENTS).as_posix() for p in sample_files()}


def test_the_two_landmark_questions_are_there():
    answer = {row["question"]: row["answer"] for row in GOLD}
    assert answer["Berapa hari cuti tahunan karyawan tetap?"]
    assert answer["Siapa presiden Prancis?"] == ""


@pytest.mark.parametrize("row", ANSWERABLE, ids=lambda row: row["id"])
def test_answer_stands_in_its_document(row):
    for name in alternatives(row["document"]):
        assert "\\" not in name
        assert (DOCUMENTS / name).is_file()
        pages = pages_of(name)
        if name.endswith(".pdf"):
            text = pages[int(row["page"]) - 1]
        else:
            assert row["page"] == ""
            (text,) = pages
        for answer in alternatives(row["answer"]):
            assert answer and squash(answer) == answer
            assert answer in text, answer
