"""The reader's algorithm, on models whose logits are known by construction."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForQuestionAnswering, PreTrainedTokenizerFast

from tanya.errors import InvalidArgument, ModelInvalid, QuestionTooLong
from tanya.reading import (
    _WORD_BOUNDARY,
    Calibration,
    Reader,
    ReaderSettings,
    Request,
    _widen,
    adapt,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
WORDS = ["cuti", "tahunan", "dua", "belas", "hari", "berapa", "kerja", "##an", "##nya", "."]
LETTERS += [str(digit) for digit in range(10)]
VOCABULARY = SPECIAL + WORDS + LETTERS + [f"##{letter}" for letter in LETTERS]


def tokenizer() -> PreTrainedTokenizerFast:
    backend = Tokenizer(
        models.WordPiece({word: i for i, word in enumerate(VOCABULARY)}, unk_token="[UNK]")
    )
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=512,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


UNCALIBRATED = Calibration()


class ByToken(torch.nn.Module):
    """Start and end logits that depend on the token alone."""

    def __init__(self, starts: dict[str, float], ends: dict[str, float], null: float = 0.0) -> None:
        super().__init__()
        self.table = torch.full((len(VOCABULARY), 2), -5.0)
        self.table[VOCABULARY.index("[CLS]")] = null / 2
        for column, logits in enumerate((starts, ends)):
            for token, logit in logits.items():
                self.table[VOCABULARY.index(token), column] = logit

    def forward(self, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.table[inputs["input_ids"]]
        return logits[..., 0], logits[..., 1]


def reader(
    model: torch.nn.Module,
    null_trained: bool = True,
    max_length: int = 384,
    calibration: Calibration = UNCALIBRATED,
) -> Reader:
    settings = ReaderSettings(
        "test",
        null_trained=null_trained,
        max_length=max_length,
        stride=8,
        max_answer_tokens=10,
        calibration=calibration,
    )
    return Reader(model, tokenizer(), settings)


DUA_BELAS = ByToken({"dua": 4.0}, {"belas": 3.0}, null=1.0)


def texts(request: Request, spans: list) -> list[str]:
    return [request.passages[span.passage][span.start : span.end] for span in spans]


def test_margin_is_log_odds_against_the_null_of_the_window():
    request = Request("berapa hari", ("cuti tahunan dua belas hari kerja",))
    [spans] = reader(DUA_BELAS).read([request])
    assert texts(request, spans)[0] == "dua belas"
    assert spans[0].margin == pytest.approx(4.0 + 3.0 - 1.0)


def test_margins_compare_across_passages_where_a_softmax_would_not():
    # Alone in its passage, "belas" would get a probability of nearly one from a softmax.
    request = Request("berapa", ("hari belas kerja", "cuti dua belas hari"))
    [spans] = reader(DUA_BELAS).read([request])
    assert (spans[0].passage, texts(request, spans)[0]) == (1, "dua belas")
    of_first = max(span.margin for span in spans if span.passage == 0)
    assert of_first == pytest.approx(-5.0 + 3.0 - 1.0)


@pytest.mark.parametrize("words", [0, 25, 60, 150])
def test_an_answer_is_found_wherever_it_stands_in_a_long_passage(words):
    passage = "kerja " * words + "dua belas" + " hari" * 150
    request = Request("berapa hari", (passage,))
    [spans] = reader(DUA_BELAS, max_length=40).read([request])
    assert texts(request, spans)[0] == "dua belas"
    assert spans[0].start == 6 * words
    assert len({(span.passage, span.start, span.end) for span in spans}) == len(spans)


def test_no_span_is_longer_than_allowed():
    model = ByToken({"dua": 4.0}, {"belas": 3.0})
    request = Request("berapa", ("dua " + "hari " * 10 + "belas",))
    [spans] = reader(model).read([request])
    assert "belas" not in texts(request, [s for s in spans if s.start == 0])[0]


def test_the_question_is_never_part_of_an_answer():
    request = Request("dua belas", ("cuti tahunan",))
    [spans] = reader(DUA_BELAS).read([request])
    assert set(texts(request, spans)) == {"cuti", "tahunan", "cuti tahunan"}


def test_edges_are_widened_to_words():
    model = ByToken({"dua": 4.0}, {"kerja": 3.0})
    request = Request("berapa", ("ada dua kerjaannya.",))
    [spans] = reader(model).read([request])
    assert texts(request, spans)[0] == "dua kerjaannya"


@pytest.mark.parametrize(
    ("text", "marked", "answer"),
    [
        ("dibuka 1999.", "1999.", "1999"),
        ("tahun 2004, lalu", "2004,", "2004"),
        ("sejak (2004), lalu", "2004),", "2004"),
        ("selama (14 hari kerja)", "(14 hari", "14 hari"),
        ("nomor (14) itu", "(14)", "(14)"),
        ("oleh Budi, S.H.", "Budi, S.H.", "Budi, S.H."),
        ("Rp1.500,00.", "Rp1.500,00.", "Rp1.500,00"),
    ],
)
def test_punctuation_in_one_token_with_a_number_is_left_out(text, marked, answer):
    boundaries = [match.start() for match in _WORD_BOUNDARY.finditer(text)]
    start = text.index(marked)
    first, last = _widen(text, start, start + len(marked), boundaries)
    assert text[first:last] == answer


def test_numbers_with_points_are_one_word():
    model = ByToken({"5": 4.0}, {"##0": 3.0})
    request = Request("berapa", ("kerja Rp 1.500,75 hari",))
    [spans] = reader(model).read([request])
    assert texts(request, spans)[0] == "1.500,75"


@pytest.mark.parametrize(
    "passage",
    [
        "😀 👩‍👩‍👧 dua belas 😀",
        "café\r\ndua\r\nbelas\r\n",
        "שלום dua belas עולם",
        "年 dua belas 年",
        "\u00a0dua belas\u2003",
    ],
)
def test_offsets_are_code_points(passage):
    request = Request("berapa", (passage,))
    [spans] = reader(DUA_BELAS).read([request])
    assert texts(request, spans)[0].split() == ["dua", "belas"]
    for text in texts(request, spans):
        assert text == text.strip() != ""


def test_passages_without_tokens_give_nothing():
    request = Request("berapa", ("", "  \n", "\u200b", "dua belas"))
    [spans] = reader(DUA_BELAS).read([request])
    assert {span.passage for span in spans} <= {2, 3}
    assert reader(DUA_BELAS).read([Request("berapa", ())]) == [[]]
    assert reader(DUA_BELAS).read([]) == []


def test_a_passage_of_one_token():
    request = Request("berapa", ("dua",))
    [spans] = reader(DUA_BELAS).read([request])
    assert texts(request, spans) == ["dua"]


def test_a_question_without_room_is_an_error():
    with pytest.raises(QuestionTooLong) as error:
        reader(DUA_BELAS, max_length=40).read([Request("hari " * 40, ("dua belas",))])
    assert error.value.details["tokens"] == 40
    assert error.value.details["limit"] == 40 - 3 - 10


def test_a_blank_question_is_an_error():
    with pytest.raises(InvalidArgument):
        reader(DUA_BELAS).read([Request("  ", ("dua belas",))])


def test_batches_do_not_change_the_answers():
    passages = tuple("kerja " * (7 * n % 50) + "dua belas hari" for n in range(40))
    requests = [Request("berapa hari", passages), Request("berapa", passages[::-1])]
    together = reader(DUA_BELAS, max_length=64).read(requests)
    alone = [reader(DUA_BELAS, max_length=64).read([request])[0] for request in requests]
    for some, same in zip(together, alone, strict=True):
        assert [s for s in some if s.margin > 0] == [s for s in same if s.margin > 0] != []


def test_without_a_trained_null_the_windows_of_a_question_share_one_distribution():
    request = Request("berapa", ("cuti dua belas hari", "dua belas", "hari kerja"))
    ranker = reader(DUA_BELAS, null_trained=False)
    [spans] = ranker.read([request])
    scores = [ranker.score(span.margin) for span in spans]
    assert sum(scores) <= 1.0
    assert scores[0] == pytest.approx(scores[1])
    assert {spans[0].passage, spans[1].passage} == {0, 1}


def test_score_is_a_calibrated_sigmoid():
    calibrated = reader(DUA_BELAS, calibration=Calibration(temperature=2.0, bias=3.0))
    assert calibrated.score(3.0) == 0.5
    assert calibrated.score(5.0) == pytest.approx(1 / (1 + math.exp(-1)))
    assert 0.0 <= calibrated.score(-1e6) < calibrated.score(1e6) <= 1.0


class BySegment(torch.nn.Module):
    """Gives a meaningful answer only where the second segment is marked as such."""

    def forward(self, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        second = inputs["token_type_ids"].float()
        dua = (inputs["input_ids"] == VOCABULARY.index("dua")).float()
        return 10 * second * dua, 10 * second * dua


def test_segment_ids_reach_the_model():
    request = Request("berapa", ("cuti dua hari",))
    [spans] = reader(BySegment()).read([request])
    assert texts(request, spans)[0] == "dua"
    assert spans[0].margin == pytest.approx(20.0)


def tiny_bert(hidden_size: int = 16) -> BertForQuestionAnswering:
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=hidden_size,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    return BertForQuestionAnswering(config).eval()


@pytest.fixture
def bert() -> BertForQuestionAnswering:
    return tiny_bert()


@pytest.fixture
def adapter(bert, tmp_path) -> Path:
    """A LoRA adapter as PEFT writes it, with weights that are not zero."""
    peft = pytest.importorskip("peft")
    lora = peft.LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=["query", "key", "value", "dense"],
        modules_to_save=["qa_outputs"],
    )
    model = peft.get_peft_model(bert, lora)
    for name, parameter in model.named_parameters():
        if "lora_B" in name or "modules_to_save" in name:
            torch.nn.init.normal_(parameter)
    model.save_pretrained(tmp_path)
    inputs = {"input_ids": torch.tensor([[2, 9, 3, 4, 5, 6, 7, 8, 3]])}
    with torch.inference_mode():
        output = model(**inputs)
        expected = (output.start_logits, output.end_logits)
        with model.disable_adapter():
            base = model.get_base_model().bert(**inputs).last_hidden_state
    torch.save({"inputs": inputs, "expected": expected, "base": base}, tmp_path / "expected.pt")
    return tmp_path


def test_a_merged_adapter_equals_peft_and_leaves_the_encoder_alone(adapter):
    saved = torch.load(adapter / "expected.pt")
    encoder = tiny_bert().bert
    with torch.inference_mode():
        before = encoder(**saved["inputs"]).last_hidden_state
    merged = adapt(encoder, adapter)
    with torch.inference_mode():
        start, end = merged(saved["inputs"])
        after = encoder(**saved["inputs"]).last_hidden_state
    torch.testing.assert_close(start, saved["expected"][0])
    torch.testing.assert_close(end, saved["expected"][1])
    assert torch.equal(before, after)
    table = encoder.embeddings.word_embeddings.weight
    assert merged.packed.words.data_ptr() == table.data_ptr()


def test_an_adapter_for_another_encoder_is_refused(adapter):
    with pytest.raises(ModelInvalid, match="does not fit"):
        adapt(tiny_bert(hidden_size=8).bert, adapter)


@pytest.mark.parametrize(
    "changes",
    [{"use_rslora": True}, {"alpha_pattern": {"key": 2}}, {"rank_pattern": {"key": 2}}, {"r": 0}],
)
def test_an_adapter_with_another_scale_is_refused(adapter, changes):
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    with pytest.raises(ModelInvalid, match="not a plain LoRA"):
        adapt(tiny_bert().bert, adapter)


def test_a_damaged_adapter_is_refused(adapter):
    file = adapter / "adapter_model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:500])
    with pytest.raises(ModelInvalid, match="cannot be read"):
        adapt(tiny_bert().bert, adapter)
    tensors = load(whole)
    tensors.pop(next(name for name in tensors if "lora_B" in name))
    file.write_bytes(save(tensors))
    with pytest.raises(ModelInvalid, match="does not fit"):
        adapt(tiny_bert().bert, adapter)


def test_the_tokenizer_is_used_under_its_lock():
    class Watched:
        """A tokenizer that sees whether its lock is held when it is called."""

        def __init__(self):
            self.held = []

        def __getattr__(self, name):
            return getattr(inner, name)

        def __call__(self, *texts, **options):
            self.held.append(lock.locked())
            return inner(*texts, **options)

    inner, lock, watched = tokenizer(), threading.Lock(), Watched()
    shared = Reader(BySegment(), watched, ReaderSettings("tiny", null_trained=True), lock)
    for one in (shared, shared.with_calibration(Calibration(1.0, 0.0, 0.5))):
        watched.held.clear()
        one.read([Request("berapa", ("cuti dua hari",))])
        assert watched.held and all(watched.held)


def test_a_directory_without_span_head_is_refused(bert, tmp_path):
    bert.bert.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelInvalid, match="no span head"):
        Reader.load(tmp_path, ReaderSettings("encoder", null_trained=True))


def test_a_saved_reader_loads(bert, tmp_path):
    bert.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    loaded = Reader.load(tmp_path, ReaderSettings("tiny", null_trained=True))
    [spans] = loaded.read([Request("berapa", ("cuti dua belas hari",))])
    assert spans and all(math.isfinite(span.margin) for span in spans)


def test_settings_come_from_the_card(tmp_path):
    card = {
        "name": "reader",
        "null_trained": True,
        "max_length": 320,
        "stride": 64,
        "max_answer_tokens": 40,
        "temperature": 1.5,
        "bias": 0.5,
        "threshold": 0.4,
    }
    path = tmp_path / "tanya.json"
    path.write_text(json.dumps(card))
    settings = ReaderSettings.from_card(path)
    assert settings.calibration == Calibration(1.5, 0.5, 0.4)
    assert (settings.id, settings.max_length, settings.stride) == ("reader", 320, 64)


def test_the_context_is_read_but_never_answers():
    request = Request("berapa", ("cuti dua hari", "dua belas"), ("dua belas dua", ""))
    [spans] = reader(DUA_BELAS).read([request])
    assert (spans[0].passage, texts(request, spans)[0]) == (1, "dua belas")
    for span in spans:
        assert 0 <= span.start < span.end <= len(request.passages[span.passage])
    assert texts(request, [s for s in spans if s.passage == 0])[0] == "dua"
    long = Request("berapa", ("hari dua belas",), ("cuti " * 60,))
    [spans] = reader(DUA_BELAS, max_length=40).read([long])
    assert texts(long, spans)[0] == "dua belas"
