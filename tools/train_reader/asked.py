"""More questions about the contexts of the training data, written for the training of the reader.

`asked/id.jsonl` and `asked/en.jsonl` hold a line for each context, without its text:

    about       id of a question of the training data that is asked about this context
    length      of the context, in code points
    answered    list of [wordings of a question, start, end] with the answer's place in the context
    absent      questions that the context does not answer, and looks as if it did
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from .examples import Example

ASKED = Path(__file__).parent / "asked"


def read_asked(source: str, examples: Sequence[Example], directory: Path = ASKED) -> list[Example]:
    """Return the questions written about the contexts of `examples`, which are of `source`.

    Those about other contexts are left out: these were dropped from the training data.
    """
    abouts = {example.id: example for example in examples}
    found: list[Example] = []
    with (directory / f"{source}.jsonl").open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            about = abouts.get(row["about"])
            if about is not None:
                found.extend(_asked(row, about))
    return found


def _asked(row: dict, about: Example) -> list[Example]:
    context = about.context
    if len(context) != row["length"]:
        raise ValueError(f"the context of {about.id} is not the one that was asked about")

    def example(name: str, question: str, answers: tuple[tuple[str, int], ...]) -> Example:
        id = f"{about.id}-asked.{name}"
        return Example(id, about.source, question, context, about.title, answers)

    answered = [
        example(f"{number}.{wording}", question, ((context[start:end], start),))
        for number, (wordings, start, end) in enumerate(row["answered"])
        for wording, question in enumerate(wordings)
    ]
    return answered + [
        example(f"x{number}", question, ()) for number, question in enumerate(row["absent"])
    ]
