"""Generations: one way to cut all documents into passages and embed them, and its manifest.

Beside the manifests stand the settings of the index, small values kept in the same way.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from dataclasses import asdict, replace
from typing import Any

from tanya.errors import IndexDamaged
from tanya.store.protocol import Manifest
from tanya.store.schema import DATABASE, bind

__all__ = [
    "begin_generation",
    "current_generation",
    "drop_generations",
    "dump_json",
    "load_json",
    "load_manifest",
    "now",
    "put_setting",
    "resume_generation",
]


def now() -> str:
    """The time; UTC, ISO 8601, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def dump_json(value: object) -> tuple[str, bytes]:
    """A value as JSON, and the seal by which ``load_json`` knows it again."""
    text = json.dumps(value)
    return text, hashlib.blake2b(text.encode(), digest_size=16).digest()


def load_json(text: str, seal: bytes) -> Any:
    """What ``dump_json`` was given; ValueError where the text is not what it made."""
    if hashlib.blake2b(text.encode(), digest_size=16).digest() != seal:
        raise ValueError("the seal does not match")
    return json.loads(text)


def put_setting(connection: sqlite3.Connection, name: str, value: object) -> None:
    """Keep a small value that JSON can hold; None removes it."""
    connection.execute("DELETE FROM settings WHERE name = ?", (bind(name),))
    if value is not None:
        row = (bind(name), *dump_json(value))
        connection.execute("INSERT INTO settings VALUES (?, ?, ?)", row)


def current_generation(connection: sqlite3.Connection) -> int:
    """The generation that answers."""
    row = connection.execute("SELECT generation FROM state").fetchone()
    if row is None:
        raise IndexDamaged(f"{DATABASE} says nothing about its state.", file=DATABASE)
    return int(row[0])


def load_manifest(connection: sqlite3.Connection, generation: int) -> Manifest:
    """The manifest of a generation."""
    row = connection.execute(
        "SELECT manifest, seal FROM generations WHERE key = ?", (generation,)
    ).fetchone()
    try:
        manifest = Manifest(**load_json(*row))
        if not (isinstance(manifest.dimension, int) and 0 < manifest.dimension < 1 << 20):
            raise ValueError(manifest.dimension)
    except (TypeError, ValueError) as error:
        raise IndexDamaged(
            f"{DATABASE} does not say how its vectors were made.", file=DATABASE
        ) from error
    return manifest


def begin_generation(connection: sqlite3.Connection, manifest: Manifest) -> int:
    """Add an empty generation, which nobody sees yet."""
    plain = replace(
        manifest,
        embedder=dict(manifest.embedder),
        passages=dict(manifest.passages),
        created=now(),
    )
    key = connection.execute(
        "INSERT INTO generations (manifest, seal) VALUES (?, ?)", dump_json(asdict(plain))
    ).lastrowid
    assert key is not None
    return key


def resume_generation(connection: sqlite3.Connection, manifest: Manifest) -> int:
    """The generation that an interrupted rebuild with this manifest left, or a new one.

    What a rebuild with another manifest left is dropped.
    """
    current = current_generation(connection)
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        for (key,) in connection.execute(
            "SELECT key FROM generations WHERE key <> ? ORDER BY key", (current,)
        ).fetchall():
            left = load_manifest(connection, key)
            if replace(left, created="") == replace(manifest, created=""):
                return int(key)
            drop_generations(connection, [key])
        return begin_generation(connection, manifest)


def drop_generations(connection: sqlite3.Connection, keys: list[int]) -> None:
    """Delete generations with their passages, segments and keywords."""
    connection.executemany("DELETE FROM generations WHERE key = ?", ((key,) for key in keys))
