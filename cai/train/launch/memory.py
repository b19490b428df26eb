"""How much memory a trainer will take, before it is started: from its base's files alone, no weights loaded.

Of N parameters, T of them trained (all, or rank · Σ(rows + columns) of the linear layers with LoRA), on each process:

- weights 4N bytes, and 2N more for autocast's copies in bfloat16 of what is trained; with LoRA 4T for the adapters, and below
  them 2N where the trainer computes in bfloat16, as ``cai.train.shared.loading.base_dtype`` says, else 4N; 2N where
  ``trl.model_init_kwargs`` says so; about N/2 with four bits
- gradients 4T, AdamW's two moments 8T; where several processes have copies, what they send one another once more: DDP's buckets
  4T; PPO's flat gradients of one of its two models and their sum 8T
- a reference 4N, where the method has one and no LoRA (with LoRA it is the model without its adapters), and is asked meanwhile;
  a reference of its own beside LoRA as the base
- PPO's critic: once more what the policy has
- reward models that each process loads to score answers: 2N on a GPU, 4N on a CPU, of their own N
- activations: for each token and layer what autograd keeps of a Llama block: 11h + 4i numbers (h the hidden size, i that of
  the feed-forward layer: two norms 4h, attention 6h with keys and values repeated for all heads, the feed-forward layer
  h + 4i), 4 bytes each, or 2 but for the norms' in bfloat16; with gradient checkpointing h for each layer, and one whole.
  With LoRA the norms keep 2h, for their weights are not trained. What autograd keeps of the bundled model was counted, and
  is this within 3%; a CPU's allocator holds half as much again
- logits: TRL's own trainers make them in a buffer of up to 4,096 tokens by 32,768 words, however few words there are; on a CPU
  they work on copies of it, seven at once. ORPO, SimPO, RRHF and PPO hold all, as often as ``COPIES`` says. A reward model has
  none
- the process itself: what Python, torch and TRL take before a model is there

A step is taken as full: as many sequences as the batch has, each of ``max_length``. Where weights are spread (fsdp2, zero3),
what grows with N and T is divided by the processes. Compare Korthikanti et al. 2022, section 4, whose formula is for GPT
without gated layers, in half precision.

Measured on a CPU, two steps of the bundled model with ``lora: 16`` in float32: sft with 2 × 512 tokens 4.74 GB, estimated
3.74; dpo with 1 × 128 tokens (two answers) 2.15 GB, estimated 1.87. On GPUs it has not been compared.
"""

import json
import math
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cai.models import content
from cai.stages.ppo import Ppo
from cai.stages.train import Train
from cai.train.launch.hardware import Hardware

PROCESS = 650_000_000
"""Bytes of a trainer's process without a model, as measured on a CPU; CUDA's context on a GPU is of that size."""
LOOSE = 1.5
"""Bytes that a CPU's allocator holds for one that autograd keeps: measured (2 × 512 tokens of the bundled model)."""
SAFE = 0.75
"""The share of a device's memory that an estimate may come to: the measured ones came to 0.79 and 0.87 of what was taken."""
PIECE = (4096, 32768)
"""Tokens and words of the pieces in which TRL 1.16 makes logits (``trl.kernels.chunked_logprob``)."""
SIDES = {"dpo": 2, "orpo": 2, "simpo": 2, "reward": 2}
"""Sequences of one example, where they are more than one."""
REFERENCE = ("dpo", "kto", "grpo", "rloo", "ppo")
WORKED_ON = 7
"""Copies of a piece that are there at once where no kernel works in place."""
COPIES = {"orpo": 5, "simpo": 4, "rrhf": 3, "ppo": 5}
"""All logits in float32 that are there at once at the peak of a step, its backward pass, as measured."""


@dataclass(frozen=True, slots=True)
class Size:
    """A model's size.

    Attributes:
        parameters: all, tied ones once.
        sides: rows + columns of all linear layers, Σ, by which LoRA grows.
    """

    parameters: int
    sides: int
    hidden: int
    intermediate: int
    layers: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class Need:
    """What one trainer takes on each process, in bytes.

    Attributes:
        scorers: the reward models that score answers.
        there: what the device has; on a CPU the machine's memory, shared out among the processes.
        device: "GPU" or "CPU".
    """

    stage: str
    weights: int
    gradients: int
    optimizer: int
    reference: int
    scorers: int
    activations: int
    logits: int
    process: int
    there: int
    device: str

    @property
    def all(self) -> int:
        """The sum."""
        state = self.weights + self.gradients + self.optimizer + self.reference + self.scorers
        return state + self.activations + self.logits + self.process


def size(folder: Path) -> Size | None:
    """A model's size from its config and the headers of its weights; None where they are not on this machine."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    config = {**config, **config.get("text_config", {})}
    tensors = {
        name: each for file in sorted(folder.glob("*.safetensors")) for name, each in content.shapes(file).items()
    }
    keys = ("hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size")
    if not tensors or any(key not in config for key in keys):
        return None
    linear = [
        each for name, each in tensors.items() if len(each) == 2 and not re.search("embed|lm_head|wte|score", name)
    ]
    return Size(sum(map(math.prod, tensors.values())), sum(map(sum, linear)), *(config[key] for key in keys))


def need(stage: str, kind: str, want: Train, base: Size, hardware: Hardware, scorers: int = 0) -> Need:
    """What a training takes on each process; see the head of this file for the formula.

    Args:
        scorers: bytes of the reward models that each process loads.
    """
    count = base.parameters
    trained = want.lora * base.sides if want.lora else count
    models = 2 if kind == "ppo" else 1
    share = hardware.count if hardware.sharded else 1
    device, half = hardware.device, hardware.dtype(want.bf16) == "bfloat16"
    return Need(
        stage=stage,
        weights=models * _weights(kind, want, base, hardware) // share,
        gradients=models * 4 * trained // share + _sent(kind, trained, hardware),
        optimizer=models * 8 * trained // share,
        reference=_reference(kind, want, base, hardware) // share,
        scorers=scorers,
        activations=int(_tokens(kind, want) * _activations(base, half, want) * (1 if device == "GPU" else LOOSE)),
        logits=_logits(kind, want, base, hardware),
        process=PROCESS,
        there=_capacity(device) // (hardware.count if device == "CPU" else 1),
        device=device,
    )


def too_small(each: Need, want: Train) -> str:
    """What to do about a training that will not fit, or hardly; empty where it will."""
    if each.all <= SAFE * each.there:
        return ""
    how = "will" if each.all > each.there else "may"
    return (
        f"{each.stage} {how} not fit: about {each.all / 1e9:.1f} GB where the {each.device} has {each.there / 1e9:.1f} GB; "
        f"{remedy(want.per_device_train_batch_size, want.gradient_checkpointing, want.lora)}"
    )


def remedy(batch: int, checkpointing: bool, lora: int | None) -> str:
    """The keys that take less memory, those left out that are used already."""
    ways = [f"per_device_train_batch_size (now {batch}) with gradient_accumulation_steps raised"] if batch > 1 else []
    text = f"lower {' or '.join([*ways, 'max_length'])}"
    sets = [*(() if checkpointing else ("gradient_checkpointing: true",)), *(() if lora else ("lora: 16",))]
    return f"{text}, or set {' or '.join(sets)}" if sets else text


def ran_out(log: str, code: int, want: Train | None, steps: int) -> str:
    """The sentence for a training that ran out of memory; empty where it failed of something else.

    Args:
        log: the end of what it said.
        code: with which it ended.
        want: its block; None for a process that trains nothing.
        steps: steps that it had done.
    """
    message = re.search(
        r"OutOfMemoryError|CUDA out of memory|DefaultCPUAllocator|^MemoryError|Cannot allocate memory", log, re.M
    )
    # The kernel's own out-of-memory killer leaves no word in the log, and torchrun only that a process got signal 9.
    killed = code == 137 or re.search(r"exitcode\s*: -9|Signal 9 \(SIGKILL\)", log)
    if not message and not killed:
        return ""
    what = "ran out of memory" if message else "was killed by the system, as happens where memory runs out,"
    if want is None:
        return f"{what} though it trains nothing; it needs a machine with more"
    batch = want.per_device_train_batch_size
    return (
        f"{what} in step {steps + 1}, with {batch} × {want.max_length} tokens on each device: "
        f"{remedy(batch, want.gradient_checkpointing, want.lora)}; what is done is kept, and it goes on from its last checkpoint"
    )


def fits_beside(each: Need, processes: int) -> bool:
    """Whether a training on a CPU has room in what other processes have left of the machine's memory."""
    return each.device == "CPU" and processes * each.all <= SAFE * available()


def available() -> int:
    """Bytes of memory that this machine, or the container it is, has to give now; 0 where that cannot be told."""
    kilobytes = re.search(r"^MemAvailable:\s*(\d+)", _text("/proc/meminfo"), re.M)
    limit, used = _text("/sys/fs/cgroup/memory.max").strip(), _text("/sys/fs/cgroup/memory.current").strip()
    free = int(kilobytes[1]) * 1024 if kilobytes else 0
    return min(free, int(limit) - int(used)) if limit.isdigit() and used.isdigit() else free


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _weights(kind: str, want: Train, base: Size, hardware: Hardware) -> int:
    """Bytes of one model that is trained, its adapters and autocast's copies among them."""
    half = hardware.dtype(want.bf16) == "bfloat16"
    if want.lora:
        adapters = 4 * want.lora * base.sides
        return adapters + int(_base_bytes(kind, want, hardware) * base.parameters)
    held = _base_bytes(kind, want, hardware)
    return int((held + (2 if half and held == 4 else 0)) * base.parameters)


def _base_bytes(kind: str, want: Train, hardware: Hardware) -> float:
    """Bytes in which a weight of the base is held."""
    if getattr(want, "quantization", None) == "4bit":
        return 0.5
    if dtype := want.init_kwargs.get("dtype"):
        return 2 if dtype in ("bfloat16", "float16") else 4
    half = hardware.dtype(want.bf16) == "bfloat16" and not hardware.sharded and not want.trl.get("use_vllm")
    whole = kind == "reward" or (kind == "ppo" and hardware.device != "GPU")
    return 2 if want.lora and half and not whole else 4


def _reference(kind: str, want: Train, base: Size, hardware: Hardware) -> int:
    """Bytes of the model that a policy is held to, where it is another one than the policy without its adapters."""
    other = bool(getattr(want, "reference", ""))
    asked = kind in REFERENCE and getattr(want, "beta", 1) != 0 and not getattr(want, "precompute_ref_log_probs", False)
    if not asked or (want.lora and not other):
        return 0
    return int(_base_bytes(kind, want, hardware) * base.parameters)


def _sent(kind: str, trained: int, hardware: Hardware) -> int:
    """Bytes of the gradients that processes with copies of a model send one another."""
    if hardware.count == 1 or hardware.sharded:
        return 0
    return (8 if kind == "ppo" else 4) * trained


def _activations(base: Size, half: bool, want: Train) -> int:
    """Bytes for each token."""
    norms, others = (2 if want.lora else 4) * base.hidden, 7 * base.hidden + 4 * base.intermediate
    layer = 4 * norms + (2 if half else 4) * others
    return layer + 4 * base.hidden * base.layers if want.gradient_checkpointing else layer * base.layers


def _tokens(kind: str, want: Train) -> int:
    """Of a full batch."""
    return want.per_device_train_batch_size * SIDES.get(kind, 1) * want.max_length


def _logits(kind: str, want: Train, base: Size, hardware: Hardware) -> int:
    """Bytes of the logits that are there at once, with what is made of them."""
    tokens = _tokens(kind, want)
    if kind == "reward":
        return 0
    if kind not in COPIES:
        buffer = (2 if hardware.dtype(want.bf16) == "bfloat16" else 4) * PIECE[1]
        copies = WORKED_ON * 4 * min(base.vocabulary, PIECE[1]) if hardware.device == "CPU" else 0
        return min(tokens, PIECE[0]) * (buffer + copies)
    answers = tokens * want.max_new_tokens // want.max_length if isinstance(want, Ppo) else tokens
    return COPIES[kind] * 4 * answers * base.vocabulary


def _capacity(device: str) -> int:
    """Bytes of memory of the smallest GPU that may be used, or of this machine."""
    if device == "CPU" or not shutil.which("nvidia-smi"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    line = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    sizes = subprocess.run(line, capture_output=True, text=True).stdout.split()
    return min((int(each) for each in sizes if each.isdigit()), default=0) * 2**20
