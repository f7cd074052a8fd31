"""Paths and texts to sources: what is listed, under which id."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tanya.errors import FileMissing, InvalidArgument
from tanya.sources import from_paths, from_texts
from tanya.types import content_hash


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("isi", encoding="utf-8")
    return folder


def ids(*paths: str | Path) -> list[str]:
    return [source.id for source in from_paths(paths)]


def test_a_folder_is_all_files_below_it(tmp_path):
    tree(tmp_path, "b.txt", "a/2.txt", "a/10.pdf", "a/c/x.docx", "Z.md")
    assert ids(tmp_path) == ["Z.md", "a/10.pdf", "a/2.txt", "a/c/x.docx", "b.txt"]


def test_what_belongs_to_programs_is_left_out(tmp_path):
    tree(tmp_path, "a.docx", "~$a.docx", ".DS_Store", "Thumbs.db", "desktop.ini", "a.docx~",
         "x.tmp", ".git/config", "__MACOSX/a", "d.crdownload")  # fmt: skip
    assert ids(tmp_path) == ["a.docx"]


def test_a_file_named_directly_is_never_left_out(tmp_path):
    tree(tmp_path, ".rahasia")
    assert ids(tmp_path / ".rahasia") == [".rahasia"]


def test_a_file_is_listed_once(tmp_path):
    tree(tmp_path, "a/x.txt", "b.txt")
    assert ids(tmp_path, tmp_path / "a" / "x.txt", tmp_path / "b.txt") == ["a/x.txt", "b.txt"]


def test_clashing_names_get_as_many_folders_as_it_takes(tmp_path):
    tree(tmp_path, "p/a/x.txt", "q/a/x.txt", "q/b/x.txt", "q/b/y.txt")
    paths = [tmp_path / name for name in ("p/a/x.txt", "q/a/x.txt", "q/b/x.txt", "q/b/y.txt")]
    assert ids(*paths) == ["p/a/x.txt", "q/a/x.txt", "b/x.txt", "y.txt"]


def test_two_folders_may_hold_the_same_names(tmp_path):
    tree(tmp_path, "a/x.txt", "b/x.txt")
    assert ids(tmp_path / "a", tmp_path / "b") == ["a/x.txt", "b/x.txt"]


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
def test_a_name_that_is_no_unicode_is_written_out(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/surat\xff.txt"))
    path.write_text("isi", encoding="utf-8")
    [source] = from_paths([tmp_path])
    assert (source.id, source.path) == ("surat\\udcff.txt", path)
    [a, b] = from_paths([path, tree(tmp_path / "lain", path.name) / path.name])
    assert {a.id, b.id} == {f"{tmp_path.name}/{source.id}", f"lain/{source.id}"}


def test_missing_paths_are_all_named(tmp_path):
    with pytest.raises(FileMissing) as caught:
        from_paths([tmp_path, tmp_path / "x", tmp_path / "y"])
    assert caught.value.details["paths"] == [str(tmp_path / "x"), str(tmp_path / "y")]


@pytest.mark.parametrize("path", ["", "  ", "a\0b"])
def test_a_blank_path_is_refused(path):
    with pytest.raises(InvalidArgument):
        from_paths([path])


def test_an_empty_folder_is_no_sources(tmp_path):
    assert from_paths([tmp_path]) == []


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_that_go_round_end(tmp_path):
    tree(tmp_path, "a/x.txt")
    (tmp_path / "a" / "naik").symlink_to(tmp_path)
    (tmp_path / "sama").symlink_to(tmp_path / "a")
    assert len(ids(tmp_path)) == 1


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_to_nowhere_is_listed_for_the_reader_to_report(tmp_path):
    (tmp_path / "putus.txt").symlink_to(tmp_path / "tidak ada")
    assert ids(tmp_path) == ["putus.txt"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_cannot_be_listed_is_listed_itself(tmp_path):
    tree(tmp_path, "a/x.txt", "b.txt")
    (tmp_path / "a").chmod(0)
    try:
        assert ids(tmp_path) == ["a", "b.txt"]
    finally:
        (tmp_path / "a").chmod(0o755)


def test_the_home_folder_is_known(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    tree(tmp_path, "a.txt")
    assert ids("~/a.txt") == ["a.txt"]


def test_names_of_every_kind_work(tmp_path):
    names = ["café ☕.txt", "日本.md", "a b'c\".txt", "100%.txt"]
    tree(tmp_path, *names)
    assert sorted(ids(tmp_path)) == sorted(names)


def test_texts_are_named_after_their_content():
    first, second = from_texts(["satu", "dua"])
    assert first.id == f"text-{content_hash('satu')[:12]}"
    assert first.id != second.id
    assert len(from_texts(["sama", "sama"])) == 1


def test_texts_that_differ_in_metadata_are_two():
    sources = from_texts(["sama", "sama"], metadata={"kota": ["Solo", "Biak"]})
    assert len({source.id for source in sources}) == 2
    assert [source.metadata["kota"] for source in sources] == ["Solo", "Biak"]


def test_texts_keep_given_ids():
    assert [source.id for source in from_texts(["a", "b"], ids=["x", "y"])] == ["x", "y"]


@pytest.mark.parametrize(
    ("texts", "names", "metadata"),
    [
        (["a", "b"], ["x"], None),
        (["a", "b"], ["x", "x"], None),
        (["a"], [" "], None),
        (["a"], None, {"kota": ["Solo", "Biak"]}),
        ([1], None, None),
    ],
)
def test_what_does_not_fit_is_refused(texts, names, metadata):
    with pytest.raises(InvalidArgument):
        from_texts(texts, names, metadata)
