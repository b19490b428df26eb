"""A reward model on soft labels: TRL's ``RewardTrainer`` and one term more.

    python -m cai.train.reward job.json

With d = r_chosen − r_rejected and the label p = P(chosen is better), the loss is the cross-entropy of
softmax(r_chosen, r_rejected) against (p, 1 − p) (Lee et al. 2023, section 2.2.1; Bai et al. 2022, section 4.1), see
``cai.train.shared.soft``. With ``margin: true`` the loss is −log σ(d − m) on hard labels, TRL's own (Touvron et al. 2023, section
3.2.2); a margin beside a soft label would say the same thing twice.
"""

from typing import Any

import torch
from torch import nn
from trl import RewardConfig, RewardTrainer  # pyright: ignore[reportPrivateImportUsage]

from cai.models.weights import exact_head
from cai.stages.reward import Reward
from cai.train import adapters
from cai.train.shared import conversations, fit, loading, saving, scoring
from cai.train.shared import job as jobs
from cai.train.shared.soft import PROB, Count, Inputs, Loss, keep_column, log_brier, soft_term

SHOWN = ["prompt", "chosen", "rejected"]
NUMBER = "number"
"""The column that tells held-out pairs apart."""


class ScoreKeeper(RewardTrainer):
    """``RewardTrainer`` that keeps what its last evaluation gave each held-out pair, whichever process scored it.

    The head computes in float32, and learns in it.

    Attributes:
        held_out: the number of a row → the scores of its chosen answer and its rejected one, in logits.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keep_column(self, NUMBER, absent=-1)
        self.held_out: dict[int, scoring.Rewards] = {}
        assert isinstance(self.model, nn.Module)
        exact_head(adapters.under(self.model))

    def compute_loss(
        self, model: nn.Module, inputs: Inputs, return_outputs: bool = False, num_items_in_batch: Count = None
    ) -> Loss:
        """The parent's loss."""
        numbers = inputs.pop(NUMBER)  # what stays in the inputs goes to the model
        result: Any = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        assert self.model is not None
        if not self.model.training:
            self._keep(numbers, *result[1].logits.squeeze(-1).chunk(2))
        return result if return_outputs else result[0]

    def _keep(self, *columns: torch.Tensor) -> None:
        """Rows' numbers and both scores of each, all of shape (pairs,)."""
        table = torch.stack([each.detach().double() for each in columns], 1)
        rows: Any = self.accelerator.gather(table)
        self.held_out |= {int(number): (chosen, rejected) for number, chosen, rejected in rows.tolist()}


class SoftRewardTrainer(ScoreKeeper):
    """``RewardTrainer`` whose rows hold ``chosen_prob``; logs the Brier score of σ(d) against it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keep_column(self, PROB)

    def compute_loss(
        self, model: nn.Module, inputs: Inputs, return_outputs: bool = False, num_items_in_batch: Count = None
    ) -> Loss:
        """The parent's loss plus (1 − p)·d, averaged over the batch."""
        prob = inputs.pop(PROB)  # what stays in the inputs goes to the model
        result: Any = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        loss, outputs = result
        chosen, rejected = outputs.logits.squeeze(-1).chunk(2)
        delta = chosen - rejected
        loss = loss + soft_term(delta, prob)
        log_brier(self, delta, prob)
        return (loss, outputs) if return_outputs else loss


def columns(want: Reward) -> list[str]:
    """What the trainer is shown of each row.

    Raises:
        ValueError: soft labels and margins were asked for together.
    """
    if want.margin and want.soft_labels:
        raise ValueError("margin: true is for hard labels; set soft_labels: false beside it, or take margin out")
    if want.margin:
        return [*SHOWN, "margin"]
    return [*SHOWN, PROB] if want.soft_labels else SHOWN


def main() -> None:
    """Train on the job named on the command line."""
    job = jobs.from_command_line(Reward)
    keys, want = columns(job.want), job.want
    centred = {"center_rewards_coefficient": want.center_rewards_coefficient}
    template = conversations.template(job, loading.tokenizer(job))
    train, test = loading.load(job, keys)
    numbered = test and test.add_column(NUMBER, list(range(len(test))))  # pyright: ignore
    train, test, refusals = conversations.fitting((train, numbered), conversations.scorable(template))
    trainer = (SoftRewardTrainer if PROB in keys else ScoreKeeper)(
        model=job.base,
        args=fit.arguments(job, RewardConfig, max_length=want.max_length, **centred),
        train_dataset=train,
        eval_dataset=test,
        processing_class=conversations.trainer_tokenizer(template, scored=True),
        peft_config=loading.lora(job, "SEQ_CLS", ["score"]),
        callbacks=[fit.Progress(job.out)],
    )
    rows = fit.row_counts(trainer, train, test, refusals)
    metrics = fit.train(trainer, job)
    probe, held_out = scoring.probe(trainer), scoring.held_out(job, trainer.held_out)
    saving.save(
        trainer, job, metrics, rows, lambda folder: {"held_out": held_out, "reloaded": scoring.check(folder, probe)}
    )


if __name__ == "__main__":
    main()
