"""Files that break readers: bombs, traps, torn and mislabelled files, made on the spot.

They are hostile to readers with the limits of ``test_documents_hostile.LIMITS``.
``python hostile_files.py FOLDER`` writes them, to try other readers on them.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from document_support import zipped

__all__ = ["HOSTILE", "Hostile", "make_all"]

WORD_TYPES = (
    '<Types><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-'
    'officedocument.wordprocessingml.document.main+xml"/></Types>'
)
SPACE = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
ODT = "application/vnd.oasis.opendocument.text"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
OPEN_SPACES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for name in ("office", "table", "text")
)
LAUGHS = "<!DOCTYPE x [<!ENTITY a0 'ha'>" + "".join(
    f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10)
) + "]>"  # fmt: skip
SECRET = "<!DOCTYPE x [<!ENTITY rahasia SYSTEM 'file:///etc/passwd'>]>"
NOWHERE = "http://127.0.0.1:9/"
REMOTE = f"<!DOCTYPE x SYSTEM '{NOWHERE}x.dtd' [<!ENTITY % p SYSTEM '{NOWHERE}'> %p;]>"
MACRO = b'\xd0\xcf\x11\xe0Sub AutoOpen() Shell "calc" End Sub'

Hostile = tuple[str, Callable[[], bytes], frozenset[str]]
"""Name, maker, and the statuses that are right: "ok", or those of failures."""


def word(body: str, prolog: str = "", **extra: bytes) -> bytes:
    document = f"{prolog}<w:document {SPACE}><w:body>{body}</w:body></w:document>"
    parts = {"[Content_Types].xml": WORD_TYPES, "word/document.xml": document}
    return zipped({**parts, **{name.replace("__", "/"): data for name, data in extra.items()}})


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def open_document(mime: str, kind: str, body: str, prolog: str = "") -> bytes:
    content = (
        f"{prolog}<office:document-content {OPEN_SPACES}><office:body><office:{kind}>{body}"
        f"</office:{kind}></office:body></office:document-content>"
    )
    return zipped({"mimetype": mime, "content.xml": content})


def workbook(sheet: str, strings: str = "", prolog: str = "") -> bytes:
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    return zipped(
        {
            "[Content_Types].xml": "<Types/>",
            "xl/workbook.xml": f'<workbook xmlns:r="{kind}"><sheets><sheet name="A" r:id="r1"/>'
            "</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": "<Relationships>"
            f'<Relationship Id="r1" Type="{kind}/worksheet" Target="sheet1.xml"/>'
            f'<Relationship Id="r2" Type="{kind}/sharedStrings" Target="strings.xml"/>'
            "</Relationships>",
            "xl/sheet1.xml": f"{prolog}<worksheet><sheetData>{sheet}</sheetData></worksheet>",
            "xl/strings.xml": f"<sst>{strings}</sst>",
        }
    )


def pdf(objects: list[bytes], root: int = 1) -> bytes:
    """A PDF of numbered objects."""
    out = io.BytesIO(b"")
    out.write(b"%PDF-1.7\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % offset for offset in offsets)
    out.write(
        b"trailer<</Size %d/Root %d 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, root, start)
    )
    return out.getvalue()


def one_page(content: bytes, *more: bytes, filters: bytes = b"") -> bytes:
    return pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R"
            b"/Resources<</Font<</F 5 0 R>>/XObject<</X 6 0 R>>>>>>",
            b"<<%s/Length %d>>stream\n%s\nendstream" % (filters, len(content), content),
            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
            *more,
        ]
    )


TEXT = b"BT /F 12 Tf 72 700 Td (Kalimat yang biasa saja.) Tj ET"


def flate_bomb() -> bytes:
    import zlib

    packed = b"\0" * 1_000_000
    for _ in range(3):
        packed = zlib.compress(packed, 9)
    return one_page(packed, filters=b"/Filter[/FlateDecode/FlateDecode/FlateDecode]")


def cyclic_pages() -> bytes:
    return pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R 2 0 R]/Count 99999999>>",
            b"<</Type/Pages/Parent 2 0 R/Kids[2 0 R]/Count 5>>",
        ]
    )


def recursive_form() -> bytes:
    resources = b"/Resources<</XObject<</X 6 0 R>>>>"
    form = b"<</Type/XObject/Subtype/Form/BBox[0 0 9 9]" + resources + b"/Length 4>>"
    return one_page(TEXT + b" /X Do", form + b"stream\n/X Do\nendstream")


def huge_page() -> bytes:
    return one_page(TEXT).replace(b"[0 0 600 800]", b"[0 0 9e9 9e9]")


def zip_bomb() -> bytes:
    return zipped({f"{n}.txt": b"0" * 6_000_000 for n in range(10)})


def lying_zip() -> bytes:
    """A member that unpacks to far more than its entry in the directory says."""
    data = bytearray(zipped({"a.txt": b"0" * 30_000_000}))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    return bytes(data)


def nested_zip() -> bytes:
    data = zipped({"a.txt": "dasar"})
    for _ in range(40):
        data = zipped({"x.zip": data})
    return data


def wide_nested_zip() -> bytes:
    data = b"0" * 1_000_000
    for _ in range(4):
        data = zipped({f"{n}.zip": data for n in range(16)})
    return data


def quine_like_zip() -> bytes:
    """Members whose names climb out of the folder, repeat, or are no names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in ("../../etc/passwd", "/abs.txt", "C:\\x\\y.txt", "a.txt", "a.txt", "con"):
                archive.writestr(name, f"isi {name}")
    return buffer.getvalue()


def torn(data: bytes, part: float = 0.5) -> bytes:
    return data[: int(len(data) * part)]


def noise(seed: int, length: int, start: bytes = b"") -> bytes:
    return start + random.Random(seed).randbytes(length)


def deep_mail() -> bytes:
    head = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(500)
    )
    return b"From: a@b.c\nSubject: dalam\nMIME-Version: 1.0\n" + head + b"\nisi\n"


def long_header_mail() -> bytes:
    words = b" ".join(b"=?utf-8?b?YWJj?=" for _ in range(20_000))
    return b"From: a@b.c\nSubject: " + words + b"\n\nisi"


OK, DAMAGED, LARGE, EMPTY, UNSUPPORTED = (
    frozenset({status}) for status in ("ok", "damaged", "too_large", "empty", "unsupported")
)
ANY = OK | DAMAGED | LARGE | EMPTY | UNSUPPORTED | {"timeout", "needs_ocr", "encrypted"}
REFUSED = ANY - OK

HOSTILE: list[Hostile] = [
    ("zip_bomb.zip", zip_bomb, LARGE),
    ("lying.zip", lying_zip, DAMAGED | LARGE),
    ("nested.zip", nested_zip, LARGE),
    ("wide_nested.zip", wide_nested_zip, OK | LARGE),
    ("climbing.zip", quine_like_zip, OK),
    ("many_members.zip", lambda: zipped({f"{n}": "" for n in range(20_000)}), LARGE),
    ("bomb.txt.gz", lambda: gzip.compress(b"0" * 40_000_000), LARGE),
    ("bomb.docx", lambda: word(paragraph("a"), word__media=b"0" * 60_000_000), LARGE),
    ("bomb_inside.docx", lambda: word(paragraph("ha " * 5_000_000)), LARGE | DAMAGED),
    ("laughs.docx", lambda: word(paragraph("&a9;"), LAUGHS), EMPTY | DAMAGED),
    ("laughs.odt", lambda: open_document(ODT, "text", "<text:p>&a9;</text:p>", LAUGHS),
     EMPTY | DAMAGED),
    ("laughs.xlsx", lambda: workbook("<row><c><v>&a9;</v></c></row>", prolog=LAUGHS),
     EMPTY | DAMAGED),
    ("external_entity.docx", lambda: word(paragraph("&rahasia;"), SECRET), EMPTY | DAMAGED),
    ("external_entity.odt", lambda: open_document(
        ODT, "text", "<text:p>&rahasia;</text:p>", SECRET), EMPTY | DAMAGED),
    ("remote_dtd.docx", lambda: word(paragraph("biasa"), REMOTE), OK | DAMAGED),
    ("deep.docx", lambda: word("<w:ins>" * 5000 + paragraph("x") + "</w:ins>" * 5000), DAMAGED),
    ("tables_in_tables.docx", lambda: word(
        "<w:tbl><w:tr><w:tc>" * 60 + paragraph("dalam") + "</w:tc></w:tr></w:tbl>" * 60), OK),
    ("no_body.docx", lambda: zipped(
        {"[Content_Types].xml": WORD_TYPES, "word/document.xml": "<a/>"}), DAMAGED),
    ("no_document.docx", lambda: zipped({"[Content_Types].xml": WORD_TYPES, "word/x.xml": "<a/>"}),
     DAMAGED),
    ("macro.docm", lambda: word(paragraph("isi"), word__vbaProject_bin=MACRO), OK),
    ("torn.docx", lambda: torn(word(paragraph("isi " * 500))), DAMAGED),
    ("a_million_rows.ods", lambda: open_document(ODS, "spreadsheet",
        '<table:table><table:table-row table:number-rows-repeated="99999999"><table:table-cell '
        'table:number-columns-repeated="99999999"><text:p>bom</text:p></table:table-cell>'
        "</table:table-row></table:table>"), LARGE),
    ("string_index.xlsx", lambda: workbook(
        '<row r="99999999999"><c r="ZZZ9999999" t="s"><v>99</v></c><c t="s"><v>-1</v></c>'
        '<c t="s"><v>\u00b2</v></c><c s="-1"><v>nan</v></c><c><v>1e400</v></c></row>'), ANY),
    ("formula.csv", lambda: b"nama,rumus\nAni,=cmd|'/c calc'!A1\nBudi,@SUM(1+1)\n", OK),
    ("one_long_line.csv", lambda: b'"' + b"a," * 1_000_000, OK),
    ("deep.html", lambda: b"<div><b>" * 200_000 + b"dasar", OK),
    ("many_attributes.html", lambda: b"<p " + b" ".join(b"a%d=1" % n for n in range(20_000))
     + b">isi", OK | {"timeout"}),
    ("deep.json", lambda: b"[" * 200_000 + b"1" + b"]" * 200_000, DAMAGED),
    ("long_number.json", lambda: b'{"a": ' + b"9" * 1_000_000 + b"}", OK),
    ("lone_surrogate.json", lambda: json.dumps({"a": "x\ud800y"}).encode(), OK),
    ("deep.rtf", lambda: b"{\\rtf1 " + b"{\\b " * 100_000 + b"dasar", LARGE),
    ("binary.rtf", lambda: b"{\\rtf1 isi\\bin2147483647 x}", OK),
    ("deep.eml", deep_mail, ANY),
    ("long_header.eml", long_header_mail, OK),
    ("unknown_charset.eml", lambda: b"From: a@b.c\nContent-Type: text/plain; charset=tidak-ada\n"
     b"Content-Transfer-Encoding: base64\n\n!!!tidak base64", ANY),
    ("recursive.pdf", recursive_form, OK | DAMAGED),
    ("cyclic.pdf", cyclic_pages, DAMAGED | EMPTY | {"timeout"}),
    ("flate_bomb.pdf", flate_bomb, ANY),
    ("huge_page.pdf", huge_page, ANY),
    ("torn.pdf", lambda: torn(one_page(TEXT), 0.4), DAMAGED),
    ("only_a_header.pdf", lambda: b"%PDF-1.7\n", DAMAGED),
    ("noise.pdf", lambda: noise(1, 200_000, b"%PDF-1.4\n"), DAMAGED),
    ("noise.docx", lambda: noise(2, 200_000, b"PK\x03\x04"), DAMAGED),
    ("noise.msg", lambda: noise(3, 200_000, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), REFUSED),
    ("noise_with_streams.msg", lambda: noise(4, 9_000, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
     + "__properties_version1.0".encode("utf-16-le"), REFUSED),
    ("noise.txt", lambda: noise(5, 200_000), UNSUPPORTED),
    ("noise.xyz", lambda: noise(6, 200_000), UNSUPPORTED),
    ("loop.epub", lambda: zipped({"mimetype": "application/epub+zip", "META-INF/container.xml":
        '<container><rootfiles><rootfile full-path="META-INF/container.xml"/></rootfiles>'
        "</container>"}), EMPTY | DAMAGED),
    ("picture.docx", lambda: b"\x89PNG\r\n\x1a\n" + noise(7, 999), UNSUPPORTED),
    ("program.pdf", lambda: b"MZ\x90\0" + noise(8, 9_999), UNSUPPORTED | DAMAGED),
]  # fmt: skip


def make_all(folder: Path) -> dict[Path, frozenset[str]]:
    """Write every file; returns each with the statuses that are right for it."""
    made = {}
    for name, make, statuses in HOSTILE:
        path = folder / name
        path.write_bytes(make())
        made[path] = statuses
    return made


if __name__ == "__main__":
    make_all(Path(sys.argv[1]))
