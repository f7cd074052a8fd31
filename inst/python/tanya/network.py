"""Whether the engine may use the network, and how third-party libraries are kept quiet.

The network is used for one thing: to fetch a model that is not on this machine. It is forbidden by
``set_offline(True)`` or by any of the environment variables ``TANYA_OFFLINE``, ``HF_HUB_OFFLINE``
and ``TRANSFORMERS_OFFLINE``; what the environment forbids, a call cannot allow.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["TIMEOUT", "forbid_telemetry", "is_offline", "quiet_transformers", "set_offline"]

TIMEOUT = 5.0
"""Seconds to wait for a server's first answer before the next source is tried."""

_FORBIDDING = ("TANYA_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TRUE = frozenset({"1", "true", "yes", "on"})

_forbidden_by_call = False


def set_offline(offline: bool) -> bool:
    """Forbid or allow the network in this process.

    Returns:
        Whether the network was forbidden by a call before.
    """
    global _forbidden_by_call
    before = _forbidden_by_call
    _forbidden_by_call = offline
    return before


def is_offline() -> bool:
    """Whether the network is forbidden, by a call or by the environment."""
    return _forbidden_by_call or any(
        os.environ.get(name, "").strip().lower() in _TRUE for name in _FORBIDDING
    )


def forbid_telemetry() -> None:
    """Switch off usage reports of the Hugging Face libraries; call before they are imported.

    ``DISABLE_SAFETENSORS_CONVERSION`` keeps transformers from asking a web service to convert a
    model's weights behind the user's back.
    """
    for name in ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "DISABLE_SAFETENSORS_CONVERSION"):
        os.environ.setdefault(name, "1")


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Load a model without transformers' reports and bars, then put its settings back."""
    forbid_telemetry()
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
