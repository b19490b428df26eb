"""A reward model on soft labels: TRL's ``RewardTrainer`` and one term more.

    python -m cai.train.reward job.json

With d = r_chosen − r_rejected and the label p = P(chosen is better), the loss is the cross-entropy of
softmax(r_chosen, r_rejected) against (p, 1 − p) (Lee et al. 2023, section 2.2.1; Bai et al. 2022, section 4.1), see
``cai.train.shared.soft``. With ``margin: true`` the loss is −log σ(d − m) on hard labels, TRL's own (Touvron et al. 2023, section
3.2.2); a margin beside a soft label would say the same thing twice.
"""

from typing import Any

from torch import nn
from trl import RewardConfig, RewardTrainer  # pyright: ignore[reportPrivateImportUsage]

from cai.stages.reward import Reward
from cai.train.shared import conversations, fit, loading, saving, scoring
from cai.train.shared import job as jobs
from cai.train.shared.soft import PROB, Count, Inputs, Loss, keep_prob, log_brier, soft_term

SHOWN = ["prompt", "chosen", "rejected"]


class SoftRewardTrainer(RewardTrainer):
    """``RewardTrainer`` whose rows hold ``chosen_prob``; logs the Brier score of σ(d) against it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keep_prob(self)

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
    train, test, refusals = conversations.fitting(loading.load(job, keys), conversations.scorable(template))
    trainer = (SoftRewardTrainer if PROB in keys else RewardTrainer)(
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
    before = scoring.probe(trainer, job)
    saving.save(trainer, job, metrics, rows, lambda folder: scoring.check(folder, before, job))


if __name__ == "__main__":
    main()
