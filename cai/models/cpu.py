"""In which type of number this machine's CPU computes best.

A CPU without instructions for bfloat16 emulates it, and takes several times as long as for float32: a forward pass of the
bundled model over 256 tokens took 4.5 s against 1.0 s on two cores of an AMD EPYC with AVX2 alone.
"""

import platform
import subprocess
from collections.abc import Collection
from functools import cache
from pathlib import Path

BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""The CPU flags, by Linux's names, of which each stands for products of bfloat16: Intel's and AMD's, Intel's tiles, Arm's."""


def dtype(features: Collection[str] | None = None) -> str:
    """``bfloat16`` where the CPU multiplies it itself, ``float32`` elsewhere; for servers and trainers.

    Args:
        features: the CPU's flags; this machine's unless given.
    """
    return "bfloat16" if BFLOAT16.intersection(flags() if features is None else features) else "float32"


@cache
def flags() -> frozenset[str]:
    """What this machine's CPU can do, as Linux names it; nothing where that cannot be told."""
    if platform.system() == "Darwin":
        answer = subprocess.run(["sysctl", "-n", "hw.optional.arm.FEAT_BF16"], capture_output=True, text=True)
        return frozenset({"bf16"} if answer.stdout.strip() == "1" else ())
    return flags_of(_text("/proc/cpuinfo"))


def flags_of(cpuinfo: str) -> frozenset[str]:
    """The flags of the first core in ``/proc/cpuinfo``: "flags" on x86, "Features" on Arm."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
