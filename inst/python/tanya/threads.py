"""Threads of numpy's matrix products, kept out of the way of torch's."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]


def one_blas_thread() -> AbstractContextManager[Any]:
    """Let numpy multiply on the calling thread only.

    The threads of OpenBLAS wait for more work by spinning, for a tenth of a second after each
    product. Where a search is followed by a model, that is as long as the model runs, and on as
    many processors as torch wants: it took twice its time.
    """
    limits: AbstractContextManager[Any] = _pools().limit(limits=1)
    return limits


@cache
def _pools() -> ThreadpoolController:
    import numpy.linalg  # noqa: F401  (the library is to be loaded before it is looked for)

    return ThreadpoolController().select(internal_api="openblas")
