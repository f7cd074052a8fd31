"""Converting bytes in tests, and what has to hold for every converted document."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tanya.documents import ReadOptions
from tanya.documents.conversion import convert_file
from tanya.types import Document, Failure

__all__ = ["EXAMPLES", "STORY", "check_places", "convert", "labels", "only", "zipped"]

EXAMPLES = int(os.environ.get("TANYA_EXAMPLES", "300"))
"""Generated cases of each property; set TANYA_EXAMPLES=10000 for a long run."""

STORY = (
    "Kopi luwak berasal dari Lampung Barat. Pabrik PT. Nusantara Pangan di Jl. Merdeka No. 5 "
    "memproduksi 1.250,5 kg per hari.",
    "Menurut Tn. Budi dkk., harga masing-masing peti naik menjadi Rp1.500.000,00 pada tahun 2024.",
    "Perundang-undangan \u201cketenagakerjaan\u201d \u2014 termasuk Pasal 5 ayat (2) \u2014 tetap "
    "berlaku. Café itu buka pukul 07.30.",
)
"""Paragraphs with what Indonesian texts have: abbreviations, doubled words, amounts, quotes."""


def convert(
    folder: Path, name: str, data: bytes, options: ReadOptions | None = None
) -> list[Document | Failure]:
    """Convert bytes as a file of this name, in this process."""
    path = folder / name
    path.write_bytes(data)
    results = list(convert_file(name, path, options or ReadOptions()))
    for result in results:
        if isinstance(result, Document):
            check_places(result)
    return results


def only(results: list[Document | Failure]) -> Document:
    """The one document that a file gave."""
    assert len(results) == 1, results
    assert isinstance(results[0], Document), results[0]
    return results[0]


def labels(document: Document, kind: str) -> list[str]:
    """Labels of the places of a kind."""
    return [place.label for place in document.places if place.kind == kind]


def check_places(document: Document) -> None:
    """Text is canonical; places lie in it, in order, and those of a kind do not overlap."""
    text = document.text
    assert text.strip()
    assert not set("\r\0\x0b\x0c") & set(text)
    text.encode("utf-8")
    last: dict[str, int] = {}
    previous = 0
    for place in document.places:
        assert 0 <= place.start < place.end <= len(text), place
        assert place.start >= previous, place
        previous = place.start
        if place.kind == "heading":
            assert place.level >= 1
            assert place.number is None
        else:
            assert place.start >= last.get(place.kind, 0), place
            last[place.kind] = place.end


def zipped(members: Mapping[str, bytes | str]) -> bytes:
    """A zip file with these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()
