"""What a question takes when other programs ask at the same time.

    python bench/sharing.py [--passages 1000] [--questions 5] [--rounds 5] [--sessions 1 2]

So many processes ask the same questions of the same index. Their threads wait for each other as
tanya has it, as OpenMP has it by itself (busy for milliseconds), or asleep at once (passive).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import figure

WAYS: dict[str, dict[str, str]] = {
    "tanya": {},
    "OpenMP's own": {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"},
    "passive": {"OMP_WAIT_POLICY": "passive"},
}


def main() -> None:
    """Ask in several processes at once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=1000)
    parser.add_argument("--questions", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--ask", type=Path, help="only ask this index, once told to")
    arguments = parser.parse_args()
    if arguments.ask:
        ask(arguments.ask, arguments.questions)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "i.tanya"
        make(folder, arguments.passages)
        found: dict[tuple[str, int], list[float]] = {}
        for _ in range(arguments.rounds):
            for way, environment in WAYS.items():
                for sessions in arguments.sessions:
                    taken = together(folder, sessions, environment, arguments.questions)
                    found.setdefault((way, sessions), []).append(taken)
    for (way, sessions), taken in found.items():
        figure("sharing", way=way, sessions=sessions, ms=statistics.median(taken))


def make(folder: Path, passages: int) -> None:
    """Make the index that is asked."""
    from asking_peers import make as make_index
    from asking_peers import material

    _, texts = material(passages)
    make_index(folder, texts).store.close()


def together(folder: Path, sessions: int, environment: dict[str, str], questions: int) -> float:
    """Milliseconds of a question, on average, where so many processes ask at once."""
    command = [sys.executable, __file__, "--ask", str(folder), "--questions", str(questions)]
    started = [
        subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(sessions)
    ]
    for process in started:  # All are ready before any begins.
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return statistics.mean(float(process.communicate()[0]) for process in started)


def ask(folder: Path, count: int) -> None:
    """Ask when told to, and print the milliseconds of a question."""
    from asking_peers import material

    from tanya.index import Index

    questions, _ = material(count)
    index = Index.open(folder)
    index.ask(questions[:3])
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    for question in questions[:count]:
        index.ask([question])
    print(1000 * (time.perf_counter() - started) / count)


if __name__ == "__main__":
    main()
