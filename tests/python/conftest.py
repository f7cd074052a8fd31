"""Small models, made on the spot, in the places where real ones would lie."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from small_models import HubCache, save_embedder, save_reader

from tanya import models


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
    return save_embedder(tmp_path_factory.mktemp("tiny embedder"))


@pytest.fixture(scope="session")
def tiny_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An extractive question-answering model of two layers, untrained."""
    return save_reader(tmp_path_factory.mktemp("tiny reader"))


@pytest.fixture
def indonesian(hub_cache: HubCache, tiny_embedder: Path, tiny_reader: Path) -> HubCache:
    """A hub cache with small models under the names of the preset "indonesian"."""
    hub_cache.add(models.preset("indonesian").embedder.id, tiny_embedder)
    hub_cache.add(models.preset("indonesian").reader.id, tiny_reader)
    return hub_cache


@pytest.fixture(scope="session")
def compact() -> None:
    """Skip a test that needs the real compact models where they are not installed."""
    for row in models.catalogue():
        if row.preset == "compact" and row.status != "installed":
            pytest.skip("needs the compact models: run 'python -m tanya install compact'")
