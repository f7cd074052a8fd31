"""The transformer's forward pass over texts laid end to end, without padding.

The usual pass computes each text to the length of the longest of its batch. Here the tokens of a
batch are the rows of one matrix, so that every matrix product works on real tokens only; attention
runs over the texts of one length at a time. For the BERT family, which is most embedders.

With bfloat16 the operands of the products are rounded to 8 bits of mantissa, which processors with
AMX or AVX512-BF16 multiply several times faster; sums, normalisation and the stream between layers
stay float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch.nn import functional

from tanya.types import Precision

__all__ = ["PackedEncoder", "has_fast_bfloat16", "pack", "product_dtype"]

_FAMILY = ("BertModel", "RobertaModel", "XLMRobertaModel")
_NUMBERED_FROM_PADDING = ("RobertaModel", "XLMRobertaModel")
_PROBE = (7, 3, 3)
_AGREEMENT = 1e-3
"""Largest difference to the model's own pass, beside values of about 1: its products may be summed
in another order, but any difference in what is computed is far larger."""


@dataclass(frozen=True, slots=True)
class _Product:
    """A linear layer in the precision of its products."""

    weight: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def of(cls, linear: torch.nn.Linear, dtype: torch.dtype) -> _Product:
        return cls(linear.weight.detach().to(dtype), linear.bias.detach().to(dtype))

    def __call__(self, rows: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.bias, rows, self.weight.t(), out=out)


@dataclass(frozen=True, slots=True)
class _Layer:
    query: _Product
    key: _Product
    value: _Product
    attended: _Product
    attended_norm: torch.nn.LayerNorm
    wide: _Product
    narrow: _Product
    norm: torch.nn.LayerNorm


class _Room:
    """Where the layers of one pass put what they compute, each over the one before.

    New memory for each product would be taken from the system and given back each time.
    """

    def __init__(self, tokens: int, layer: _Layer) -> None:
        width, dtype = layer.query.weight.shape[1], layer.query.weight.dtype
        self.projected = torch.empty(3, tokens, width, dtype=dtype)
        self.attended = torch.empty(tokens, width, dtype=dtype)
        self.mixed = torch.empty(tokens, width, dtype=dtype)
        self.wide = torch.empty(tokens, layer.wide.weight.shape[0], dtype=dtype)


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbouring texts of one length: ``count`` times ``length`` rows from ``start`` on."""

    start: int
    count: int
    length: int

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + self.count * self.length)


def pack(encoder: Any, dtype: torch.dtype) -> PackedEncoder | None:
    """Lay out an encoder for packed texts.

    Args:
        encoder: From transformers, in evaluation mode, float32.
        dtype: Of the operands of the products; bfloat16 makes a copy of the layers' weights.

    Returns:
        None where the encoder is of another family or computes anything else: a few texts are
        tried against its own pass.
    """
    if not _is_plain(encoder):
        return None
    lowest = (encoder.config.pad_token_id or 0) + 1
    texts = [list(range(lowest, lowest + length)) for length in _PROBE]
    try:
        exact = PackedEncoder(encoder, torch.float32)
        with torch.inference_mode():
            own = torch.cat([encoder(input_ids=torch.tensor([text]))[0][0] for text in texts])
            difference = float((exact(texts) - own).abs().max())
    except (AttributeError, IndexError, RuntimeError, TypeError):
        return None  # Another version of transformers lays it out in another way.
    if not difference < _AGREEMENT:
        return None
    return exact if dtype is torch.float32 else PackedEncoder(encoder, dtype)


class PackedEncoder:
    """An encoder's last hidden states, for texts of different lengths at once. See ``pack``."""

    def __init__(self, encoder: Any, dtype: torch.dtype) -> None:
        config = encoder.config
        self._dtype = dtype
        self._heads = config.num_attention_heads
        self.embeddings = encoder.embeddings
        numbered_from_padding = type(encoder).__name__ in _NUMBERED_FROM_PADDING
        self._first = config.pad_token_id + 1 if numbered_from_padding else 0
        self._layers = [_layer(layer, dtype) for layer in encoder.encoder.layer]

    def __call__(
        self, ids: Sequence[Sequence[int]], kinds: Sequence[Sequence[int]] | None = None
    ) -> torch.Tensor:
        """Run the encoder.

        Args:
            ids: Token ids of each text, special tokens included, none empty. Texts of one length
                should be neighbours.
            kinds: Token type of each token, shaped as ``ids``; 0 for all where None.

        Returns:
            Hidden states, float32, shape (tokens of all texts, hidden size), text after text.
        """
        lengths = [len(row) for row in ids]
        runs = _runs(lengths)
        states = self._embed(_flat(ids), None if kinds is None else _flat(kinds), lengths)
        room = _Room(len(states), self._layers[0])
        for layer in self._layers:
            self._attend(layer, states.to(self._dtype), runs, room)
            states.add_(layer.attended(room.attended, room.mixed))
            states = layer.attended_norm(states)
            wide = layer.wide(states.to(self._dtype), room.wide)
            torch.ops.aten.gelu.out(wide, out=wide)
            states = layer.norm(states.add_(layer.narrow(wide, room.mixed)))
        return states

    def _embed(
        self, ids: torch.Tensor, kinds: torch.Tensor | None, lengths: Sequence[int]
    ) -> torch.Tensor:
        parts = self.embeddings
        table = parts.token_type_embeddings
        numbers = torch.arange(self._first, self._first + max(lengths))
        positions = torch.cat([numbers[:length] for length in lengths])
        states = parts.word_embeddings(ids) + (table.weight[0] if kinds is None else table(kinds))
        normalised: torch.Tensor = parts.LayerNorm(states + parts.position_embeddings(positions))
        return normalised

    def _attend(self, layer: _Layer, rows: torch.Tensor, runs: Sequence[_Run], room: _Room) -> None:
        for product, out in zip((layer.query, layer.key, layer.value), room.projected, strict=True):
            product(rows, out)
        for run in runs:
            shape = (run.count, run.length, self._heads, -1)
            query, key, value = (x[run.rows].view(shape).transpose(1, 2) for x in room.projected)
            heads = functional.scaled_dot_product_attention(query, key, value)
            room.attended[run.rows].view(shape).copy_(heads.transpose(1, 2))


def product_dtype(precision: Precision) -> torch.dtype:
    """What the products of a precision are computed in on this processor."""
    reduced = precision == "bfloat16" and has_fast_bfloat16()
    return torch.bfloat16 if reduced else torch.float32


def has_fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware, as far as PyTorch can tell."""
    tell = getattr(torch.cpu, "get_capabilities", None)  # Since PyTorch 2.11.
    found = tell() if tell else {}
    return any(found.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def _is_plain(encoder: Any) -> bool:
    config = encoder.config
    return (
        type(encoder).__name__ in _FAMILY
        and config.hidden_act == "gelu"
        and getattr(config, "position_embedding_type", None) in (None, "absolute")
        and not getattr(config, "is_decoder", False)
    )


def _layer(layer: Any, dtype: torch.dtype) -> _Layer:
    attention, output = layer.attention, layer.output
    return _Layer(
        query=_Product.of(attention.self.query, dtype),
        key=_Product.of(attention.self.key, dtype),
        value=_Product.of(attention.self.value, dtype),
        attended=_Product.of(attention.output.dense, dtype),
        attended_norm=attention.output.LayerNorm,
        wide=_Product.of(layer.intermediate.dense, dtype),
        narrow=_Product.of(output.dense, dtype),
        norm=output.LayerNorm,
    )


def _flat(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    return torch.tensor([value for row in rows for value in row])


def _runs(lengths: Sequence[int]) -> list[_Run]:
    runs: list[_Run] = []
    start = 0
    for length, group in groupby(lengths):
        run = _Run(start, len(list(group)), length)
        runs.append(run)
        start = run.rows.stop
    return runs
