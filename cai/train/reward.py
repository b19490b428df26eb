"""A reward model on soft labels: TRL's ``RewardTrainer`` and one term more.

    python -m cai.train.reward job.json

With d = r_chosen − r_rejected and the label p = P(chosen is better), the cross-entropy of softmax(r_chosen, r_rejected)
against (p, 1 − p) (Lee et al. 2023, section 2.2.1; Bai et al. 2022, section 4.1) is −log σ(d) + (1 − p)·d: TRL's own
loss plus (1 − p)·d. With ``margin: true`` the loss is −log σ(d − m) on hard labels, TRL's own (Touvron et al. 2023, section
3.2.2); a margin beside a soft label would say the same thing twice.
"""

from collections.abc import Callable
from typing import Any

import torch
from trl import RewardConfig, RewardTrainer  # pyright: ignore[reportPrivateImportUsage]

from cai.train import job as jobs
from cai.train import scoring

SHOWN = ["prompt", "chosen", "rejected"]


class WithProb:
    """A collator that keeps ``chosen_prob`` beside what TRL's own collator makes."""

    def __init__(self, inner: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> None:
        self.inner = inner

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = self.inner(examples)
        batch["chosen_prob"] = torch.tensor([example["chosen_prob"] for example in examples])
        return batch


class SoftRewardTrainer(RewardTrainer):
    """``RewardTrainer`` whose rows hold ``chosen_prob``; logs the Brier score of σ(d) against it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.data_collator = WithProb(self.data_collator)  # pyright: ignore[reportArgumentType]

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if "chosen_prob" not in self._signature_columns:
            self._signature_columns = [*self._signature_columns, "chosen_prob"]

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The parent's loss plus (1 − p)·d, averaged over the batch."""
        prob = inputs.pop("chosen_prob")  # what stays in the inputs goes to the model
        found: Any = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        loss, outputs = found
        chosen, rejected = outputs.logits.squeeze(-1).chunk(2)
        apart = chosen - rejected
        loss = loss + soft_term(apart, prob)
        mode = "train" if model.training else "eval"
        brier = (torch.sigmoid(apart.detach().float()) - prob).square()
        gathered: Any = self.accelerator.gather_for_metrics(brier)
        self._metrics[mode]["brier"].append(gathered.mean().item())
        return (loss, outputs) if return_outputs else loss


def soft_term(apart: torch.Tensor, prob: torch.Tensor) -> torch.Tensor:
    """What turns the hard loss into the soft one: the mean of (1 − p)·d.

    Args:
        apart: r_chosen − r_rejected, shape (pairs,).
        prob: P(chosen is better), shape (pairs,).
    """
    return ((1 - prob.to(apart)) * apart).mean()


def columns(own: dict[str, Any]) -> list[str]:
    """What the trainer is shown of each row.

    Raises:
        ValueError: soft labels and margins were asked for together.
    """
    if own.get("margin") and own.get("soft_labels", True):
        raise ValueError("margin: true is for hard labels; set soft_labels: false beside it, or take margin out")
    if own.get("margin"):
        return [*SHOWN, "margin"]
    return [*SHOWN, "chosen_prob"] if own.get("soft_labels", True) else SHOWN


def main() -> None:
    """Train on the job named on the command line."""
    job = jobs.from_command_line(RewardConfig)
    shown = columns(job.own)
    train, test = jobs.load(job, shown)
    trainer = (SoftRewardTrainer if "chosen_prob" in shown else RewardTrainer)(
        model=job.base,
        args=jobs.arguments(job, RewardConfig),
        train_dataset=train,
        eval_dataset=test,
        peft_config=jobs.lora(job, "SEQ_CLS", ["score"]),
        callbacks=[jobs.Progress(job.out)],
    )
    kept = len(trainer.train_dataset)  # pyright: ignore[reportArgumentType]
    metrics = jobs.train(trainer, job)
    rows = {"train": kept, "test": len(test) if test else 0, "too_long": len(train) - kept}
    before = scoring.probe(trainer, job)
    jobs.save(trainer, job, metrics, rows, lambda folder: scoring.check(folder, before, job))


if __name__ == "__main__":
    main()
