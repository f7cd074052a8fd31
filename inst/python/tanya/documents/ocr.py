"""Pictures of text, read by the tesseract program where the caller asks for it."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from tanya.documents.content import Content, Input
from tanya.documents.layout import Line, Page
from tanya.documents.paragraphs import write_pages
from tanya.errors import DocumentError, DocumentTimeout, DocumentUnsupported, MissingDependency

__all__ = ["check", "convert", "recognise"]

_INSTALL = (
    "Install tesseract and the data of its languages (Debian: tesseract-ocr, tesseract-ocr-ind)."
)


def check(languages: str) -> None:
    """Make sure that tesseract is there and knows the languages.

    Raises:
        MissingDependency: It is not, or does not.
    """
    if shutil.which("tesseract") is None:
        raise MissingDependency("OCR needs the program tesseract, which is missing.", hint=_INSTALL)
    known = _run(["--list-langs"], b"", 30.0).decode("utf-8", "replace").split()
    missing = [language for language in languages.split("+") if language not in known]
    if missing:
        raise MissingDependency(f"tesseract has no language {missing[0]!r}.", hint=_INSTALL)


def convert(file: Input) -> Content:
    """Convert a picture file: PNG, JPEG, TIFF (also of many pages), WebP, BMP or GIF.

    Raises:
        DocumentUnsupported: OCR is off.
    """
    if not file.options.ocr:
        raise DocumentUnsupported(
            "The file is a picture.", hint="OCR reads the text in pictures, if there is any."
        )
    pages = recognise(file.data, file.options.ocr, 1.0, file.options.ocr_timeout)
    return write_pages(pages).finish()


def recognise(image: bytes, languages: str, scale: float, timeout: float) -> list[Page]:
    """Read the text in a picture.

    Args:
        image: A picture file; a TIFF may have many pages.
        languages: As in ``ReadOptions.ocr``.
        scale: Pixels in a point.
        timeout: Seconds.

    Returns:
        A page for each page of the picture, with boxes in points.
    """
    table = _run(["stdin", "stdout", "-l", languages, "tsv"], image, timeout).decode("utf-8")
    rows = csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE)
    words = [_Word.of(row, scale) for row in rows if row["level"] in ("1", "5")]
    return [_page(list(of_page)) for _, of_page in groupby(words, key=lambda word: word.line[0])]


@dataclass(frozen=True, slots=True)
class _Word:
    """A word, or with text "" a page, y downwards; ``line`` is (page, block, paragraph, line)."""

    line: tuple[int, int, int, int]
    left: float
    top: float
    width: float
    height: float
    text: str

    @staticmethod
    def of(row: dict[str, str], scale: float) -> _Word:
        place = tuple(int(row[name]) for name in ("page_num", "block_num", "par_num", "line_num"))
        left, top, width, height = (
            int(row[name]) / scale for name in ("left", "top", "width", "height")
        )
        text = (row["text"] or "").strip() if row["level"] == "5" else ""
        return _Word((place[0], place[1], place[2], place[3]), left, top, width, height, text)


def _page(words: Sequence[_Word]) -> Page:
    width, height = words[0].width, words[0].height
    lines = [
        _line(list(of_line), height)
        for _, of_line in groupby((word for word in words if word.text), key=lambda word: word.line)
    ]
    return Page(tuple(lines), width, height)


def _line(words: Sequence[_Word], page_height: float) -> Line:
    return Line(
        text=" ".join(word.text for word in words),
        left=min(word.left for word in words),
        bottom=page_height - max(word.top + word.height for word in words),
        right=max(word.left + word.width for word in words),
        top=page_height - min(word.top for word in words),
        size=0.0,  # boxes of recognised letters say little about their size
    )


def _run(arguments: Sequence[str], data: bytes, timeout: float) -> bytes:
    try:
        done = subprocess.run(
            ["tesseract", *arguments],
            input=data,
            capture_output=True,
            timeout=timeout,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DocumentTimeout(f"OCR took longer than {timeout:g} seconds.") from error
    except OSError as error:
        raise MissingDependency("tesseract cannot be started.", hint=_INSTALL) from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"]
        raise DocumentError(f"OCR failed: {lines[-1][:200]}")
    return done.stdout
