"""HTML: what a person reads on the page, without what surrounds it."""

from __future__ import annotations

import pytest
from document_support import STORY, convert, labels, only

from tanya.types import Failure

PAGE = f"""<!DOCTYPE html><html lang="id"><head><title>Kabar &amp; Cerita</title>
<meta charset="utf-8"><style>p {{ color: red }}</style><script>alert("jahat")</script></head>
<body><nav><a href="/">Beranda</a></nav><header><h1>Cerita   Kopi</h1></header>
<div hidden>tersembunyi</div><p style="display: none">juga</p>
<main><p>{STORY[0]}</p><p>{STORY[1]}<br>Baris <b>baru</b>.</p>
<h2>Rincian</h2><ol start="3"><li>tiga</li><li><p>empat</p><ul><li>dalam</li></ul></li></ol>
<table><caption>Harga</caption><tr><th>Kota</th><th>Harga</th></tr>
<tr><td>Solo</td><td>Rp5.000,00</td></tr><tr><td>Biak</td><td>Rp9.000,00</td></tr></table>
<pre>satu
  dua</pre><aside>Catatan penulis</aside></main>
<aside>Iklan</aside><footer>Hak cipta</footer></body></html>"""


def test_a_page_reads_as_a_person_reads_it(tmp_path):
    document = only(convert(tmp_path, "a.html", PAGE.encode()))
    assert document.title == "Kabar & Cerita"
    assert document.text == (
        f"Cerita Kopi\n\n{STORY[0]}\n\n{STORY[1]}\nBaris baru.\n\nRincian\n3. tiga\n4. empat\n"
        "- dalam\n\nHarga\n\nKota: Solo. Harga: Rp5.000,00.\nKota: Biak. Harga: Rp9.000,00.\n\n"
        "satu\n  dua\n\nCatatan penulis"
    )


def test_headings_are_sections(tmp_path):
    document = only(convert(tmp_path, "a.html", PAGE.encode()))
    outer, inner = document.places
    assert (outer.label, outer.level, outer.start) == ("Cerita Kopi", 1, 0)
    assert (inner.label, inner.level) == ("Rincian", 2)
    assert outer.end == inner.end == len(document.text)
    assert document.text[inner.start :].startswith("Rincian\n3. tiga")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_the_declared_encoding_yields_to_the_bytes(encoding, tmp_path):
    page = "<html><meta charset=windows-1251><p>Café \u2014 naïve</p></html>"
    text = only(convert(tmp_path, "a.html", page.encode(encoding))).text
    assert text == "Café — naïve" or encoding == "cp1252"


def test_a_declared_code_page_is_believed(tmp_path):
    page = "<meta charset='windows-1251'><p>Погода</p>".encode("cp1251")
    assert only(convert(tmp_path, "a.html", page)).text == "Погода"


def test_a_table_without_header_pairs_names_and_values(tmp_path):
    page = "<table><tr><td>Nama:</td><td>Ani</td></tr><tr><td>Kota</td><td>Solo</td></tr></table>"
    assert only(convert(tmp_path, "a.html", page.encode())).text == "Nama: Ani.\nKota: Solo."


def test_a_table_that_lays_out_a_page_reads_as_the_page(tmp_path):
    page = "<table><tr><td><h1>Judul</h1><p>isi</p></td><td><table><tr><td>x</td></tr></table>"
    document = only(convert(tmp_path, "a.html", page.encode()))
    assert document.text == "Judul\n\nisi\n\nx"
    assert labels(document, "heading") == ["Judul"]


def test_a_page_of_furniture_only_is_read_all_the_same(tmp_path):
    document = only(convert(tmp_path, "a.html", b"<nav>Daftar isi</nav><footer>Alamat</footer>"))
    assert "Daftar isi" in document.text


def test_a_page_without_text_is_empty(tmp_path):
    [failure] = convert(tmp_path, "a.html", b"<html><script>x</script><!-- y --></html>")
    assert isinstance(failure, Failure)
    assert failure.status == "empty"


def test_depth_loses_nothing(tmp_path):
    page = b"<div>" * 50_000 + b"di dasar" + b"</div>" * 50_000 + b"<p>di luar"
    assert only(convert(tmp_path, "a.html", page)).text == "di dasar\n\ndi luar"


def test_broken_markup_is_read(tmp_path):
    page = "<p>satu <b>dua <i>tiga</p><li>empat</b></table></div> lima &nbsp;&copy; & <enam"
    text = only(convert(tmp_path, "a.html", page.encode())).text
    assert all(word in text for word in ("satu", "dua", "tiga", "empat", "lima", "©"))


def test_html_in_disguise_is_recognised(tmp_path):
    document = only(convert(tmp_path, "laporan.docx", b"<!DOCTYPE html><p>isi</p>"))
    assert document.type == "html"
    assert document.message == "The file is named .docx but was read as a web page."
