"""The training loop: stream of batches, optimiser, schedule, checkpoints."""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, BertModel, PreTrainedTokenizerBase

from .encoder import SpanReader
from .examples import (
    ContextIndex,
    Example,
    answer_removed,
    entity_swapped,
    passage_shaped,
    read_examples,
    renumbered,
    retrieved_negatives,
    under_heading,
    without_overlap,
)
from .features import Batch, Group, Window, collate, make_windows, plan_batches, thin_windows
from .office import foreign_negatives, office_split, read_office, sibling_negatives
from .parallel import GradientTeam
from .scoring import NEVER, best_spans, squad_scores


@dataclass(frozen=True)
class Settings:
    """Everything that decides what a run computes.

    Lengths and budgets are in tokens. `minutes`, when above 0, hurries the schedule on a busy
    machine: the run ends that long after it was started or resumed, however few steps it made.
    `adapter`, where given, is the directory of an exported adapter whose weights a new run begins
    with.
    """

    data: str
    base: str
    run: str
    adapter: str = ""
    steps: int = 2200
    minutes: float = 0.0
    seed: int = 20
    rank: int = 48
    alpha: float = 96.0
    first_adapted: int = 3
    dropout: float = 0.1
    learning_rate: float = 8e-4
    weight_decay: float = 0.01
    warmup_steps: int = 100
    decay_fraction: float = 0.7
    average_decay: float = 0.995
    token_budget: int = 6144
    max_length: int = 384
    stride: int = 96
    processes: int = 2
    checkpoint_seconds: float = 180.0
    validate_every: int = 300


@dataclass(frozen=True)
class Share:
    """Pool of examples of one kind and the number of them that a cycle draws."""

    name: str
    examples: Sequence[Example]
    per_cycle: int


@dataclass(frozen=True)
class Material:
    """What a run learns from.

    `neighbours` holds for a context those to join it with; `rivals` for an example's id the same
    question asked about other contexts, which do not answer it.
    """

    shares: list[Share]
    neighbours: dict[str, list[str]]
    rivals: dict[str, list[Example]]


def read_material(settings: Settings) -> Material:
    """Read the training data and make the negatives."""
    rng = random.Random(settings.seed)
    shares: list[Share] = []
    neighbours: dict[str, list[str]] = {}
    rivals: dict[str, list[Example]] = {}
    for source in ("id", "en"):
        train = read_examples(Path(settings.data) / f"{source}.train.jsonl", source)
        kept = without_overlap(train, validation_examples(settings.data, source))
        log(settings, {"source": source, "read": len(train), "kept": len(kept)})
        index = ContextIndex(list(dict.fromkeys(example.context for example in kept)))
        titled = any(example.title for example in kept)
        neighbours.update(same_title(kept) if titled else alike(index))
        made = {"retrieved": retrieved_negatives(kept, index, rng)}
        rivals.update(by_question(made["retrieved"]))
        shares += shares_of(source, kept, made, settings, rng)
    office, _ = office_split(read_office())
    made = {
        "retrieved": foreign_negatives(office, rng),
        "sibling": sibling_negatives(office, rng),
    }
    rivals.update(by_question(made["sibling"]))
    shares += shares_of("office", office, made, settings, rng)
    return Material(shares, neighbours, rivals)


def by_question(negatives: Sequence[Example]) -> dict[str, list[Example]]:
    """Return the negatives by the id of the example that each was made from."""
    found: dict[str, list[Example]] = {}
    for negative in negatives:
        found.setdefault(negative.id.rpartition("-")[0], []).append(negative)
    return found


def shares_of(
    source: str,
    examples: Sequence[Example],
    made: dict[str, Sequence[Example]],
    settings: Settings,
    rng: random.Random,
) -> list[Share]:
    """Return the shares of one source: its own questions, and the negatives made from them.

    `made` holds those negatives that take more than the examples to make.
    """
    pools = {
        "answerable": [example for example in examples if example.answerable],
        "unanswerable": [example for example in examples if not example.answerable],
        **made,
        "removed": answer_removed(examples),
        "swapped": entity_swapped(examples, rng),
    }
    shares = []
    for name, pool in pools.items():
        per_cycle = min(CYCLE.get((source, name), 0), 2 * len(pool))
        shares.append(Share(f"{source}.{name}", pool, per_cycle))
        log(settings, {"share": f"{source}.{name}", "pool": len(pool), "draw": per_cycle})
    return shares


def validation_examples(data: str | Path, source: str) -> list[Example]:
    """Return a source's validation questions."""
    if source == "office":
        return office_split(read_office())[1]
    return read_examples(Path(data) / f"{source}.valid.jsonl", source)


CYCLE = {
    ("id", "answerable"): 5000,
    ("id", "unanswerable"): 4000,
    ("id", "retrieved"): 700,
    ("id", "removed"): 400,
    ("en", "answerable"): 7500,
    ("en", "unanswerable"): 3400,
    ("en", "retrieved"): 800,
    ("en", "removed"): 1400,
    ("en", "swapped"): 2200,
    ("office", "answerable"): 11000,
    ("office", "unanswerable"): 5000,
    ("office", "retrieved"): 1000,
    ("office", "sibling"): 2000,
    ("office", "removed"): 2000,
}
"""Examples drawn per cycle.

About half of each source's draw is unanswerable. With fewer in English, the margins of the
sources would not mean the same chance, and one calibration could not serve all.
"""


RIVALRY = {"id": 0.25, "en": 0.25, "office": 0.6}
"""Chance that a question is asked of its passage and of rivals at once.

Whoever reads several passages for a question takes the span with the highest margin of all. A
reader that was taught passage by passage need not rank them so; one that was taught with all
spans of all passages under one softmax does (Clark and Gardner, 2018, arXiv:1710.10723).
"""


HANDICAP = {"id": 2.0, "en": 7.0, "office": 0.0}
"""Added to the margins of all spans in training, so that the reader learns margins lower by this.

Most of the English unanswerable questions here are made, and easier than those that people write:
margins learned from them come out too high for the hard ones. This is logit adjustment (Menon et
al., 2021, arXiv:2007.07314), with the gaps between the best thresholds of the validation sets, so
that one threshold and one temperature serve all.
"""


def same_title(examples: Sequence[Example]) -> dict[str, list[str]]:
    """Return for each context those before and after it in its article."""
    by_title: dict[str, list[str]] = {}
    for context, title in dict.fromkeys((e.context, e.title) for e in examples):
        by_title.setdefault(title, []).append(context)
    near: dict[str, list[str]] = {}
    for contexts in by_title.values():
        for i, context in enumerate(contexts):
            near[context] = [c for c in contexts[max(0, i - 1) : i + 2] if c != context]
    return near


def alike(index: ContextIndex) -> dict[str, list[str]]:
    """Return for each context the three most like it, where articles are not known."""
    found = index.nearest(index.contexts, k=4)
    return {
        context: [index.contexts[other] for other in others if other != number]
        for number, (context, others) in enumerate(zip(index.contexts, found, strict=True))
    }


def cycle_groups(
    material: Material, tokenizer: PreTrainedTokenizerBase, settings: Settings, cycle: int
) -> list[Group]:
    """Return the groups of one cycle, a pure function of the seed and the cycle's number."""
    drawn: list[Example] = []
    for share in material.shares:
        order_rng = random.Random(f"{settings.seed}-{share.name}")
        order = list(range(len(share.examples)))
        order_rng.shuffle(order)
        begin = cycle * share.per_cycle
        drawn += [
            share.examples[order[i % len(order)]] for i in range(begin, begin + share.per_cycle)
        ]
    rng = random.Random(f"{settings.seed}-{cycle}")
    asked = [with_rivals(example, material, rng) for example in drawn]
    shaped = [example for together in asked for example in together]
    questions = [number for number, together in enumerate(asked) for _ in together]
    windows = make_windows(shaped, tokenizer, settings.max_length, settings.stride, False)
    by_asked: list[list[Window]] = [[] for _ in asked]
    for window in thin_windows(windows, rng):
        handicap = HANDICAP[shaped[window.example].source]
        by_asked[questions[window.example]].append(replace(window, handicap=handicap))
    return [group for windows in by_asked for group in grouped(windows)]


def with_rivals(example: Example, material: Material, rng: random.Random) -> list[Example]:
    """Return the example, and now and then its question about one or two rivals, all varied."""
    first = varied(example, material.neighbours, rng)
    others = material.rivals.get(example.id, [])
    wanted = rng.randint(1, 2) if rng.random() < RIVALRY[example.source] else 0
    chosen = rng.sample(others, min(wanted, len(others)))
    varied_others = [varied(other, material.neighbours, rng) for other in chosen]
    return [first, *(replace(other, question=first.question) for other in varied_others)]


def grouped(windows: Sequence[Window]) -> list[Group]:
    """Return the windows of one question as groups.

    Windows that overlap and all hold the answer do not compete: each after the first is alone.
    """
    holding = [window for window in windows if window.answers]
    others = [window for window in windows if not window.answers]
    first = (*holding[:1], *others)
    return [group for group in (first, *((window,) for window in holding[1:])) if group]


def varied(example: Example, neighbours: dict[str, list[str]], rng: random.Random) -> Example:
    """Give the example another shape and other numbers every now and then."""
    office = example.source == "office"
    if rng.random() < (0.5 if office else 0.25):
        example = renumbered(example, rng)
    # The neighbours of an office text are other organisations', whose rules may answer as well.
    near = [] if office else neighbours.get(example.context, [])
    shaped = rng.random() < (0.6 if office else 0.35)
    if shaped:
        example = passage_shaped(example, near, rng, rng.randint(500, 1100))
    headed = 0.8 * bool(example.title) if office else 0.4 * shaped
    return under_heading(example) if rng.random() < headed else example


def batch_stream(
    material: Material, tokenizer: PreTrainedTokenizerBase, settings: Settings, skip: int
) -> Iterator[list[Group]]:
    """Yield batches for ever, from batch number `skip` on."""
    cycle, passed = 0, 0
    while True:
        groups = cycle_groups(material, tokenizer, settings, cycle)
        rng = random.Random(f"{settings.seed}-batches-{cycle}")
        sizes = [(len(group), max(len(window.ids) for window in group)) for group in groups]
        plan = plan_batches(sizes, settings.token_budget, rng)
        windows = sum(rows for rows, _ in sizes)
        log(settings, {"cycle": cycle, "windows": windows, "batches": len(plan)})
        for numbers in plan:
            if passed >= skip:
                yield [groups[number] for number in numbers]
            passed += 1
        cycle += 1


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


def log(settings: Settings, row: dict) -> None:
    """Append one JSON line to the run's log and show it."""
    line = json.dumps({"time": time.strftime("%H:%M:%S"), **row}, ensure_ascii=False)
    with (Path(settings.run) / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    print(line, flush=True)


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
