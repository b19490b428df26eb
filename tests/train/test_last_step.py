"""A training that was killed between its last step and its manifest has nothing left to learn."""

from pathlib import Path
from typing import Any

import pytest
import torch
from toy import models

ROWS = {"input_ids": [[2, 3, 4]] * 8, "labels": [[2, 3, 4]] * 8}
STEPS = 3
"""Of an epoch of eight."""


@pytest.mark.filterwarnings("ignore")
def test_a_training_of_which_all_steps_are_done_does_no_other(tmp_path: Path) -> None:
    from datasets import Dataset
    from transformers import Trainer, TrainingArguments

    from cai.stages.sft import Sft
    from cai.train.shared import fit
    from cai.train.shared.job import Job

    job = Job("sft", Sft("toy"), tmp_path, tmp_path, 0)
    keys: dict[str, Any] = {"max_steps": STEPS, "save_steps": STEPS, "logging_steps": 1, "use_cpu": True}
    keys |= {"per_device_train_batch_size": 1, "report_to": "none", "disable_tqdm": True, "save_strategy": "steps"}

    def trained() -> tuple[Trainer, Any]:
        args = TrainingArguments(str(tmp_path / "checkpoints"), **keys, dataloader_pin_memory=False)
        model = models()[0]
        callbacks = [fit.Progress(tmp_path)]
        trainer = Trainer(model, args, train_dataset=Dataset.from_dict(ROWS), callbacks=callbacks)
        return trainer, fit.train(trainer, job)

    first, figures = trained()
    assert (first.state.global_step, figures["resumed_from"]) == (STEPS, 0)
    before = (tmp_path / "metrics.jsonl").read_text()
    again, figures = trained()
    assert (again.state.global_step, figures["resumed_from"]) == (STEPS, STEPS)
    parts = zip(first.model.parameters(), again.model.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in parts)
    assert (tmp_path / "metrics.jsonl").read_text() == before
