"""Examples to token windows, and windows to batches of nearly equal length."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from .examples import Example

LENGTH_STEP = 16
"""Inputs are padded to a multiple of this many tokens."""


@dataclass(frozen=True)
class Window:
    """One encoder input.

    `ids` are token ids with special tokens; `first` and `last` (inclusive) bound the context's
    tokens; `start` and `end` are the gold tokens, both 0 (the CLS token) when the window holds
    no answer; `offsets` are code-point offsets in the context, kept for evaluation only;
    `handicap` is added to the margin of every span in training only.
    """

    ids: np.ndarray
    first: int
    last: int
    start: int
    end: int
    example: int
    offsets: tuple[tuple[int, int], ...] = ()
    handicap: float = 0.0

    @property
    def answers(self) -> bool:
        """Whether the window holds the gold answer."""
        return self.start > 0


Group = tuple[Window, ...]
"""Windows that are read for one question, of which at most one holds the answer."""


@dataclass(frozen=True)
class Batch:
    """Tensors of one step: `ids` (rows, length), `keep` and `context` (rows, length) bool.

    `keep` is false on padding; `context` is true on the context's tokens. `start`, `end`
    and `handicap` are (rows,).
    """

    ids: torch.Tensor
    keep: torch.Tensor
    context: torch.Tensor
    start: torch.Tensor
    end: torch.Tensor
    handicap: torch.Tensor


def make_windows(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    stride: int,
    keep_offsets: bool,
    block: int = 1000,
) -> list[Window]:
    """Tokenise question-context pairs into overlapping windows of at most `max_length` tokens."""
    windows = []
    for base in range(0, len(examples), block):
        part = examples[base : base + block]
        encoded = tokenizer(
            [example.question for example in part],
            [example.context for example in part],
            truncation="only_second",
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        for row, number in enumerate(encoded["overflow_to_sample_mapping"]):
            sequence = np.array([-1 if s is None else s for s in encoded.sequence_ids(row)])
            tokens = np.flatnonzero(sequence == 1)
            if not len(tokens):
                continue
            offsets = encoded["offset_mapping"][row]
            first, last = int(tokens[0]), int(tokens[-1])
            start, end = _gold_tokens(part[number], offsets, first, last)
            windows.append(
                Window(
                    ids=np.array(encoded["input_ids"][row], dtype=np.int32),
                    first=first,
                    last=last,
                    start=start,
                    end=end,
                    example=base + number,
                    offsets=tuple(map(tuple, offsets)) if keep_offsets else (),
                )
            )
    return windows


def _gold_tokens(
    example: Example, offsets: Sequence[tuple[int, int]], first: int, last: int
) -> tuple[int, int]:
    if not example.answerable:
        return 0, 0
    text, begin = example.answers[0]
    stop = begin + len(text)
    starts = [t for t in range(first, last + 1) if offsets[t][0] <= begin < offsets[t][1]]
    ends = [t for t in range(first, last + 1) if offsets[t][0] < stop <= offsets[t][1]]
    if not starts or not ends or starts[0] > ends[-1]:
        return 0, 0
    return starts[0], ends[-1]


def thin_windows(windows: Sequence[Window], rng: random.Random, limit: int = 2) -> list[Window]:
    """Keep the windows with the answer and at most `limit` others of every example.

    A long context would otherwise flood the training with easy windows.
    """
    kept: list[Window] = []
    others: dict[int, list[Window]] = {}
    for window in windows:
        if window.answers:
            kept.append(window)
        else:
            others.setdefault(window.example, []).append(window)
    for group in others.values():
        kept.extend(rng.sample(group, min(limit, len(group))))
    return kept


def plan_batches(
    sizes: Sequence[tuple[int, int]], token_budget: int, rng: random.Random | None
) -> list[list[int]]:
    """Divide inputs into batches of at most `token_budget` tokens, padding included.

    `sizes` are `(rows, length)` of each input; batches are of their numbers. Inputs of one length
    step form full batches, so that few tensor shapes occur and the CPU kernels prepared for a
    shape are used again; what is left over joins the next longer step.
    """
    order = list(range(len(sizes)))
    if rng is not None:
        rng.shuffle(order)
    by_length: dict[int, list[int]] = {}
    for number in order:
        by_length.setdefault(padded_length(sizes[number][1]), []).append(number)
    batches: list[list[int]] = []
    waiting: list[int] = []
    rows = 0
    for length in sorted(by_length):
        for number in by_length[length]:
            if waiting and (rows + sizes[number][0]) * length > token_budget:
                batches.append(waiting)
                waiting, rows = [], 0
            waiting.append(number)
            rows += sizes[number][0]
    if waiting:
        batches.append(waiting)
    if rng is not None:
        rng.shuffle(batches)
    return batches


def padded_length(length: int) -> int:
    """Round a length in tokens up to the next length step."""
    return -(-length // LENGTH_STEP) * LENGTH_STEP


def collate(windows: Sequence[Window], pad_id: int) -> Batch:
    """Pad `windows` to their longest and stack them."""
    length = padded_length(max(len(window.ids) for window in windows))
    ids = np.full((len(windows), length), pad_id, dtype=np.int64)
    keep = np.zeros(ids.shape, dtype=bool)
    context = np.zeros(ids.shape, dtype=bool)
    for row, window in enumerate(windows):
        ids[row, : len(window.ids)] = window.ids
        keep[row, : len(window.ids)] = True
        context[row, window.first : window.last + 1] = True
    return Batch(
        ids=torch.from_numpy(ids),
        keep=torch.from_numpy(keep),
        context=torch.from_numpy(context),
        start=torch.tensor([window.start for window in windows]),
        end=torch.tensor([window.end for window in windows]),
        handicap=torch.tensor([window.handicap for window in windows]),
    )
