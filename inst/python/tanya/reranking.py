"""Questions and passages to scores, by a cross-encoder.

A cross-encoder reads the question and the passage together (Nogueira & Cho, 2019,
arXiv:1901.04085). It ranks better than embeddings do and takes a forward pass for each passage,
so that it is for the best few only.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError

from tanya.errors import ModelInvalid, QuestionTooLong
from tanya.modeldir import check_directory, modules, read_json
from tanya.network import quiet_transformers

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder
    from transformers import PreTrainedTokenizerBase

__all__ = ["Reranker"]

_BATCH = 8
_DEFAULT_WINDOW = 512
_LEAST_ROOM = 16
"""Tokens of a passage that a window must have room for beside the question."""


class Reranker:
    """Any cross-encoder of the sentence-transformers library with one score for a pair of texts.

    It may be used from several threads.

    Args:
        directory: Its files. Weights are safetensors.

    Raises:
        ModelInvalid: The directory holds no such model.
    """

    def __init__(self, directory: Path) -> None:
        check_directory(directory)
        _check_head(directory)
        with quiet_transformers():
            from sentence_transformers import CrossEncoder

            try:
                self._model = CrossEncoder(
                    str(directory),
                    device="cpu",
                    local_files_only=True,
                    trust_remote_code=False,
                    model_kwargs={"use_safetensors": True},
                )
            except (
                OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError
            ) as error:  # fmt: skip
                raise ModelInvalid(f"{directory} is not a cross-encoder: {error}") from error
        if self._model.num_labels != 1:
            raise ModelInvalid(
                f"{directory} gives {self._model.num_labels} scores for a question and a passage;"
                " a reranker gives one.",
                hint="Name a cross-encoder that was trained to rank passages.",
            )
        self._tokenizer: PreTrainedTokenizerBase = self._model.tokenizer
        self._window = _window(self._model)
        self._lock = threading.Lock()

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """Score passages for a question; higher is better, any number.

        Nothing is cut: a passage longer than the model's window is scored in pieces, and the best
        piece counts.

        Raises:
            QuestionTooLong: The question leaves no room for a passage in the window.
        """
        with self._lock:
            room = self._room(question)
            pieces = [
                (number, piece)
                for number, passage in enumerate(passages)
                for piece in self._pieces(passage, room)
            ]
            values = self._model.predict(
                [(question, piece) for _, piece in pieces],
                batch_size=_BATCH,
                activation_fn=torch.nn.Identity(),
                show_progress_bar=False,
            )
        best = [-float("inf")] * len(passages)
        for (number, _), value in zip(pieces, values.tolist(), strict=True):
            best[number] = max(best[number], value)
        return best

    def _room(self, question: str) -> int:
        """Tokens of a passage that fit into a window beside the question."""
        size = len(self._tokenizer(question, add_special_tokens=False, verbose=False)["input_ids"])
        special = self._tokenizer.num_special_tokens_to_add(pair=True)
        room = self._window - size - special
        if room < _LEAST_ROOM:
            most = self._window - special - _LEAST_ROOM
            raise QuestionTooLong(
                f"A question of {size} tokens leaves no room for a passage in the reranker's"
                f" window of {self._window} tokens: {question[:60]!r}...",
                hint=f"Ask in at most {most} tokens, or without the reranker.",
                tokens=size,
                limit=most,
            )
        return room

    def _pieces(self, passage: str, room: int) -> Iterator[str]:
        offsets = self._tokenizer(
            passage, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )["offset_mapping"]
        if len(offsets) <= room:
            yield passage
            return
        for first in range(0, len(offsets), room):
            part = offsets[first : first + room]
            yield passage[part[0][0] : part[-1][1]]


def _check_head(directory: Path) -> None:
    """Refuse a model without a head for scores: the library would give it a random one."""
    kinds = read_json(directory / "config.json").get("architectures") or []
    if not modules(directory) and not any("SequenceClassification" in kind for kind in kinds):
        raise ModelInvalid(
            f"{directory} is not a cross-encoder, but {', '.join(kinds) or 'something unknown'}.",
            hint="Name a cross-encoder that was trained to rank passages.",
        )


def _window(model: CrossEncoder) -> int:
    """Tokens that a model sees at once."""
    tokenizer: PreTrainedTokenizerBase = model.tokenizer
    # Versions before 6 call it ``max_length``.
    own: int | None = getattr(model, "max_seq_length", None) or getattr(model, "max_length", None)
    return min(own or _DEFAULT_WINDOW, tokenizer.model_max_length)
