"""The training tool: negatives, windows, the fast encoder against PEFT, resuming, calibration."""

from __future__ import annotations

import json
import math
import random
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

TOOLS = Path(__file__).parents[2] / "tools"
if not (TOOLS / "train_reader").is_dir():
    pytest.skip("tools/ is not part of the installed package", allow_module_level=True)
pytest.importorskip("sklearn")
sys.path.insert(0, str(TOOLS))

from train_reader import asked, office  # noqa: E402
from train_reader import examples as ex  # noqa: E402
from train_reader.encoder import SpanReader  # noqa: E402
from train_reader.export import export_adapter, merged_reader, mixed  # noqa: E402
from train_reader.features import (  # noqa: E402
    Group,
    Window,
    collate,
    make_windows,
    padded_length,
    plan_batches,
)
from train_reader.material import (  # noqa: E402
    Material,
    by_question,
    grouped,
    varied,
    with_rivals,
)
from train_reader.scoring import (  # noqa: E402
    Scored,
    best_spans,
    expected_calibration_error,
    fit_calibration,
    squad_scores,
)
from train_reader.settings import Settings  # noqa: E402
from train_reader.training import Run, span_loss, train  # noqa: E402

PLACES = ["bandung", "bogor", "medan", "padang", "solo", "tegal", "garut", "kudus"]
TEXTS = [
    f"Pabrik {number} berdiri di {place}. Luasnya {number}0 hektare. Hasilnya teh dan kopi."
    for number, place in enumerate(PLACES, start=1)
]


def question(number: int) -> ex.Example:
    text, place = TEXTS[number], PLACES[number]
    return ex.Example(
        id=f"q{number}",
        source="id",
        question=f"Di mana Pabrik {number + 1} berdiri?",
        context=text,
        title="Pabrik",
        answers=((place, text.index(place)),),
    )


QUESTIONS = [question(number) for number in range(len(TEXTS))]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a tiny random encoder with a word tokenizer."""
    directory = tmp_path_factory.mktemp("base")
    words = sorted(
        set(" ".join(TEXTS + [q.question for q in QUESTIONS]).replace(".", " . ").split())
    )
    names = ["<s>", "<pad>", "</s>", "<unk>", "?", *words]
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(names)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(directory)
    torch.manual_seed(3)
    BertModel(
        BertConfig(
            vocab_size=len(names),
            hidden_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=96,
        ),
        add_pooling_layer=False,
    ).save_pretrained(directory)
    return directory


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Directory of training and validation files in both languages."""
    for language in ("id", "en"):
        for split, part in (("train", QUESTIONS[:6]), ("valid", QUESTIONS[6:])):
            with (tmp_path / f"{language}.{split}.jsonl").open("w", encoding="utf-8") as file:
                for q in part:
                    answers = [{"text": text, "start": start} for text, start in q.answers]
                    row = {"id": q.id, "question": q.question, "context": q.context}
                    print(json.dumps(row | {"title": "", "answers": answers}), file=file)
    return tmp_path


def settings(data: Path, base: Path, run: Path) -> Settings:
    return Settings(
        data=str(data),
        base=str(base),
        run=str(run),
        steps=6,
        rank=2,
        alpha=4.0,
        first_adapted=1,
        token_budget=256,
        max_length=64,
        stride=8,
        warmup_steps=2,
        validate_every=100,
        checkpoint_seconds=0.0,
    )


def test_retrieved_negatives_never_hold_the_answer() -> None:
    index = ex.ContextIndex(TEXTS * 2)
    made = ex.retrieved_negatives(QUESTIONS, index, random.Random(0))
    assert made
    for example in made:
        asked = QUESTIONS[int(example.id[1])]
        assert not example.answerable
        assert asked.answers[0][0] not in example.context


def test_removing_the_answer_removes_its_sentence_only() -> None:
    (made,) = ex.answer_removed(QUESTIONS[:1])
    assert made.context == "Luasnya 10 hektare. Hasilnya teh dan kopi."
    assert made.answers == ()


def test_reshaped_passages_keep_the_answer_where_it_says() -> None:
    rng = random.Random(1)
    for q in QUESTIONS * 20:
        shaped = ex.passage_shaped(q, TEXTS[:2], rng, max_chars=rng.randint(30, 200))
        for text, start in shaped.answers:
            assert shaped.context[start : start + len(text)] == text
        assert shaped.answerable


@pytest.mark.parametrize("seed", range(20))
def test_other_numbers_keep_the_answer_and_what_is_no_quantity(seed: int) -> None:
    text = "Pasal 7: dua belas hari, Rp75.000 per hari sampai pukul 08.30 (SK-045/2024), Rp75.000."
    answer = "Rp75.000 per hari"
    example = replace(
        QUESTIONS[0],
        question="Kalau dua belas hari, berapa? Rp75.000?",
        context=text,
        answers=((answer, text.index(answer)),),
    )
    made = ex.renumbered(example, random.Random(seed))
    form = (
        r"Pasal 7: (\w+) belas hari, Rp(\d\d\.000) per hari sampai pukul (\d\d)\.(\d\d) "
        r"\(SK-045/2024\), Rp\2\."
    )
    words, rupiah, hour, minute = re.fullmatch(form, made.context).groups()
    assert made.question == f"Kalau {words} belas hari, berapa? Rp{rupiah}?"
    assert made.answers == ((f"Rp{rupiah} per hari", made.context.index("Rp")),)
    assert int(hour) < 24
    assert int(minute) < 60


def test_a_heading_moves_the_answer() -> None:
    headed = ex.under_heading(QUESTIONS[0])
    assert headed.context == f"Pabrik\n{TEXTS[0]}"
    ((text, start),) = headed.answers
    assert headed.context[start : start + len(text)] == text


OFFICE = """### kantor-02.1 | id
@ BAB II > Cuti
<<<
Cuti tahunan 12 hari kerja.
Cuti besar 30 hari kalender.
Cuti haid dua hari.
>>>
? Berapa lama cuti tahunan? | libur setahun berapa hari
! tahunan [[12 hari kerja]]
x Berapa lama cuti sakit?
"""


def test_office_texts_are_read_and_split(tmp_path: Path) -> None:
    (tmp_path / "staff").mkdir()
    (tmp_path / "staff" / "kantor.txt").write_text(OFFICE, encoding="utf-8")
    (passage,) = office.read_office(tmp_path)
    assert passage.domain == "staff"
    assert passage.heading == "BAB II > Cuti"
    assert passage.text[passage.facts[0].start : passage.facts[0].end] == "12 hari kerja"
    eleventh, alone = replace(passage, slug="gudang-11.1"), replace(passage, slug="kantor-cuti-1")
    train, held_out = office.office_split([passage, eleventh, alone])
    assert [example.answerable for example in train] == [True, True, False] * 2
    assert {example.id.split("-")[0] for example in held_out} == {"staff/gudang"}
    assert held_out[-1].context == "Cuti besar 30 hari kalender.\nCuti haid dua hari."


def leave_rule(id: str, answer: str) -> ex.Example:
    text = f"Cuti tahunan pegawai {id} lamanya {answer}."
    answers = ((answer, text.index(answer)),)
    return ex.Example(f"{id}-0.0", "office", "Cuti tahunan berapa?", text, "", answers)


def test_other_passages_of_a_document_are_negatives() -> None:
    first = leave_rule("staff/kantor-02.1", "dua belas hari")
    second = leave_rule("staff/kantor-02.2", "sebulan")
    same = leave_rule("staff/kantor-02.3", "dua belas hari")
    other = leave_rule("staff/gudang-02.1", "seminggu")
    made = office.sibling_negatives([first, second, same, other], random.Random(0), per_question=5)
    assert not any(example.answerable for example in made)
    assert {(x.id.split("-0.0")[0], x.context) for x in made} == {
        ("staff/kantor-02.1", second.context),
        ("staff/kantor-02.2", first.context),
        ("staff/kantor-02.2", same.context),
        ("staff/kantor-02.3", second.context),
    }


def test_foreign_negatives_come_from_another_domain() -> None:
    rules = {
        name: [leave_rule(f"{name}/firma-{n:02}.1", f"{n} {name}") for n in range(10)]
        for name in ("staff", "sales", office.MIXED)
    }
    made = office.foreign_negatives([x for part in rules.values() for x in part], random.Random(0))
    contexts = {name: {x.context for x in part} for name, part in rules.items()}
    assert {office.domain(example) for example in made} == {"staff", "sales"}
    for example in made:
        other = "sales" if office.domain(example) == "staff" else "staff"
        assert example.context in contexts[other]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("[[12 hari kerja]]", "12 hari kerja", r"no \[\[answer"),
        ("tahunan [[12", "[[13", "occurs 0 times"),
        ("! tahunan [[12 hari kerja]]\n", "", "no answer to"),
        ("| id", "| fr", "not in form"),
        ("x Berapa", "z Berapa", "neither question nor answer"),
    ],
)
def test_office_texts_out_of_form_are_refused(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    (tmp_path / "kantor.txt").write_text(OFFICE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(office.OfficeError, match=complaint):
        office.read_office(tmp_path)


def test_a_negative_is_not_joined_with_its_answer() -> None:
    (made,) = ex.answer_removed(QUESTIONS[:1])
    for seed in range(20):
        shaped = ex.passage_shaped(made, [TEXTS[0]], random.Random(seed), max_chars=500)
        assert PLACES[0] not in shaped.context


def test_what_a_text_does_not_answer_is_not_asked_of_its_neighbours() -> None:
    unanswerable = replace(QUESTIONS[0], answers=())
    near = {TEXTS[0]: [TEXTS[1]]}
    seen = [varied(unanswerable, near, random.Random(seed)).context for seed in range(60)]
    assert not any(PLACES[1] in context for context in seen)
    seen = [varied(QUESTIONS[0], near, random.Random(seed)).context for seed in range(60)]
    assert any(PLACES[1] in context for context in seen)


def write_asked(directory: Path, row: dict) -> Path:
    (directory / "id.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    return directory


def test_questions_written_about_known_contexts_are_read(tmp_path: Path) -> None:
    about, text = QUESTIONS[0], TEXTS[0]
    start = text.index("teh")
    row = {
        "about": about.id,
        "length": len(text),
        "answered": [[["Apa hasilnya?", "hasil pabrik"], start, start + 3]],
        "absent": ["Siapa pemiliknya?"],
    }
    written = asked.read_asked("id", QUESTIONS, write_asked(tmp_path, row))
    assert [(x.question, x.answers) for x in written] == [
        ("Apa hasilnya?", (("teh", start),)),
        ("hasil pabrik", (("teh", start),)),
        ("Siapa pemiliknya?", ()),
    ]
    assert {(x.context, x.title, x.source) for x in written} == {(text, about.title, "id")}
    assert asked.read_asked("id", QUESTIONS[1:], tmp_path) == []
    write_asked(tmp_path, {**row, "length": len(text) + 1})
    with pytest.raises(ValueError, match="not the one"):
        asked.read_asked("id", QUESTIONS, tmp_path)


@pytest.mark.parametrize("source", ["id", "en"])
def test_the_written_questions_have_their_contexts_and_answers(source: str) -> None:
    data = TOOLS.parents[1] / "shared" / "data" / "qa" / f"{source}.train.jsonl"
    if not data.is_file():
        pytest.skip(f"{data.name} is not beside the checkout")
    examples = ex.read_examples(data, source)
    lines = (asked.ASKED / f"{source}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert {row["about"] for row in rows} <= {example.id for example in examples}
    for written in asked.read_asked(source, examples):
        for answer, _ in written.answers:
            assert answer == answer.strip() != ""


def test_overlap_with_held_out_contexts_is_dropped() -> None:
    long = " ".join(f"kata{i}" for i in range(30))
    held = replace(QUESTIONS[0], context=f"Awal lain. {long}")
    same = replace(QUESTIONS[1], context=f"{long} dan akhir lain.", title="")
    other = replace(QUESTIONS[2], title="")
    assert ex.without_overlap([same, other], [replace(held, title="")]) == [other]


def test_windows_point_at_the_answer(base: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(base)
    windows = make_windows(QUESTIONS, tokenizer, 64, 8, keep_offsets=True)
    for window in windows:
        begin, stop = window.offsets[window.start][0], window.offsets[window.end][1]
        assert QUESTIONS[window.example].context[begin:stop] == PLACES[window.example]


def test_batches_hold_every_group_once_within_the_budget() -> None:
    rng = random.Random(2)
    sizes = [(rng.randint(1, 3), rng.randint(5, 90)) for _ in range(200)]
    plan = plan_batches(sizes, 512, rng)
    assert sorted(n for batch in plan for n in batch) == list(range(200))
    for batch in plan:
        rows, lengths = zip(*(sizes[number] for number in batch), strict=True)
        assert padded_length(max(lengths)) * sum(rows) <= 512


def window(length: int, start: int = 0, end: int = 0, handicap: float = 0.0) -> Window:
    ids = np.arange(length, dtype=np.int32)
    return Window(ids, 3, length - 2, start, end, example=0, handicap=handicap)


def test_alone_a_window_is_learned_by_cross_entropy_with_no_answer() -> None:
    windows = [window(12, 5, 6), window(9), window(16, 3, 14)]
    batch = collate(windows, 0)
    logits = torch.randn(3, 16, 2, generator=torch.Generator().manual_seed(3))
    losses = []
    for row, one in enumerate(windows):
        tokens = [0, *range(one.first, one.last + 1)]
        for column, gold in enumerate((one.start, one.end)):
            target = torch.tensor(tokens.index(gold))
            losses.append(cross_entropy(logits[row, tokens, column], target))
    torch.testing.assert_close(span_loss(logits, batch, [1, 1, 1]), torch.stack(losses).mean())


def test_passages_of_a_question_compete() -> None:
    batch = collate([window(12, 5, 6), window(9)], 0)
    logits = torch.zeros(2, 16, 2)
    together = [span_loss(logits, batch, [2])]
    logits[1, 4] = 2.0
    together.append(span_loss(logits, batch, [2]))
    # Only what is left when each row's "no answer" is taken off counts.
    together.append(span_loss(logits + torch.tensor([3.0, -5.0])[:, None, None], batch, [2]))
    # 8 tokens of the one, 5 of the other, and "no answer".
    assert together[0].item() == pytest.approx(math.log(14))
    assert together[1].item() == pytest.approx(math.log(13 + math.exp(2)))
    assert together[2].item() == pytest.approx(together[1].item(), rel=1e-5)


def test_of_windows_that_overlap_on_the_answer_one_is_in_each_group() -> None:
    first, second, other = window(12, 5, 6), window(12, 4, 5), window(9)
    assert grouped([first, second, other]) == [(first, other), (second,)]
    assert grouped([other, other]) == [(other, other)]
    assert grouped([]) == []


def test_rivals_are_asked_the_same_question() -> None:
    asked = leave_rule("staff/kantor-02.1", "dua belas hari")
    others = [leave_rule(f"staff/kantor-02.{n}", f"{n} hari") for n in (2, 3)]
    rivals = by_question(office.sibling_negatives([asked, *others], random.Random(0)))
    material = Material([], {}, rivals)
    together = [with_rivals(asked, material, random.Random(n)) for n in range(40)]
    assert {len(part) for part in together} == {1, 2, 3}
    for first, *rest in together:
        assert first.answerable
        assert not any(rival.answerable for rival in rest)
        assert {rival.question for rival in rest} <= {first.question}


def test_gradients_match_plain_autograd(base: Path) -> None:
    encoder = BertModel.from_pretrained(base, add_pooling_layer=False)
    reader = SpanReader(encoder, rank=2, alpha=4.0, first_adapted=1)
    linear = reader.layers[1].query
    torch.nn.init.normal_(linear.up)
    x = torch.randn(5, 7, 16, dtype=torch.bfloat16)
    linear(x).float().square().sum().backward()
    down, up = (p.detach().clone().requires_grad_() for p in (linear.down, linear.up))
    weight = linear.weight + linear.scale * up @ down
    (x.float() @ weight.t() + linear.bias.float()).square().sum().backward()
    for ours, plain in ((linear.down.grad, down.grad), (linear.up.grad, up.grad)):
        assert torch.nn.functional.cosine_similarity(ours.ravel(), plain.ravel(), 0) > 0.999


def test_a_killed_run_resumes_exactly_and_its_export_loads_in_peft(
    data: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    whole = settings(data, base, tmp_path / "whole")
    train(whole)
    cut = replace(whole, run=str(tmp_path / "cut"))
    learn = Run.learn

    def learn_until_killed(run: Run, groups: list[Group], rate: float) -> float:
        if run.step == 3:
            raise KeyboardInterrupt
        return learn(run, groups, rate)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Run, "learn", learn_until_killed)
        train(cut)
    train(cut)
    weights = torch.load(Path(whole.run) / "checkpoint.pt", weights_only=True)["parameters"]
    resumed = torch.load(Path(cut.run) / "checkpoint.pt", weights_only=True)
    assert resumed["step"] == 6
    for name, tensor in weights.items():
        assert torch.equal(tensor, resumed["parameters"][name])
    export_adapter(Path(whole.run), tmp_path / "adapter", "parameters")
    assert any(bool(tensor.any()) for name, tensor in weights.items() if name.endswith("up"))

    encoder = BertModel.from_pretrained(base, add_pooling_layer=False)
    reader = SpanReader(encoder, whole.rank, whole.alpha, whole.first_adapted)
    for name, parameter in reader.trainable().items():
        parameter.data.copy_(weights[name])
    tokenizer = PreTrainedTokenizerFast.from_pretrained(base)
    batch = collate(make_windows(QUESTIONS, tokenizer, 64, 8, keep_offsets=False), 1)
    with torch.inference_mode():
        ours = reader(batch.ids, batch.keep)
        merged = merged_reader(str(base), tmp_path / "adapter")(batch.ids, batch.keep)
    assert torch.allclose(ours[batch.keep], merged[batch.keep], atol=0.03)

    again = SpanReader(
        BertModel.from_pretrained(base, add_pooling_layer=False),
        whole.rank,
        whole.alpha,
        whole.first_adapted,
    )
    again.load_adapter(tmp_path / "adapter")
    for name, parameter in again.trainable().items():
        assert torch.equal(parameter, weights[name].half().float())

    out = tmp_path / "mixed"
    export_adapter(Path(whole.run), out, "parameters", tmp_path / "adapter", share=1.0)
    with torch.inference_mode():
        same = merged_reader(str(base), out)(batch.ids, batch.keep)
    assert torch.allclose(same, merged, atol=0.01)


def test_an_earlier_checkpoint_is_mixed_in() -> None:
    generator = torch.Generator().manual_seed(4)
    shapes = {"layers.1.query.down": (3, 8), "layers.1.query.up": (8, 3), "head.bias": (2,)}
    new, old = ({n: torch.randn(s, generator=generator) for n, s in shapes.items()} for _ in "no")

    def added(weights: dict[str, torch.Tensor]) -> torch.Tensor:
        return weights["layers.1.query.up"] @ weights["layers.1.query.down"]

    for share, same in ((0.0, new), (1.0, old)):
        assert torch.allclose(added(mixed(new, old, share)), added(same), atol=1e-4)
    half = mixed(new, old, 0.5)
    assert {name: tensor.shape for name, tensor in half.items()} == {
        name: torch.Size(shape) for name, shape in shapes.items()
    }
    mean = (added(new) + added(old)) / 2
    rest = float(torch.linalg.svdvals(mean)[3:].square().sum().sqrt())
    assert float(torch.dist(added(half), mean)) == pytest.approx(rest, abs=1e-4)
    assert torch.allclose(half["head.bias"], (new["head.bias"] + old["head.bias"]) / 2)


def test_best_spans_and_scores(base: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(base)
    windows = make_windows(QUESTIONS, tokenizer, 64, 8, keep_offsets=True)
    answers = {tuple(w.ids): (w.start, w.end) for w in windows}

    def oracle(ids: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(*ids.shape, 2)
        for row in range(len(ids)):
            start, end = answers[tuple(ids[row][keep[row]].numpy())]
            logits[row, start, 0] = logits[row, end, 1] = 4.0
        return logits

    scored = best_spans(oracle, QUESTIONS, windows, pad_id=1)
    assert scored.margin.tolist() == [8.0] * len(QUESTIONS)
    assert squad_scores(scored, 0.0)["em"] == 100
    assert squad_scores(scored, 9.0)["em"] == 0


def test_calibration_recovers_the_chances_it_was_drawn_from() -> None:
    rng = np.random.default_rng(5)
    margin = rng.normal(1, 4, size=20_000)
    right = rng.random(len(margin)) < 1 / (1 + np.exp(-(margin - 1.5) / 2.0))
    scored = Scored(margin, right, right.astype(float), right.astype(float))
    fitted = fit_calibration([scored])
    assert fitted.temperature == pytest.approx(2.0, abs=0.1)
    assert fitted.bias == pytest.approx(1.5, abs=0.1)
    assert expected_calibration_error(fitted.score(margin), right) < 0.01
