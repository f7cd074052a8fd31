"""How to start Python programs as child processes, also from inside R."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

__all__ = ["environment", "interpreter"]

# Where the dynamic linker looks anyway.
_SYSTEM_LIBRARIES = re.compile(r"(/usr)?/lib(32|64)?(/[^/]+-linux-[^/]+)?/?")


def interpreter() -> str | None:
    """Find the program of the running Python; inside R, ``sys.executable`` may be R itself.

    Returns:
        Its path, or None where there is none.
    """
    if Path(sys.executable or "").name.lower().startswith("python"):
        return sys.executable
    names = ("bin/python3", "bin/python", "python.exe", "Scripts/python.exe")
    found = (Path(sys.prefix, name) for name in names)
    return next((str(path) for path in found if path.is_file()), None)


def environment() -> dict[str, str]:
    """Copy the environment without what R added to the library search path.

    R puts its own and the system's libraries first. A Python from elsewhere would load the
    system's libpython of the same name with them, and then fail to import its own modules.
    """
    variables = dict(os.environ)
    home = variables.get("R_HOME")
    entries = variables.pop("LD_LIBRARY_PATH", "").split(os.pathsep)
    kept = [
        entry
        for entry in entries
        if not home or not (Path(entry).is_relative_to(home) or _SYSTEM_LIBRARIES.fullmatch(entry))
    ]
    if any(kept):
        variables["LD_LIBRARY_PATH"] = os.pathsep.join(kept)
    return variables
