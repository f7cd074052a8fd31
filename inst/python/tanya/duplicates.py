"""Passages that repeat others: the same text in two files should not take two places.

A passage repeats another where its words, one after the other, and the headings above it are all
in the other, too. White space, case, emphasis and bullets aside they must be the same to the
letter, so that nothing is lost with what is left out: two price lists that differ in one figure
do not repeat each other.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator

from tanya.types import StoredPassage

__all__ = ["Distinct", "find_again", "plain"]

_RUN = 6
"""Words that are compared at a time."""

_AROUND = 3
"""Most words on each side by which a span is recognised in another passage."""

_MARKUP = re.compile(r"[*_`|]+|^\s*(?:[-\u2022\u2013\u00b7>#]+\s+)+", re.MULTILINE)


class Distinct:
    """Passages taken one after the other, best first, told from those that repeat a better one."""

    def __init__(self) -> None:
        self._holders: defaultdict[str, set[int]] = defaultdict(set)
        self._count = 0

    def take(self, passage: StoredPassage) -> int | None:
        """Take the next passage.

        Returns:
            None where it is new; else the 0-based position, among the new ones so far, of the
            first that it repeats.
        """
        parts = set(_parts(passage))
        repeated = set.intersection(*(self._holders.get(part, set()) for part in parts))
        if repeated:
            return min(repeated)
        for part in parts:
            self._holders[part].add(self._count)
        self._count += 1
        return None


def find_again(start: int, end: int, text: str, other: str) -> tuple[int, int] | None:
    """Find a span of one text in another that has the same words around it.

    Args:
        start: First code point of the span in ``text``.
        end: One past its last.
        text: Where the span is.
        other: Where to look for it.

    Returns:
        Start and end in ``other``; None where it isn't there, or not certainly the same.
    """
    if text == other:
        return start, end
    # A copy may begin or end right beside the span, so that fewer words have to do.
    for count in range(_AROUND, 0, -1):
        words = (text[:start].split()[-count:], text[start:end].split(), text[end:].split()[:count])
        left, inside, right = (r"\s*".join(map(re.escape, part)) for part in words)
        pattern = rf"{left}\s*({inside})\s*{right}"
        matches = list(re.finditer(pattern, other, re.IGNORECASE))
        if len(matches) == 1:
            return matches[0].span(1)
    return None


def _parts(passage: StoredPassage) -> Iterator[str]:
    """The headings above a passage and all runs of words in it; at least one part."""
    for heading in passage.context.split(" > "):
        if heading:
            yield f"> {plain(heading)}"
    words = plain(passage.text).split()
    for first in range(max(1, len(words) - _RUN + 1)):
        yield " ".join(words[first : first + _RUN])


def plain(text: str) -> str:
    """What is compared of a text."""
    return " ".join(_MARKUP.sub(" ", unicodedata.normalize("NFKC", text).casefold()).split())
