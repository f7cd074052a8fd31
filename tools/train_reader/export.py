"""A run's weights to a PEFT adapter, and the calibration that ships beside it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from .encoder import ADAPTER_FILE, peft_name
from .features import make_windows
from .material import validation_examples
from .scoring import (
    Scored,
    best_margin,
    best_spans,
    expected_calibration_error,
    fit_calibration,
    is_right,
    squad_scores,
)

BASE_MODEL = "intfloat/multilingual-e5-small"
MAX_LENGTH = 384
STRIDE = 96
MAX_ANSWER_TOKENS = 50


def export_adapter(
    run: Path, out: Path, which: str, earlier: Path | None = None, share: float = 0.0
) -> None:
    """Write the run's `average` or latest `parameters` as a float16 PEFT LoRA adapter.

    With `earlier`, a checkpoint or the directory of an adapter that the run went on from, the
    weights are `share` parts of the earlier ones and `1 - share` of the run's: what a model forgets
    in learning something new it largely keeps so (Wortsman et al., 2022, arXiv:2109.01903).
    """
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    weights = state[which]
    if earlier is not None:
        weights = mixed(weights, _earlier_weights(earlier, which, weights), share)
    out.mkdir(parents=True, exist_ok=True)
    config = adapter_config(state["settings"], layers=_layer_numbers(weights))
    (out / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tensors = {peft_name(name): tensor.half().contiguous() for name, tensor in weights.items()}
    file = out / ADAPTER_FILE
    save_file(tensors, file, metadata={"format": "pt"})
    file.chmod(0o644)


def _earlier_weights(path: Path, which: str, names: Iterable[str]) -> dict[str, torch.Tensor]:
    if path.is_dir():
        tensors = load_file(path / ADAPTER_FILE)
        return {name: tensors[peft_name(name)].float() for name in names}
    return torch.load(path, weights_only=True)[which]


def mixed(
    weights: dict[str, torch.Tensor], before: dict[str, torch.Tensor], share: float
) -> dict[str, torch.Tensor]:
    """Mix what two sets of factors add to the frozen weights, at the rank that they have.

    The mean of two products is not the product of the mean factors; its best approximation of
    their rank is.
    """
    result = {}
    for name, tensor in weights.items():
        if name.endswith(".down"):
            up = name.removesuffix("down") + "up"
            product = (weights[up] @ tensor).lerp(before[up] @ before[name], share)
            left, sizes, right = torch.linalg.svd(product, full_matrices=False)
            rank = len(tensor)
            scale = sizes[:rank].sqrt()
            result[up], result[name] = left[:, :rank] * scale, scale[:, None] * right[:rank]
        elif not name.endswith(".up"):
            result[name] = tensor.lerp(before[name], share)
    return result


def adapter_config(settings: dict, layers: Sequence[int]) -> dict:
    """Return PEFT's configuration, only with the fields that every recent PEFT knows."""
    numbers = "|".join(str(number) for number in layers)
    return {
        "peft_type": "LORA",
        "task_type": "QUESTION_ANS",
        "base_model_name_or_path": BASE_MODEL,
        "inference_mode": True,
        "r": settings["rank"],
        "lora_alpha": settings["alpha"],
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "target_modules": rf".*encoder\.layer\.({numbers})\..*(query|key|value|dense)",
        "modules_to_save": ["qa_outputs"],
    }


def _layer_numbers(weights: dict[str, torch.Tensor]) -> list[int]:
    return sorted({int(name.split(".")[1]) for name in weights if name.startswith("layers.")})


def merged_reader(base: str, adapter: Path) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Load base and adapter with PEFT, merge them in float32, and return the logits function."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    model = AutoModelForQuestionAnswering.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload().eval()

    def logits_of(ids: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        out = model(input_ids=ids, attention_mask=keep.long())
        return torch.stack([out.start_logits, out.end_logits], dim=-1)

    return logits_of


def evaluate_adapter(data: Path, base: str, adapter: Path, limit: int) -> dict[str, Scored]:
    """Read up to `limit` questions of each validation set with the shipped files, in float32."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    reader = merged_reader(base, adapter)
    sets = {}
    for source in ("id", "en", "office"):
        examples = validation_examples(data, source)
        examples = examples[:: -(-len(examples) // limit)]
        windows = make_windows(examples, tokenizer, MAX_LENGTH, STRIDE, True)
        sets[source] = best_spans(
            reader, examples, windows, tokenizer.pad_token_id, MAX_ANSWER_TOKENS
        )
    return sets


def calibrate(data: Path, base: str, adapter: Path, version: str, limit: int) -> dict:
    """Fit temperature, bias and threshold, write `tanya.json` beside the adapter.

    They are fitted on the questions that people wrote. The written texts held out are by the same
    hands as those of the training, so that chances fitted on them would be too high elsewhere.
    """
    sets = evaluate_adapter(data, base, adapter, limit)
    scored = [sets[source] for source in ("id", "en")]
    calibration = fit_calibration(scored)
    margin = best_margin(scored)
    metrics = {}
    for source, one in sets.items():
        error = expected_calibration_error(calibration.score(one.margin), is_right(one))
        metrics[f"{source}.valid"] = {
            **{name: round(value, 2) for name, value in squad_scores(one, margin).items()},
            "ece": round(error, 4),
            "questions": len(one.margin),
        }
    facts = {
        "name": "tanya-reader-e5-small",
        "version": version,
        "base_model": BASE_MODEL,
        "null_trained": True,
        "max_length": MAX_LENGTH,
        "stride": STRIDE,
        "max_answer_tokens": MAX_ANSWER_TOKENS,
        "temperature": round(calibration.temperature, 4),
        "bias": round(calibration.bias, 4),
        "threshold": round(float(calibration.score(margin)), 4),
        "languages": ["id", "en"],
        "f1": metrics["id.valid"]["f1"],
        "metrics": metrics,
    }
    (adapter / "tanya.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts
