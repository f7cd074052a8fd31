"""How laws, regulations and contracts name their parts, in Indonesian and English."""

from __future__ import annotations

import re

__all__ = ["division", "refers_to_division", "refers_to_item", "title_length"]

_DIVISIONS = (
    (1, re.compile(r"(?:BAB|CHAPTER|BUKU|PART)\s+(?:[IVXLC]+|\d+)\b\W*$"), 90),
    (1, re.compile(r"LAMPIRAN(?:\s+[IVXLC\d]+)?$"), 0),
    (2, re.compile(r"(?:Bagian|BAGIAN)\s+(?:Ke\w+|KE\w+|Pertama|PERTAMA)\s*$"), 90),
    (3, re.compile(r"(?:Paragraf|PARAGRAF)\s+(?:\d+|Ke\w+)\s*$"), 90),
    (4, re.compile(r"(?:Pasal|PASAL|Article|ARTICLE)\s+(?:\d+\s?[A-Z]?|[IVXLC]+)\s*$"), 0),
)
_REFERENCE = re.compile(
    r"(?:\b(?:pasal|pasal-pasal|ayat|huruf|angka|nomor|no\.?|butir|bab|bagian|dan|atau|dengan|"
    r"sampai|tahun|article|section|paragraph|and|or|to)|[,(/])$",
    re.IGNORECASE,
)
_ITEM_REFERENCE = re.compile(
    r"\b(?:pasal|ayat|huruf|angka|nomor|no\.?|butir)$"
    r"|\bayat\s*\(\w+\)\s*(?:,|dan|atau|sampai dengan)$",
    re.IGNORECASE,
)


def division(line: str) -> int:
    """Level of the division that a line opens (``BAB II`` is 1, ``Pasal 5`` is 4), or 0."""
    return next((level for level, pattern, _ in _DIVISIONS if pattern.match(line)), 0)


def title_length(line: str) -> int | None:
    """Longest line that may go on with the title of a division; None where a line opens none."""
    return next((length for _, pattern, length in _DIVISIONS if pattern.match(line)), None)


def refers_to_division(line: str) -> bool:
    """Whether a line breaks off in a reference: "dimaksud dalam", before "Pasal 5"."""
    return bool(_REFERENCE.search(line))


def refers_to_item(line: str) -> bool:
    """Whether a line breaks off in a reference: "Pasal 4 ayat", before "(2)"."""
    return bool(_ITEM_REFERENCE.search(line))
