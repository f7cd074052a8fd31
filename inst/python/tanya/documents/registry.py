"""Which converter reads which file: the one place that knows suffixes and signatures.

To add a format, write a module with ``convert(file: Input) -> Content`` and add a line to
``FORMATS``. What a file contains wins over what it is called.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from typing import cast

from tanya.documents.content import Convert
from tanya.documents.decoding import looks_binary
from tanya.errors import DocumentDamaged, DocumentEmpty, DocumentEncrypted, DocumentUnsupported

__all__ = ["FORMATS", "Detected", "Format", "detect", "suffix_of"]


@dataclass(frozen=True, slots=True)
class Format:
    """A format that can be read.

    Attributes:
        type: Short name, as in ``Document.type``.
        name: What a person calls it, with its article.
        suffixes: Lower-case file suffixes.
        converter: ``"module:function"`` in this package, imported when first needed.
        is_text: Whether files of this format are text, told apart by suffix alone.
    """

    type: str
    name: str
    suffixes: tuple[str, ...]
    converter: str
    is_text: bool = False

    def load(self) -> Convert:
        """The format's converter."""
        module, _, function = self.converter.partition(":")
        return cast(Convert, getattr(import_module(f"tanya.documents.{module}"), function))


TEXT = Format("text", "a text file", (".txt", ".text", ".log"), "plain:convert_text", is_text=True)
FORMATS = (
    TEXT,
    Format("markdown", "a Markdown file", (".md", ".markdown", ".qmd", ".rmd"),
           "plain:convert_markdown", is_text=True),
    Format("csv", "a table", (".csv", ".tsv", ".tab"), "delimited:convert", is_text=True),
    Format("json", "a JSON file", (".json", ".geojson"), "records:convert_json", is_text=True),
    Format("jsonl", "a JSON lines file", (".jsonl", ".ndjson"), "records:convert_lines",
           is_text=True),
    Format("html", "a web page", (".html", ".htm", ".xhtml", ".shtml"), "html:convert",
           is_text=True),
    Format("email", "an e-mail", (".eml",), "mail:convert", is_text=True),
    Format("mbox", "a mailbox", (".mbox",), "mail:convert_mailbox", is_text=True),
    Format("rtf", "an RTF document", (".rtf",), "rtf:convert"),
    Format("pdf", "a PDF", (".pdf",), "pdf:convert"),
    Format("docx", "a Word document", (".docx", ".docm", ".dotx", ".dotm"),
           "wordprocessing:convert"),
    Format("pptx", "a PowerPoint presentation", (".pptx", ".pptm", ".potx", ".ppsx", ".ppsm"),
           "presentation:convert"),
    Format("xlsx", "an Excel workbook", (".xlsx", ".xlsm", ".xltx", ".xltm"),
           "spreadsheet:convert"),
    Format("odt", "an OpenDocument text", (".odt", ".ott"), "opendocument:convert_text"),
    Format("ods", "an OpenDocument spreadsheet", (".ods", ".ots"),
           "opendocument:convert_spreadsheet"),
    Format("odp", "an OpenDocument presentation", (".odp", ".otp"),
           "opendocument:convert_presentation"),
    Format("epub", "an e-book", (".epub",), "epub:convert"),
    Format("msg", "an Outlook message", (".msg",), "outlook:convert"),
    Format("zip", "a zip file", (".zip",), "archive:convert_zip"),
    Format("gzip", "a gzip file", (".gz",), "archive:convert_gzip"),
    Format("image", "a picture",
           (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif"), "ocr:convert"),
)  # fmt: skip
_BY_TYPE = {format.type: format for format in FORMATS}
_BY_SUFFIX = {suffix: format for format in FORMATS for suffix in format.suffixes}

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_SAVE_AS = "Open it in {program} or LibreOffice and save it as {suffix}."
_OTHER_SIGNATURES = (
    (0, b"\x89PNG\r\n", "image"), (0, b"\xff\xd8\xff", "image"), (0, b"GIF8", "image"),
    (0, b"II*\x00", "image"), (0, b"MM\x00*", "image"), (8, b"WEBP", "image"),
    (4, b"ftypheic", "image"), (4, b"ftypavif", "image"), (0, b"\x00\x00\x01\x00", "image"),
    (4, b"ftyp", "video"), (8, b"AVI ", "video"), (0, b"\x1aE\xdf\xa3", "video"),
    (0, b"\x00\x00\x01\xba", "video"), (0, b"FLV\x01", "video"),
    (0, b"ID3", "audio"), (0, b"OggS", "audio"), (8, b"WAVE", "audio"), (0, b"fLaC", "audio"),
    (0, b"7z\xbc\xaf\x27\x1c", "archive"), (0, b"Rar!\x1a\x07", "archive"),
    (0, b"\xfd7zXZ\x00", "archive"), (0, b"BZh", "archive"), (0, b"(\xb5/\xfd", "archive"),
    (257, b"ustar", "archive"),
    (0, b"\x7fELF", "program"), (0, b"MZ\x90", "program"), (0, b"\xca\xfe\xba\xbe", "program"),
    (0, b"\xcf\xfa\xed\xfe", "program"), (0, b"SQLite format 3\x00", "database"),
    (0, b"wOFF", "font"), (0, b"wOF2", "font"), (0, b"OTTO", "font"),
    (0, b"\x00\x01\x00\x00\x00", "font"),
)  # fmt: skip
_WAYS_OUT = {
    "video": "It is a video.",
    "audio": "It is a sound recording.",
    "archive": "It is an archive of a kind that is not read: unpack it, or make it a zip.",
    "program": "It is a program.",
    "database": "It is a database: export its tables as CSV.",
    "font": "It is a font.",
}


@dataclass(frozen=True, slots=True)
class Detected:
    """The format of a file, and a message where its name says something else."""

    format: Format
    message: str = ""


def suffix_of(name: str) -> str:
    """Suffix of a file name in lower case, with its dot, or ""."""
    return PurePath(name.replace("\\", "/")).suffix.lower()


def detect(data: bytes, name: str) -> Detected:
    """Find the format of a file from what it contains and, for texts, from its suffix.

    Raises:
        DocumentEmpty: There are no bytes.
        DocumentDamaged: The file is not what its name says, nor anything else that is known.
        DocumentEncrypted: An Office file asks for a password.
        DocumentUnsupported: No converter reads this kind of file.
    """
    if not data:
        raise DocumentEmpty("The file is empty: it has 0 bytes.")
    suffix = suffix_of(name)
    named = _BY_SUFFIX.get(suffix)
    found = _by_signature(data, named)
    if found is not None:
        return Detected(found, _mismatch(found, named, suffix))
    if named is not None and not named.is_text:
        if looks_binary(data):
            raise DocumentDamaged(f"The file is named {suffix} but is not {named.name}.")
        return Detected(TEXT, _mismatch(TEXT, named, suffix))
    if looks_binary(data):
        raise DocumentUnsupported("The file is neither text nor of a known format.")
    return Detected(named or TEXT)


_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b",
    re.IGNORECASE | re.DOTALL,
)


_MESSAGE = re.compile(
    rb"(?:From \S+ .*\r?\n)?(?=(?:.+\r?\n)*?(?:From|Received|Return-Path|Message-ID|MIME-Version):)"
    rb"(?:[A-Za-z][A-Za-z0-9-]*:.*\r?\n(?:[ \t].*\r?\n)*){3,}",
    re.IGNORECASE,
)


def _mismatch(found: Format, named: Format | None, suffix: str) -> str:
    if named is None or named is found or (named.is_text and found.is_text):
        return ""
    return f"The file is named {suffix} but was read as {found.name}."


def _by_signature(data: bytes, named: Format | None) -> Format | None:
    """The format that a file's first bytes show; None for a text or an unknown format."""
    is_text_name = named is not None and named.is_text
    if data.startswith(b"%PDF-") or (b"%PDF-" in data[:1024] and not is_text_name):
        return _BY_TYPE["pdf"]
    if data.startswith(_ZIP):
        return _in_zip(data, named)
    if data.startswith(_OLE):
        return _in_ole(data)
    head = data[:512]
    if head.startswith(b"{\\rtf"):
        return _BY_TYPE["rtf"]
    if head.startswith(b"\x1f\x8b"):
        return _BY_TYPE["gzip"]
    if not is_text_name and _HTML.match(data[:4096].removeprefix(b"\xef\xbb\xbf")):
        return _BY_TYPE["html"]
    if named is None and _MESSAGE.match(data[:4096]):
        return _BY_TYPE["mbox" if head.startswith(b"From ") else "email"]
    for offset, signature, kind in _OTHER_SIGNATURES:
        if not data.startswith(signature, offset) or not looks_binary(data):
            continue
        if kind == "image":
            return _BY_TYPE["image"]
        raise DocumentUnsupported(f"The file holds no text to read. {_WAYS_OUT[kind]}")
    return None


_MIME_TYPES = {
    b"application/vnd.oasis.opendocument.text": "odt",
    b"application/vnd.oasis.opendocument.text-master": "odt",
    b"application/vnd.oasis.opendocument.text-web": "odt",
    b"application/vnd.oasis.opendocument.spreadsheet": "ods",
    b"application/vnd.oasis.opendocument.presentation": "odp",
    b"application/epub+zip": "epub",
}


def _in_zip(data: bytes, named: Format | None) -> Format:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            mime = b""
            if "mimetype" in names:
                with archive.open("mimetype") as member:
                    mime = member.read(100).strip()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        what = named.name if named is not None else "a zip file"
        raise DocumentDamaged(f"The file looks like {what} but is truncated or damaged.") from error
    if "xl/workbook.bin" in names:
        raise DocumentUnsupported(
            "The file is an Excel binary workbook (.xlsb), which is not read.",
            hint=_SAVE_AS.format(program="Excel", suffix=".xlsx"),
        )
    kind = _MIME_TYPES.get(mime.removesuffix(b"-template"))
    if "[Content_Types].xml" in names:
        for part, office in (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx")):
            if any(name.startswith(part) for name in names):
                kind = office
    if kind is not None:
        return _BY_TYPE[kind]
    if mime.startswith(b"application/") or names & {"[Content_Types].xml", "META-INF/MANIFEST.MF"}:
        raise DocumentUnsupported("The file is made of parts that no program but its own reads.")
    return _BY_TYPE["zip"]


_OLE_STREAMS = (
    ("EncryptedPackage", "encrypted"),
    ("WordDocument", "doc"),
    ("PowerPoint Document", "ppt"),
    ("Workbook", "xls"),
    ("Book", "xls"),
    ("__properties_version1.0", "msg"),
)
_LEGACY = {
    "doc": ("an old Word document (.doc)", "Word", ".docx"),
    "ppt": ("an old PowerPoint presentation (.ppt)", "PowerPoint", ".pptx"),
    "xls": ("an old Excel workbook (.xls)", "Excel", ".xlsx"),
}


def _in_ole(data: bytes) -> Format:
    kind = next(
        (kind for stream, kind in _OLE_STREAMS if stream.encode("utf-16-le") in data), "unknown"
    )
    if kind == "encrypted":
        raise DocumentEncrypted("The file asks for a password.")
    if kind in _LEGACY:
        what, program, suffix = _LEGACY[kind]
        raise DocumentUnsupported(
            f"The file is {what}, which is not read.",
            hint=_SAVE_AS.format(program=program, suffix=suffix),
        )
    if kind not in _BY_TYPE:
        raise DocumentUnsupported("The file is an Office file of a kind that is not read.")
    return _BY_TYPE[kind]
