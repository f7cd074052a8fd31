"""Many readers and a writer at once."""

from __future__ import annotations

from pathlib import Path

from store_load import run


def test_readers_never_see_a_partial_document(tmp_path: Path) -> None:
    figures = run(tmp_path / "indeks", seconds=8)
    assert [figure.error for figure in figures if figure.error] == []
    assert sum(figure.role == "reader" for figure in figures) == 4
    assert all(figure.rounds > 5 for figure in figures)
    assert all(figure.versions > 3 for figure in figures)
