"""Which GPUs this machine lets us use, and how replicas share them."""

import os
import shutil
import subprocess
from collections.abc import Sequence


def visible() -> list[str]:
    """The devices this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; none where there is no GPU."""
    setting = os.environ.get("CUDA_VISIBLE_DEVICES")
    if setting is not None:
        return [device for device in setting.split(",") if device.strip() and device.strip() != "-1"]
    if not shutil.which("nvidia-smi"):
        return []
    answer = subprocess.run(
        ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True
    )
    return answer.stdout.split() if answer.returncode == 0 else []


def groups(devices: Sequence[str], size: int) -> list[str]:
    """The devices in groups of one replica each, as ``CUDA_VISIBLE_DEVICES`` takes them."""
    return [",".join(devices[start : start + size]) for start in range(0, len(devices) - size + 1, size)]


def usable_cores() -> int:
    """How many of this machine's cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores(number: int, count: int) -> str:
    """The cores of one CPU replica of several, as vLLM's ``VLLM_CPU_OMP_THREADS_BIND`` takes them: ``0-3``."""
    usable = sorted(os.sched_getaffinity(0))
    each = max(1, len(usable) // count)
    share = usable[number * each : (number + 1) * each] or usable[-1:]
    return f"{share[0]}-{share[-1]}"
