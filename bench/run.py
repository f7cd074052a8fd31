"""Run the benchmarks, keep their lines of JSON, and print them as a table.

    python bench/run.py [ONLY ...]

``ONLY`` names parts; without it all run. What needs files of the caller (``documents.py``,
``reading.py quality``) is run by hand. Haystack is installed, at its first use, into
``.setup/peers``, an environment that borrows the packages of this one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / ".setup" / "peers"
RESULTS = HERE.parent / ".setup" / "bench.jsonl"
PARTS = {
    "embedding": ["embedding.py"],
    "asking": ["asking_peers.py"],
    "sharing": ["sharing.py"],
    "start": ["starting.py"],
    "boundary": ["boundary.R"],
    "growth": ["growth.py", "--plot", str(RESULTS.with_name("growth.png"))],
    "store": ["store.py", "--parts", "search,keyword,growth"],
}


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="*", metavar="ONLY", help=", ".join(PARTS))
    chosen = parser.parse_args().only or list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    found = []
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("w", encoding="utf-8") as results:
        for part in chosen:
            for line in run(part):
                results.write(line)
                results.flush()
                found.append(json.loads(line))
    print(table(found))


def run(part: str) -> list[str]:
    """Lines of JSON that one part prints."""
    script, *arguments = PARTS[part]
    program = "Rscript" if script.endswith(".R") else sys.executable
    if part == "asking":
        program = peers()
    environment = {**os.environ, "RETICULATE_PYTHON": sys.executable}
    process = subprocess.Popen(
        [program, str(HERE / script), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        if line.startswith("{"):
            print(line, end="", flush=True)
            lines.append(line)
    if process.wait():
        raise SystemExit(f"bench/{script} failed.")
    return lines


def peers() -> str:
    """A Python that has haystack beside what this one has."""
    python = PEERS / "bin" / "python"
    done = PEERS / "done"
    if not done.exists():
        venv.create(PEERS, with_pip=True, clear=True)
        ask = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        site = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
        borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (Path(site) / "engine.pth").write_text("\n".join(sorted(borrowed)), encoding="utf-8")
        packages = ["haystack-ai", "transformers-haystack"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        done.touch()
    return str(python)


def table(found: Sequence[dict[str, object]]) -> str:
    """One row for each number of each figure."""
    rows = []
    for figure in found:
        named = [f"{k} {v}" for k, v in figure.items() if isinstance(v, str) and k != "figure"]
        name = ", ".join([str(figure["figure"]), *named])
        rows += [(name, k, f"{v:,}") for k, v in figure.items() if isinstance(v, (int, float))]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    return "\n".join(f"{a:{widths[0]}}  {b:{widths[1]}}  {c:>14}" for a, b, c in rows)


if __name__ == "__main__":
    main()
