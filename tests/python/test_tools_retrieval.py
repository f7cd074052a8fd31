"""The command that scores the search prints what it promises, on folders that tools make."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
if not TOOLS.is_dir():
    pytest.skip("tools/ is not part of the installed package", allow_module_level=True)

KEYS = [
    "method", "recall_at_1", "recall_at_5", "recall_at_10", "mrr", "ndcg_at_10", "queries",
    "passages",
]  # fmt: skip


def tool(name: str) -> ModuleType:
    """A program of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(f"tool_{name}", TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A BEIR folder of two contexts and two answerable questions."""
    rows = [
        {"question": "berapa hari cuti", "context": "cuti dua belas hari", "title": "cuti"},
        {"question": "siapa karyawan", "context": "karyawan tetap", "title": ""},
        {"question": "apa", "context": "karyawan tetap", "title": ""},
    ]
    answers = [[{"text": "dua belas"}], [{"text": "karyawan tetap"}], []]
    lines = [
        json.dumps({**row, "id": number, "answers": given})
        for number, (row, given) in enumerate(zip(rows, answers, strict=True))
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    made = tmp_path / "beir"
    monkeypatch.setattr(sys, "argv", ["beir.py", str(file), str(made)])
    tool("beir").main()
    return made


def scored(monkeypatch, capsys, *arguments: str) -> list[dict]:
    """What the command prints."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["retrieval.py", *arguments])
    tool("retrieval").main()
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_for_each_method(folder, tiny_embedder, own_cache, monkeypatch, capsys, tmp_path):
    kept = tmp_path / "kept"
    command = [str(folder), "--embedder", str(tiny_embedder), "--keep", str(kept)]
    lines = scored(monkeypatch, capsys, *command)
    methods = ["cosine", "keyword", "hybrid", "hybrid + context headings"]
    assert [line["method"] for line in lines] == methods
    for line in lines:
        assert list(line) == KEYS
        assert (line["queries"], line["passages"]) == (2, 2)
        assert line["recall_at_5"] == 1.0
    assert scored(monkeypatch, capsys, *command) == lines
    more = tmp_path / "more.jsonl"
    more.write_text(json.dumps({"_id": "x", "title": "hari", "text": "dua"}), encoding="utf-8")
    among = scored(monkeypatch, capsys, *command, "--more", str(more))
    assert {line["passages"] for line in among} == {3}


def test_gold_answers_become_the_passages_that_hold_them(monkeypatch, tmp_path, compact):
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "a.md").write_text("# Cuti\n\nCuti dua  belas\nhari.", encoding="utf-8")
    (documents / "b.md").write_text("Cuti dua belas hari.", encoding="utf-8")
    gold = tmp_path / "gold.csv"
    gold.write_text(
        "id,question,answer,document\nq1,Berapa?,12 hari || dua belas hari,a.md\nq2,Siapa?,,\n",
        encoding="utf-8",
    )
    corpus, queries, relevant = tool("beir").from_gold(gold, documents)
    assert [row["_id"] for row in queries] == ["q1"]
    assert len(corpus) == 2
    assert relevant["q1"] == ["a.md#0"]
