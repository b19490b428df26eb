"""Soft labels: the loss is the cross-entropy against the label's probability, for rewards and for DPO."""

from pathlib import Path
from typing import Any

import pytest

PROB = 0.7


def test_the_soft_loss_is_the_cross_entropy_against_the_label() -> None:
    import torch
    from torch.nn.functional import logsigmoid

    from cai.train.shared.soft import soft_term

    apart = torch.tensor([-3.0, -0.2, 0.0, 1.5])
    prob = torch.tensor([0.5, 0.6, 0.9, 1.0])
    wanted = -(prob * logsigmoid(apart) + (1 - prob) * logsigmoid(-apart)).mean()
    assert torch.allclose(-logsigmoid(apart).mean() + soft_term(apart, prob), wanted, atol=1e-7)


def trainer(tiny: Path, data: Path, cache: Path, arguments: dict[str, Any], **settings: Any) -> Any:
    """A soft DPO trainer whose policy is not its reference any more."""
    import torch
    from datasets import load_dataset
    from peft import LoraConfig
    from trl import DPOConfig  # pyright: ignore[reportPrivateImportUsage]

    from cai.train.dpo import COLUMNS, SoftDPOTrainer
    from cai.train.shared.soft import PROB as COLUMN

    rows = load_dataset("parquet", data_files=str(data / "train.parquet"), split="train", cache_dir=str(cache))
    rows = rows.select(range(4)).select_columns([*COLUMNS, COLUMN])
    adapter = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM") if settings.pop("lora", 0) else None
    config = DPOConfig(**arguments, **settings)
    made = SoftDPOTrainer(str(tiny), args=config, train_dataset=rows, peft_config=adapter)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in filter(lambda each: each.requires_grad, made.model.parameters()):
            weight.add_((0.3 if adapter else 0.02) * torch.randn_like(weight))
    made.model.train()
    return made


def batch(made: Any, prob: Any) -> Any:
    found = next(iter(made.get_train_dataloader()))
    found["chosen_prob"] = prob.to(found["chosen_prob"])
    return found


def by_hand(tiny: Path, made: Any, given: Any) -> tuple[Any, Any]:
    """Δ of each pair and the mean negative log-likelihood of the chosen tokens, from plain forward passes."""
    import torch
    from transformers import AutoModelForCausalLM

    policy, mask = AutoModelForCausalLM.from_pretrained(tiny), given["completion_mask"][:, 1:]
    policy.load_state_dict(made.model.state_dict())
    sums = []
    for model in (policy, AutoModelForCausalLM.from_pretrained(tiny)):
        with torch.no_grad():
            logits = model(given["input_ids"], attention_mask=given["attention_mask"]).logits[:, :-1]
        each = logits.log_softmax(-1).gather(2, given["input_ids"][:, 1:, None])[..., 0] * mask
        sums.append(each)
    chosen, rejected = (sums[0] - sums[1]).sum(1).chunk(2)
    own, own_mask = sums[0].chunk(2)[0], mask.chunk(2)[0]
    return chosen - rejected, -own.sum() / own_mask.sum()


@pytest.mark.filterwarnings("ignore")
def test_soft_dpo_is_its_formula(sets: Path, tiny: Path, tmp_path: Path, arguments: dict[str, Any]) -> None:
    import torch
    from torch.nn.functional import logsigmoid

    losses = {"loss_type": ["sigmoid", "sft"], "loss_weights": [0.5, 0.25], "beta": 0.3}
    made = trainer(tiny, sets / "prefs", tmp_path / "cache", arguments, **losses)
    prob = torch.tensor([0.5, 0.6, 0.85, 1.0])
    given = batch(made, prob)
    delta, likelihood = by_hand(tiny, made, given)
    soft = -(prob * logsigmoid(0.3 * delta) + (1 - prob) * logsigmoid(-0.3 * delta)).mean()
    assert delta.abs().max() > 0.01
    loss = made.compute_loss(made.model, given)
    assert loss.item() == pytest.approx((0.5 * soft + 0.25 * likelihood).item(), abs=1e-6)
    loss.backward()
    assert all(torch.isfinite(weight.grad).all() for weight in made.model.parameters())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "settings", [{"ld_alpha": 0.3}, {"precompute_ref_log_probs": True, "ld_alpha": 0.3}, {"lora": True}]
)
def test_what_softness_adds_is_the_margin_that_trl_itself_reports(
    sets: Path, tiny: Path, tmp_path: Path, arguments: dict[str, Any], settings: dict[str, Any]
) -> None:
    import torch

    made = trainer(tiny, sets / "prefs", tmp_path / "cache", arguments, loss_type=["sigmoid"], **settings)
    hard, soft = (made.compute_loss(made.model, batch(made, torch.full((4,), prob))).item() for prob in (1.0, PROB))
    # The margin is of the last batch; all four rows are in each.
    margin = made._metrics["train"]["rewards/margins"][-1]
    assert abs(margin) > 1e-3
    assert soft - hard == pytest.approx((1 - PROB) * margin, abs=1e-6)
