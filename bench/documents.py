"""How fast files are read, beside markitdown where it is installed.

    python bench/documents.py [FOLDER]

Without a folder the files are made on the spot, one of each format that both read. Prints a line
of JSON for each format: its files, megabytes and pages, the megabytes and pages that are read in a
second, and how many times as long the rival takes. Both run in this process, one after the other,
and the times are medians of alternating rounds. What either cannot read is left out of both.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "inst" / "python"))

from tanya.documents import ReadOptions, read
from tanya.sources import from_paths
from tanya.types import Document

ROUNDS = 3
PARAGRAPH = (
    "Setiap pekerja berhak atas cuti tahunan paling sedikit dua belas hari kerja setelah pekerja "
    "yang bersangkutan bekerja selama dua belas bulan terus-menerus pada PT. Nusantara Pangan. "
)
Read = Callable[[Path], str | None]


def make_samples(folder: Path) -> None:
    """Write a file of some pages in each format."""
    import docx
    import openpyxl
    import pptx
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate

    style = getSampleStyleSheet()["BodyText"]
    SimpleDocTemplate(str(folder / "a.pdf")).build(
        [Paragraph(PARAGRAPH * 3, style) for _ in range(600)]
    )
    word = docx.Document()
    for number in range(200):
        word.add_heading(f"Pasal {number}", 2)
        for _ in range(4):
            word.add_paragraph(PARAGRAPH)
    word.save(str(folder / "a.docx"))
    deck = pptx.Presentation()
    for number in range(60):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = f"Judul {number}"
        slide.placeholders[1].text = PARAGRAPH
    deck.save(str(folder / "a.pptx"))
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Keluhan")
    rows = [["nomor", "kota", "keluhan"], *([n, "Solo", PARAGRAPH] for n in range(5_000))]
    for row in rows:
        sheet.append(row)
    book.save(str(folder / "a.xlsx"))
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    (folder / "a.csv").write_text(text.getvalue(), encoding="utf-8")
    body = "".join(f"<h2>Pasal {n}</h2><p>{PARAGRAPH}</p><ul><li>a<li>b</ul>" for n in range(3_000))
    (folder / "a.html").write_text(f"<html><body>{body}</body></html>", encoding="utf-8")


def tanya_text(path: Path) -> str | None:
    """The text that this package reads."""
    results = list(read(from_paths([path]), options=ReadOptions(workers=0)))
    texts = [result.text for result in results if isinstance(result, Document)]
    return "\n".join(texts) if texts else None


def pages_of(path: Path) -> int:
    """Pages and slides of a file."""
    results = read(from_paths([path]), options=ReadOptions(workers=0))
    return sum(
        place.kind in ("page", "slide")
        for result in results
        if isinstance(result, Document)
        for place in result.places
    )


def rival() -> Read | None:
    """Markitdown as a reader, where it is installed."""
    try:
        from markitdown import MarkItDown
    except ImportError:
        return None
    converter = MarkItDown()

    def text(path: Path) -> str | None:
        try:
            with redirect_stderr(io.StringIO()):
                return str(converter.convert(str(path)).text_content) or None
        except Exception:  # each of its converters has errors of its own
            return None

    return text


def seconds(reader: Read, paths: list[Path]) -> float:
    """Time that reading all of the files takes."""
    began = time.perf_counter()
    for path in paths:
        reader(path)
    return time.perf_counter() - began


def compare(paths: list[Path], other: Read | None) -> dict[str, object]:
    """The figures of one format."""
    readable = [path for path in paths if tanya_text(path)]
    both = [path for path in readable if other is not None and other(path)]
    measured = both or readable
    if not measured:
        return {}
    megabytes = sum(path.stat().st_size for path in measured) / 1e6
    pages = sum(map(pages_of, measured))
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        ours.append(seconds(tanya_text, measured))
        if both and other is not None:
            theirs.append(seconds(other, measured))
    took = statistics.median(ours)
    figures: dict[str, object] = {
        "files": len(measured),
        "megabytes": round(megabytes, 2),
        "pages": pages,
        "seconds": round(took, 3),
        "megabytes_per_second": round(megabytes / took, 2),
        "pages_per_second": round(pages / took, 1),
    }
    if theirs:
        figures["markitdown_takes_times_as_long"] = round(statistics.median(theirs) / took, 1)
    return figures


def main() -> None:
    """Compare format by format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as made:
        if folder is None:
            folder = Path(made)
            make_samples(folder)
        other = rival()
        if other is None:
            print(json.dumps({"left_out": "markitdown is not installed"}))
        by_suffix: dict[str, list[Path]] = defaultdict(list)
        for source in from_paths([folder]):
            if source.path is not None:
                by_suffix[source.path.suffix.lower()].append(source.path)
        for suffix, paths in sorted(by_suffix.items()):
            figures = compare(paths, other)
            if figures:
                print(json.dumps({"format": suffix.lstrip(".") or "none", **figures}), flush=True)


if __name__ == "__main__":
    main()
