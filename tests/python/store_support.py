"""What the store's tests share: documents, a way to cut them, and an embedder without a model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tanya.store import EmbeddedStore, Floats, Manifest, Rebuild, Store, Writer, passage_key
from tanya.types import Document, Passage, content_hash

DIMENSION = 16
MANIFEST = Manifest({"model": "hash"}, {"length": 40}, DIMENSION)
REBUILT = Manifest({"model": "hash", "version": 2}, {"length": 25}, DIMENSION // 2)


def make(id: str, text: str, **changes: object) -> Document:
    """A document of a held text."""
    values: dict[str, object] = {"type": "text", "hash": content_hash(text), **changes}
    return Document(id, text, **values)  # type: ignore[arg-type]


def cut(text: str, length: int = 40) -> list[Passage]:
    """Passages of equal length; every other one has a context."""
    return [
        Passage(
            start,
            min(start + length, len(text)),
            text[start : start + length],
            f"Bagian {start}" if start // length % 2 else "",
        )
        for start in range(0, len(text), length)
    ]


def embed(passages: Sequence[Passage], dimension: int = DIMENSION) -> Floats:
    """Unit rows (n, d) that depend on the passages' contents only."""
    rows = np.empty((len(passages), dimension), np.float32)
    for number, passage in enumerate(passages):
        seed = hashlib.blake2b(passage_key(passage), digest_size=8).digest()
        rows[number] = np.random.default_rng(list(seed)).normal(size=dimension)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def put(writer: Writer, document: Document, manifest: Manifest = MANIFEST) -> list[bytes]:
    """Cut, embed what is not known, store; returns the keys of what had to be embedded."""
    passages = cut(document.text, int(str(manifest.passages["length"])))
    vectors, fresh = _vectors(writer, passages, manifest)
    writer.put(document, passages, vectors)
    return fresh


def put_again(rebuild: Rebuild, store: Store, id: str, manifest: Manifest = REBUILT) -> list[bytes]:
    """The same for one document of a rebuild."""
    passages = cut(store.text(id), int(str(manifest.passages["length"])))
    vectors, fresh = _vectors(rebuild, passages, manifest)
    rebuild.put(id, passages, vectors)
    return fresh


def _vectors(
    writer: Writer | Rebuild, passages: Sequence[Passage], manifest: Manifest
) -> tuple[Floats, list[bytes]]:
    keys = [passage_key(passage) for passage in passages]
    known = writer.known(keys)
    fresh = {key: passage for key, passage in zip(keys, passages, strict=True) if key not in known}
    known |= zip(fresh, embed(list(fresh.values()), manifest.dimension), strict=True)
    rows = np.array([known[key] for key in keys], np.float32)
    return rows.reshape(-1, manifest.dimension), list(fresh)


def verify(store: Store, texts: Mapping[str, str]) -> None:
    """Fail unless the index holds these documents, whole and with their own vectors."""
    with store.reading():
        manifest = store.manifest
        assert {row.id for row in store.documents() if row.status == "indexed"} == set(texts)
        for id, text in texts.items():
            assert store.text(id) == text
            wanted = cut(text, int(str(manifest.passages["length"])))
            stored = store.passages_of([id])
            assert [Passage(p.start, p.end, p.text, p.context) for p in stored] == wanted
            if stored:
                ids = np.array([passage.id for passage in stored])
                cosines = store.cosines(embed(wanted, manifest.dimension), ids)
                assert np.allclose(np.diag(cosines), 1, atol=1e-5)


TEXTS = {
    f"d{n:02}": f"dokumen {n} tentang cuti dan dinas, nomor SK-{n:03}/2024. " * 5 for n in range(20)
}


def filled(tmp_path: Path) -> EmbeddedStore:
    """An index of ``TEXTS``, committed in five steps."""
    store = EmbeddedStore.create(tmp_path / "indeks", MANIFEST)
    with store.writer() as writer:
        for number, (id, text) in enumerate(TEXTS.items()):
            put(writer, make(id, text, metadata={"nomor": number}))
            if number % 4 == 3:
                writer.commit()
        writer.set_setting("calibration", {"T": 2.5})
    return store
