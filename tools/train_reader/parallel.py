"""Two halves of a batch in two processes, each with one thread.

Threads meet at the end of every operation, thousands of times per step, and on a machine that
does other things as well each meeting waits for the thread that was pushed aside. Processes meet
once per step.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

import torch
from torch import nn

from .features import Group

LossOf = Callable[[Sequence[Group]], torch.Tensor]


class GradientTeam:
    """Computes gradients of the mean loss over a batch's groups, which processes share out.

    Parameters live in shared memory, so that what the optimiser writes is what everybody reads.
    The helpers are forked: make the team before anything runs more than one thread.
    """

    def __init__(
        self, parameters: dict[str, nn.Parameter], loss_of: LossOf, processes: int
    ) -> None:
        """Fork `processes - 1` helpers; `loss_of` gives the mean loss of some groups."""
        self._parameters = parameters
        self._loss_of = loss_of
        for parameter in parameters.values():
            parameter.data.share_memory_()
        self._helpers = [self._fork() for _ in range(processes - 1)]

    def _fork(self) -> tuple[Connection, dict[str, torch.Tensor]]:
        gradients = {n: torch.zeros_like(p).share_memory_() for n, p in self._parameters.items()}
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        process = context.Process(target=self._help, args=(ours, theirs, gradients), daemon=True)
        process.start()
        theirs.close()
        return ours, gradients

    def _help(
        self, parents_end: Connection, line: Connection, gradients: dict[str, torch.Tensor]
    ) -> None:
        # With the copy of the parent's end closed, the parent's death shows as an end of file.
        parents_end.close()
        while True:
            try:
                groups, total = line.recv()
            except (EOFError, KeyboardInterrupt):
                return
            loss = self._backward(groups, total)
            for name, parameter in self._parameters.items():
                gradients[name].copy_(parameter.grad)
                parameter.grad = None
            line.send(loss)

    def _backward(self, groups: Sequence[Group], total: int) -> float:
        loss = self._loss_of(groups) * (len(groups) / total)
        loss.backward()
        return loss.item()

    def backward(self, groups: Sequence[Group]) -> float:
        """Leave the gradients of the batch's mean loss in the parameters; return that loss."""
        teams = min(len(self._helpers) + 1, len(groups))
        parts = [groups[number::teams] for number in range(teams)]
        busy = self._helpers[: teams - 1]
        for (line, _), part in zip(busy, parts[1:], strict=True):
            line.send((part, len(groups)))
        loss = self._backward(parts[0], len(groups))
        for line, gradients in busy:
            loss += line.recv()
            for name, parameter in self._parameters.items():
                parameter.grad.add_(gradients[name])
        return loss
