"""Make the .docx and .pdf sample documents from the text in tools/samples/.

    pip install python-docx reportlab
    python tools/make_samples.py [output-directory]

The other sample documents (.txt, .md, .html, .csv) are written by hand in
inst/extdata/perusahaan/. Dates and identifiers are fixed, so running this twice gives
the same bytes.

The source files use a small part of Markdown: a front matter, headings, paragraphs
and tables. One line of the source is one paragraph.
"""

from __future__ import annotations

import datetime as dt
import sys
import zipfile
from dataclasses import dataclass
from html import escape
from pathlib import Path

import docx
from docx.shared import Pt
from reportlab import rl_config
from reportlab.lib import colors
from reportlab.lib.enums import TA_CENTER
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import cm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tools" / "samples"
TARGET = ROOT / "inst" / "extdata" / "perusahaan"
COMPANY = "PT Sagarasa Pangan Lestari"


@dataclass
class Block:
    """A part of a document."""

    kind: str  # "heading", "paragraph" or "table"
    text: str = ""
    level: int = 0
    rows: tuple[tuple[str, ...], ...] = ()


def read_source(path: Path) -> tuple[dict[str, str], list[Block]]:
    """Read the front matter and the blocks of a source file."""
    _, front, body = path.read_text(encoding="utf-8").split("---\n", 2)
    meta = dict(line.split(": ", 1) for line in front.strip().splitlines())
    blocks: list[Block] = []
    for part in body.strip().split("\n\n"):
        lines = part.splitlines()
        if lines[0].startswith("|"):
            rows = [tuple(c.strip() for c in line.strip("|").split("|")) for line in lines]
            del rows[1]  # the line of dashes
            blocks.append(Block("table", rows=tuple(rows)))
            continue
        for line in lines:
            marks = len(line) - len(line.lstrip("#"))
            if marks:
                blocks.append(Block("heading", line.lstrip("# "), marks))
            else:
                blocks.append(Block("paragraph", line))
    return meta, blocks


# Word ------------------------------------------------------------------------------


def write_docx(meta: dict[str, str], blocks: list[Block], path: Path) -> None:
    """Write the blocks as a Word document."""
    document = docx.Document()
    document.styles["Normal"].font.name = "Calibri"
    document.styles["Normal"].font.size = Pt(11)
    document.sections[0].header.paragraphs[0].text = meta["header"]
    for block in blocks:
        if block.kind == "heading":
            document.add_heading(block.text, level=block.level - 1)
        elif block.kind == "paragraph":
            document.add_paragraph(block.text)
        else:
            table = document.add_table(rows=0, cols=len(block.rows[0]), style="Table Grid")
            for i, row in enumerate(block.rows):
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    cell.paragraphs[0].add_run(text).bold = i == 0
            document.add_paragraph()
    when = dt.datetime.fromisoformat(meta["date"])
    properties = document.core_properties
    properties.title, properties.subject = meta["title"], meta["subject"]
    properties.author = properties.last_modified_by = COMPANY
    properties.created = properties.modified = when
    properties.comments = ""
    document.save(path)
    freeze_zip(path)


def freeze_zip(path: Path) -> None:
    """Write the archive again with one fixed date for every member."""
    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            archive.writestr(info, data)


# PDF -------------------------------------------------------------------------------


class NumberedCanvas(Canvas):
    """Holds the pages back until their number is known: "Halaman 2 dari 7"."""

    header = ""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._pages: list[dict] = []

    def showPage(self):
        """Keep the page for later."""
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self):
        """Write the pages, now that there are no more to come."""
        width, height = A4
        for number, page in enumerate(self._pages, 1):
            self.__dict__.update(page)
            self.setFont("Times-Italic", 9)
            self.drawString(2.8 * cm, height - 1.6 * cm, self.header)
            self.drawRightString(
                width - 2.8 * cm, 1.4 * cm, f"Halaman {number} dari {len(self._pages)}"
            )
            super().showPage()
        super().save()


def pdf_styles(kind: str) -> dict[str, ParagraphStyle]:
    """Return the paragraph styles of a kind of document."""
    size = 12 if kind == "regulation" else 11
    body = ParagraphStyle(
        "body", fontName="Times-Roman", fontSize=size, leading=size * 1.45, spaceAfter=size * 0.6
    )
    centre = {"alignment": TA_CENTER} if kind == "regulation" else {}

    def heading(name: str, more: float, before: float) -> ParagraphStyle:
        return ParagraphStyle(
            name,
            parent=body,
            fontName="Times-Bold",
            fontSize=size + more,
            leading=(size + more) * 1.3,
            spaceBefore=before,
            spaceAfter=2,
            keepWithNext=1,
            **centre,
        )

    return {
        "body": body,
        "cell": ParagraphStyle("cell", parent=body, fontSize=10, leading=13, spaceAfter=0),
        "1": heading("h1", 4, 0),
        "2": heading("h2", 1, 10),
        "3": heading("h3", 0, 4),
    }


def write_pdf(meta: dict[str, str], blocks: list[Block], path: Path) -> None:
    """Write the blocks as a PDF."""
    rl_config.invariant = 1
    styles = pdf_styles(meta["style"])
    width = A4[0] - 5.6 * cm
    story: list = []
    for block in blocks:
        if block.kind == "heading":
            story.append(Paragraph(escape(block.text), styles[str(block.level)]))
        elif block.kind == "paragraph":
            story.append(Paragraph(escape(block.text), styles["body"]))
        else:
            cells = [[Paragraph(escape(t), styles["cell"]) for t in row] for row in block.rows]
            table = Table(cells, colWidths=[width / len(cells[0])] * len(cells[0]))
            table.setStyle(
                [
                    ("GRID", (0, 0), (-1, -1), 0.5, colors.grey),
                    ("VALIGN", (0, 0), (-1, -1), "TOP"),
                    ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
                ]
            )
            story += [table, Spacer(1, 10)]
    canvas = type("Canvas", (NumberedCanvas,), {"header": meta["header"]})
    SimpleDocTemplate(
        str(path),
        pagesize=A4,
        leftMargin=2.8 * cm,
        rightMargin=2.8 * cm,
        topMargin=2.6 * cm,
        bottomMargin=2.4 * cm,
        title=meta["title"],
        subject=meta["subject"],
        author=COMPANY,
    ).build(story, canvasmaker=canvas)


def main(target: Path = TARGET) -> None:
    """Write all sample documents that are not plain text."""
    target.mkdir(parents=True, exist_ok=True)
    for source in sorted(SOURCES.glob("*.md")):
        meta, blocks = read_source(source)
        path = target / meta["output"]
        write = write_docx if path.suffix == ".docx" else write_pdf
        write(meta, blocks, path)
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
