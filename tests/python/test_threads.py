from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
from threadpoolctl import threadpool_info

import tanya
from tanya.threads import one_blas_thread


def threads_of_openblas() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"]


def test_numpy_multiplies_on_one_thread_inside_and_on_as_many_as_before_after() -> None:
    before = threads_of_openblas()
    with one_blas_thread():
        assert set(threads_of_openblas()) <= {1}
        assert (np.ones((4, 4)) @ np.ones((4, 4)) == 4).all()
    assert threads_of_openblas() == before


def waiting_of_a_new_process(**environment: str) -> list[str]:
    """What the environment says of waiting in a fresh Python after tanya was imported."""
    names = ("OMP_WAIT_POLICY", *tanya.WAITING)
    others = {name: value for name, value in os.environ.items() if name not in names}
    script = "import os, tanya; print([os.environ.get(name, '') for name in tanya.WAITING])"
    command = [sys.executable, "-c", script]
    environment = {**others, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [word.strip("' ") for word in printed.stdout.strip("[]\n").split(",")]


def test_threads_wait_briefly_unless_the_environment_says_otherwise() -> None:
    assert waiting_of_a_new_process() == list(tanya.WAITING.values())
    assert waiting_of_a_new_process(GOMP_SPINCOUNT="7")[0] == "7"
    assert waiting_of_a_new_process(OMP_WAIT_POLICY="active") == ["", ""]
