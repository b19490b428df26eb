"""What several tests share: small recipes on scripted models, a model of a few weights, the command as a user runs it."""

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cai.flow.screen import Screen
from cai.models.spec import ModelSpec
from cai.models.vllm import VllmEndpoint, serve
from cai.recipe.read import load_recipe
from cai.run.walk import start

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
ARGS, ENV = ("--logprobs-mode", "processed_logprobs"), {"VLLM_SERVER_DEV_MODE": "1"}
TOKENS = 2048
"""Of the bundled model's 49,152: a step of a small model is nearly all logits."""

if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    # Without bytecode every process of these tests would compile torch, TRL and vLLM again, which takes longer than to load them.
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(ROOT / ".pytest_cache" / "bytecode"))
    sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]

# One thread for each process: models of a few weights are slower on several, and vLLM's threads wait for each other by spinning,
# at a tenth of their speed where other tests compute beside them.
os.environ |= {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What shares an expensive start stays in one process, and the longest of it comes first; all else fills the gaps."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        if name := shared_start(item):
            item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=lambda item: GROUPS.index(shared_start(item)))


GROUPS = ("vllm", "torch", "ray", "")


def shared_start(item: pytest.Item) -> str:
    """What has to be started for a test, and is started once for all of its kind."""
    if item.path.name == "test_end_to_end.py" or "real_server" in getattr(item, "fixturenames", ()):
        return "vllm"
    if item.path.name in ("test_local.py", "test_reward.py") or item.path.is_relative_to(ROOT / "tests" / "train"):
        return "torch"
    return "ray" if item.path.name == "test_cluster.py" else ""


@pytest.fixture
def cai() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line in a process of its own, from the project's folder."""

    def run(*line: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cai.cli", *map(str, line)]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd)

    return run


@pytest.fixture
def scripted_run(tmp_path: Path) -> Callable[..., Path]:
    """Runs tests/data/scripted.yaml in this process; returns the run's folder."""

    def run(*overrides: str, out: Path = tmp_path, redo: str | None = None, only_changed: bool = False) -> Path:
        recipe = load_recipe(DATA / "scripted.yaml", overrides)
        start(recipe, out / recipe.name, Screen(Console(quiet=True)), redo, only_changed)
        return out / recipe.name

    return run


@pytest.fixture
def without_digests() -> Callable[[Path], None]:
    """Lets a run, or a stage of one, be as those from before digests of its files were kept."""

    def strip(folder: Path) -> None:
        for path in folder.rglob("parts.jsonl"):
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            bare = ({key: value for key, value in line.items() if key != "sha256"} for line in lines)
            path.write_text("".join(f"{json.dumps(line)}\n" for line in bare))
        for path in folder.rglob("seal.json"):
            seal = json.loads(path.read_text())
            seal.pop("files", None)
            path.write_text(json.dumps(seal))

    return strip


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a text file into the test's folder."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def jsonl(rows: Sequence[str]) -> str:
    """Prompt lines from plain texts."""
    return "".join(f'{{"prompt": "{row}"}}\n' for row in rows)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The bundled model's tokenizer with its first tokens alone: the special ones, the bytes, the most frequent pieces."""
    from transformers import AutoTokenizer

    from cai.models import bundled

    folder = tmp_path_factory.mktemp("tokenizer")
    for each in bundled.ensure("smollm2-135m").iterdir():
        if each.suffix != ".safetensors":
            (folder / each.name).write_bytes(each.read_bytes())
    data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = {token: number for token, number in data["model"]["vocab"].items() if number < TOKENS}
    data["model"]["merges"] = [each for each in data["model"]["merges"] if "".join(each) in vocabulary]
    data["model"]["vocab"] = vocabulary
    (folder / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="session")
def shape(tokenizer: Any) -> dict[str, Any]:
    """The config of a Llama of a few weights that reads this tokenizer; its heads are of the least size that vLLM has.

    Its output layer is its embeddings, as most small models have it.
    """
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "head_dim": 32,
    }
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    layers = {"tie_word_embeddings": True, "attention_bias": True}
    return {"vocab_size": len(tokenizer), "max_position_embeddings": 8192, **sizes, **layers, **ids}


@pytest.fixture(scope="session")
def tiny(tokenizer: Any, shape: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of a few weights, with the tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def opinionated(tiny: Path, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with six tenths of its mass on the letters A and B: a judge whose verdicts can be read."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("opinionated")
    model: Any = AutoModelForCausalLM.from_pretrained(tiny)
    with torch.no_grad():
        model.model.layers[-1].self_attn.o_proj.bias[0] = 1.0  # far above all else that the layers add
        model.lm_head.weight[:, 0] = 0.0
        model.lm_head.weight[tokenizer.convert_tokens_to_ids(["A", "B"]), 0] = 1.8
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class RealServer:
    """A vLLM server and the event loop, in a thread of its own, that watches it."""

    def __init__(self, model: Path, logs: Path) -> None:
        self.loop, self.stack, self.model = asyncio.new_event_loop(), AsyncExitStack(), model
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        # As PPO's sampler starts it.
        self.spec = ModelSpec("policy", vllm=str(model), dtype="float32", max_len=8192, args=ARGS)
        self.served: VllmEndpoint = self.wait(self.stack.enter_async_context(serve(self.spec, logs, ENV)))

    @property
    def url(self) -> str:
        """Where any client finds it."""
        return f"{self.served.servers[0].url}/v1"

    def wait(self, doing: Coroutine[Any, Any, Any]) -> Any:
        """What is done in the server's event loop."""
        return asyncio.run_coroutine_threadsafe(doing, self.loop).result()

    def close(self) -> None:
        self.wait(self.stack.aclose())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="session")
def real_server(opinionated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One vLLM server for all tests that need no more than a server."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    server = RealServer(opinionated, tmp_path_factory.mktemp("logs"))
    yield server
    server.close()
