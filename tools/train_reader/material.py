"""What a run reads: the examples of each kind, how they are varied, and batches of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from .asked import read_asked
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
from .features import Group, Window, make_windows, plan_batches, thin_windows
from .office import foreign_negatives, office_split, read_office, sibling_negatives
from .settings import Settings, log


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
        asked = read_asked(source, kept)
        made = {
            "asked": [example for example in asked if example.answerable],
            "absent": [example for example in asked if not example.answerable],
            "retrieved": retrieved_negatives([*kept, *asked], index, rng),
        }
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

    `made` holds what takes more than the examples to make.
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
    ("id", "answerable"): 4500,
    ("id", "unanswerable"): 4000,
    ("id", "asked"): 2000,
    ("id", "absent"): 2000,
    ("id", "retrieved"): 700,
    ("id", "removed"): 400,
    ("en", "answerable"): 6000,
    ("en", "unanswerable"): 2500,
    ("en", "asked"): 4000,
    ("en", "absent"): 7000,
    ("en", "retrieved"): 800,
    ("en", "removed"): 700,
    ("en", "swapped"): 700,
    ("office", "answerable"): 9000,
    ("office", "unanswerable"): 4500,
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

These gaps were measured before `asked` brought English questions that almost fit. With them the
English margins came out some 1.5 lower than the Indonesian ones: a next run wants less than 7.
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
    # The neighbours of an office text are other organisations', whose rules may answer as well; so
    # may those of a text that people found not to answer.
    known = example.answerable or example.absent
    near = neighbours.get(example.context, []) if known and not office else []
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
