"""Loading torch into a program that has libraries of its own, as R has."""

from __future__ import annotations

import importlib
import os
import sys

from tanya.garbage import collector_paused

__all__ = ["load_torch"]


def load_torch() -> None:
    """Import torch so that it finds its own functions first.

    On Linux the functions of libraries that are already loaded go before those that a new one
    brings. R loads a BLAS, and torch would multiply matrices with it, some thirty times slower
    where that is the reference BLAS. Has no effect where torch is loaded already.
    """
    if "torch" in sys.modules or not hasattr(sys, "setdlopenflags"):
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | getattr(os, "RTLD_DEEPBIND", 0))
    try:
        with collector_paused():
            importlib.import_module("torch")
    finally:
        sys.setdlopenflags(flags)
