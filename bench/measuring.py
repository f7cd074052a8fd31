"""What the benchmarks share: figures, fair timing, texts to work on."""

from __future__ import annotations

import json
import os
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "DATA",
    "Peak",
    "alternate",
    "figure",
    "medians",
    "mixed_texts",
    "peak_memory",
    "qa_rows",
    "resident",
]

DATA = Path(os.environ.get("TANYA_BENCH_DATA") or Path(__file__).parents[2] / "shared" / "data")
"""Texts and questions, beside the checkout unless the environment names another place."""


def figure(name: str, **values: object) -> None:
    """Print one figure as a line of JSON."""
    rounded = {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in values.items()}
    print(json.dumps({"figure": name, **rounded}, ensure_ascii=False), flush=True)


def alternate(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each of several works, taken in turns so that all meet the same noise."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """Median of each."""
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def qa_rows(name: str) -> Iterator[dict]:
    """Questions on a context, from a file such as ``id.valid``."""
    with (DATA / "qa" / f"{name}.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def mixed_texts(count: int) -> list[str]:
    """Paragraphs as they come, three Indonesian ones for each English one."""
    with (DATA / "text" / "idwiki_paragraphs_60k.jsonl").open(encoding="utf-8") as lines:
        indonesian = [json.loads(line)["text"] for line in lines]
    english = sorted({row["context"] for row in qa_rows("en.valid")})
    draw = random.Random(1)
    few = min(count // 4, len(english))
    texts = draw.sample(indonesian, count - few) + draw.sample(english, few)
    draw.shuffle(texts)
    return texts


def resident() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Peak:
    """Highest resident bytes seen so far."""

    bytes: int = 0


@contextmanager
def peak_memory(interval: float = 0.02) -> Iterator[Peak]:
    """Watch the memory of this process while something runs."""
    peak, done = Peak(resident()), threading.Event()

    def watch() -> None:
        while not done.wait(interval):
            peak.bytes = max(peak.bytes, resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
        peak.bytes = max(peak.bytes, resident())
