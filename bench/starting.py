"""How long a fresh R session takes to its first answer, and the memory at each step.

    python bench/starting.py [--passages 5000] [--rounds 5]

Needs the package installed where R finds it. The index is that of ``asking_peers``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import figure

SCRIPT = """
resident <- function(field) {
  line <- grep(field, readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) * 1024
}
step <- function(name, expr) {
  seconds <- system.time(expr)[["elapsed"]]
  cat(jsonlite::toJSON(
    list(step = name, seconds = seconds, resident = resident("VmRSS"), peak = resident("VmHWM")),
    auto_unbox = TRUE
  ), "\\n", sep = "")
}
path <- commandArgs(TRUE)[[1]]
question <- commandArgs(TRUE)[[2]]
step("library", library(tanya))
step("rag_open", index <- rag_open(path))
step("first_answer", invisible(rag_ask(index, question)))
step("second_answer", invisible(rag_ask(index, question)))
"""


def main() -> None:
    """Start R a few times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--make", nargs=2, metavar=("DIRECTORY", "QUESTION"), help="only the index")
    arguments = parser.parse_args()
    if arguments.make:
        make(Path(arguments.make[0]), Path(arguments.make[1]), arguments.passages)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder, asked = Path(scratch) / "i.tanya", Path(scratch) / "question"
        # In a process of its own, whose end gives its memory back.
        command = [sys.executable, __file__, "--make", str(folder), str(asked)]
        subprocess.run([*command, "--passages", str(arguments.passages)], check=True)
        script = Path(scratch) / "session.R"
        script.write_text(SCRIPT, encoding="utf-8")
        runs = [session(script, folder, asked) for _ in range(arguments.rounds + 1)][1:]
    for step in runs[0]:
        figure(
            "start",
            step=step,
            **{
                field: statistics.median(float(run[step][field]) for run in runs)
                for field in runs[0][step]
            },
        )


def make(folder: Path, asked: Path, passages: int) -> None:
    """Make the index that the sessions open, and note a question to ask it."""
    from asking_peers import make as make_index
    from asking_peers import material

    questions, texts = material(passages)
    make_index(folder, texts).store.close()
    asked.write_text(questions[0], encoding="utf-8")


def session(script: Path, folder: Path, asked: Path) -> dict[str, dict[str, float]]:
    """What one session says of its steps; ``since_start`` counts from before the process."""
    started = time.perf_counter()
    process = subprocess.Popen(
        ["Rscript", str(script), str(folder), asked.read_text(encoding="utf-8")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "RETICULATE_PYTHON": sys.executable},
    )
    assert process.stdout is not None
    steps = {}
    for line in process.stdout:
        said = json.loads(line)
        name = said.pop("step")
        steps[name] = {**said, "since_start": time.perf_counter() - started}
    if process.wait():
        raise SystemExit("R did not run: is the package installed?")
    return steps


if __name__ == "__main__":
    main()
