"""The transformer's forward pass over texts laid end to end, without padding.

The usual pass computes each text to the length of the longest of its batch. Here the tokens of a
batch are the rows of one matrix, so that every matrix product works on real tokens only; attention
runs over the texts of one length at a time. For the BERT family, which is most embedders.

With bfloat16 the operands of the products are rounded to 8 bits of mantissa, which processors with
AMX or AVX512-BF16 multiply several times faster; sums, normalisation and the stream between layers
stay float32.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.nn import functional

from tanya.modeldir import read_json
from tanya.types import Precision

__all__ = ["Bert", "PackedEncoder", "has_fast_bfloat16", "pack", "product_dtype"]

WORDS = "embeddings.word_embeddings.weight"
"""Name of the table of word embeddings among the weights of an encoder."""

_FIRST_POSITION_AFTER_PADDING = {
    "bert": False,
    "roberta": True,
    "xlm-roberta": True,
    "camembert": True,
}
"""The family, by ``model_type``, and whether positions are numbered from the padding id on."""

_LINEAR = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
_NORMS = ("attention.output.LayerNorm", "output.LayerNorm")
_EMBEDDINGS = (
    WORDS,
    "embeddings.position_embeddings.weight",
    "embeddings.token_type_embeddings.weight",
    "embeddings.LayerNorm.weight",
    "embeddings.LayerNorm.bias",
)
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}

_PROBE = (7, 3, 3)
_AGREEMENT = 1e-3
"""Largest difference to the model's own pass, beside values of about 1: its products may be summed
in another order, but any difference in what is computed is far larger."""


@dataclass(frozen=True, slots=True)
class Bert:
    """An encoder of the BERT family.

    Attributes:
        weights: By their names in transformers' ``BertModel``, float32.
        layers: Number of layers.
        heads: Attention heads of a layer.
        epsilon: Of the normalisations.
        first_position: Number of the first token's position.
    """

    weights: Mapping[str, torch.Tensor]
    layers: int
    heads: int
    epsilon: float
    first_position: int

    @classmethod
    def read(cls, directory: Path) -> Bert | None:
        """Read ``config.json`` and ``model.safetensors``; None where it is anything else.

        This needs a tenth of the time that transformers takes to load its classes.
        """
        file = directory / "model.safetensors"
        if not file.is_file():
            return None
        return cls._of(read_json(directory / "config.json"), load_file(file))

    @classmethod
    def of(cls, model: torch.nn.Module) -> Bert | None:
        """Take the weights of a transformers model, without copies; None where it is another."""
        config = getattr(model, "config", None)
        return cls._of(config.to_dict(), model.state_dict()) if config else None

    @classmethod
    def _of(cls, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Bert | None:
        layers, heads = config.get("num_hidden_layers"), config.get("num_attention_heads")
        if not (_is_plain(config) and layers and heads):
            return None
        names = {*_EMBEDDINGS, *_layer_names(layers)}
        weights = {_plain_name(name): tensor for name, tensor in tensors.items()}
        inside = {name for name in weights if name.startswith("encoder.")}
        if not names <= set(weights) or not inside <= names:
            return None
        padding = config.get("pad_token_id", 1) or 0
        after_padding = _FIRST_POSITION_AFTER_PADDING[config["model_type"]]
        return cls(
            {name: weights[name].float() for name in names},
            layers,
            heads,
            config.get("layer_norm_eps", 1e-12),
            padding + 1 if after_padding else 0,
        )

    @property
    def width(self) -> int:
        """Length of a hidden state."""
        return self.weights[WORDS].shape[1]

    def with_weights(self, weights: Mapping[str, torch.Tensor]) -> Bert:
        """Return the same encoder with some weights replaced."""
        return replace(self, weights={**self.weights, **weights})


@dataclass(frozen=True, slots=True)
class _Product:
    """A linear layer in the precision of its products."""

    weight: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def of(cls, bert: Bert, name: str, dtype: torch.dtype) -> _Product:
        weight, bias = bert.weights[f"{name}.weight"], bert.weights[f"{name}.bias"]
        return cls(weight.detach().to(dtype), bias.detach().to(dtype))

    def __call__(self, rows: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.bias, rows, self.weight.t(), out=out)


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: torch.Tensor
    bias: torch.Tensor
    epsilon: float

    @classmethod
    def of(cls, bert: Bert, name: str) -> _Norm:
        weight, bias = bert.weights[f"{name}.weight"], bert.weights[f"{name}.bias"]
        return cls(weight.detach(), bias.detach(), bert.epsilon)

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(
            states, self.weight.shape, self.weight, self.bias, self.epsilon
        )


@dataclass(frozen=True, slots=True)
class _Layer:
    query: _Product
    key: _Product
    value: _Product
    attended: _Product
    wide: _Product
    narrow: _Product
    attended_norm: _Norm
    norm: _Norm

    @classmethod
    def of(cls, bert: Bert, number: int, dtype: torch.dtype) -> _Layer:
        layer = f"encoder.layer.{number}"
        query, key, value, attended, wide, narrow = (
            _Product.of(bert, f"{layer}.{name}", dtype) for name in _LINEAR
        )
        attended_norm, norm = (_Norm.of(bert, f"{layer}.{name}") for name in _NORMS)
        return cls(query, key, value, attended, wide, narrow, attended_norm, norm)


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


def pack(model: torch.nn.Module, dtype: torch.dtype) -> PackedEncoder | None:
    """Lay out an encoder of transformers for packed texts.

    Args:
        model: In evaluation mode.
        dtype: Of the operands of the products; bfloat16 makes a copy of the layers' weights.

    Returns:
        None where the encoder is of another family or computes anything else: a few texts are
        tried against its own pass.
    """
    bert = Bert.of(model)
    if bert is None:
        return None
    lowest = (model.config.pad_token_id or 0) + 1  # type: ignore[union-attr, operator]
    texts = [list(range(lowest, lowest + length)) for length in _PROBE]
    with torch.inference_mode():
        own = torch.cat([model(input_ids=torch.tensor([text]))[0][0] for text in texts])
        difference = float((PackedEncoder(bert, torch.float32)(texts) - own).abs().max())
    return PackedEncoder(bert, dtype) if difference < _AGREEMENT else None


class PackedEncoder:
    """An encoder's last hidden states, for texts of different lengths at once.

    Args:
        bert: The encoder.
        dtype: Of the operands of the products; float32 shares the encoder's weights.

    Attributes:
        words: The table of word embeddings, (vocabulary, width); the encoder's own.
    """

    def __init__(self, bert: Bert, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._heads = bert.heads
        self._first = bert.first_position
        self.words, self._positions, self._kinds = (
            bert.weights[name].detach() for name in _EMBEDDINGS[:3]
        )
        self._embedded_norm = _Norm.of(bert, "embeddings.LayerNorm")
        self._layers = [_Layer.of(bert, number, dtype) for number in range(bert.layers)]

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
        numbers = torch.arange(self._first, self._first + max(lengths))
        positions = torch.cat([numbers[:length] for length in lengths])
        states = self.words[ids] + (self._kinds[0] if kinds is None else self._kinds[kinds])
        return self._embedded_norm(states + self._positions[positions])

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
    tell = getattr(torch.cpu, "get_capabilities", None)
    if tell is None:  # Before PyTorch 2.11, which can tell of Intel's and AMD's only.
        names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, name, bool)() for name in names)
    found = tell()
    return any(found.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def _is_plain(config: Mapping[str, Any]) -> bool:
    return (
        config.get("model_type") in _FIRST_POSITION_AFTER_PADDING
        and config.get("hidden_act", "gelu") == "gelu"
        and config.get("position_embedding_type") in (None, "absolute")
        and not config.get("is_decoder")
    )


def _layer_names(layers: int) -> list[str]:
    return [
        f"encoder.layer.{number}.{part}.{kind}"
        for number in range(layers)
        for part in (*_LINEAR, *_NORMS)
        for kind in ("weight", "bias")
    ]


def _plain_name(name: str) -> str:
    """A weight's name without the model's name before it, and as it is written today."""
    bare = re.sub(r"^(bert|roberta)\.", "", name)
    for old, new in _OLD_NAMES.items():
        bare = bare.replace(old, new)
    return bare


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
