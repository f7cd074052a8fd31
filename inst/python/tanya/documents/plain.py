"""Plain text and Markdown (also Quarto and R Markdown). The text stays as it was written."""

from __future__ import annotations

import re

from tanya.documents.content import Content, Input, clean
from tanya.documents.decoding import decode
from tanya.types import Place

__all__ = ["convert_markdown", "convert_text"]

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NO_SETEXT = re.compile(r"\s*(?:$|[-*+>|#]|\d+[.)]\s|    )")
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|$)", re.DOTALL)
_TITLE = re.compile(r"^title:[ \t]*[\"']?(.*?)[\"']?[ \t]*$", re.MULTILINE)
_MARKUP = re.compile(r"\{[#.][^}]*\}\s*$|[*`]|(?<!\w)_|_(?!\w)|!?\[([^\]]*)\]\([^)]*\)")


def convert_text(file: Input) -> Content:
    """Convert plain text; a form feed begins a new page."""
    decoded = decode(file.data)
    pages = [clean(page) for page in decoded.text.split("\f")]
    places = []
    start = 0
    for number, page in enumerate(pages, 1):
        if page.strip() and len(pages) > 1:
            places.append(Place(start, start + len(page), "page", number=number))
        start += len(page) + 1
    return Content("\n".join(pages), places=tuple(places), message=decoded.message)


def convert_markdown(file: Input) -> Content:
    """Convert Markdown, with a place for the section of each heading."""
    decoded = decode(file.data)
    text = clean(decoded.text)
    front = _FRONT_MATTER.match(text)
    title = _TITLE.search(front[1]) if front else None
    headings = _headings(text, front.end() if front else 0)
    top = next((place.label for place in headings if place.level == 1), "")
    return Content(
        text,
        title=title[1] if title else top,
        places=tuple(headings),
        message=decoded.message,
    )


def _headings(text: str, start: int) -> list[Place]:
    found: list[tuple[int, int, str]] = []
    fence = ""
    previous: tuple[int, str] | None = None
    for match in re.finditer(r"[^\n]*(?:\n|$)", text[start:]):
        line = match[0].rstrip("\n")
        at = start + match.start()
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip(" `~"):
                fence = ""
            previous = None
            continue
        if mark:
            fence = mark[1]
            previous = None
            continue
        atx = _ATX.match(line)
        setext = _SETEXT.match(line)
        if atx:
            found.append((at, len(atx[1]), atx[2] or ""))
            previous = None
        elif setext and previous:
            found.append((previous[0], 1 if "=" in setext[1] else 2, previous[1]))
            previous = None
        else:
            previous = None if _NO_SETEXT.match(line) else (at, line)
    return _places(found, len(text))


def _places(found: list[tuple[int, int, str]], length: int) -> list[Place]:
    places: list[Place] = []
    ends = [length] * 7
    for start, level, label in reversed(found):
        plain = " ".join(_MARKUP.sub(lambda match: match[1] or "", label).split())
        if plain:
            places.append(Place(start, ends[level], "heading", label=plain, level=level))
            for below in range(level, 7):
                ends[below] = start
    return places[::-1]
