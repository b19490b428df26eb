"""ORPO and SimPO: what TRL's experimental trainers are given, and the sentence for the day they are gone."""

import json
import math
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_a_recipe_says_before_it_starts_that_this_trl_has_the_trainer_no_longer(
    write: Callable[[str, str], Path],
    preference_recipe: Callable[[str], Path],
    cai: Callable[..., subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = write("gone/trl/__init__.py", "").parent.parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    said = cai("check", preference_recipe("orpo: {base: policy}")).stdout
    assert "r.yaml:10: stages[4].orpo: " in said
    assert "has no trl.experimental.orpo.ORPOConfig; TRL 1.16 had it: install trl==1.16.*, or use dpo instead" in said
    assert "Traceback" not in said


def test_an_answer_ends_once(tiny: Path) -> None:
    from datasets import Dataset
    from transformers import AutoTokenizer

    from cai.models.templates import ChatTemplate
    from cai.train.shared.experimental import as_text

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    said = [[{"role": "assistant", "content": "Yes."}]]
    rows = Dataset.from_dict({"prompt": [[{"role": "user", "content": "Short?"}]], "chosen": said, "rejected": said})
    [row] = as_text(rows, ChatTemplate(tokenizer))
    assert row["chosen"] == f"Yes.{tokenizer.eos_token}"
    assert row["prompt"].endswith("<|im_start|>assistant\n")
    assert "Short?" in row["prompt"]


def test_weights_are_trained_in_float32_unless_told(tiny: Path, tmp_path: Path) -> None:
    """Given a path, TRL's trainers would take the checkpoint's bfloat16, in which small steps are rounded away."""
    from types import SimpleNamespace

    import torch
    from transformers import AutoModelForCausalLM

    from cai.stages.orpo import Orpo
    from cai.train.shared import loading
    from cai.train.shared.job import Job

    AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.bfloat16).save_pretrained(tmp_path / "half")
    given = Job("orpo", Orpo(str(tmp_path / "half")), tmp_path, tmp_path, 0)
    assert loading.model(given, SimpleNamespace(model_init_kwargs=None)).dtype == torch.float32
    assert loading.model(given, SimpleNamespace(model_init_kwargs={"dtype": "bfloat16"})).dtype == torch.bfloat16


@pytest.mark.filterwarnings("ignore")
def test_simpo_is_its_formula(
    sets: Path, tmp_path: Path, job: Callable[..., Path], train_here: Callable[[str, Path], dict[str, Any]]
) -> None:
    """−log σ(β·(mean log p of the chosen − of the rejected) − γ), with no likelihood beside it (Meng et al. 2024)."""
    file = job("simpo", sets / "prefs", tmp_path / "out", max_steps=1, per_device_train_batch_size=1, beta=2.5)
    train_here("simpo", file)
    first = json.loads((tmp_path / "out" / "metrics.jsonl").read_text().splitlines()[0])
    apart = 2.5 * (first["logps/chosen"] - first["logps/rejected"]) - 1.0
    assert first["loss"] == pytest.approx(math.log1p(math.exp(-apart)), abs=1e-5)
