"""Small untrained models in the formats of real ones, for tests without a download.

``python small_models.py HF_HOME`` lays out a hub cache with both models of the preset "indonesian".
"""

from __future__ import annotations

import json
import os
import shutil
import string
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HubCache", "save_cross_encoder", "save_embedder", "save_reader"]

WORDS = ("apa", "siapa", "berapa", "hari", "cuti", "tahunan", "karyawan", "tetap", "dua", "belas")

_LIBRARY = "sentence_transformers.models"


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


def save_embedder(directory: Path) -> Path:
    """Save a sentence-transformers model: a BERT of two layers and mean pooling."""
    from transformers import BertModel

    _save_bert(BertModel, directory)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    _write(
        directory / "modules.json",
        [
            {"idx": number, "name": str(number), "path": path, "type": f"{_LIBRARY}.{kind}"}
            for number, (path, kind) in enumerate(modules)
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


def save_reader(directory: Path) -> Path:
    """Save an extractive question-answering model of two layers."""
    from transformers import BertForQuestionAnswering

    _save_bert(BertForQuestionAnswering, directory)
    return directory


def save_cross_encoder(directory: Path, labels: int = 1) -> Path:
    """Save a sentence-transformers cross-encoder of two layers."""
    from transformers import BertForSequenceClassification

    _save_bert(BertForSequenceClassification, directory, labels)
    return directory


def _save_bert(kind: type, directory: Path, labels: int = 2) -> None:
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
        num_labels=labels,
    )
    kind(config).save_pretrained(directory)


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def main(home: Path) -> None:
    """Lay out a hub cache."""
    cache = HubCache(home)
    with tempfile.TemporaryDirectory() as scratch:
        embedder = save_embedder(Path(scratch) / "embedder")
        reader = save_reader(Path(scratch) / "reader")
        cache.add("naufalihsan/indonesian-sbert-large", embedder)
        cache.add("Rifky/Indobert-QA", reader)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
