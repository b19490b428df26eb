"""What a machine has that decides whether it can do what a recipe says. It is asked once, and a test says what it has."""

import importlib.util
from dataclasses import dataclass

from cai.models import gpus as devices

PACKAGES = (
    "bitsandbytes",
    "datasets",
    "datasketch",
    "deepspeed",
    "flash_attn",
    "inspect_ai",
    "inspect_evals",
    "lm_eval",
    "mlflow",
    "numpy",
    "py3langid",
    "tensorboard",
    "trackio",
    "transformers",
    "trl",
    "vllm",
    "wandb",
)
"""Those that not every machine has, and that some recipe needs."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine on which a recipe may run.

    Attributes:
        gpus: the devices that may be used, as ``CUDA_VISIBLE_DEVICES`` names them.
        packages: which of ``PACKAGES`` are installed.
        serves_here: whether it is this one that serves and trains, and so must have what that takes.
    """

    gpus: tuple[str, ...] = ()
    packages: frozenset[str] = frozenset(PACKAGES)
    serves_here: bool = True


def this_machine(serves_here: bool = True) -> Machine:
    """The machine of this process, as it is now."""
    installed = frozenset(name for name in PACKAGES if importlib.util.find_spec(name) is not None)
    return Machine(tuple(devices.visible()), installed, serves_here)
