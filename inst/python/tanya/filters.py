"""Filters on documents: a small tree of comparisons, compiled to SQL that binds every value.

A filter is nested lists: ``["and", [">=", "tahun", 2024], ["==", "jenis", "SOP"]]``.

=====================================  ====================================================
``["and", f, ...]``, ``["or", f, ...]``  all, any
``["not", f]``                         negation
``["==", column, value]``              also ``!=``, ``<``, ``<=``, ``>``, ``>=``
``["in", column, [value, ...]]``       one of; also spelled ``"%in%"``
``["is_na", column]``                  the document has no value there
``["starts_with", column, text]``      begins with the text
``["contains", column, text]``         holds the text
=====================================  ====================================================

A column is a metadata name or one of ``COLUMNS``; metadata goes first where names are equal. A
bare column is true where its value is true. Missing values behave as in R: a comparison with
one is neither true nor false, so neither it nor its negation lets the document through, while
``in`` is false. Texts compare by code points, case counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tanya.errors import InvalidArgument
from tanya.store.schema import bind
from tanya.types import Scalar

__all__ = ["COLUMNS", "Condition", "Filter", "compile_filter"]

Filter = Any
"""Nested lists as JSON gives them."""

COLUMNS: Mapping[str, str] = {
    "document": "d.id",
    **{
        name: f"d.{name}"
        for name in (
            "id",
            "pages",
            "characters",
            "hash",
            "indexed_at",
            "status",
        )
    },
    **{name: f"nullif(d.{name}, '')" for name in ("path", "type", "title", "message")},
}
"""Document columns that a filter may name, and their SQL."""

_NUMBERS = frozenset({"pages", "characters"})
_DEEPEST = 100
_MOST_NODES = 300
_MOST_VALUES = 30_000  # SQLite takes 32,766 in one statement
_NUMERIC = frozenset({"bool", "int", "float"})
_TEXTUAL = frozenset({"text"})
_NUMBER = "('integer', 'real')"
_TEXT = "('text', 'blob')"


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled filter.

    Attributes:
        sql: A condition on ``documents AS d``.
        values: What its question marks stand for.
    """

    sql: str
    values: tuple[Scalar | bytes, ...]


def compile_filter(filter: Filter, metadata: Mapping[str, frozenset[str]]) -> Condition:
    """Compile a filter.

    Args:
        filter: The filter.
        metadata: Kinds of values (``"bool"``, ``"int"``, ``"float"``, ``"text"``, ``"null"``) that
            each metadata column of the index holds.

    Raises:
        InvalidArgument: The filter is malformed, names a column that isn't there, or compares
            text with a number.
    """
    condition = _Compiler(metadata).condition(filter, 0)
    if len(condition.values) > _MOST_VALUES:
        raise InvalidArgument(
            f"A filter may hold {_MOST_VALUES} values, and this one has {len(condition.values)}."
        )
    return condition


class _Compiler:
    """Turns a tree into SQL; collects the values in the order of their question marks."""

    def __init__(self, metadata: Mapping[str, frozenset[str]]) -> None:
        self._metadata = metadata
        self._nodes = 0
        self._operators: dict[str, Callable[[str, Sequence[Any], int], Condition]] = {
            "and": self._junction,
            "or": self._junction,
            "not": self._not,
            "in": self._in,
            "%in%": self._in,
            "is_na": self._is_na,
            "starts_with": self._text_test,
            "contains": self._text_test,
            **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), self._comparison),
        }

    def condition(self, filter: Filter, depth: int) -> Condition:
        """Compile one node."""
        self._nodes += 1
        if depth > _DEEPEST or self._nodes > _MOST_NODES:
            raise InvalidArgument(
                f"A filter may have {_MOST_NODES} conditions and be {_DEEPEST} levels deep.",
                hint="Compare with many values at once by %in%.",
            )
        if isinstance(filter, str):
            return self._truth(filter)
        if not isinstance(filter, Sequence) or not filter or not isinstance(filter[0], str):
            raise InvalidArgument(f"A filter begins with the name of an operator, not {filter!r}.")
        operator, *operands = filter
        if operator not in self._operators:
            raise InvalidArgument(
                f"A filter cannot use {operator!r}.",
                hint=f"It knows: {', '.join(self._operators)}.",
            )
        return self._operators[operator](operator, operands, depth)

    def _junction(self, operator: str, operands: Sequence[Any], depth: int) -> Condition:
        if not operands:
            raise InvalidArgument(f"{operator!r} needs at least one condition.")
        parts = [self.condition(operand, depth + 1) for operand in operands]
        return Condition(
            f" {operator.upper()} ".join(f"({part.sql})" for part in parts),
            tuple(value for part in parts for value in part.values),
        )

    def _not(self, operator: str, operands: Sequence[Any], depth: int) -> Condition:
        (operand,) = _operands(operator, operands, 1)
        part = self.condition(operand, depth + 1)
        return Condition(f"NOT ({part.sql})", part.values)

    def _truth(self, name: str) -> Condition:
        column = self._column(name)
        if not column.kinds & _NUMERIC:
            raise InvalidArgument(f"{name!r} is not a truth value; compare it with something.")
        return Condition(column.typed("> 0 OR {0} < 0", _NUMBER), column.values * 3)

    def _comparison(self, operator: str, operands: Sequence[Any], depth: int) -> Condition:
        name, value = _operands(operator, operands, 2)
        column = self._column(name)
        if value is None:
            return Condition("NULL", ())
        types = self._types(column, value)
        sql_operator = "<>" if operator == "!=" else operator
        return Condition(
            column.typed(f"{sql_operator} ?", types), (*column.values * 2, _bound(value))
        )

    def _in(self, operator: str, operands: Sequence[Any], depth: int) -> Condition:
        name, values = _operands(operator, operands, 2)
        column = self._column(name)
        if isinstance(values, str) or not isinstance(values, Sequence):
            values = [values]
        present = [value for value in values if value is not None]
        for value in present:
            self._types(column, value)
        sql = f"coalesce({column.sql} IN ({', '.join('?' * len(present))}), 0)"
        bound = (*column.values, *(_bound(value) for value in present))
        if len(present) < len(values):
            return Condition(f"({sql} OR {column.sql} IS NULL)", (*bound, *column.values))
        return Condition(sql, bound)

    def _is_na(self, operator: str, operands: Sequence[Any], depth: int) -> Condition:
        (name,) = _operands(operator, operands, 1)
        column = self._column(name)
        return Condition(f"{column.sql} IS NULL", column.values)

    def _text_test(self, operator: str, operands: Sequence[Any], depth: int) -> Condition:
        name, value = _operands(operator, operands, 2)
        column = self._column(name)
        if not isinstance(value, str):
            raise InvalidArgument(f"{operator!r} looks for a text, not {value!r}.")
        self._types(column, value)
        wanted = "= 1" if operator == "starts_with" else "> 0"
        return Condition(
            f"CASE WHEN typeof({column.sql}) = 'text' THEN instr({column.sql}, ?) {wanted} END",
            (*column.values * 2, bind(value)),
        )

    def _types(self, column: _Column, value: object) -> str:
        """SQL types that compare with a value; InvalidArgument where the column has none."""
        if not isinstance(value, str | int | float):
            raise InvalidArgument(f"A filter compares with text and numbers, not {value!r}.")
        kinds, types = (_TEXTUAL, _TEXT) if isinstance(value, str) else (_NUMERIC, _NUMBER)
        if column.kinds - {"null"} and not column.kinds & kinds:
            raise InvalidArgument(
                f"{column.name!r} holds {' or '.join(sorted(column.kinds - {'null'}))}, and the "
                f"filter compares it with {value!r}.",
                column=column.name,
            )
        return types

    def _column(self, name: object) -> _Column:
        if isinstance(name, str) and name in self._metadata:
            sql = "(SELECT value FROM metadata WHERE document = d.key AND name = ?)"
            return _Column(name, sql, self._metadata[name], (bind(name),))
        if isinstance(name, str) and name in COLUMNS:
            return _Column(name, COLUMNS[name], _NUMERIC if name in _NUMBERS else _TEXTUAL, ())
        there = [*self._metadata, *(column for column in COLUMNS if column not in self._metadata)]
        raise InvalidArgument(
            f"The documents have no column {name!r}.",
            hint=f"There are: {', '.join(there)}.",
            column=str(name),
        )


@dataclass(frozen=True, slots=True)
class _Column:
    """A column as SQL, the kinds of its values, and what its question marks stand for."""

    name: str
    sql: str
    kinds: frozenset[str]
    values: tuple[str | bytes, ...]

    def typed(self, test: str, types: str) -> str:
        """A test of the value that is NULL where the value has another type.

        SQLite finds every text greater than every number, which nobody means.
        """
        return (
            f"CASE WHEN typeof({self.sql}) IN {types} THEN {self.sql} {test.format(self.sql)} END"
        )


def _operands(operator: str, operands: Sequence[Any], count: int) -> Sequence[Any]:
    if len(operands) != count:
        raise InvalidArgument(f"{operator!r} takes {count} arguments, not {len(operands)}.")
    return operands


def _bound(value: Scalar) -> Scalar | bytes:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise InvalidArgument(f"{value} is too large a number.")
    return bind(value) if isinstance(value, str) else value
