"""Bytes to text: which encoding a file without a declaration is in.

Byte order marks and valid UTF-8 decide alone. Then come UTF-16 without a mark, UTF-8 with a few
damaged bytes, what the file declares, the Western code page, and last a statistical guess by
charset-normalizer. Whatever needed a guess says so in ``Decoded.message``.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

import charset_normalizer

from tanya.errors import DocumentUnsupported

__all__ = ["Decoded", "decode", "looks_binary"]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ISO_2022 = (
    (b"\x1b$B", "iso2022_jp"),
    (b"\x1b$@", "iso2022_jp"),
    (b"\x1b$)C", "iso2022_kr"),
)
_SAMPLE = 1 << 16
_WESTERN = re.compile(
    "[\u2018\u2019\u201c\u201d\u2013\u2014…•€™©®°§\u00b4·«»¿¡£½¼¾²³ºªÀ-ÖØ-öø-ÿŠšŽžŒœŸ\u00a0\u00ad]"
)
_CONTROL = bytes(code for code in range(32) if code not in b"\t\n\x0b\x0c\r\x1b")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded text, the encoding it was in, and what a person should know about that."""

    text: str
    encoding: str
    message: str = ""


def looks_binary(data: bytes) -> bool:
    """Whether bytes without a known signature are no text in any encoding."""
    sample = data[:_SAMPLE]
    if any(sample.startswith(mark) for mark, _ in _MARKS) or _utf16_without_mark(sample):
        return False
    control = len(sample) - len(sample.translate(None, delete=_CONTROL))
    nul = sample.count(0)
    if _is_utf8(sample):
        return control > len(sample) * 0.3
    return control - nul > len(sample) * 0.02 or nul > len(sample) * 0.1


def decode(data: bytes, declared: str = "") -> Decoded:
    """Decode a text file.

    Args:
        data: The file's bytes.
        declared: The encoding that the file claims for itself, or "". Believed only where the
            bytes do not contradict it.

    Raises:
        DocumentUnsupported: The bytes are no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decoded(data, encoding)
    for escape, encoding in _ISO_2022:
        if escape in data:
            return _decoded(data, encoding)
    encoding = _utf16_without_mark(data)
    if encoding:
        return _decoded(data, encoding)
    try:
        return Decoded(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        pass
    if looks_binary(data):
        raise DocumentUnsupported("The file is neither text nor of a known format.")
    if _damaged_utf8(data):
        return _decoded(data, "utf-8")
    if declared and _decodes(data, declared):
        return _decoded(data, declared)
    encoding = _guess(data)
    decoded = _decoded(data, encoding)
    note = f"The encoding was taken to be {encoding}."
    return Decoded(decoded.text, encoding, f"{note} {decoded.message}".strip())


def _decoded(data: bytes, encoding: str) -> Decoded:
    text = data.decode(encoding, errors="replace")
    damaged = text.count("\ufffd")
    message = ""
    if damaged:
        message = f"{damaged} damaged character(s) were replaced while reading as {encoding}."
    return Decoded(text, encoding, message)


def _decodes(data: bytes, encoding: str) -> bool:
    """Whether a name is that of an encoding, and the bytes are in it."""
    try:
        data.decode(encoding)
    except (LookupError, ValueError):
        return False
    return True


def _is_utf8(sample: bytes) -> bool:
    """Whether a sample is UTF-8, but for a character torn at its end."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _damaged_utf8(data: bytes) -> bool:
    """Whether far more of the non-ASCII bytes make UTF-8 characters than do not."""
    text = data.decode("utf-8", errors="replace")
    bad = text.count("\ufffd")
    good = sum(character > "\x7f" for character in text) - bad
    return good > 4 * bad or (bad <= 1 and data[-1] > 0x7F and len(data) > 64)


def _utf16_without_mark(data: bytes) -> str:
    sample = data[: _SAMPLE & ~1]
    if len(sample) < 8:
        return ""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = len(sample) / 2
    # Latin text in UTF-16 has its NULs on one side only; a file with stray NULs on both sides
    # is something else.
    for here, there, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if here > 0.4 * half and there < 0.02 * half + 1:
            return encoding
    return ""


def _guess(data: bytes) -> str:
    sample = data[:_SAMPLE]
    high = [code for code in sample if code > 0x7F]
    western = bytes(high).decode("cp1252", errors="replace")
    # Western text has few accented characters, each of them among letters of the alphabet.
    if len(high) < 0.25 * len(sample) and len(_WESTERN.findall(western)) > 0.95 * len(high):
        return "cp1252"
    best = charset_normalizer.from_bytes(sample).best()
    return best.encoding if best is not None else "cp1252"
