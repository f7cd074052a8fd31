"""JSON and JSON lines: each record reads as ``"field: value. field: value."``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tanya.documents.content import Content, Input, TextBuilder, clean
from tanya.documents.decoding import Decoded, decode
from tanya.documents.tables import row_text

__all__ = ["convert_json", "convert_lines"]


def convert_json(file: Input) -> Content:
    """Convert JSON: a list of records becomes rows, anything else lines of ``path: value``."""
    decoded = decode(file.data)
    try:
        value = _load(decoded.text)
    except json.JSONDecodeError as error:
        lines = _records(decoded.text.splitlines())
        if lines is not None:
            return _rows(lines, decoded)
        note = f"The file is no regular JSON (line {error.lineno}) and was read as text."
        return Content(clean(decoded.text), message=f"{note} {decoded.message}".strip())
    if isinstance(value, list):
        return _rows(value, decoded)
    builder = TextBuilder()
    for name, text in _leaves(value, ""):
        builder.line(f"{name}: {text}" if name else text)
    return builder.finish(message=decoded.message)


def convert_lines(file: Input) -> Content:
    """Convert JSON lines: each line is a row."""
    decoded = decode(file.data)
    lines = decoded.text.splitlines()
    values: list[Any] = []
    broken = 0
    for line in lines:
        if line.strip():
            try:
                values.append(_load(line))
            except json.JSONDecodeError:
                broken += 1
                values.append(line)
    content = _rows(values, decoded)
    if not broken:
        return content
    note = f"{broken} line(s) are no regular JSON and were read as text."
    return Content(content.text, places=content.places, message=f"{note} {content.message}".strip())


def _load(text: str) -> Any:
    # Numbers stay as they are written: 1.50 is not 1.5 to the person who asks.
    return json.loads(text, parse_float=str, parse_int=str, parse_constant=str)


def _records(lines: list[str]) -> list[Any] | None:
    """Values of the lines, where each is JSON by itself."""
    try:
        return [_load(line) for line in lines if line.strip()]
    except json.JSONDecodeError:
        return None


def _rows(values: list[Any], decoded: Decoded) -> Content:
    builder = TextBuilder()
    for number, value in enumerate(values, 1):
        start = builder.position
        leaves = list(_leaves(value, ""))
        builder.line(row_text([name for name, _ in leaves], [text for _, text in leaves]))
        builder.place("row", start, number=number)
    return builder.finish(message=decoded.message)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """(path, text) of everything in a value that is not empty; a list of scalars is one text."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        if all(not isinstance(item, dict | list) for item in value):
            yield path, ", ".join(filter(None, map(_scalar, value)))
        else:
            for number, item in enumerate(value, 1):
                yield from _leaves(item, f"{path}.{number}" if path else str(number))
    else:
        yield path, _scalar(value)


def _scalar(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
