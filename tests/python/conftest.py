"""Small models, made on the spot, in the places where real ones would lie."""

from __future__ import annotations

import json
import os
import shutil
import socket
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from tanya import models

WORDS = ("apa", "siapa", "berapa", "hari", "cuti", "tahunan", "karyawan", "tetap", "dua", "belas")


@pytest.fixture(autouse=True)
def nothing_forbidden_for_good() -> Iterator[None]:
    """Whatever a test forbids, the next one may do."""
    before = models.set_offline(False)
    models.set_offline(before)
    yield
    models.set_offline(before)


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to reach another machine, or even to look up its name, fails the test."""

    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError(f"network used: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache directory for the engine."""
    directory = tmp_path / "cache of tanya"
    monkeypatch.setenv("TANYA_CACHE", str(directory))
    return directory


@dataclass(frozen=True)
class HubCache:
    """A Hugging Face hub cache on disk, as ``HF_HOME`` names it."""

    home: Path

    def add(self, model: str, files: Path, revision: str = "0123456789abcdef" * 2) -> Path:
        """Lay out a model as the hub's own client would: blobs, and a snapshot of links to them."""
        root = self.home / "hub" / f"models--{model.replace('/', '--')}"
        snapshot = root / "snapshots" / revision
        (root / "blobs").mkdir(parents=True, exist_ok=True)
        for number, file in enumerate(sorted(files.rglob("*"))):
            if file.is_file():
                blob = root / "blobs" / f"{number:040x}"
                shutil.copyfile(file, blob)
                link = snapshot / file.relative_to(files)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(os.path.relpath(blob, link.parent))
        (root / "refs").mkdir(exist_ok=True)
        (root / "refs" / "main").write_text(revision, encoding="utf-8")
        return snapshot


@pytest.fixture
def hub_cache(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> HubCache:
    """An empty hub cache; nothing is loaded from another, and the engine's own is empty too."""
    from huggingface_hub import constants

    home = tmp_path / "hugging face"
    monkeypatch.setenv("HF_HOME", str(home))
    # The library reads the environment once, when it is imported.
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    models.forget()
    return HubCache(home)


@pytest.fixture(scope="session")
def tiny_embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers directory with a BERT of two layers and mean pooling."""
    from transformers import BertModel

    directory = tmp_path_factory.mktemp("tiny embedder")
    _save_tiny(BertModel, directory)
    _write(
        directory / "modules.json",
        [
            {"idx": number, "name": str(number), "path": path, "type": f"{_LIBRARY}.{kind}"}
            for number, (path, kind) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling")])
        ],
    )
    _write(directory / "sentence_bert_config.json", {"max_seq_length": 48, "do_lower_case": False})
    _write(
        directory / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": 32,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    )
    return directory


@pytest.fixture(scope="session")
def tiny_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An extractive question-answering model of two layers, untrained."""
    from transformers import BertForQuestionAnswering

    directory = tmp_path_factory.mktemp("tiny reader")
    _save_tiny(BertForQuestionAnswering, directory)
    return directory


@pytest.fixture
def indonesian(hub_cache: HubCache, tiny_embedder: Path, tiny_reader: Path) -> HubCache:
    """A hub cache with small models under the names of the preset "indonesian"."""
    hub_cache.add("naufalihsan/indonesian-sbert-large", tiny_embedder)
    hub_cache.add("Rifky/Indobert-QA", tiny_reader)
    return hub_cache


@pytest.fixture(scope="session")
def compact() -> None:
    """Skip a test that needs the real compact models where they are not installed."""
    for row in models.catalogue():
        if row.preset == "compact" and row.status != "installed":
            pytest.skip("needs the compact models: run 'python -m tanya install compact'")


_LIBRARY = "sentence_transformers.models"


def _save_tiny(kind: type, directory: Path) -> None:
    import torch
    from transformers import BertConfig, BertTokenizerFast

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    letters = string.ascii_lowercase + string.digits + string.punctuation
    pieces += [*letters, *(f"##{letter}" for letter in letters)]
    directory.mkdir(exist_ok=True)
    (directory / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast.from_pretrained(directory, model_max_length=64)
    tokenizer.save_pretrained(directory)
    torch.manual_seed(20)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    kind(config).save_pretrained(directory)


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
