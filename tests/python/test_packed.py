"""Texts laid end to end against the same texts through transformers' own pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertModel,
    CamembertConfig,
    CamembertModel,
    DistilBertConfig,
    DistilBertModel,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from tanya.packed import Bert, PackedEncoder, has_fast_bfloat16, pack

SIZES = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "initializer_range": 0.3,
}
FAMILY = {
    "bert": (BertModel, BertConfig),
    "roberta": (RobertaModel, RobertaConfig),
    "xlm-roberta": (XLMRobertaModel, XLMRobertaConfig),
    "camembert": (CamembertModel, CamembertConfig),
}


def encoder(kind: str, **changes: object) -> torch.nn.Module:
    torch.manual_seed(4)
    model, config = FAMILY[kind]
    return model(config(**SIZES, **changes)).eval()


def own_states(model: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]))[0][0]


def packed_states(packed: PackedEncoder, texts: list[list[int]]) -> list[torch.Tensor]:
    with torch.inference_mode():
        return list(packed(texts).split([len(text) for text in texts]))


@pytest.fixture(scope="module", params=FAMILY)
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    return encoder(request.param)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(5, 59), min_size=1, max_size=30), min_size=1, max_size=12))
def test_each_text_has_the_states_that_it_has_alone(
    model: torch.nn.Module, texts: list[list[int]]
) -> None:
    packed = pack(model, torch.float32)
    assert packed is not None
    for text, states in zip(texts, packed_states(packed, texts), strict=True):
        torch.testing.assert_close(states, own_states(model, text), atol=1e-4, rtol=1e-4)


def test_float32_shares_the_weights_of_the_encoder(model: torch.nn.Module) -> None:
    packed = pack(model, torch.float32)
    weight = model.encoder.layer[0].output.dense.weight
    assert packed is not None
    assert packed._layers[0].narrow.weight.data_ptr() == weight.data_ptr()


def test_bfloat16_is_near_and_leaves_the_encoder_alone(model: torch.nn.Module) -> None:
    texts = [[5, 6, 7], list(range(5, 30))]
    before = own_states(model, texts[1])
    packed = pack(model, torch.bfloat16)
    assert packed is not None
    for text, states in zip(texts, packed_states(packed, texts), strict=True):
        assert states.dtype is torch.float32
        cosines = torch.cosine_similarity(states, own_states(model, text))
        assert cosines.min() > 0.999
    assert torch.equal(own_states(model, texts[1]), before)


@pytest.mark.parametrize("changes", [{"hidden_act": "relu"}, {"is_decoder": True}])
def test_what_computes_otherwise_is_not_packed(changes: dict[str, object]) -> None:
    assert pack(encoder("bert", **changes), torch.float32) is None


def test_other_families_are_not_packed() -> None:
    config = DistilBertConfig(vocab_size=60, dim=32, n_layers=1, n_heads=2, hidden_dim=32)
    assert pack(DistilBertModel(config).eval(), torch.float32) is None


def test_an_encoder_that_was_changed_is_found_out() -> None:
    model = encoder("bert")
    model.encoder.layer[1].register_forward_hook(lambda layer, inputs, output: output + 1)
    assert pack(model, torch.float32) is None


def test_another_layout_is_found_out() -> None:
    model = encoder("bert")
    attention = model.encoder.layer[1].attention.self
    attention.query_of_old = attention.query
    assert Bert.of(model) is None
    del attention.query
    assert Bert.of(model) is None


def test_a_directory_holds_what_the_model_has(model: torch.nn.Module, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    found = Bert.read(tmp_path)
    assert found is not None
    expected = Bert.of(model)
    assert replace(found, weights={}) == replace(expected, weights={})
    assert found.weights.keys() == expected.weights.keys()
    for name, weight in found.weights.items():
        assert torch.equal(weight, expected.weights[name]), name


def test_names_of_old_checkpoints_and_of_whole_models_are_known(tmp_path: Path) -> None:
    model = encoder("bert")
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    old = {
        f"bert.{name}".replace("LayerNorm.weight", "LayerNorm.gamma"): tensor.half()
        for name, tensor in tensors.items()
    }
    save_file({**old, "cls.bias": torch.zeros(2)}, tmp_path / "model.safetensors")
    found = Bert.read(tmp_path)
    assert found is not None
    assert found.weights["encoder.layer.2.output.LayerNorm.weight"].dtype is torch.float32


def test_a_directory_of_something_else_is_left_to_transformers(tmp_path: Path) -> None:
    assert Bert.read(tmp_path) is None
    encoder("bert", hidden_act="relu").save_pretrained(tmp_path / "relu")
    assert Bert.read(tmp_path / "relu") is None
    encoder("bert").save_pretrained(tmp_path / "short")
    tensors = load_file(tmp_path / "short" / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, tmp_path / "short" / "model.safetensors")
    assert Bert.read(tmp_path / "short") is None


def test_token_types_count(model: torch.nn.Module) -> None:
    ids = [5, 6, 7, 8]
    kinds = [0, 0, 1, 1] if model.config.type_vocab_size > 1 else [0, 0, 0, 0]
    packed = pack(model, torch.float32)
    assert packed is not None
    with torch.inference_mode():
        own = model(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([kinds]))[0][0]
        torch.testing.assert_close(packed([ids], [kinds]), own, atol=1e-4, rtol=1e-4)


def test_older_versions_of_pytorch_tell_of_bfloat16_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    for told in (True, False):
        monkeypatch.setattr(
            torch.cpu, "_is_avx512_bf16_supported", lambda told=told: told, raising=False
        )
        assert has_fast_bfloat16() is told
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert not has_fast_bfloat16()
