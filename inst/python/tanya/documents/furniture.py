"""What repeats on every page: headers, footers, page numbers and catchwords."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from tanya.documents.layout import Line, Page
from tanya.documents.regulations import division

__all__ = ["without_furniture"]

_EDGE_LINES = 4
_PAGE_NUMBER = re.compile(
    r"[\W_]*(?:(?:halaman|hal|page|p)\.?\s*)?(?:\d{1,4}|[ivxlc]{1,7})"
    r"(?:\s*(?:/|dari|of)\s*\d{1,4})?[\W_]*",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"(?<!\d)[0-9]{1,9}(?!\d)")
_CATCHWORD = re.compile(r"(?:\.\s?){3,}\s*$|…\s*$")


def without_furniture(pages: Sequence[Page]) -> list[Page]:
    """Leave out headers, footers, page numbers and catchwords.

    A header or footer with words in it is kept where it first comes, so that no word is lost.
    """
    repeated = _repeated(pages)
    seen: set[int] = set()
    kept_pages: list[Page] = []
    for number, page in enumerate(pages):
        kept: list[Line] = []
        for position, line in enumerate(page.lines):
            cluster = repeated.get((number, position))
            if cluster is not None:
                if cluster in seen or not re.search(r"[^\W\d_]{3}", line.text):
                    continue
                seen.add(cluster)
            kept.append(line)
        kept_pages.append(replace(page, lines=tuple(kept)))
    return [
        _without_catchword(page, after)
        for page, after in zip(kept_pages, [*kept_pages[1:], None], strict=True)
    ]


@dataclass(slots=True)
class _Cluster:
    """Lines that stand at one height and read alike on several pages.

    Attributes:
        key: The first of them, without digits.
        height: Where it stands, 0 at the bottom of the page and 1 at the top.
        members: (page, line) of each.
        numbers: The numbers in each.
    """

    key: str
    height: float
    members: list[tuple[int, int]]
    numbers: list[tuple[int, ...]]

    def is_furniture(self) -> bool:
        pages = [page for page, _ in self.members]
        if len(set(pages)) < max(2 if self.key == "#" else 3, 0.3 * (pages[-1] - pages[0] + 1)):
            return False
        if self.key != "#" and len(set(self.numbers)) == 1:
            return True
        # Other numbers on each page may be what the reader is after, unless they count the pages
        # or stand in the margin.
        steps = Counter(
            number - page
            for page, numbers in zip(pages, self.numbers, strict=True)
            for number in set(numbers)
        )
        counts_pages = max(steps.values(), default=0) >= 0.6 * len(pages)
        in_margin = not 0.07 < self.height < 0.93
        return counts_pages or (in_margin and self.key != "#")


def _repeated(pages: Sequence[Page]) -> dict[tuple[int, int], int]:
    """(page, line) of what repeats at the edges of pages, with the number of its group."""
    clusters: list[_Cluster] = []
    zones: dict[int, list[_Cluster]] = defaultdict(list)
    for number, page in enumerate(pages):
        for position in _edges(page):
            line = page.lines[position]
            key = _masked(line.text)
            if division(line.text) or not (key == "#" or re.search(r"[^\W\d_]", key)):
                continue
            height = line.middle / page.height if page.height else 0.0
            if 0.2 < height < 0.8:
                continue
            zone = round(height * 25)
            near = [
                cluster
                for other in (zone - 1, zone, zone + 1)
                for cluster in zones[other]
                if abs(cluster.height - height) < 0.03 and _alike(cluster.key, key)
            ]
            if not near:
                near.append(_Cluster(key, height, [], []))
                clusters.append(near[0])
                zones[zone].append(near[0])
            near[0].members.append((number, position))
            near[0].numbers.append(tuple(int(digits) for digits in _DIGITS.findall(line.text)))
    return {
        member: index
        for index, cluster in enumerate(clusters)
        if cluster.is_furniture()
        for member in cluster.members
    }


def _edges(page: Page) -> list[int]:
    """Positions of the topmost and lowest lines of a page."""
    order = sorted(range(len(page.lines)), key=lambda position: -page.lines[position].middle)
    if len(order) <= 2 * _EDGE_LINES:
        return order
    return order[:_EDGE_LINES] + order[-_EDGE_LINES:]


def _masked(text: str) -> str:
    if _PAGE_NUMBER.fullmatch(text):
        return "#"
    return re.sub(r"[\W_]+", "", re.sub(r"\d+", "#", text)).casefold()[:80]


def _alike(one: str, other: str) -> bool:
    if one == other:
        return True
    # Scans spell the same header a little differently on every page. Lines as long as those of
    # the body have to be equal: there are many, and comparing them is slow.
    if not 6 <= len(one) <= 40 or abs(len(one) - len(other)) > 0.2 * len(one) or other == "#":
        return False
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return matcher.quick_ratio() > 0.8 and matcher.ratio() > 0.8


def _without_catchword(page: Page, after: Page | None) -> Page:
    """Drop the last line where it only announces the first words of the next page."""
    if after is None or not page.lines or not after.lines:
        return page
    position = min(range(len(page.lines)), key=lambda index: page.lines[index].bottom)
    last = page.lines[position]
    if len(last.text) > 60 or last.left < 0.4 * page.width:
        return page
    announced = _letters(_CATCHWORD.sub("", last.text))
    coming = [_letters(line.text)[: len(announced)] for line in after.lines[:3]]
    if _CATCHWORD.search(last.text):
        is_catchword = any(SequenceMatcher(None, announced, key).ratio() > 0.6 for key in coming)
    else:
        is_catchword = len(announced) >= 3 and announced in coming
    if not is_catchword:
        return page
    return replace(page, lines=page.lines[:position] + page.lines[position + 1 :])


def _letters(text: str) -> str:
    return re.sub(r"[\W\d_]+", "", text).casefold()
