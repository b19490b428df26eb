"""The estimate of a trainer's memory against all tensors that a real training has at once."""

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pyarrow import Table, parquet
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cai.stages import STAGES
from cai.train.launch import memory
from cai.train.launch.hardware import Hardware


class Live(TorchDispatchMode):
    """Counts the bytes of all tensors that are there, and the most that ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in tree_leaves(made):
            if isinstance(each, torch.Tensor):
                self._meet(each.untyped_storage())
        return made

    def _meet(self, storage: torch.UntypedStorage) -> None:
        pointer, size = storage.data_ptr(), storage.nbytes()
        if size and pointer not in self.known:
            self.known.add(pointer)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._leave, pointer, size)

    def _leave(self, pointer: int, size: int) -> None:
        self.known.discard(pointer)
        self.now -= size


def alike(folder: Path, kind: str) -> Path:
    """Rows that are all of one length, as a full batch has them."""
    folder.mkdir()
    asked, said = ([{"role": role, "content": "Why? So. " * 16}] for role in ("user", "assistant"))
    row = {"prompt": asked, "track": "helpful"}
    rows = {
        "sft": [{**row, "completion": said}] * 4,
        "kto": [{**row, "completion": said, "label": label} for label in (True, False)] * 2,
        "rrhf": [{**row, "completions": [said, said], "scores": [1.0, 0.0]}] * 4,
    }
    pair = {**row, "chosen": said, "rejected": said, "chosen_prob": 0.75, "principles": ["kind"]}
    parquet.write_table(Table.from_pylist(rows.get(kind, [pair] * 4)), folder / "train.parquet")
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["sft", "dpo", "kto", "orpo", "simpo", "rrhf"])
def test_a_step_holds_what_is_estimated(
    tiny: Path, tokenizer: Any, tmp_path: Path, job: Callable[..., Path], train_here: Callable[..., Any], kind: str
) -> None:
    """Counted at all tensors of a real training: of a small model with many words, whose step is nearly all logits."""
    from cai.models.templates import ChatTemplate

    data = alike(tmp_path / "data", kind)
    row = parquet.read_table(data / "train.parquet").to_pylist()[0]
    answer = (row.get("completions") or [row.get("completion") or row["chosen"]])[0]
    length = len(ChatTemplate(tokenizer).score_ids(row["prompt"] + answer))
    file = job(kind, data, tmp_path / "out", max_steps=1, per_device_train_batch_size=4, max_length=length)
    with Live() as live:
        train_here(kind, file)
    known = memory.size(tiny)
    assert known is not None
    want = STAGES[kind].want(base="b", bf16=False, per_device_train_batch_size=4, max_length=length)
    found = memory.need(kind, kind, want, known, Hardware("cpu"))
    sequences = 2 if kind == "rrhf" else 1  # of which a recipe does not say how many an example has
    estimate = found.all - found.process - found.activations + sequences * found.activations / memory.LOOSE
    estimate += (sequences - 1) * found.logits
    assert live.peak == pytest.approx(estimate, rel=0.15)
