"""Ask your own documents, on your own machine: embedding, retrieval and answer spans.

Importing the package decides how long a thread of torch that waits for others keeps its processor
busy, where the environment does not say so already, and where torch is not loaded yet. Left to
itself it spins for milliseconds, on a processor that the others may need: two programs that asked
at the same time took 18 times as long as one alone on two cores. Spinning for some ten
microseconds, they take less than twice as long, and one alone a twentieth longer
(``bench/sharing.py``).
"""

import os

WAITING = {"GOMP_SPINCOUNT": "3000", "KMP_BLOCKTIME": "1"}
"""Settings of GNU's OpenMP (rounds of a loop) and of Intel's and LLVM's (milliseconds)."""

if "OMP_WAIT_POLICY" not in os.environ:
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
