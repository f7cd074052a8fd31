"""A text that an office program has written comes back, with its words in order."""

from __future__ import annotations

import difflib
import shutil
import subprocess
from pathlib import Path

import docx
import pytest
from document_support import STORY, convert, labels, only

SOFFICE = shutil.which("soffice")
PANDOC = shutil.which("pandoc")
needs_soffice = pytest.mark.skipif(SOFFICE is None, reason="needs LibreOffice (soffice)")
needs_pandoc = pytest.mark.skipif(PANDOC is None, reason="needs pandoc")

HEADINGS = ["Ketentuan Umum", "Hak Cuti", "Tata Cara", "Penutup"]
MARKDOWN = "\n\n".join(
    f"# {heading}\n\n" + "\n\n".join(f"{paragraph} Bagian {number}." for paragraph in STORY * 4)
    + "\n\n- butir pertama dari daftar ini\n- butir kedua dari daftar ini\n"
    for number, heading in enumerate(HEADINGS, 1)
)  # fmt: skip
WORDS = MARKDOWN.replace("#", "").split()


def kept(text: str) -> float:
    """The part of the words that come back in their order."""
    found = text.split()
    matcher = difflib.SequenceMatcher(None, WORDS, found, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) / len(WORDS)


@pytest.fixture(scope="module")
def word(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "sumber.docx"
    document = docx.Document()
    for number, heading in enumerate(HEADINGS, 1):
        document.add_heading(heading, 1)
        for paragraph in STORY * 4:
            document.add_paragraph(f"{paragraph} Bagian {number}.")
        for item in ("pertama", "kedua"):
            document.add_paragraph(f"butir {item} dari daftar ini", style="List Bullet")
    document.save(path)
    return path


def office(source: Path, suffix: str, folder: Path) -> Path:
    """Convert a file by LibreOffice."""
    target = folder / "ditulis"
    subprocess.run(
        [SOFFICE, "--headless", f"-env:UserInstallation=file://{folder}/profile",
         "--convert-to", suffix, "--outdir", str(target), str(source)],
        check=True, capture_output=True, timeout=180,
    )  # fmt: skip
    return target / f"{source.stem}.{suffix}"


@needs_soffice
@pytest.mark.parametrize("suffix", ["pdf", "docx", "odt", "rtf", "epub", "html"])
def test_libreoffice_files_come_back(word, suffix, tmp_path):
    data = office(word, suffix, tmp_path).read_bytes()
    document = only(convert(tmp_path, f"hasil.{suffix}", data))
    assert kept(document.text.replace("•", "-")) >= 0.99
    if suffix != "epub":  # where LibreOffice writes headings as plain paragraphs
        assert [label for label in labels(document, "heading") if label in HEADINGS] == HEADINGS


@needs_pandoc
@pytest.mark.parametrize("suffix", ["docx", "odt", "html", "epub", "rtf", "pptx"])
def test_pandoc_files_come_back(suffix, tmp_path):
    path = tmp_path / f"hasil.{suffix}"
    subprocess.run(
        [PANDOC, "--from=markdown-smart", "--standalone", "--metadata=title:Uji", "-o", str(path)],
        input=MARKDOWN.encode(), check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    document = only(convert(tmp_path, f"salinan.{suffix}", path.read_bytes()))
    assert kept(document.text.replace("•", "-")) >= 0.99
    if suffix != "rtf":  # where pandoc writes headings as bold paragraphs
        assert [label for label in labels(document, "heading") if label in HEADINGS] == HEADINGS


@needs_soffice
def test_libreoffice_sheets_come_back(tmp_path):
    source = tmp_path / "sumber.csv"
    source.write_text("kota,nilai\nSolo,4\nBiak,5\n", encoding="utf-8")
    for suffix in ("xlsx", "ods"):
        path = office(source, suffix, tmp_path)
        document = only(convert(tmp_path, f"hasil.{suffix}", path.read_bytes()))
        assert document.text == "kota: Solo. nilai: 4.\nkota: Biak. nilai: 5."
        assert labels(document, "row") == ["sumber!A2:B2", "sumber!A3:B3"]
