"""What the running Python offers to tanya: its version, its parts, the packages of the engine.

Only the standard library is imported, so that this runs, and tells what is missing, in any Python.
As a program (``python -m tanya.environment``) it prints the report.
"""

from __future__ import annotations

import json
import re
import sys
import sysconfig
from importlib import metadata, util
from pathlib import Path

__all__ = ["report"]

OLDEST_PYTHON = (3, 10)
REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"


def report() -> str:
    """Describe the running Python as a JSON object.

    Returns:
        JSON with ``python`` (path), ``version``, ``supported`` (new enough), ``venv`` (can make
        virtual environments), ``shared`` (built with a shared library, which R needs) and
        ``packages``: a list of ``package``, ``needed``, ``installed`` (null where it is not) and
        ``ok``, one for each requirement of the engine.
    """
    return json.dumps(
        {
            "python": sys.executable,
            "version": ".".join(map(str, sys.version_info[:3])),
            "supported": sys.version_info[:2] >= OLDEST_PYTHON,
            "venv": all(util.find_spec(name) is not None for name in ("venv", "ensurepip")),
            "shared": _has_shared_library(),
            "packages": [_package(line) for line in _requirements()],
        }
    )


def _requirements() -> list[str]:
    lines = (line.strip() for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _package(requirement: str) -> dict[str, object]:
    name, _, needed = requirement.partition(">=")
    try:
        installed: str | None = metadata.version(name)
    except metadata.PackageNotFoundError:
        installed = None
    return {
        "package": name,
        "needed": needed,
        "installed": installed,
        "ok": installed is not None and _release(installed) >= _release(needed),
    }


def _release(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, enough to compare with a lower bound."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match.group().split("."))) if match else ()


def _has_shared_library() -> bool:
    if sys.platform == "win32" or sysconfig.get_config_var("PYTHONFRAMEWORK"):
        return True
    folders = {sysconfig.get_config_var(name) for name in ("LIBDIR", "LIBPL")}
    names = {sysconfig.get_config_var(name) for name in ("LDLIBRARY", "INSTSONAME")}
    return any(
        Path(folder, name).exists()
        for folder in folders
        for name in names
        if folder and name and not name.endswith(".a")
    )


if __name__ == "__main__":
    print(report())
