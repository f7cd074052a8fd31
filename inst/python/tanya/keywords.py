"""Index terms: what the keyword search compares instead of the words that people write."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

import snowballstemmer

from tanya.errors import InvalidArgument

__all__ = ["languages", "terms"]

# Scripts written without spaces between words: Thai, Lao, Myanmar, Khmer, Balinese, Sundanese,
# kana, Han, Javanese. Their vowel signs belong to the letters.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1b00-\u1bbf\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua980-\ua9df\U00020000-\U0003ffff"
)
_INDIC = "\u0900-\u0963\u0966-\u0dff"  # whose vowel signs \w leaves out, too
_LETTER = f"(?:[^\\W_]|[{_INDIC}{_UNSPACED}])"
_PART = re.compile(f"{_LETTER}+")
_CODE = re.compile(f"{_LETTER}+(?:[-/._:]{_LETTER}+)*")
_RUN = re.compile(f"[{_UNSPACED}]+")
_LAST_WITH_DIACRITICS = "\u06ff"  # Latin, Greek, Cyrillic, Hebrew, Arabic; later marks are letters


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...


def languages() -> list[str]:
    """Languages with a stemmer."""
    return list(snowballstemmer.algorithms())


def terms(text: str, language: str = "indonesian") -> list[str]:
    """Index terms of a text, in order, repeated as often as they occur.

    Letters lose case, compatibility forms and diacritics (Unicode NFKC, casefold). Words are
    stemmed (Snowball). Codes such as "SK-045/2024" give themselves and their parts; numbers are
    kept whole. Scripts without spaces give pairs of neighbouring characters.

    Args:
        text: Any text.
        language: A Snowball language, or "none" to leave words unstemmed.

    Raises:
        InvalidArgument: The language is unknown.
    """
    return [
        term for code in _CODE.findall(_folded(text)) for term in _terms_of_code(code, language)
    ]


@lru_cache(maxsize=100_000)
def _terms_of_code(code: str, language: str) -> tuple[str, ...]:
    parts = _PART.findall(code)
    whole = [code] if len(parts) > 1 and any(c.isdigit() for c in code) else []
    return (*whole, *(term for part in parts for term in _terms_of_part(part, language)))


def _terms_of_part(part: str, language: str) -> Iterator[str]:
    position = 0
    for match in _RUN.finditer(part):
        if position < match.start():
            yield _stem(part[position : match.start()], language)
        run = match[0]
        yield from (run[i : i + 2] for i in range(max(1, len(run) - 1)))
        position = match.end()
    if position < len(part):
        yield _stem(part[position:], language)


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(
        c for c in decomposed if c > _LAST_WITH_DIACRITICS or unicodedata.category(c) != "Mn"
    )
    return unicodedata.normalize("NFKC", bare)


def _stem(word: str, language: str) -> str:
    if language == "none" or not word.isalpha():
        return word
    with _LOCK:
        return _stemmer(language).stemWord(word)


# A Snowball stemmer keeps its state between calls, so that threads must take turns.
_LOCK = threading.Lock()


@lru_cache
def _stemmer(language: str) -> _Stemmer:
    if language not in languages():
        raise InvalidArgument(
            f"There is no stemmer for the language {language!r}.",
            hint=f"Use one of: none, {', '.join(languages())}.",
        )
    stemmer: _Stemmer = snowballstemmer.stemmer(language)
    return stemmer
