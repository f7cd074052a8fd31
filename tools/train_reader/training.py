"""The training loop: loss, optimiser, schedule, validation, checkpoints."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, BertModel, PreTrainedTokenizerBase

from .encoder import SpanReader
from .features import Batch, Group, collate, make_windows
from .material import batch_stream, read_material, validation_examples
from .parallel import GradientTeam
from .scoring import NEVER, best_spans, squad_scores
from .settings import Settings, log


@dataclass
class Schedule:
    """How far the run has come, by steps or by the clock, whichever is further."""

    settings: Settings
    first_step: int

    def __post_init__(self) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    def progress(self, step: int) -> float:
        """Return the part of the run that is done, 0 to 1."""
        done = step / self.settings.steps
        if self.settings.minutes <= 0:
            return done
        before = self.first_step / self.settings.steps
        elapsed = (time.monotonic() - self._began) / 60 / self.settings.minutes
        return max(done, before + (1 - before) * elapsed)

    def rate(self, step: int) -> float:
        """Return the learning rate: linear warm-up, plateau, linear decay to zero at the end."""
        warm = (step + 1) / self.settings.warmup_steps
        cool = (1 - self.progress(step)) / self.settings.decay_fraction
        return self.settings.learning_rate * max(0.0, min(1.0, warm, cool))


def span_loss(logits: torch.Tensor, batch: Batch, sizes: Sequence[int]) -> torch.Tensor:
    """Return the mean over the groups of the cross-entropy of start and end.

    `logits` are (rows, length, 2) and `sizes` the rows of each group, which follow one another. A
    group has one softmax: over the context's tokens of all its rows, each measured against the CLS
    token of its row, and over "no answer", which is 0 in all of them.
    """
    # Half of the handicap on starts, half on ends.
    margins = logits - logits[:, :1] + (batch.handicap / 2)[:, None, None]
    margins = margins.masked_fill(~batch.context[..., None], NEVER)
    places = torch.stack([batch.start, batch.end], 1)[:, None]
    gold = margins.gather(1, places)[:, 0].masked_fill(batch.start[:, None] == 0, 0.0)
    nothing = logits.new_zeros(1, 2)
    reach = margins.logsumexp(1).split(list(sizes))
    total = torch.stack([torch.cat([nothing, rows]).logsumexp(0) for rows in reach])
    return (total.sum() - gold.sum()) / (2 * len(sizes))


VALIDATION_QUESTIONS = 800
"""At most this many questions per source are asked during the training."""


class Validator:
    """Scores a reader on the validation questions of each source."""

    def __init__(self, settings: Settings, tokenizer: PreTrainedTokenizerBase) -> None:
        """Read and tokenise some validation questions of each source."""
        self._sets = {}
        self._pad_id = tokenizer.pad_token_id
        for source in ("id", "en", "office"):
            examples = validation_examples(settings.data, source)
            examples = examples[:: -(-len(examples) // VALIDATION_QUESTIONS)]
            windows = make_windows(examples, tokenizer, settings.max_length, settings.stride, True)
            self._sets[source] = (examples, windows)

    def scores(self, reader: SpanReader) -> dict[str, dict[str, float]]:
        """Return rounded SQuAD scores at margin 0 per source."""
        rows = {}
        reader.eval()
        for source, (examples, windows) in self._sets.items():
            scored = best_spans(reader, examples, windows, self._pad_id)
            rows[source] = {k: round(v, 2) for k, v in squad_scores(scored, 0.0).items()}
        reader.train()
        return rows


def save_checkpoint(path: Path, state: dict) -> None:
    """Write `state` so that a kill at any moment leaves the old or the new file, never half."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


class Run:
    """Parameters, their moving average and the optimiser, saved and restored as one."""

    def __init__(self, settings: Settings, reader: SpanReader, pad_id: int) -> None:
        """Prepare a new run, or restore the one whose checkpoint is in the run's directory."""
        self.settings = settings
        self.reader = reader
        self._pad_id = pad_id
        if settings.adapter:
            reader.load_adapter(Path(settings.adapter))
        self.parameters = reader.trainable()
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.step = 0
        self.tokens = 0
        self._file = Path(settings.run) / "checkpoint.pt"
        if self._file.exists():
            self._restore(torch.load(self._file, weights_only=True))
        self._team = GradientTeam(self.parameters, self._loss_of, settings.processes)

    def _loss_of(self, groups: Sequence[Group]) -> torch.Tensor:
        batch = collate([window for group in groups for window in group], self._pad_id)
        logits = self.reader(batch.ids, batch.keep)
        return span_loss(logits, batch, [len(group) for group in groups])

    def _restore(self, state: dict[str, Any]) -> None:
        for name, parameter in self.parameters.items():
            parameter.data.copy_(state["parameters"][name])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        self.step, self.tokens = state["step"], state["tokens"]

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "parameters": {name: p.detach() for name, p in self.parameters.items()},
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "step": self.step,
            "tokens": self.tokens,
            "settings": asdict(self.settings),
        }
        save_checkpoint(self._file, state)

    def learn(self, groups: Sequence[Group], rate: float) -> float:
        """Make one step and return its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._team.backward(groups)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} at step {self.step}")
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.tokens += sum(len(window.ids) for group in groups for window in group)
        # Young averages forget faster, or else the random start would stay in them for long.
        keep = min(self.settings.average_decay, self.step / (self.step + 10))
        for name, parameter in self.parameters.items():
            self.average[name].lerp_(parameter.detach(), 1 - keep)
        return loss


def train(settings: Settings) -> None:
    """Train, or go on from the checkpoint in the run's directory."""
    directory = Path(settings.run)
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(settings), indent=2)
    (directory / "settings.json").write_text(text, encoding="utf-8")
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    tokenizer = AutoTokenizer.from_pretrained(settings.base)
    base = BertModel.from_pretrained(settings.base, dtype=torch.float32, add_pooling_layer=False)
    reader = SpanReader(
        base, settings.rank, settings.alpha, settings.first_adapted, settings.dropout
    )
    run = Run(settings, reader, tokenizer.pad_token_id)
    material = read_material(settings)
    validator = Validator(settings, tokenizer)
    log(settings, {"begins_at": run.step})
    schedule = Schedule(settings, run.step)
    losses: list[float] = []
    saved = reported = time.monotonic()
    tokens = run.tokens
    for groups in batch_stream(material, tokenizer, settings, skip=run.step):
        finished = schedule.progress(run.step) >= 1
        if not finished:
            losses.append(run.learn(groups, schedule.rate(run.step)))
        if run.step % settings.validate_every == 0 or finished:
            # The helpers rest now, and are past the fork that more threads would have disturbed.
            torch.set_num_threads(settings.processes)
            log(settings, {"step": run.step, "valid": validator.scores(reader)})
            torch.set_num_threads(1)
        if time.monotonic() - saved > settings.checkpoint_seconds or finished:
            run.save()
            saved = time.monotonic()
        if finished:
            break
        if run.step % 25 == 0:
            row = {
                "step": run.step,
                "loss": round(float(np.mean(losses[-25:])), 4),
                "rate": round(schedule.rate(run.step), 7),
                "tokens": run.tokens,
                "tokens_per_second": round((run.tokens - tokens) / (time.monotonic() - reported)),
            }
            log(settings, row)
            reported, tokens = time.monotonic(), run.tokens
