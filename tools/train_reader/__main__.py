"""Train, export and calibrate tanya's reader; see the docstring of each command."""

from __future__ import annotations

import argparse
import json
from dataclasses import MISSING, fields
from pathlib import Path

from .office import read_office, summary
from .settings import Settings
from .training import train


def main() -> None:
    """Parse the command line and run it."""
    parser = argparse.ArgumentParser(prog="python -m train_reader", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    trainer = commands.add_parser("train", help="train, or go on with the run in --run")
    for field in fields(Settings):
        kind = {"str": str, "int": int, "float": float}[str(field.type)]
        required = field.default is MISSING
        trainer.add_argument(
            "--" + field.name.replace("_", "-"),
            type=kind,
            required=required,
            default=None if required else field.default,
        )
    exporter = commands.add_parser("export", help="write a run's weights as a PEFT adapter")
    exporter.add_argument("--run", type=Path, required=True)
    exporter.add_argument("--out", type=Path, required=True)
    exporter.add_argument("--which", choices=["average", "parameters"], default="average")
    exporter.add_argument("--earlier", type=Path, help="a checkpoint or adapter to mix in")
    exporter.add_argument("--share", type=float, default=0.0, help="its share, 0 to 1")
    fitter = commands.add_parser("calibrate", help="fit and write the adapter's tanya.json")
    fitter.add_argument("--data", type=Path, required=True)
    fitter.add_argument("--base", required=True)
    fitter.add_argument("--adapter", type=Path, required=True)
    fitter.add_argument("--version", default="0.1.0")
    fitter.add_argument("--limit", type=int, default=100_000, help="questions per source")
    commands.add_parser("office", help="check and count the office texts")
    options = vars(parser.parse_args())
    command = options.pop("command")
    if command == "office":
        print(json.dumps(summary(read_office())))
        return
    if command == "train":
        train(Settings(**options))
        return
    # peft is needed only here, and slow to import.
    from .export import calibrate, export_adapter

    if command == "export":
        export_adapter(**options)
    else:
        print(json.dumps(calibrate(**options), indent=2))


if __name__ == "__main__":
    main()
