"""PDF by PDFium: pages with their labels, in reading order, page by page to bound memory."""

from __future__ import annotations

import ctypes
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pypdfium2
import pypdfium2.raw as pdfium

from tanya.documents.content import Attachment, Content, Input, ReadOptions, clean
from tanya.documents.layout import HYPHEN, Line, Page, in_reading_order
from tanya.documents.ocr import recognise
from tanya.documents.paragraphs import write_pages
from tanya.errors import DocumentDamaged, DocumentEncrypted, DocumentNeedsOcr

__all__ = ["convert"]

_LIGATURES = str.maketrans({
    "\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl",
    "\ufb05": "st", "\ufb06": "st", "\u00a0": " ", "\u00ad": "",
})  # fmt: skip
_LINE_ENDS = frozenset((0x0A, 0x0D))
_HYPHENS = frozenset((0x02, 0xFFFE))
_UNREADABLE = re.compile("[\ue000-\uf8ff\ufffd\x00-\x08\x0e-\x1f]")
_PLAUSIBLE = re.compile(
    r"[(\"'\u201c\u2018]*(?:[^\W\d_]{2,}(?:[-/'][^\W\d_]+)*|[\d.,/%-]+)[).,:;\"'\u201d]*"
)
_WRITTEN_ON = frozenset((pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_FREETEXT))
_FEW_CHARACTERS = 50
_OCR_SCALE = 300 / 72
_OCR_PIXELS = 30e6
_JUNK_TITLE = re.compile(r"microsoft word|untitled|\.(?:docx?|indd|pdf|rtf|pptx?)$", re.IGNORECASE)


def convert(file: Input) -> Content:
    """Convert a PDF.

    Raises:
        DocumentEncrypted: It asks for a password.
        DocumentDamaged: PDFium cannot open it.
        DocumentNeedsOcr: No page has text, but there are pictures.
    """
    document = _open(file.data)
    try:
        scans = [_scan(document, number, file.options) for number in range(len(document))]
        attachments = tuple(_attachments(document))
        title = document.get_metadata_value("Title")
    finally:
        document.close()
    return _content(scans, "" if _JUNK_TITLE.search(title) else title, attachments)


@dataclass(frozen=True, slots=True)
class _Scan:
    """What one page gave.

    Attributes:
        page: Its lines.
        problem: "" or why its text is not all there: ``"ocr"``, ``"damaged"``.
    """

    page: Page
    problem: str = ""


def _open(data: bytes) -> pypdfium2.PdfDocument:
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise DocumentEncrypted("The PDF asks for a password.") from error
        raise DocumentDamaged("The PDF is truncated or damaged.") from error
    if not len(document):
        document.close()
        raise DocumentDamaged("The PDF has no pages.")
    return document


def _scan(document: pypdfium2.PdfDocument, number: int, options: ReadOptions) -> _Scan:
    label = clean(document.get_page_label(number) or "").strip()
    try:
        page = _with_fields(document, number)
    except pypdfium2.PdfiumError:
        return _Scan(Page((), 0.0, 0.0, label), "damaged")
    try:
        width, height = page.get_size()
        textpage = page.get_textpage()
        try:
            segments = list(_segments(textpage))
        finally:
            textpage.close()
        text = " ".join(segment.line.text for segment in segments)
        problem = ""
        if _is_illegible(text) and _pictured(page)[0] > 0.5:
            segments, problem = [], "ocr"
        elif len("".join(text.split())) < _FEW_CHARACTERS:
            covered, shapes = _pictured(page)
            # Letters may also be drawn as shapes, thousands of them.
            problem = "ocr" if covered > 0.3 or shapes > 500 else ""
        if problem and options.ocr:
            return _Scan(replace(_recognised(page, options), label=label))
    finally:
        page.close()
    return _Scan(replace(_upright(segments, width, height), label=label), problem)


def _with_fields(document: pypdfium2.PdfDocument, number: int) -> pypdfium2.PdfPage:
    """A page with what is written in its form fields and text notes as part of its text."""
    page = document[number]
    if not any(kind in _WRITTEN_ON for kind in _annotations(page)):
        return page
    pdfium.FPDFPage_Flatten(page.raw, pdfium.FLAT_NORMALDISPLAY)
    page.close()
    return document[number]


def _annotations(page: pypdfium2.PdfPage) -> Iterator[int]:
    for index in range(pdfium.FPDFPage_GetAnnotCount(page.raw)):
        annotation = pdfium.FPDFPage_GetAnnot(page.raw, index)
        if annotation:
            yield pdfium.FPDFAnnot_GetSubtype(annotation)
            pdfium.FPDFPage_CloseAnnot(annotation)


def _recognised(page: pypdfium2.PdfPage, options: ReadOptions) -> Page:
    """What OCR reads on a page."""
    width, height = page.get_size()
    scale = min(_OCR_SCALE, math.sqrt(_OCR_PIXELS / max(1.0, width * height)))
    bitmap = page.render(scale=scale, grayscale=True)
    try:
        rows = memoryview(bitmap.buffer).cast("B")
        pixels = b"".join(
            rows[start : start + bitmap.width]
            for start in range(0, bitmap.stride * bitmap.height, bitmap.stride)
        )
        header = b"P5 %d %d 255\n" % (bitmap.width, bitmap.height)
    finally:
        bitmap.close()
    pages = recognise(header + pixels, options.ocr, scale, options.ocr_timeout)
    return pages[0] if pages else Page((), width, height)


def _is_illegible(text: str) -> bool:
    """Whether a text layer is of no use.

    Its fonts may have no Unicode, or recognition may have been let loose on a page that lay on
    its side, which makes a salad of letters and signs.
    """
    tokens = text.split()
    if len(_UNREADABLE.findall(text)) > 0.3 * max(1, len("".join(tokens))):
        return True
    plausible = sum(bool(_PLAUSIBLE.fullmatch(token)) for token in tokens)
    return len(tokens) >= 100 and plausible < 0.5 * len(tokens)


def _pictured(page: pypdfium2.PdfPage) -> tuple[float, int]:
    """The part of a page that pictures cover, and the number of shapes drawn on it."""
    width, height = page.get_size()
    area = 0.0
    shapes = 0
    for item in page.get_objects(max_depth=3):
        if item.type == pdfium.FPDF_PAGEOBJ_IMAGE:
            left, bottom, right, top = item.get_bounds()
            area += max(0.0, right - left) * max(0.0, top - bottom)
        elif item.type == pdfium.FPDF_PAGEOBJ_PATH:
            shapes += 1
    return area / max(1.0, width * height), shapes


@dataclass(frozen=True, slots=True)
class _Segment:
    """A stretch of text and the quarter turns, counter-clockwise, that its letters have made."""

    line: Line
    turns: int


def _segments(textpage: pypdfium2.PdfTextPage) -> Iterator[_Segment]:
    """Stretches of text without a line break or a wide gap, in the order of the file."""
    raw = textpage.raw
    get_unicode, get_box = pdfium.FPDFText_GetUnicode, pdfium.FPDFText_GetCharBox
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    codes: list[int] = []
    first = -1
    box = [math.inf, math.inf, -math.inf, -math.inf]
    last_right = math.nan
    last_height = 0.0

    def segment(end: str) -> Iterator[_Segment]:
        text = _decoded(codes)
        if text:
            angle = pdfium.FPDFText_GetCharAngle(raw, max(0, first))
            # PDFium counts the angle clockwise.
            turns = -round(angle / (math.pi / 2)) % 4
            # Vertical writing runs down and then to the left, as lines of a page on its side do.
            if not turns and len(text) > 2 and box[3] - box[1] > 2 * (box[2] - box[0]) > 0:
                turns = 3
            yield _Segment(_line(raw, first, text + end, box), turns)

    for index in range(textpage.count_chars()):
        code = get_unicode(raw, index)
        if code in _LINE_ENDS or code in _HYPHENS:
            yield from segment(HYPHEN if code in _HYPHENS else "")
            codes, first, last_right = [], -1, math.nan
            box = [math.inf, math.inf, -math.inf, -math.inf]
            continue
        if code not in (0x20, 0xA0) and get_box(raw, index, left, right, bottom, top):
            if right.value > left.value:
                height = top.value - bottom.value
                if left.value - last_right > 2.0 * (
                    height if height > last_height else last_height
                ):
                    yield from segment("")
                    codes, first = [], -1
                    box = [math.inf, math.inf, -math.inf, -math.inf]
                last_right, last_height = right.value, height
                if left.value < box[0]:
                    box[0] = left.value
                if bottom.value < box[1]:
                    box[1] = bottom.value
                if right.value > box[2]:
                    box[2] = right.value
                if top.value > box[3]:
                    box[3] = top.value
            if first < 0:
                first = index
        codes.append(code)
    yield from segment("")


def _decoded(codes: Sequence[int]) -> str:
    text = "".join(map(chr, codes))
    if any(0xD800 <= code < 0xE000 for code in codes):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return " ".join(clean(text.translate(_LIGATURES)).split())


def _line(raw: object, index: int, text: str, box: Sequence[float]) -> Line:
    left, bottom, right, top = box if box[0] < math.inf else (0.0, 0.0, 0.0, 0.0)
    index = max(0, index)
    return Line(
        text=text,
        left=left,
        bottom=bottom,
        right=right,
        top=top,
        size=pdfium.FPDFText_GetFontSize(raw, index),
        is_bold=_is_bold(raw, index),
    )


def _is_bold(raw: object, index: int) -> bool:
    flags = ctypes.c_int()
    buffer = ctypes.create_string_buffer(128)
    length = pdfium.FPDFText_GetFontInfo(raw, index, buffer, 128, flags)
    return 0 < length <= 128 and b"bold" in buffer.value.lower()


def _upright(segments: Sequence[_Segment], width: float, height: float) -> Page:
    """Lines in reading order, on a page turned so that most of its letters stand upright.

    Letters that still lie on their side, such as a stamp in the margin, come last.
    """
    weights: Counter[int] = Counter()
    for segment in segments:
        weights[segment.turns] += len(segment.line.text)
    turns = max(weights, key=lambda key: weights[key], default=0)
    ordered = in_reading_order(
        [
            _turned(segment.line, turns, width, height)
            for segment in segments
            if segment.turns == turns
        ]
    )
    lying = [
        _turned(segment.line, turns, width, height)
        for segment in segments
        if segment.turns != turns
    ]
    size = (height, width) if turns % 2 else (width, height)
    return Page((*ordered, *lying), *size)


def _turned(line: Line, turns: int, width: float, height: float) -> Line:
    """A line on a page that is turned back by quarter turns."""
    if turns == 1:
        box = (line.bottom, width - line.right, line.top, width - line.left)
    elif turns == 2:
        box = (width - line.right, height - line.top, width - line.left, height - line.bottom)
    elif turns == 3:
        box = (height - line.top, line.left, height - line.bottom, line.right)
    else:
        return line
    return replace(line, left=box[0], bottom=box[1], right=box[2], top=box[3])


def _attachments(document: pypdfium2.PdfDocument) -> Iterator[Attachment]:
    for number in range(document.count_attachments()):
        fallback = f"attachment-{number + 1}"
        try:
            attachment = document.get_attachment(number)
            yield Attachment.of(attachment.get_name() or fallback, bytes(attachment.get_data()))
        except pypdfium2.PdfiumError:
            yield Attachment.of(fallback, b"")


def _content(scans: Sequence[_Scan], title: str, attachments: tuple[Attachment, ...]) -> Content:
    pictures = [number for number, scan in enumerate(scans, 1) if scan.problem == "ocr"]
    damaged = [number for number, scan in enumerate(scans, 1) if scan.problem == "damaged"]
    legible = [scan for scan in scans if scan.page.lines and scan.problem != "ocr"]
    if pictures and not legible:
        raise DocumentNeedsOcr(
            "The PDF holds pictures of text only.",
            hint="Read it with OCR, for which the program tesseract has to be installed.",
        )
    if damaged and not legible and not attachments:
        raise DocumentDamaged("No page of the PDF can be read.")
    message = " ".join(
        f"{_listed(numbers)} {what}."
        for numbers, what in (
            (pictures, "needs OCR" if len(pictures) == 1 else "need OCR"),
            (damaged, "could not be read"),
        )
        if numbers
    )
    builder = write_pages([scan.page for scan in scans])
    return builder.finish(title=title, message=message, attachments=attachments)


def _listed(numbers: Sequence[int]) -> str:
    """``"Page 3"`` or ``"Pages 3, 5-7"``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    text = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return f"Page {text}" if len(numbers) == 1 else f"Pages {text}"
