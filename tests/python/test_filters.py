"""Filters: what they let through, and that nothing in them is taken for SQL."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_support import MANIFEST, make, put

from tanya.errors import InvalidArgument
from tanya.filters import COLUMNS, compile_filter
from tanya.store import EmbeddedStore
from tanya.types import Scalar

ROWS: dict[str, dict[str, Scalar]] = {
    "a": {"tahun": 2023, "jenis": "SOP", "aktif": True, "nilai": 1.5, "campur": "x"},
    "b": {"tahun": 2024, "jenis": "SK", "aktif": False, "nilai": None, "campur": 7},
    "c": {"tahun": 2024, "jenis": "SOP"},
    "d": {"tahun": None, "jenis": "sop", "nilai": math.inf, "id": "bukan d"},
    "e": {"kolom dengan 'kutip\"": "ya"},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    with EmbeddedStore.create(tmp_path_factory.mktemp("s") / "indeks", MANIFEST) as store:
        with store.writer() as writer:
            for id, metadata in ROWS.items():
                put(writer, make(id, f"isi {id}", metadata=metadata, path=f"/berkas/{id}.txt"))
        yield store


def chosen(store: EmbeddedStore, filter: object) -> str:
    """Ids of the documents that a filter lets through."""
    return "".join(p.document for p in store.passages(store.allowed(filter).tolist()))


@pytest.mark.parametrize(
    ("filter", "wanted"),
    [
        (["==", "tahun", 2024], "bc"),
        (["!=", "tahun", 2024], "a"),
        (["<", "tahun", 2024], "a"),
        (["<=", "tahun", 2024.0], "abc"),
        ([">", "tahun", 2023.5], "bc"),
        ([">=", "tahun", 2024], "bc"),
        (["==", "jenis", "SOP"], "ac"),
        (["<", "jenis", "T"], "abc"),
        (["in", "jenis", ["SK", "sop", "lain"]], "bd"),
        (["%in%", "jenis", "SK"], "b"),
        (["in", "jenis", []], ""),
        (["in", "tahun", [2023, None]], "ade"),
        (["not", ["in", "tahun", [2024]]], "ade"),
        (["not", ["==", "tahun", 2024]], "a"),
        (["is_na", "tahun"], "de"),
        (["not", ["is_na", "tahun"]], "abc"),
        (["==", "tahun", None], ""),
        (["not", ["==", "tahun", None]], ""),
        (["and", [">=", "tahun", 2024], ["==", "jenis", "SOP"]], "c"),
        (["or", ["==", "jenis", "SK"], ["is_na", "tahun"]], "bde"),
        (["or", ["==", "tahun", 1], ["==", "jenis", "sop"]], "d"),
        ("aktif", "a"),
        (["not", "aktif"], "b"),
        (["==", "aktif", False], "b"),
        (["and", "aktif"], "a"),
        ([">", "nilai", 1e300], "d"),
        (["==", "campur", 7], "b"),
        (["==", "campur", "x"], "a"),
        ([">", "campur", 0], "b"),
        (["!=", "campur", "y"], "a"),
        (["in", "campur", [7, "x"]], "ab"),
        (["==", "id", "bukan d"], "d"),
        (["==", "path", "/berkas/c.txt"], "c"),
        (["starts_with", "path", "/berkas/"], "abcde"),
        (["starts_with", "jenis", "S"], "abc"),
        (["contains", "jenis", "O"], "ac"),
        (["not", ["contains", "jenis", "O"]], "bd"),
        (["==", "kolom dengan 'kutip\"", "ya"], "e"),
        ([">", "characters", 3], "abcde"),
        (["==", "status", "indexed"], "abcde"),
    ],
)  # fmt: skip
def test_filters(store: EmbeddedStore, filter: object, wanted: str) -> None:
    assert chosen(store, filter) == wanted


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        (["==", "tahn", 2024], "no column 'tahn'"),
        (["==", 7, 2024], "no column 7"),
        (["==", "tahun", "2024"], "'tahun' holds int"),
        (["in", "jenis", [1]], "'jenis' holds text"),
        ([">", "pages", "x"], "'pages'"),
        ("jenis", "not a truth value"),
        (["~", "tahun", 1], "cannot use '~'"),
        ([], "begins with"),
        (7, "begins with"),
        ([["==", "tahun", 1]], "begins with"),
        (["==", "tahun"], "takes 2 arguments, not 1"),
        (["not", "aktif", "aktif"], "takes 1 arguments"),
        (["and"], "at least one"),
        (["==", "tahun", [1]], "compares with"),
        (["==", "tahun", 2**70], "too large"),
        (["in", "tahun", list(range(50_000))], "50001"),
        (["contains", "jenis", 1], "looks for a text"),
    ],
)
def test_mistakes_are_explained(store: EmbeddedStore, filter: object, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        store.allowed(filter)


def test_depth_and_width_have_limits(store: EmbeddedStore) -> None:
    deep: object = ["==", "tahun", 2024]
    for _ in range(5000):
        deep = ["not", deep]
    with pytest.raises(InvalidArgument, match="levels"):
        store.allowed(deep)
    assert chosen(store, ["in", "tahun", list(range(20_000))]) == "abc"
    wide = ["or", *(["==", "tahun", n] for n in range(100))]
    assert chosen(store, wide) == ""
    with pytest.raises(InvalidArgument, match="300 conditions"):
        store.allowed(["or", *(["==", "tahun", n] for n in range(5000))])


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(["tahun", "jenis", "aktif", "' OR 1=1 --", "id", "==", "and", "in"]),
)
TREES = st.recursive(LEAVES, lambda children: st.lists(children, max_size=4), max_leaves=12)


@given(TREES)
def test_any_tree_compiles_to_bound_values_or_is_refused(tree: object) -> None:
    kinds = {
        "tahun": frozenset({"int"}),
        "jenis": frozenset({"text"}),
        "aktif": frozenset({"bool"}),
    }
    try:
        condition = compile_filter(tree, kinds)
    except InvalidArgument:
        return
    assert condition.sql.count("?") == len(condition.values)
    assert set(condition.sql) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.'?()<>=, "
    )
    assert "1=1" not in condition.sql


@given(st.text(), st.text())
def test_names_and_values_are_never_sql(name: str, value: str) -> None:
    condition = compile_filter(["==", name, value], {name: frozenset({"text"})})
    plain = compile_filter(["==", "x", "y"], {"x": frozenset({"text"})})
    assert condition.sql == plain.sql


def test_every_column_can_be_named(store: EmbeddedStore) -> None:
    for name in COLUMNS:
        assert chosen(store, ["or", ["is_na", name], ["not", ["is_na", name]]]) == "abcde"
