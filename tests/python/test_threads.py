from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info

from tanya.threads import one_blas_thread


def threads_of_openblas() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"]


def test_numpy_multiplies_on_one_thread_inside_and_on_as_many_as_before_after() -> None:
    before = threads_of_openblas()
    with one_blas_thread():
        assert set(threads_of_openblas()) <= {1}
        assert (np.ones((4, 4)) @ np.ones((4, 4)) == 4).all()
    assert threads_of_openblas() == before
