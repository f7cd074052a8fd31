"""Fetching models from a shell: ``python -m tanya install compact``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tanya import models
from tanya.errors import TanyaError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after ``python -m tanya``; None takes those of the process.

    Returns:
        0, or 1 after an error, which is printed to stderr.
    """
    parser = argparse.ArgumentParser(prog="python -m tanya", description="Models of tanya.")
    commands = parser.add_subparsers(dest="command", required=True)
    install = commands.add_parser("install", help="fetch the models of a preset")
    install.add_argument("preset", choices=list(models.PRESETS), nargs="?", default="compact")
    commands.add_parser("models", help="list the models of the presets")
    convert = commands.add_parser(
        "convert", help="convert pickled weights of a model that you trust to safetensors"
    )
    convert.add_argument("model", help="hub id or directory")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "convert":
            from tanya.unpickling import convert as run

            print(run(chosen.model))
        else:
            install_first = chosen.command == "install"
            _print(models.install(chosen.preset) if install_first else models.catalogue())
    except TanyaError as error:
        print(f"Error ({error.code}): {error}", file=sys.stderr)
        return 1
    return 0


def _print(rows: Sequence[models.CatalogueRow]) -> None:
    for row in rows:
        place = f" ({row.source})" if row.source else f" ({row.size_mb} MB)" if row.size_mb else ""
        print(f"{row.preset:<12}{row.role:<10}{row.model:<40}{row.status}{place}")


if __name__ == "__main__":
    sys.exit(main())
