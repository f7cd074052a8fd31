from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tanya import embedding, packed
from tanya.embedding import Embedder
from tanya.errors import InvalidArgument, ModelInvalid

MIXED = [
    "berapa hari cuti tahunan karyawan tetap?",
    "ya",
    "dua belas hari " * 9,
    "Apa itu emoji 😀 dan\r\nbaris baru?",
    "\u0634\u0631\u0643\u0629 apa",
    "cafe\u0301 " * 3,
]


@pytest.fixture(scope="module")
def embedder(tiny_embedder: Path, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TANYA_CACHE", str(tmp_path_factory.mktemp("cache")))
        return Embedder(
            tiny_embedder,
            model="tiny",
            question_prompt="apa: ",
            passage_prompt="hari: ",
            precision="float32",
        )


def library_vectors(directory: Path, texts: list[str]) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(directory), device="cpu", local_files_only=True)
    return model.encode(texts, normalize_embeddings=True, show_progress_bar=False)


def rewritten(directory: Path, target: Path, name: str, content: object) -> Path:
    """Copy a model and write one of its JSON files anew."""
    shutil.copytree(directory, target)
    (target / name).parent.mkdir(exist_ok=True)
    (target / name).write_text(json.dumps(content), encoding="utf-8")
    return target


def test_vectors_agree_with_the_library(embedder: Embedder, tiny_embedder: Path) -> None:
    ours = embedder.encode(MIXED)
    theirs = library_vectors(tiny_embedder, MIXED)
    assert (ours * theirs).sum(axis=1).min() > 0.99999
    assert ours.dtype == np.float32
    assert ours.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)


def test_cls_pooling_agrees_with_the_library(tiny_embedder: Path, tmp_path: Path) -> None:
    pooling = {"word_embedding_dimension": 32, "pooling_mode_cls_token": True}
    pooling["pooling_mode_mean_tokens"] = False
    directory = rewritten(tiny_embedder, tmp_path / "cls", "1_Pooling/config.json", pooling)
    ours = Embedder(directory, model="cls", precision="float32").encode(MIXED)
    assert (ours * library_vectors(directory, MIXED)).sum(axis=1).min() > 0.99999


def test_other_pooling_goes_through_the_library(tiny_embedder: Path, tmp_path: Path) -> None:
    pooling = {"word_embedding_dimension": 32, "pooling_mode_max_tokens": True}
    pooling["pooling_mode_mean_tokens"] = False
    directory = rewritten(tiny_embedder, tmp_path / "max", "1_Pooling/config.json", pooling)
    ours = Embedder(directory, model="max", precision="float32").encode(MIXED)
    assert (ours * library_vectors(directory, MIXED)).sum(axis=1).min() > 0.99999


def test_order_and_batches_do_not_matter(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = MIXED * 5
    once = embedder.encode(texts)
    monkeypatch.setattr(embedding, "BATCH_TOKENS", 60)
    monkeypatch.setattr(embedding, "BLOCK_TEXTS", 7)
    np.testing.assert_allclose(embedder.encode(texts), once, atol=1e-5)
    np.testing.assert_allclose(embedder.encode(texts[::-1]), once[::-1], atol=1e-5)
    assert np.array_equal(embedder.encode(texts), embedder.encode(texts))


def test_prompts_are_put_before_texts(embedder: Embedder) -> None:
    plain = embedder.encode(["apa: cuti", "hari: cuti"])
    np.testing.assert_allclose(embedder.encode_questions(["cuti"])[0], plain[0], atol=1e-6)
    np.testing.assert_allclose(embedder.encode_passages(["cuti"])[0], plain[1], atol=1e-6)


def test_long_texts_are_averaged_not_cut(embedder: Embedder) -> None:
    head = "cuti " * 46
    tail = "karyawan " * 10
    long, first, last = embedder.encode([head + tail, head, tail])
    mean = 46 * first + 10 * last
    np.testing.assert_allclose(long, mean / np.linalg.norm(mean), atol=1e-5)


def test_each_window_of_a_long_passage_has_the_prompt(embedder: Embedder) -> None:
    room = embedder.max_tokens
    assert room == 48 - 2 - 2
    vectors = embedder.encode_passages(["cuti " * (room + 3), "cuti " * room, "cuti " * 3])
    mean = room * vectors[1] + 3 * vectors[2]
    np.testing.assert_allclose(vectors[0], mean / np.linalg.norm(mean), atol=1e-5)


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u3000"])
def test_blank_text_is_an_error_that_names_its_place(embedder: Embedder, blank: str) -> None:
    with pytest.raises(InvalidArgument, match="Text 2 is empty") as caught:
        embedder.encode(["apa", blank])
    assert caught.value.details["position"] == 2


def test_no_texts_give_no_vectors(embedder: Embedder) -> None:
    assert embedder.encode([]).shape == (0, 32)
    assert embedder.token_offsets([]) == []


def test_progress_counts_texts(embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "BATCH_TOKENS", 60)
    seen: list[tuple[str, int, int]] = []
    embedder.encode(["cuti " * 200, *MIXED], lambda *facts: seen.append(facts))
    counts = [done for _, done, _ in seen]
    assert counts == sorted(counts)
    assert seen[-1] == ("embed", 7, 7)
    assert len(seen) > 5


def test_interruption_comes_through_and_the_next_call_works(embedder: Embedder) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embedder.encode(MIXED, interrupt)
    assert embedder.encode(MIXED).shape == (6, 32)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(), max_size=300), max_size=5))
def test_offsets_are_code_points_of_any_text(embedder: Embedder, texts: list[str]) -> None:
    for text, offsets in zip(texts, embedder.token_offsets(texts), strict=True):
        for start, end in offsets:
            assert 0 <= start <= end <= len(text)
        assert all(one[0] <= two[0] for one, two in pairwise(offsets))


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet=st.characters(), min_size=1, max_size=300).filter(str.strip))
def test_any_text_has_a_unit_vector(embedder: Embedder, text: str) -> None:
    assert np.linalg.norm(embedder.encode([text])) == pytest.approx(1, abs=1e-5)


def test_offsets_of_words(embedder: Embedder) -> None:
    assert embedder.token_offsets(["😀 cuti\r\nhari"]) == [[(0, 1), (2, 6), (8, 12)]]


def test_a_shared_tokenizer_that_cuts_does_not_cut_here(embedder: Embedder) -> None:
    text = "cuti hari karyawan"
    before = embedder.encode([text])
    embedder.tokenizer([text], truncation=True, max_length=3, padding=True)
    np.testing.assert_array_equal(embedder.encode([text]), before)
    assert len(embedder.token_offsets([text])[0]) == 3


def test_bfloat16_is_close_and_says_so(embedder: Embedder, tiny_embedder: Path) -> None:
    reduced = Embedder(tiny_embedder, model="tiny", precision="bfloat16")
    assert (reduced.encode(MIXED) * embedder.encode(MIXED)).sum(axis=1).min() > 0.995
    assert reduced.fingerprint.precision == "bfloat16"
    assert reduced.fingerprint.sha256 == embedder.fingerprint.sha256


def test_a_processor_without_bfloat16_computes_in_float32(
    embedder: Embedder, tiny_embedder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "has_fast_bfloat16", lambda: False)
    elsewhere = Embedder(tiny_embedder, model="tiny", precision="bfloat16")
    assert np.array_equal(elsewhere.encode(MIXED), embedder.encode(MIXED))
    assert elsewhere.fingerprint.precision == "bfloat16"


def test_padded_batches_give_the_same_vectors(
    embedder: Embedder, tiny_embedder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed.Bert, "read", lambda directory: None)
    padded = Embedder(tiny_embedder, model="tiny", precision="float32")
    np.testing.assert_allclose(padded.encode(MIXED), embedder.encode(MIXED), atol=1e-5)


def test_padded_batches_in_bfloat16_are_near(
    embedder: Embedder, tiny_embedder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not packed.has_fast_bfloat16():
        pytest.skip("this processor has no bfloat16")
    monkeypatch.setattr(packed.Bert, "read", lambda directory: None)
    padded = Embedder(tiny_embedder, model="tiny", precision="bfloat16")
    texts, exact = MIXED * 20, embedder.encode(MIXED)
    found = padded.encode(texts)
    assert not np.array_equal(found[: len(MIXED)], exact)
    assert (found * np.tile(exact, (20, 1))).sum(1).min() > 0.999
    # A few tokens are faster as they are.
    np.testing.assert_allclose(padded.encode(MIXED[:1]), exact[:1], atol=1e-5)


def test_a_directory_without_modules_gets_mean_pooling(tiny_embedder: Path, tmp_path: Path) -> None:
    directory = tmp_path / "plain"
    shutil.copytree(tiny_embedder, directory, ignore=shutil.ignore_patterns("modules.json", "1_*"))
    short = MIXED[:2]
    assert (
        Embedder(directory, model="plain", precision="float32").encode(short)
        * library_vectors(tiny_embedder, short)
    ).sum(axis=1).min() > 0.99999


def test_missing_weights_are_an_error(tiny_embedder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    directory = tmp_path / "holes"
    shutil.copytree(tiny_embedder, directory)
    weights = load_file(directory / "model.safetensors")
    weights.pop("encoder.layer.1.output.dense.weight")
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelInvalid, match="lacks weights"):
        Embedder(directory, model="holes")


def test_truncated_weights_are_an_error(tiny_embedder: Path, tmp_path: Path) -> None:
    directory = tmp_path / "cut"
    shutil.copytree(tiny_embedder, directory)
    whole = (directory / "model.safetensors").read_bytes()
    (directory / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelInvalid, match="cannot be loaded"):
        Embedder(directory, model="cut")


@pytest.mark.usefixtures("compact")
def test_the_compact_model_ranks_the_right_passage_first() -> None:
    from tanya.models import load_embedder

    embedder = load_embedder("compact")
    passages = embedder.encode_passages(
        ["Karyawan tetap berhak atas cuti tahunan dua belas hari.", "Produk kami bebas gluten."]
    )
    question = embedder.encode_questions(["Berapa hari cuti tahunan?"])[0]
    scores = passages @ question
    assert scores[0] > scores[1] + 0.05
