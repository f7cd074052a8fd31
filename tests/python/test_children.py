"""Programs started from inside R run with their own libraries."""

import subprocess
import sys

import pytest

from tanya.children import environment, interpreter


def test_the_interpreter_is_a_python():
    python = interpreter()
    assert python is not None
    subprocess.run([python, "-c", "import ssl"], check=True, env=environment())


def test_inside_r_the_interpreter_is_found_by_its_prefix(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/lib/R/bin/exec/R")
    python = interpreter()
    assert python is None or "python" in python.rsplit("/", 1)[-1]


@pytest.mark.parametrize(
    ("inherited", "kept"),
    [
        ("/usr/lib/R/lib:/usr/lib/x86_64-linux-gnu:/lib", None),
        ("/usr/lib/R/lib:/usr/lib/aarch64-linux-gnu:/opt/cuda/lib64", "/opt/cuda/lib64"),
        ("", None),
    ],
)
def test_what_r_put_before_other_libraries_is_left_out(monkeypatch, inherited, kept):
    monkeypatch.setenv("R_HOME", "/usr/lib/R")
    monkeypatch.setenv("LD_LIBRARY_PATH", inherited)
    assert environment().get("LD_LIBRARY_PATH") == kept


def test_outside_r_the_library_path_is_the_users_own(monkeypatch):
    monkeypatch.delenv("R_HOME", raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/lib:/opt/lib")
    assert environment()["LD_LIBRARY_PATH"] == "/usr/lib:/opt/lib"
