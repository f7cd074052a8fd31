"""How time and memory grow with the index: 1,000, 10,000 and 100,000 passages.

    python bench/growth.py [--sizes 1000,10000,100000] [--plot growth.png]

An untrained model of two thin layers makes the vectors, so that what is measured is everything
else: cutting, keeping, searching. Each size runs in a process of its own. ``added_bytes`` is the
highest memory while indexing, over that of the process with the models loaded.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from measuring import figure, peak_memory, resident

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "python"))

PER_DOCUMENT = 100
WORDS = 30
"""Of a passage; as many tokens for the thin model."""
ROUNDS = 9


def main() -> None:
    """Measure each size, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--plot", type=Path, help="PNG to draw (needs matplotlib)")
    arguments = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for size in map(int, arguments.sizes.split(",")):
            context = multiprocessing.get_context("spawn")
            results = context.Queue()
            process = context.Process(target=measure, args=(Path(scratch), size, results))
            process.start()
            found.append(results.get())
            process.join()
            figure("growth", **found[-1])
    if arguments.plot:
        draw(found, arguments.plot)


def measure(scratch: Path, passages: int, results: multiprocessing.Queue) -> None:
    """Index and ask, at one size."""
    from small_models import save_embedder, save_reader

    from tanya.index import Index, Models
    from tanya.passages import PassageSettings
    from tanya.sources import from_texts

    models = Models(str(save_embedder(scratch / "e")), str(save_reader(scratch / "r")))
    folder = write_texts(scratch / f"texts-{passages}", passages)
    index = Index.create(scratch / f"{passages}.tanya", models, PassageSettings(tokens=WORDS + 2))
    index.add(from_texts(["cuti tahunan. " * 9], ["first"]))
    index.ask(["berapa hari cuti"])
    before = resident()
    sources = from_texts([path.read_text() for path in folder], [path.name for path in folder])
    with peak_memory() as peak:
        started = time.perf_counter()
        index.add(sources)
        built = time.perf_counter() - started
    taken = []
    for number in range(ROUNDS):
        started = time.perf_counter()
        index.ask([f"berapa hari cuti tahunan karyawan {number}"])
        taken.append(time.perf_counter() - started)
    counts = index.store.counts()
    index.store.close()
    results.put(
        {
            "passages": counts.passages,
            "build_seconds": built,
            "passages_per_second": counts.passages / built,
            "added_bytes": peak.bytes - before,
            "ask_ms": 1000 * statistics.median(taken[1:]),
            "disk_bytes": counts.bytes,
        }
    )


def write_texts(folder: Path, passages: int) -> list[Path]:
    """Texts of ``PER_DOCUMENT`` passages each: sentences of words that the thin model knows."""
    from small_models import WORDS as KNOWN

    folder.mkdir()
    draw = random.Random(3)
    paths = []
    for number in range(passages // PER_DOCUMENT):
        sentences = [" ".join(draw.choices(KNOWN, k=WORDS)) + "." for _ in range(PER_DOCUMENT)]
        paths.append(folder / f"d{number:05}.txt")
        paths[-1].write_text("\n\n".join(sentences), encoding="utf-8")
    return paths


def draw(found: list[dict[str, float]], path: Path) -> None:
    """Draw time and memory over size."""
    from matplotlib.figure import Figure

    sizes = [row["passages"] for row in found]
    panels = (
        ("Indexing, seconds", "build_seconds", 1),
        ("One question, ms", "ask_ms", 1),
        ("Memory added, MB", "added_bytes", 1e6),
    )
    drawing = Figure(figsize=(9, 2.8), dpi=100, layout="constrained")
    for axes, (title, field, unit) in zip(drawing.subplots(1, 3), panels, strict=True):
        axes.plot(sizes, [row[field] / unit for row in found], marker="o", color="#1b6ca8")
        axes.set(title=title, xlabel="passages", xscale="log", ylim=(0, None))
        axes.grid(alpha=0.3)
    drawing.savefig(path)


if __name__ == "__main__":
    main()
