"""RRHF: its loss by hand, and what a batch of prompts with all their answers looks like."""

import math
from pathlib import Path

import pytest


def test_the_loss_is_the_paper_s() -> None:
    """Yuan et al. 2023, section 3.1, with three answers worked out by hand."""
    import torch

    from cai.train.rrhf import losses

    # Means per token: −1, −0.5 and −2. The best answer (score 9) has −1; the one with −0.5 should be below it and is not.
    logps, lengths = torch.tensor([-4.0, -1.0, -6.0]), torch.tensor([4, 2, 3])
    rank, likelihood, right = losses(logps, lengths, torch.tensor([9.0, 5.0, 1.0]))
    assert rank.item() == pytest.approx(0.5)
    assert likelihood.item() == pytest.approx(4.0)
    assert right.item() == pytest.approx(2 / 3)
    # Equal scores are not ranked: of the pairs left, the last is above the middle one by nothing, the first above none.
    rank, likelihood, _ = losses(logps, lengths, torch.tensor([1.0, 5.0, 5.0]))
    assert rank.item() == pytest.approx(-1.0 - -2.0)
    assert likelihood.item() == pytest.approx(1.0)


def test_log_probabilities_are_of_the_answer_s_tokens_alone() -> None:
    import torch

    from cai.train.rrhf import IGNORED, answer_logps

    logits = torch.log(torch.tensor([[[0.9, 0.1], [0.25, 0.75], [0.5, 0.5], [0.6, 0.4]]]))
    # A position's logits are of the token after it: the answer is the tokens at 2 and 3.
    logps, lengths = answer_logps(logits, torch.tensor([[IGNORED, IGNORED, 1, 0]]))
    assert logps.item() == pytest.approx(math.log(0.75) + math.log(0.5), abs=1e-6)
    assert lengths.tolist() == [2]


def test_the_trainer_s_loss_is_that_of_each_prompt_alone_averaged(tiny: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, TrainingArguments

    from cai.train.rrhf import RankedCollator, RrhfTrainer, losses

    one = {"prompt_ids": [[5, 6], [5, 6]], "answer_ids": [[7, 8, 9], [10]], "scores": [1.0, 2.0]}
    two = {"prompt_ids": [[4]] * 3, "answer_ids": [[9, 9], [11, 12], [3]], "scores": [3.0, 1.0, 2.0]}
    model = AutoModelForCausalLM.from_pretrained(tiny)
    args = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", remove_unused_columns=False)
    trainer = RrhfTrainer(model=model, args=args, data_collator=RankedCollator(0), rank_weight=3.0)
    wanted = []
    for each in (one, two):
        sums = []
        for prompt, answer in zip(each["prompt_ids"], each["answer_ids"], strict=True):
            said = model(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)  # type: ignore[operator]
            sums.append(sum(said[len(prompt) - 1 + place, token] for place, token in enumerate(answer)))  # type: ignore[arg-type]
        lengths = torch.tensor([len(answer) for answer in each["answer_ids"]])
        rank, likelihood, _ = losses(torch.stack(sums), lengths, torch.tensor(each["scores"]))
        wanted.append(3 * rank + likelihood)
    found = trainer.compute_loss(model, RankedCollator(0)([one, two]))
    assert found.item() == pytest.approx((sum(wanted) / 2).item(), abs=1e-5)
