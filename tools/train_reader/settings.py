"""What decides what a run computes, and the log that it keeps."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path


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


def log(settings: Settings, row: dict) -> None:
    """Append one JSON line to the run's log and show it."""
    line = json.dumps({"time": time.strftime("%H:%M:%S"), **row}, ensure_ascii=False)
    with (Path(settings.run) / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    print(line, flush=True)
