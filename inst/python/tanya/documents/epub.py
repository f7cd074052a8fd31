"""EPUB: the chapters of the spine, in order, each by the HTML converter."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote

from tanya.documents import html
from tanya.documents.content import Content, Input, TextBuilder
from tanya.documents.xml import Package
from tanya.errors import DocumentDamaged, DocumentEncrypted

__all__ = ["convert"]


def convert(file: Input) -> Content:
    """Convert an e-book."""
    package = Package(file)
    container = package.xml("META-INF/container.xml")
    root = next(container.iter("{*}rootfile"), None)
    if root is None:
        raise DocumentDamaged("The e-book does not say where its contents are.")
    opf = root.get("full-path", "")
    book = package.xml(opf)
    folder = posixpath.dirname(opf)
    items = {
        item.get("id", ""): posixpath.normpath(
            posixpath.join(folder, unquote(item.get("href", "")))
        )
        for item in book.iterfind("{*}manifest/{*}item")
    }
    title = next((element.text or "" for element in book.iter("{*}title")), "")
    builder = TextBuilder()
    missing = 0
    for number, reference in enumerate(book.iterfind("{*}spine/{*}itemref"), 1):
        part = items.get(reference.get("idref", ""), "")
        start = builder.position
        try:
            chapter = html.convert(Input(package.read(part), part, file.options))
        except DocumentDamaged:
            missing += 1
            continue
        builder.splice(chapter)
        heading = next((place.label for place in chapter.places if place.kind == "heading"), "")
        builder.place("section", start, label=heading or chapter.title, number=number)
    if not builder.position and "META-INF/encryption.xml" in package:
        raise DocumentEncrypted("The e-book is protected against copying.")
    if not builder.position and missing:
        raise DocumentDamaged("No chapter of the e-book can be read.")
    message = f"{missing} chapter(s) could not be read." if missing else ""
    return builder.finish(title=title, message=message)
