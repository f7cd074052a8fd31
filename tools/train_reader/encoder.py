"""A BERT encoder whose linear layers carry LoRA factors, arranged for fast bf16 on a CPU.

Compared with peft's layers under autocast this saves in four places: the merged weight
`W + s * B @ A` is formed once per step so that the large products are plain; the gradient of the
frozen weight is never formed (only the two thin products that the factors need); attention's
backward pass is plain batched products, as PyTorch's fused CPU kernel is slow there in bf16; and
nothing below the first adapted layer keeps activations.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from safetensors.torch import load_file
from torch import nn
from transformers import BertModel

HALF = torch.bfloat16

ADAPTER_FILE = "adapter_model.safetensors"
"""Where a PEFT adapter has its weights."""

_PEFT_LINEAR = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_output": "attention.output.dense",
    "intermediate": "intermediate.dense",
    "output": "output.dense",
}
"""Where the linear layers of `EncoderLayer` stand in a Hugging Face `BertLayer`."""

_PEFT_FACTOR = {"down": "lora_A", "up": "lora_B"}


class _AdaptedLinear(torch.autograd.Function):
    """`x @ weight.T + bias` with gradients for `x` and the two factors only."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight, down, up)
        ctx.scale = scale
        return functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, down, up = ctx.saved_tensors
        grad_x = grad @ weight if ctx.needs_input_grad[0] else None
        rows = grad.reshape(-1, grad.shape[-1])
        inputs = x.reshape(-1, x.shape[-1])
        grad_down = (rows @ up.to(HALF)).t() @ inputs
        grad_up = rows.t() @ (inputs @ down.to(HALF).t())
        return (
            grad_x,
            None,
            None,
            ctx.scale * grad_down.float(),
            ctx.scale * grad_up.float(),
            None,
        )


class _Attention(torch.autograd.Function):
    """Softmax attention; `query` comes scaled, `mask` is additive or None."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        scores = query @ key.transpose(-1, -2)
        if mask is not None:
            scores += mask
        weights = torch.softmax(scores, -1)
        ctx.save_for_backward(query, key, value, weights)
        return weights @ value

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, weights = ctx.saved_tensors
        grad_weights = grad @ value.transpose(-1, -2)
        grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
        return (
            grad_scores @ key,
            grad_scores.transpose(-1, -2) @ query,
            weights.transpose(-1, -2) @ grad,
            None,
        )


class LoraLinear(nn.Module):
    """A frozen linear layer with trainable factors `down` (rank, in) and `up` (out, rank)."""

    def __init__(self, linear: nn.Linear, rank: int, scale: float) -> None:
        """Adapt `linear`; `rank` 0 leaves it as it is."""
        super().__init__()
        self.scale = scale
        self.register_buffer("weight", linear.weight.detach().clone(), persistent=False)
        self.register_buffer("bias", linear.bias.detach().to(HALF), persistent=False)
        self.register_buffer("frozen", linear.weight.detach().to(HALF), persistent=False)
        self.adapted = rank > 0
        if self.adapted:
            bound = 1 / math.sqrt(linear.in_features)
            self.down = nn.Parameter(torch.empty(rank, linear.in_features).uniform_(-bound, bound))
            self.up = nn.Parameter(torch.zeros(linear.out_features, rank))

    def merged(self) -> torch.Tensor:
        """Return the float32 weight with the adapter folded in."""
        return torch.addmm(self.weight, self.up, self.down, alpha=self.scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the adapted layer to `x` (..., in) in bf16."""
        if not self.adapted:
            return functional.linear(x, self.frozen, self.bias)
        with torch.no_grad():
            weight = self.merged().to(HALF)
        return _AdaptedLinear.apply(x, weight, self.bias, self.down, self.up, self.scale)


class SharedDropout(nn.Module):
    """Dropout whose masks are slices of one pool, at random places.

    Drawing a mask for each of its places takes longer on a CPU than dropping. The pool is drawn
    anew for every batch, by the batch: a run that resumes draws what it would have drawn.
    """

    def __init__(self, chance: float) -> None:
        """Zero values with the probability `chance` in training, and scale up the others."""
        super().__init__()
        self.chance = chance
        self._generator = torch.Generator()
        self._pool = torch.empty(0, dtype=HALF)

    def draw(self, ids: torch.Tensor, width: int) -> None:
        """Draw the masks for a batch of token ids, each with `width` values."""
        if self.training and self.chance:
            self._generator.manual_seed(int(ids.sum()))
            self._pool = torch.empty(2 * ids.numel() * width, dtype=HALF)
            self._pool.bernoulli_(1 - self.chance, generator=self._generator)
            self._pool.div_(1 - self.chance)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x` with some values zeroed in training, else `x`."""
        if not (self.training and self.chance):
            return x
        last = len(self._pool) - x.numel()
        place = int(torch.randint(last + 1, (), generator=self._generator))
        return x * self._pool.narrow(0, place, x.numel()).view_as(x)


class EncoderLayer(nn.Module):
    """One post-norm transformer layer of BERT."""

    def __init__(
        self, layer: nn.Module, heads: int, rank: int, scale: float, dropout: SharedDropout
    ) -> None:
        """Take over the weights of a Hugging Face `BertLayer`."""
        super().__init__()
        attention = layer.attention
        self.dropout = dropout
        self.heads = heads
        self.query = LoraLinear(attention.self.query, rank, scale)
        self.key = LoraLinear(attention.self.key, rank, scale)
        self.value = LoraLinear(attention.self.value, rank, scale)
        self.attention_output = LoraLinear(attention.output.dense, rank, scale)
        self.intermediate = LoraLinear(layer.intermediate.dense, rank, scale)
        self.output = LoraLinear(layer.output.dense, rank, scale)
        self.attention_norm = _frozen_norm(attention.output.LayerNorm)
        self.output_norm = _frozen_norm(layer.output.LayerNorm)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Map hidden states (rows, length, width) to the next layer's."""
        rows, length, width = x.shape
        shape = (rows, length, self.heads, width // self.heads)
        query = self.query(x) * (1 / math.sqrt(width // self.heads))
        query, key, value = (
            states.view(shape).transpose(1, 2).contiguous()
            for states in (query, self.key(x), self.value(x))
        )
        mixed = _Attention.apply(query, key, value, mask)
        mixed = mixed.transpose(1, 2).reshape(rows, length, width)
        x = self.attention_norm(self.dropout(self.attention_output(mixed)) + x)
        grown = functional.gelu(self.intermediate(x))
        return self.output_norm(self.dropout(self.output(grown)) + x)


def _frozen_norm(norm: nn.LayerNorm) -> nn.LayerNorm:
    return norm.to(HALF).requires_grad_(False)


class SpanReader(nn.Module):
    """Encoder with LoRA factors from layer `first_adapted` on, and a float32 span head."""

    def __init__(
        self, base: BertModel, rank: int, alpha: float, first_adapted: int, dropout: float = 0.0
    ) -> None:
        """Take over the weights of `base`, which is used up by it.

        `dropout` is the chance with which a value of an adapted layer is dropped in training.
        """
        super().__init__()
        self.embeddings = base.embeddings.requires_grad_(False)
        self.embeddings.dropout = nn.Identity()
        self.first_adapted = first_adapted
        self.dropout, none = SharedDropout(dropout), SharedDropout(0.0)
        heads = base.config.num_attention_heads
        self.layers = nn.ModuleList(
            EncoderLayer(layer, heads, rank, alpha / rank, self.dropout)
            if number >= first_adapted
            else EncoderLayer(layer, heads, 0, 0.0, none)
            for number, layer in enumerate(base.encoder.layer)
        )
        self.head = nn.Linear(base.config.hidden_size, 2)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        """Return start and end logits (rows, length, 2), float32."""
        mask = None
        if not bool(keep.all()):
            mask = torch.zeros(keep.shape, dtype=HALF).masked_fill_(~keep, -1e4)[:, None, None, :]
        with torch.no_grad():
            x = self.embeddings(input_ids=ids).to(HALF)
            self.dropout.draw(ids, x.shape[-1])
            for layer in self.layers[: self.first_adapted]:
                x = layer(x, mask)
        for layer in self.layers[self.first_adapted :]:
            x = layer(x, mask)
        return self.head(x.float())

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the parameters that learn, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def load_adapter(self, directory: Path) -> None:
        """Begin from the weights of a PEFT adapter of the same rank and layers."""
        tensors = load_file(directory / ADAPTER_FILE)
        for name, parameter in self.trainable().items():
            parameter.data.copy_(tensors[peft_name(name)])


def peft_name(name: str) -> str:
    """Return the name of a parameter in a PEFT adapter of a `BertForQuestionAnswering`."""
    if name.startswith("head."):
        return f"base_model.model.qa_outputs.{name.removeprefix('head.')}"
    match = re.fullmatch(r"layers\.(\d+)\.(\w+)\.(down|up)", name)
    if match is None:
        raise ValueError(f"unknown tensor {name}")
    number, linear, factor = match.groups()
    place = f"bert.encoder.layer.{number}.{_PEFT_LINEAR[linear]}"
    return f"base_model.model.{place}.{_PEFT_FACTOR[factor]}.weight"
