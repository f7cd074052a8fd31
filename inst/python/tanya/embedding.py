"""Texts to unit vectors, by a sentence-transformers model.

The common kind of model, a BERT with mean or [CLS] pooling (Reimers & Gurevych, 2019,
arXiv:1908.10084), runs on texts laid end to end, without padding (see ``packed``); other
transformers with such a pooling run as transformers has them, and any other model goes through the
sentence-transformers library. Vectors agree with ``SentenceTransformer.encode``.

Nothing is cut. A text longer than the model's window is embedded in windows, whose vectors are
averaged with the number of their tokens as weights.

Work runs on as many threads as PyTorch chose (``OMP_NUM_THREADS``, or the physical cores).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError

from tanya.errors import InvalidArgument, ModelInvalid
from tanya.modeldir import check_directory, modules, read_json, weights_digest
from tanya.network import quiet_transformers
from tanya.packed import Bert, PackedEncoder, product_dtype
from tanya.types import DEFAULT_PRECISION, PRECISIONS, Precision, Progress

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Embedder", "EmbedderFingerprint", "Vectors"]

Vectors = npt.NDArray[np.float32]
"""Shape (texts, dimension), C-contiguous, rows of length 1."""

BATCH_TOKENS = 2048
"""Tokens of a batch. Its states stay in the cache of a processor; larger batches are no faster."""

BLOCK_TEXTS = 2048
"""Texts that are tokenised and sorted by length at a time; bounds the memory."""

_Pooling = Literal["mean", "cls"]

_SURROGATES = re.compile("[\ud800-\udfff]")
_POOLING_FLAGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
_NO_LIMIT = 100_000
_DEFAULT_WINDOW = 512
_WORTH_CONVERTING = 256
"""Tokens in a batch from which on reduced precision saves time where weights are converted."""


@dataclass(frozen=True, slots=True)
class EmbedderFingerprint:
    """What must be the same for two vectors to be comparable.

    Attributes:
        model: Hub id, or the directory.
        sha256: ``modeldir.weights_digest`` of the weights and the tokenizer.
        dimension: Length of a vector.
        question_prompt: Put before each question.
        passage_prompt: Put before each passage.
        max_tokens: See ``Embedder.max_tokens``.
        precision: See ``types.Precision``.
    """

    model: str
    sha256: str
    dimension: int
    question_prompt: str
    passage_prompt: str
    max_tokens: int
    precision: Precision

    def to_dict(self) -> dict[str, str | int]:
        """Return the fields as JSON values."""
        return asdict(self)


class _Pipeline(Protocol):
    """From token ids to one vector per text, not yet of length 1."""

    tokenizer: PreTrainedTokenizerBase
    window: int

    @property
    def encoder(self) -> Bert | torch.nn.Module:
        """The transformer, or its weights."""

    def __call__(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Map the token ids of texts to float32 of shape (texts, dimension)."""


class Embedder:
    """An embedding model, in memory.

    It may be used from several threads.

    Args:
        directory: A sentence-transformers directory, or a plain transformers one, which then gets
            mean pooling. Weights are safetensors.
        model: Name that goes into the fingerprint.
        question_prompt: Put before each question; ``"query: "`` for e5.
        passage_prompt: Put before each passage.
        precision: See ``types.Precision``.

    Attributes:
        fingerprint: Identity of the vectors.
        encoder: The transformer under the pooling, or its weights, for a reader to share. Not to
            be changed.
        dtype: Of the operands of its products, as this processor computes them.
        tokenizer: Its fast tokenizer. It keeps truncation and padding as state: whoever shares it
            must hold ``lock`` while calling it.
        lock: See ``tokenizer``.

    Raises:
        ModelInvalid: The directory holds no usable text embedder.
        InvalidArgument: There is no such precision.
    """

    def __init__(
        self,
        directory: Path,
        *,
        model: str,
        question_prompt: str = "",
        passage_prompt: str = "",
        precision: Precision = DEFAULT_PRECISION,
    ) -> None:
        if precision not in PRECISIONS:
            raise InvalidArgument(
                f"Unknown precision {precision!r}; there are {', '.join(PRECISIONS)}."
            )
        check_directory(directory)
        self.dtype = product_dtype(precision)
        self._pipeline = _load_pipeline(directory, self.dtype)
        self.encoder = self._pipeline.encoder
        self.tokenizer = self._pipeline.tokenizer
        self.lock = threading.Lock()
        self._first, self._last = self._special_ids()
        prompts = {prompt: self._prompt_ids(prompt) for prompt in (question_prompt, passage_prompt)}
        longest = max(map(len, prompts.values()))
        special = len(self._first) + len(self._last)
        self.fingerprint = EmbedderFingerprint(
            model=model,
            sha256=weights_digest(directory),
            dimension=self._forward([[*self._first, *self._last]]).shape[1],
            question_prompt=question_prompt,
            passage_prompt=passage_prompt,
            max_tokens=self._pipeline.window - special - longest,
            precision=precision,
        )
        if self.fingerprint.max_tokens < 1:
            raise ModelInvalid(f"The prompts of {model} fill its window: no text fits.")

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.fingerprint.dimension

    @property
    def max_tokens(self) -> int:
        """Tokens of text that fit in one window, beside the prompt and special tokens."""
        return self.fingerprint.max_tokens

    def token_offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Find the tokens of each text.

        Returns:
            For each text the (start, end) of each token in code points, without special tokens.
        """
        if not texts:
            return []
        with self.lock:
            encoded = self.tokenizer(
                [_well_formed(text) for text in texts],
                add_special_tokens=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                return_offsets_mapping=True,
                verbose=False,
            )
        return [[(start, end) for start, end in row] for row in encoded["offset_mapping"]]

    def encode_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed passages, with the passage prompt. See ``encode``."""
        return self._encode(texts, self.fingerprint.passage_prompt, progress)

    def encode_questions(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed questions, with the question prompt. See ``encode``."""
        return self._encode(texts, self.fingerprint.question_prompt, progress)

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed texts as they are, without a prompt.

        Args:
            texts: Texts of any length.
            progress: Called with ("embed", texts done, texts in all) after each batch.

        Returns:
            Unit vectors in the order of the texts.

        Raises:
            InvalidArgument: A text is blank; the message and ``details["position"]`` give its
                1-based position.
        """
        return self._encode(texts, "", progress)

    def _encode(self, texts: Sequence[str], prompt: str, progress: Progress | None) -> Vectors:
        for position, text in enumerate(texts, start=1):
            if not text.strip():
                raise InvalidArgument(f"Text {position} is empty.", position=position)
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        for start in range(0, len(texts), BLOCK_TEXTS):
            block = texts[start : start + BLOCK_TEXTS]
            done = start
            windows = self._windows(block, prompt)
            # Windows left to embed, of each text; progress counts texts, not windows.
            waiting = np.bincount([window.text for window in windows], minlength=len(block))
            for batch in _batches(windows):
                outputs = self._forward([window.ids for window in batch])
                for window, output in zip(batch, _unit(outputs), strict=True):
                    vectors[start + window.text] += window.weight * output
                    waiting[window.text] -= 1
                    done += waiting[window.text] == 0
                if progress is not None:
                    progress("embed", int(done), len(texts))
        return np.ascontiguousarray(_unit(vectors))

    def _windows(self, texts: Sequence[str], prompt: str) -> list[_Window]:
        """Tokenise texts, and split what is longer than the model's window."""
        room = self._pipeline.window - len(self._first) - len(self._last)
        windows = []
        for number, ids in enumerate(self._ids([prompt + text for text in texts])):
            if len(ids) <= room:
                windows.append(_Window(number, [*self._first, *ids, *self._last], 1))
                continue
            head = self._prompt_ids(prompt)
            if ids[: len(head)] != head:
                head = []  # Joined to the text in a token: the prompt counts as text.
            content = ids[len(head) :]
            step = room - len(head)
            for start in range(0, len(content), step):
                part = content[start : start + step]
                windows.append(
                    _Window(number, [*self._first, *head, *part, *self._last], len(part))
                )
        return windows

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts, without special tokens, never cut."""
        with self.lock:
            encoded = self.tokenizer(
                [_well_formed(text) for text in texts],
                add_special_tokens=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def _prompt_ids(self, prompt: str) -> list[int]:
        # The space at a prompt's end belongs to the first token of the text that follows.
        return self._ids([prompt.rstrip()])[0] if prompt else []

    def _special_ids(self) -> tuple[list[int], list[int]]:
        """Ids that the model wants before and after a text."""
        with self.lock:
            encoded = self.tokenizer("a", return_special_tokens_mask=True)
        ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
        first = special.index(0)
        last = len(special) - special[::-1].index(0)
        return ids[:first], ids[last:]

    def _forward(self, rows: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """Run the model on one batch of token ids."""
        with torch.inference_mode():
            output = self._pipeline(rows).numpy()
        if not np.isfinite(output).all():
            raise ModelInvalid("The embedding model gave vectors that are not finite numbers.")
        return np.asarray(output, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Window:
    """What the model sees at once: a whole text, or a part of a long one."""

    text: int
    ids: list[int]
    weight: int


def _batches(windows: Sequence[_Window]) -> Iterator[list[_Window]]:
    """Batch windows of similar length, longest first: a lack of memory shows at once."""
    batch: list[_Window] = []
    for window in sorted(windows, key=lambda window: len(window.ids), reverse=True):
        if batch and (len(batch) + 1) * len(batch[0].ids) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def _well_formed(text: str) -> str:
    """Replace lone surrogates, which no tokenizer takes; the length stays the same."""
    return _SURROGATES.sub("\ufffd", text)


class _PackedPipeline:
    """A transformer with mean or [CLS] pooling, on texts laid end to end."""

    def __init__(self, bert: Bert, body: Path, pooling: _Pooling, dtype: torch.dtype) -> None:
        self._pooling = pooling
        self._packed = PackedEncoder(bert, dtype)
        self.encoder = bert
        self.tokenizer = _load_tokenizer(body)
        self.window = _window(body, self.tokenizer.model_max_length)

    def __call__(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        texts = torch.split(self._packed(ids), [len(row) for row in ids])
        if self._pooling == "cls":
            return torch.stack([states[0] for states in texts])
        return torch.stack([states.mean(0) for states in texts])


class _TransformerPipeline:
    """A transformer with mean or [CLS] pooling, on padded batches."""

    def __init__(self, body: Path, pooling: _Pooling, dtype: torch.dtype) -> None:
        self._pooling = pooling
        self._dtype = dtype
        self.encoder = _load_encoder(body)
        self.tokenizer = _load_tokenizer(body)
        self.window = _window(body, self.tokenizer.model_max_length)

    def __call__(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        inputs = _padded(ids, self.tokenizer)
        with _products_in(self._dtype, ids):
            states: torch.Tensor = self.encoder(**inputs)[0].float()
        mask = inputs["attention_mask"].unsqueeze(-1).to(states.dtype)
        means = (states * mask).sum(1) / mask.sum(1)
        return states[:, 0] if self._pooling == "cls" else means


class _LibraryPipeline:
    """Any other model, by the sentence-transformers library."""

    def __init__(self, directory: Path, dtype: torch.dtype) -> None:
        from sentence_transformers import SentenceTransformer

        with quiet_transformers():
            self._model = SentenceTransformer(
                str(directory),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            ).eval()
        encoder = getattr(self._model[0], "auto_model", None)
        if not isinstance(encoder, torch.nn.Module):
            raise ModelInvalid(f"{directory} is not a transformer that embeds text.")
        self._dtype = dtype
        self.encoder: torch.nn.Module = encoder
        self.tokenizer: PreTrainedTokenizerBase = self._model.tokenizer
        if any(getattr(module, "include_prompt", True) is False for module in self._model):
            raise ModelInvalid(f"{directory} pools without its prompt, which tanya cannot do.")
        self.window: int = self._model.max_seq_length or _DEFAULT_WINDOW

    def __call__(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        with _products_in(self._dtype, ids):
            outputs: torch.Tensor = self._model(_padded(ids, self.tokenizer))["sentence_embedding"]
        return outputs.float()


def _padded(
    rows: Sequence[Sequence[int]], tokenizer: PreTrainedTokenizerBase
) -> dict[str, torch.Tensor]:
    """Token ids padded to the longest row, with their mask, each (texts, tokens)."""
    length = max(map(len, rows))
    ids = torch.full((len(rows), length), tokenizer.pad_token_id or 0, dtype=torch.int64)
    mask = torch.zeros((len(rows), length), dtype=torch.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row, dtype=torch.int64)
        mask[number, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def _products_in(dtype: torch.dtype, ids: Sequence[Sequence[int]]) -> torch.autocast:
    """Let the products of a batch be computed in a type.

    The weights are converted anew for each batch, which takes longer than it saves in a short one.
    """
    reduced = dtype is torch.bfloat16 and sum(map(len, ids)) >= _WORTH_CONVERTING
    return torch.autocast("cpu", torch.bfloat16, enabled=reduced)


def _load_pipeline(directory: Path, dtype: torch.dtype) -> _Pipeline:
    found = modules(directory)
    kinds = [kind for kind, _ in found]
    body = found[0][1] if found else directory
    pooling: _Pooling | None = None if found else "mean"
    usual = kinds[:2] == ["Transformer", "Pooling"] and set(kinds[2:]) <= {"Normalize"}
    if usual and not _body_settings(body).get("do_lower_case"):
        pooling = _simple_pooling(read_json(found[1][1] / "config.json"))
    try:
        bert = Bert.read(body) if pooling else None
        pipeline: _Pipeline
        if pooling and bert:
            pipeline = _PackedPipeline(bert, body, pooling, dtype)
        elif pooling:
            pipeline = _TransformerPipeline(body, pooling, dtype)
        else:
            pipeline = _LibraryPipeline(directory, dtype)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelInvalid(f"{directory} cannot be loaded as an embedder: {error}") from error
    if not pipeline.tokenizer.is_fast:
        raise ModelInvalid(f"{directory} has no fast tokenizer, so no offsets.")
    return pipeline


def _body_settings(body: Path) -> dict[str, Any]:
    """Read what sentence-transformers keeps about its transformer; empty where it keeps nothing."""
    path = body / "sentence_bert_config.json"
    settings: dict[str, Any] = read_json(path) if path.is_file() else {}
    return settings


def _simple_pooling(config: Any) -> _Pooling | None:
    """Name the pooling if it is one of those that run without the library."""
    if config.get("include_prompt", True) is not True:
        return None
    mode = config.get("pooling_mode")
    if mode is None:  # As versions before 5.4 wrote it: one flag for each kind.
        chosen = [name for name, value in config.items() if "pooling_mode_" in name and value]
        mode = _POOLING_FLAGS.get(chosen[0]) if len(chosen) == 1 else None
    return mode if mode in ("mean", "cls") else None


def _load_encoder(body: Path) -> Any:
    with quiet_transformers():
        from transformers import AutoModel

        model, report = AutoModel.from_pretrained(
            body,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    # Pooling works on the last layer's states: a model's own pooler is not used, and may be absent.
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise ModelInvalid(f"{body} lacks weights: {', '.join(missing[:3])} ...", missing=missing)
    return model.eval()


def _load_tokenizer(body: Path) -> PreTrainedTokenizerBase:
    with quiet_transformers():
        from transformers import AutoTokenizer

        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            body, local_files_only=True, trust_remote_code=False, use_fast=True
        )
    return tokenizer


def _window(body: Path, tokenizer_limit: int) -> int:
    """Tokens that the model sees at once, special tokens counted."""
    config = read_json(body / "config.json")
    limits = [tokenizer_limit]
    limits.append(_body_settings(body).get("max_seq_length") or _NO_LIMIT)
    positions = config.get("max_position_embeddings")
    if positions:
        # RoBERTa and its kin number positions from the padding id on.
        numbered_from_padding = "roberta" in config.get("model_type", "")
        offset = (config.get("pad_token_id", 1) or 0) + 1 if numbered_from_padding else 0
        limits.append(positions - offset)
    shortest = min(limits)
    return shortest if shortest < _NO_LIMIT else _DEFAULT_WINDOW
