from __future__ import annotations

import gc

import pytest

from tanya.garbage import collector_paused


def test_the_collector_rests_inside_and_works_after_an_error_too() -> None:
    with pytest.raises(KeyError), collector_paused():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
