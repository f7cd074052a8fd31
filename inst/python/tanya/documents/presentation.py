"""PPTX: slides in their order with titles, text, tables, diagrams and notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tanya.documents.content import Content, Input, TextBuilder
from tanya.documents.tables import add_table
from tanya.documents.xml import Package
from tanya.errors import DocumentDamaged

__all__ = ["convert"]

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_TITLES = ("title", "ctrTitle")
_FURNITURE = ("sldNum", "dt", "ftr", "hdr", "sldImg")


def convert(file: Input) -> Content:
    """Convert a PowerPoint presentation."""
    package = Package(file)
    main = package.main_part("ppt/presentation.xml")
    relations = package.relations(main)
    order = [
        relations.get(value, ("", ""))[1]
        for slide in package.xml(main).iterfind("{*}sldIdLst/{*}sldId")
        for key, value in slide.attrib.items()
        if key.endswith("}id")
    ]
    if not order:
        raise DocumentDamaged("The presentation has no slides.")
    builder = TextBuilder()
    missing = []
    for number, slide in enumerate(order, 1):
        if slide in package:
            _add_slide(builder, package, slide, number)
        else:
            missing.append(str(number))
    message = f"Slides missing from the file: {', '.join(missing)}." if missing else ""
    return builder.finish(title=package.title(), message=message)


def _add_slide(builder: TextBuilder, package: Package, part: str, number: int) -> None:
    start = builder.position
    shapes = list(_shapes(package.xml(part)))
    title = next((_lines(shape) for shape in shapes if _placeholder(shape) in _TITLES), [])
    builder.heading(" ".join(title), 1)
    for shape in shapes:
        if _placeholder(shape) not in (*_TITLES, *_FURNITURE):
            _add_shape(builder, shape)
    for kind, target in package.relations(part).values():
        if kind == "diagramData" and target in package:
            builder.block("\n".join(_lines(package.xml(target))))
        elif kind == "notesSlide" and target in package:
            for shape in _shapes(package.xml(target)):
                if _placeholder(shape) not in _FURNITURE:
                    builder.block("\n".join(_lines(shape)))
        elif kind == "comments" and target in package:
            for comment in package.xml(target).iter("{*}text"):
                builder.block(f"[{(comment.text or '').strip()}]" if comment.text else "")
    builder.place("slide", start, label=" ".join(" ".join(title).split()), number=number)


def _shapes(root: Any) -> Iterator[Any]:
    """Shapes and table frames, also inside groups; the fallback of a shape repeats it."""
    stack = list(reversed(root.findall("{*}cSld/{*}spTree")))
    while stack:
        element = stack.pop()
        name = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
        if name in ("sp", "graphicFrame", "cxnSp"):
            yield element
        elif name in ("spTree", "grpSp", "AlternateContent", "Choice"):
            stack.extend(reversed(element))


def _placeholder(shape: Any) -> str:
    element = shape.find("{*}nvSpPr/{*}nvPr/{*}ph")
    return "" if element is None else element.get("type", "body")


def _add_shape(builder: TextBuilder, shape: Any) -> None:
    table = shape.find(f".//{_A}tbl")
    if table is None:
        builder.block("\n".join(_lines(shape)))
        return
    rows = [
        ["\n".join(_lines(cell)) for cell in row.iterchildren(f"{_A}tc")]
        for row in table.iterchildren(f"{_A}tr")
    ]
    properties = table.find(f"{_A}tblPr")
    marked = properties is not None and properties.get("firstRow") == "1"
    add_table(builder, rows, marked=marked)


def _lines(element: Any) -> list[str]:
    """Text of each paragraph that has any."""
    lines = []
    for paragraph in element.iter(f"{_A}p"):
        parts = [
            "\n" if part.tag == f"{_A}br" else part.text or ""
            for part in paragraph.iter(f"{_A}t", f"{_A}br")
        ]
        text = "".join(parts).strip()
        if text:
            lines.append(text)
    return lines
