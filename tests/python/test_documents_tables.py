"""Tables: CSV, Excel, OpenDocument spreadsheets and JSON, where each row reads on its own."""

from __future__ import annotations

import datetime
import io
import json

import openpyxl
import pytest
from document_support import convert, labels, only, zipped
from openpyxl.styles import PatternFill

from tanya.documents.sheets import column_letters
from tanya.documents.tables import has_header, row_text
from tanya.types import Document

COMPLAINTS = """\
tanggal;kota;keluhan;nilai
2024-01-05;Bandung;"Mi basi, bungkus ""rusak""; saya kecewa.";2,5
2024-01-06;Yogyakarta;"Dua baris
dalam satu sel";4
;;;
2024-01-07;Medan;;5
"""


def rows(document: Document) -> list[str]:
    """Text of each row."""
    return [
        document.text[place.start : place.end] for place in document.places if place.kind == "row"
    ]


def test_a_csv_row_reads_with_the_names_of_its_columns(tmp_path):
    document = only(convert(tmp_path, "keluhan.csv", COMPLAINTS.encode()))
    assert rows(document) == [
        'tanggal: 2024-01-05. kota: Bandung. keluhan: Mi basi, bungkus "rusak"; saya kecewa. '
        "nilai: 2,5.",
        "tanggal: 2024-01-06. kota: Yogyakarta. keluhan: Dua baris dalam satu sel. nilai: 4.",
        "tanggal: 2024-01-07. kota: Medan. nilai: 5.",
    ]
    assert [place.number for place in document.places] == [1, 2, 3]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_recognised(delimiter, tmp_path):
    lines = [["nama", "kota"], ["Ani", "Solo"], ["Budi", "Biak"]]
    data = "\r\n".join(delimiter.join(line) for line in lines)
    document = only(convert(tmp_path, "a.csv", data.encode("utf-16")))
    assert rows(document) == ["nama: Ani. kota: Solo.", "nama: Budi. kota: Biak."]


def test_a_csv_without_a_header_keeps_every_row(tmp_path):
    document = only(convert(tmp_path, "a.tsv", b"1\tSolo\n2\tBiak\n"))
    assert rows(document) == ["1. Solo.", "2. Biak."]


def test_a_header_alone_is_not_lost(tmp_path):
    assert only(convert(tmp_path, "a.csv", b"nama,kota\n")).text == "nama. kota."


def test_a_quote_that_never_closes_loses_nothing(tmp_path):
    text = only(convert(tmp_path, "a.csv", b'nama,kota\n"Ani,Solo\nBudi,Biak\n')).text
    assert all(word in text for word in ("Ani", "Solo", "Budi", "Biak"))


def test_rows_longer_than_the_header_keep_their_cells(tmp_path):
    document = only(convert(tmp_path, "a.csv", b"a,b\nx,y\nx,y,z\n"))
    assert rows(document)[1] == "a: x. b: y. z."


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([["nama", "kota"], ["Ani", "Solo"]], True),
        ([["nama", "2024"], ["Ani", "3"]], False),
        ([["nama", "nama"], ["Ani", "Solo"]], False),
        ([["nama", "kota"]], False),
        ([["", "kota", "umur"], ["Ani", "Solo", "3"]], True),
        ([["Rp1.500,00", "kota"], ["1", "2"]], False),
    ],
)
def test_headers_are_told_from_values(table, expected):
    assert has_header(table) is expected


def test_a_value_that_ends_a_sentence_gets_no_second_point():
    assert row_text(["a", "b"], ["Sudah?", "Ya!"]) == "a: Sudah? b: Ya!"


@pytest.fixture
def workbook() -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Penjualan"
    sheet.append(["Laporan penjualan triwulan I"])
    sheet.append([])
    sheet.append(["Tanggal", "Kota", "Jumlah", "Pangsa", "Lunas"])
    sheet.append([datetime.date(2024, 3, 1), "Surabaya", 1250000, 0.125, True])
    sheet.append([datetime.datetime(2024, 3, 2, 14, 30), "Makassar", 0.1 + 0.2, 0.5, False])
    for row in (4, 5):
        sheet.cell(row, 4).number_format = "0.0%"
        sheet.cell(row, 3).fill = PatternFill("solid", fgColor="FFFF00")
    sheet.cell(5, 1).number_format = "dd/mm/yyyy hh:mm"
    other = book.create_sheet("Kosong & lain")
    other["B2"] = "Satu sel saja"
    book.properties.title = "Angka penjualan"
    return book


def saved(book: openpyxl.Workbook) -> bytes:
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def test_an_excel_row_reads_as_its_cells_show(workbook, tmp_path):
    document = only(convert(tmp_path, "a.xlsx", saved(workbook)))
    assert document.title == "Angka penjualan"
    assert rows(document) == [
        "Laporan penjualan triwulan I.",
        "Tanggal: 2024-03-01. Kota: Surabaya. Jumlah: 1250000. Pangsa: 12.5%. Lunas: TRUE.",
        "Tanggal: 2024-03-02 14:30. Kota: Makassar. Jumlah: 0.3. Pangsa: 50%. Lunas: FALSE.",
        "Satu sel saja.",
    ]


def test_excel_places_are_sheets_and_cell_ranges(workbook, tmp_path):
    document = only(convert(tmp_path, "a.xlsx", saved(workbook)))
    assert labels(document, "sheet") == ["Penjualan", "Kosong & lain"]
    assert labels(document, "row") == [
        "Penjualan!A1", "Penjualan!A4:E4", "Penjualan!A5:E5", "Kosong & lain!B2"
    ]  # fmt: skip
    assert [p.number for p in document.places if p.kind == "row"] == [1, 4, 5, 2]


def test_a_formula_is_read_as_the_value_saved_with_it(workbook, tmp_path):
    workbook.active["F4"] = '=HYPERLINK("http://evil.example/","klik")'
    text = only(convert(tmp_path, "a.xlsx", saved(workbook))).text
    assert "evil" not in text  # openpyxl saves no value, so there is none to read


def test_a_workbook_without_a_listed_sheet_says_so(workbook, tmp_path):
    import zipfile

    with zipfile.ZipFile(io.BytesIO(saved(workbook))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    del parts["xl/worksheets/sheet2.xml"]
    document = only(convert(tmp_path, "a.xlsx", zipped(parts)))
    assert "Kosong & lain" in document.message


@pytest.mark.parametrize(("column", "letters"), [(0, "A"), (25, "Z"), (26, "AA"), (16383, "XFD")])
def test_columns_have_letters(column, letters):
    assert column_letters(column) == letters


ODS = """<?xml version="1.0" encoding="UTF-8"?>
<office:document-content
  xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
  xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
  xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0">
<office:body><office:spreadsheet><table:table table:name="Stok">
<table:table-row><table:table-cell><text:p>Barang</text:p></table:table-cell>
<table:table-cell><text:p>Kota</text:p></table:table-cell></table:table-row>
<table:table-row table:number-rows-repeated="3"><table:table-cell/></table:table-row>
<table:table-row table:number-rows-repeated="2"><table:table-cell
 table:number-columns-repeated="2"><text:p>sama</text:p></table:table-cell></table:table-row>
<table:table-row table:number-rows-repeated="1000000"><table:table-cell
 table:number-columns-repeated="16384"/></table:table-row>
</table:table></office:spreadsheet></office:body></office:document-content>"""


def ods(content: str) -> bytes:
    mime = "application/vnd.oasis.opendocument.spreadsheet"
    return zipped({"mimetype": mime, "content.xml": content})


def test_repeated_rows_and_columns_of_opendocument_have_their_numbers(tmp_path):
    document = only(convert(tmp_path, "a.ods", ods(ODS)))
    assert rows(document) == ["Barang: sama. Kota: sama."] * 2
    assert labels(document, "row") == ["Stok!A5:B5", "Stok!A6:B6"]
    assert labels(document, "sheet") == ["Stok"]


RECORDS = [
    {"nama": "Ani", "alamat": {"kota": "Solo", "kode": "57100"}, "hobi": ["lari", "catur"]},
    {"nama": "Budi", "gaji": 1.50, "aktif": True, "cuti": None},
]


def test_json_records_are_rows(tmp_path):
    text = json.dumps(RECORDS).replace("1.5", "1.50")
    document = only(convert(tmp_path, "a.json", text.encode()))
    assert rows(document) == [
        "nama: Ani. alamat.kota: Solo. alamat.kode: 57100. hobi: lari, catur.",
        "nama: Budi. gaji: 1.50. aktif: true.",
    ]


def test_json_lines_are_rows_and_broken_lines_are_told(tmp_path):
    data = "\n".join([json.dumps(RECORDS[0]), "{rusak", "", json.dumps(RECORDS[1])])
    document = only(convert(tmp_path, "a.jsonl", data.encode()))
    assert [place.number for place in document.places] == [1, 2, 3]
    assert "{rusak" in document.text
    assert document.message.startswith("1 line(s)")


def test_a_json_object_is_lines_of_paths(tmp_path):
    document = only(
        convert(tmp_path, "a.json", json.dumps({"a": {"b": [1, 2]}, "c": "x"}).encode())
    )
    assert document.text == "a.b: 1, 2\nc: x"


def test_what_is_no_json_is_read_as_text(tmp_path):
    document = only(convert(tmp_path, "a.json", b"{ ini bukan json"))
    assert document.text == "{ ini bukan json"
    assert "no regular JSON" in document.message
