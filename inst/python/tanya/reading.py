"""Questions and passages to answer spans, by an extractive reader.

A reader gives each token of a window a start and an end logit. What makes spans comparable
across windows, passages and documents is the *margin*::

    margin = start[i] + end[j] - (start[CLS] + end[CLS])

the log-odds of the span against "no answer here" in its own window: constants that differ from
window to window cancel. The score is ``sigmoid((margin - bias) / temperature)``, with both
constants fitted on development data (Platt, 1999; Guo et al., 2017, arXiv:1706.04599).

A reader that never saw an unanswerable question has no meaningful null. Its margin is the log
probability of the span among all windows of the question, ``start[i] + end[j] - logsumexp(start)
- logsumexp(end)``: it ranks, it does not abstain (Clark & Gardner, 2018, arXiv:1710.10723).
"""

from __future__ import annotations

import bisect
import json
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import regex
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from tanya.errors import InvalidArgument, ModelInvalid, QuestionTooLong
from tanya.packed import Bert, PackedEncoder, pack
from tanya.types import Progress

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Calibration", "Reader", "ReaderSettings", "Request", "Span", "adapt"]

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
CARD = "tanya.json"

_WORD_BOUNDARY = regex.compile(r"\b", regex.WORD)
_OPENED_NUMBER = regex.compile(r"[(\[](?=\d)")
_AFTER_NUMBER = regex.compile(r"(?<=\d)[.,;:!?)\]]+\Z")
_OPENING = regex.compile(r"[(\[]")
_CLOSING = regex.compile(r"[)\]]")
_NEVER = -1e9
"""Logit of a token that may not be part of an answer; finite, so that differences stay finite."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """From margins to probabilities, and where to decline.

    Attributes:
        temperature: Divides the margin; above 0.
        bias: Margin at which a span is as likely right as wrong.
        threshold: Score, in [0, 1], below which the answer is "not in these documents".
    """

    temperature: float = 1.0
    bias: float = 0.0
    threshold: float = 0.5

    def score(self, margin: float) -> float:
        """Probability, in [0, 1], that a span with this margin is right."""
        z = (margin - self.bias) / self.temperature
        return 1.0 / (1.0 + math.exp(-z)) if z >= 0 else math.exp(z) / (1.0 + math.exp(z))


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """How a reader wants to be used.

    Attributes:
        id: Name of the model.
        null_trained: Whether it was trained on unanswerable questions, and so may abstain.
        max_length: Tokens of a window: question, passage and special tokens together.
        stride: Tokens that neighbouring windows of one passage share.
        max_answer_tokens: Longest span considered.
        candidates: Spans kept per window.
        batch_tokens: Tokens of a batch, padding counted.
        calibration: See ``Calibration``; unused where ``null_trained`` is false.
    """

    id: str
    null_trained: bool
    max_length: int = 384
    stride: int = 96
    max_answer_tokens: int = 50
    candidates: int = 20
    batch_tokens: int = 4096
    calibration: Calibration = field(default_factory=Calibration)

    @classmethod
    def from_card(cls, path: Path) -> ReaderSettings:
        """Read the card (``tanya.json``) of a bundled adapter."""
        card = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            id=card["name"],
            null_trained=card["null_trained"],
            max_length=card["max_length"],
            stride=card["stride"],
            max_answer_tokens=card["max_answer_tokens"],
            calibration=Calibration(card["temperature"], card["bias"], card["threshold"]),
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One question and the passages to look for its answer in.

    Attributes:
        question: The question.
        passages: The passages.
        contexts: What stands above each passage in its document, such as its headings: the reader
            sees it, but never marks an answer in it. Empty for none at all.
    """

    question: str
    passages: tuple[str, ...]
    contexts: tuple[str, ...] = ()

    def lead(self, passage: int) -> str:
        """What goes before a passage."""
        context = self.contexts[passage] if self.contexts else ""
        return f"{context}\n" if context else ""


@dataclass(frozen=True, slots=True)
class Span:
    """A candidate answer.

    Attributes:
        passage: 0-based position of the passage in its request.
        start: First code point in the passage.
        end: One past the last.
        margin: Log-odds against "no answer" (or log probability, see the module's docstring).
    """

    passage: int
    start: int
    end: int
    margin: float


@dataclass(frozen=True, slots=True)
class _Pair:
    request: int
    passage: int
    question: str
    lead: str
    text: str


@dataclass(frozen=True, slots=True)
class _Window:
    """A slice of one (question, passage) pair that the model sees at once.

    ``offsets`` count from the passage's lead, ``lead`` code points before the passage;
    ``readable`` is the range of tokens that belong to the passage.
    """

    request: int
    passage: int
    inputs: dict[str, list[int]]
    offsets: list[tuple[int, int]]
    lead: int
    readable: tuple[int, int]
    null: int

    def __len__(self) -> int:
        return len(self.inputs["input_ids"])


@dataclass(frozen=True, slots=True)
class _Found:
    """What the model says of one window: its best spans in tokens, and its normalisers."""

    window: _Window
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]
    null: float
    log_mass: tuple[float, float]


class Reader:
    """An extractive question-answering model and the way to ask it.

    Args:
        model: Module, in evaluation mode, that maps the tokenizer's inputs, each (batch, tokens)
            int64, to start and end logits, each (batch, tokens).
        tokenizer: Fast tokenizer of the model.
        settings: How to use it.
        lock: Held while the tokenizer works, for one that others use as well.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        settings: ReaderSettings,
        lock: threading.Lock | None = None,
    ) -> None:
        if not tokenizer.is_fast:
            raise ModelInvalid(f"Reader {settings.id!r} has no fast tokenizer, so no offsets.")
        self._model = model
        self._tokenizer = tokenizer
        self._lock = lock or threading.Lock()
        self.settings = settings

    @classmethod
    def load(
        cls, directory: Path, settings: ReaderSettings, dtype: torch.dtype = torch.float32
    ) -> Reader:
        """Load a question-answering model from a Hugging Face directory.

        Args:
            directory: A directory with safetensors weights and a tokenizer.json.
            settings: How to use it.
            dtype: Of the operands of the products, where the model can be packed.

        Raises:
            ModelInvalid: The files are not an extractive reader.
        """
        from transformers import AutoModelForQuestionAnswering, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        try:
            model, report = AutoModelForQuestionAnswering.from_pretrained(
                directory,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise ModelInvalid(f"{directory} is not a question-answering model: {error}") from error
        missing = [name for name in report["missing_keys"] if name.startswith("qa_outputs")]
        if missing:
            raise ModelInvalid(
                f"{directory} has no span head ({', '.join(missing)} missing).",
                hint="Name a model that was fine-tuned for extractive question answering.",
            )
        packed = pack(model.base_model, dtype)
        spans = _SpanHead(packed, model.qa_outputs) if packed else None
        return cls(spans or _SpanOutputs(model), tokenizer, settings)

    def with_calibration(self, calibration: Calibration) -> Reader:
        """Return the same model with another calibration."""
        settings = replace(self.settings, calibration=calibration)
        return Reader(self._model, self._tokenizer, settings, self._lock)

    def read(
        self, requests: Sequence[Request], progress: Progress | None = None
    ) -> list[list[Span]]:
        """Find candidate spans.

        Args:
            requests: Questions with their passages. All pairs of the call are batched together.
            progress: Called with ("read", windows done, windows in all).

        Returns:
            For each request its candidates, best margin first, at most
            ``settings.candidates`` per window, no span twice.

        Raises:
            QuestionTooLong: A question leaves no room for a passage in a window.
            InvalidArgument: A question is blank.
        """
        windows = self._windows(requests)
        found: list[list[_Found]] = [[] for _ in requests]
        done = 0
        for batch in _batches(windows, self.settings.batch_tokens):
            for item in self._score(batch):
                found[item.window.request].append(item)
            done += len(batch)
            if progress is not None:
                progress("read", done, len(windows))
        return [self._spans(request, items) for request, items in zip(requests, found, strict=True)]

    def score(self, margin: float) -> float:
        """Score, in [0, 1], of a margin; comparable between questions if null-trained."""
        if self.settings.null_trained:
            return self.settings.calibration.score(margin)
        return min(1.0, math.exp(margin))

    def _windows(self, requests: Sequence[Request]) -> list[_Window]:
        pairs = [
            _Pair(
                number, position, " ".join(request.question.split()), request.lead(position), text
            )
            for number, request in enumerate(requests)
            for position, text in enumerate(request.passages)
            if text.strip()
        ]
        for number, request in enumerate(requests):
            if not request.question.strip():
                raise InvalidArgument(f"Question {number + 1} is blank.", position=number + 1)
        if not pairs:
            return []
        with self._lock:  # The tokenizer keeps what it is told about truncation.
            length, stride = self._window_size([pair.question for pair in pairs])
            encoded = self._tokenizer(
                [pair.question for pair in pairs],
                [pair.lead + pair.text for pair in pairs],
                truncation="only_second",
                max_length=length,
                stride=stride,
                return_overflowing_tokens=True,
                return_offsets_mapping=True,
            )
        windows = []
        names = [name for name in self._tokenizer.model_input_names if name in encoded]
        for row, pair in enumerate(encoded["overflow_to_sample_mapping"]):
            offsets = encoded["offset_mapping"][row]
            lead = len(pairs[pair].lead)
            readable = [
                token
                for token, side in enumerate(encoded.sequence_ids(row))
                if side == 1 and offsets[token][1] > lead
            ]
            if not readable:
                continue  # All of it is lead, or nothing that the tokenizer knows, not even <unk>.
            ids = encoded["input_ids"][row]
            cls = self._tokenizer.cls_token_id
            windows.append(
                _Window(
                    request=pairs[pair].request,
                    passage=pairs[pair].passage,
                    inputs={name: encoded[name][row] for name in names},
                    offsets=offsets,
                    lead=lead,
                    readable=(readable[0], readable[-1] + 1),
                    null=ids.index(cls) if cls in ids else 0,
                )
            )
        return windows

    def _window_size(self, questions: Sequence[str]) -> tuple[int, int]:
        """Length of a window and stride, in tokens, that leave room for a passage."""
        limit = min(self.settings.max_length, self._tokenizer.model_max_length)
        special = self._tokenizer.num_special_tokens_to_add(pair=True)
        unique = sorted(set(questions))
        # Not verbose: what is too long gets our own error below, and no warning of the library.
        encoded = self._tokenizer(unique, add_special_tokens=False, verbose=False)
        sizes = [len(ids) for ids in encoded["input_ids"]]
        room = limit - special - max(sizes)
        if room < self.settings.max_answer_tokens:
            longest = unique[sizes.index(max(sizes))]
            raise QuestionTooLong(
                f"A question of {max(sizes)} tokens leaves no room for a passage in the reader's"
                f" window of {limit} tokens: {longest[:60]!r}...",
                hint=f"Ask in at most {limit - special - self.settings.max_answer_tokens} tokens,"
                " about three quarters as many words.",
                tokens=max(sizes),
                limit=limit - special - self.settings.max_answer_tokens,
            )
        return limit, min(self.settings.stride, room // 2)

    def _score(self, batch: Sequence[_Window]) -> Iterator[_Found]:
        """Run the model on one batch and keep the best spans of each window."""
        length = max(len(window) for window in batch)
        pad = {
            "input_ids": self._tokenizer.pad_token_id or 0,
            "token_type_ids": self._tokenizer.pad_token_type_id,
        }
        inputs = {
            name: torch.tensor(
                [
                    window.inputs[name] + [pad.get(name, 0)] * (length - len(window))
                    for window in batch
                ]
            )
            for name in batch[0].inputs
        }
        with torch.inference_mode():
            start, end = self._model(inputs)
            start, end = start.float(), end.float()
            rows = torch.arange(len(batch))
            cls = torch.tensor([window.null for window in batch])
            null = start[rows, cls] + end[rows, cls]
            position = torch.arange(length)
            first = torch.tensor([[window.readable[0]] for window in batch])
            last = torch.tensor([[window.readable[1]] for window in batch])
            outside = (position < first) | (position >= last)
            start = start.masked_fill(outside, _NEVER)
            end = end.masked_fill(outside, _NEVER)
            log_mass = torch.stack([start.logsumexp(1), end.logsumexp(1)], 1)
            best, starts, ends = _best_spans(
                start, end, self.settings.max_answer_tokens, self.settings.candidates
            )
        for row, window in enumerate(batch):
            keep = best[row] > _NEVER / 2
            yield _Found(
                window=window,
                starts=starts[row][keep].numpy(),
                ends=ends[row][keep].numpy(),
                logits=best[row][keep].numpy(),
                null=float(null[row]),
                log_mass=(float(log_mass[row, 0]), float(log_mass[row, 1])),
            )

    def _spans(self, request: Request, found: Sequence[_Found]) -> list[Span]:
        """Margins of all windows of one question, as spans in its passages."""
        if not found:
            return []
        if self.settings.null_trained:
            normalisers = [item.null for item in found]
        else:
            mass = np.logaddexp.reduce([item.log_mass for item in found], axis=0).sum()
            normalisers = [float(mass)] * len(found)
        boundaries: dict[int, list[int]] = {}
        best: dict[tuple[int, int, int], float] = {}
        for item, normaliser in zip(found, normalisers, strict=True):
            number = item.window.passage
            text = request.passages[number]
            if number not in boundaries:
                boundaries[number] = [match.start() for match in _WORD_BOUNDARY.finditer(text)]
            for start, end, logit in zip(item.starts, item.ends, item.logits, strict=True):
                span = _widen(
                    text,
                    max(item.window.offsets[start][0] - item.window.lead, 0),
                    item.window.offsets[end][1] - item.window.lead,
                    boundaries[number],
                )
                if span is not None:
                    key = (number, *span)
                    best[key] = max(best.get(key, -math.inf), float(logit) - normaliser)
        spans = [Span(*key, margin) for key, margin in best.items()]
        return sorted(spans, key=lambda span: (-span.margin, span.passage, span.start, span.end))


def _best_spans(
    start: torch.Tensor, end: torch.Tensor, longest: int, count: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Best spans of each row among those of at most ``longest`` tokens.

    The scores are a band of (tokens, longest) and never (tokens, tokens).

    Returns:
        Logit sums, first tokens and last tokens, each (batch, at most ``count``).
    """
    rows, length = start.shape
    longest = min(longest, length)
    padded = torch.nn.functional.pad(end, (0, longest - 1), value=_NEVER)
    band = start.unsqueeze(2) + padded.unfold(1, longest, 1)
    best, flat = band.reshape(rows, -1).topk(min(count, length * longest), dim=1)
    starts = flat // longest
    return best, starts, starts + flat % longest


def _widen(text: str, start: int, end: int, boundaries: Sequence[int]) -> tuple[int, int] | None:
    """Widen a span to word boundaries and strip what is not part of it; None if nothing is left.

    That is white space, and the punctuation beside a number: a token may hold both, as "2004,".
    """
    if boundaries and start < end:
        start = boundaries[max(bisect.bisect_right(boundaries, start) - 1, 0)]
        right = bisect.bisect_left(boundaries, end)
        end = max(end, boundaries[right]) if right < len(boundaries) else end
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    after = _AFTER_NUMBER.search(text, start, end)
    if after and not _OPENING.search(text, start, end):
        end = after.start()
    if _OPENED_NUMBER.match(text, start, end) and not _CLOSING.search(text, start, end):
        start += 1
    return (start, end) if start < end else None


def _batches(windows: Sequence[_Window], budget: int) -> Iterator[list[_Window]]:
    """Windows of like length together, at most ``budget`` tokens a batch with padding."""
    batch: list[_Window] = []
    for window in sorted(windows, key=len, reverse=True):
        if batch and len(batch[0]) * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


class _SpanOutputs(torch.nn.Module):
    """A transformers question-answering model, reduced to its two logits."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        output = self.model(**inputs)
        return output.start_logits, output.end_logits


class _SpanHead(torch.nn.Module):
    """An encoder with a linear span head on its last hidden states, on windows laid end to end."""

    def __init__(self, packed: PackedEncoder, head: torch.nn.Linear) -> None:
        super().__init__()
        self.packed = packed
        self.head = head

    def forward(self, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        ids = inputs["input_ids"]
        mask = inputs.get("attention_mask", torch.ones_like(ids)).bool()
        kinds = inputs.get("token_type_ids")
        found = self.head(
            self.packed(_unpadded(ids, mask), kinds if kinds is None else _unpadded(kinds, mask))
        )
        logits = found.new_zeros((*ids.shape, 2))  # Those of padding are never looked at.
        logits[mask] = found
        return logits[..., 0], logits[..., 1]


def _unpadded(values: torch.Tensor, mask: torch.Tensor) -> list[list[int]]:
    return [row[real].tolist() for row, real in zip(values, mask, strict=True)]


def adapt(
    encoder: Bert | torch.nn.Module, directory: Path, dtype: torch.dtype = torch.float32
) -> torch.nn.Module:
    """Merge a PEFT LoRA adapter with a span head into an encoder.

    What the adapter does not change, such as the word embeddings, four fifths of a small
    multilingual encoder, stays one tensor that both models use. What it changes is merged, because
    a merged layer costs one matrix product where an adapter beside it costs three.

    Args:
        encoder: The base model that the adapter was trained on, hidden size d. It is left alone.
        directory: Holds ``adapter_config.json`` and ``adapter_model.safetensors`` as PEFT writes
            them for a ``*ForQuestionAnswering`` model, with ``qa_outputs`` (2, d) among
            ``modules_to_save``.
        dtype: Of the operands of the products, see ``packed``.

    Raises:
        ModelInvalid: The adapter does not fit the encoder.
    """
    bert = encoder if isinstance(encoder, Bert) else Bert.of(encoder)
    if bert is None:
        raise ModelInvalid(
            f"The adapter in {directory} is for an encoder that tanya cannot adapt.",
            hint="It can adapt BERT, RoBERTa, XLM-RoBERTa and CamemBERT.",
        )
    try:
        config = json.loads((directory / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(directory / ADAPTER_WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelInvalid(f"The adapter in {directory} cannot be read: {error}") from error
    scale = _scale(config)
    if scale is None:
        raise ModelInvalid(f"{directory} is not a plain LoRA adapter.")
    head = torch.nn.Linear(bert.width, 2)
    parts = {f"qa_outputs.{name}": part for name, part in head.named_parameters()}
    changed: dict[str, torch.Tensor] = {}
    for key, value in tensors.items():
        name = _parameter_name(key)
        if name.endswith(".lora_B.weight"):
            continue  # Taken together with its lora_A.
        adapted = name.endswith(".lora_A.weight")
        if adapted:
            name = name.replace(".lora_A.weight", ".weight")
            up = tensors.get(key.replace(".lora_A.", ".lora_B."), torch.empty(0, len(value)))
            value = up.float() @ value.float() * scale
        target = parts.get(name, bert.weights.get(name))
        if target is None or target.shape != value.shape:
            raise ModelInvalid(f"The adapter in {directory} does not fit: {key}.")
        changed[name] = target + value if adapted else value.float()
    if not parts.keys() <= changed.keys():
        raise ModelInvalid(f"The adapter in {directory} has no span head.")
    head.load_state_dict({name: changed.pop(f"qa_outputs.{name}") for name in ("weight", "bias")})
    return _SpanHead(PackedEncoder(bert.with_weights(changed), dtype), head)


def _scale(config: Mapping[str, Any]) -> float | None:
    """What the product of an adapter's factors is multiplied by; None where it is not one number.

    Args:
        config: An ``adapter_config.json``.
    """
    others = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern")
    if config.get("peft_type") != "LORA" or any(config.get(name) for name in others):
        return None
    alpha, rank = config.get("lora_alpha"), config.get("r")
    return alpha / rank if alpha and rank else None


def _parameter_name(key: str) -> str:
    """Name of a PEFT tensor's parameter in the bare encoder."""
    name = key.removeprefix("base_model.model.")
    for wrapper in (".base_layer", ".modules_to_save.default", ".modules_to_save", ".default"):
        name = name.replace(wrapper, "")
    first, _, rest = name.partition(".")
    return name if first in ("qa_outputs", "encoder", "embeddings") else rest
