"""A reward model on soft labels: TRL's ``RewardTrainer`` and one term more.

    python -m cai.train.reward job.json

With d = r_chosen − r_rejected and the label p = P(chosen is better), the loss is the cross-entropy of
softmax(r_chosen, r_rejected) against (p, 1 − p) (Lee et al. 2023, section 2.2.1; Bai et al. 2022, section 4.1), see
``cai.train.soft``. TRL's ``margin`` is not passed on, because it and a soft label would say the same thing twice.
"""

from typing import Any

from trl import RewardConfig, RewardTrainer  # pyright: ignore[reportPrivateImportUsage]

from cai.train import job as jobs
from cai.train.soft import PROB, keep_prob, log_brier, soft_term

COLUMNS = ["prompt", "chosen", "rejected"]


class SoftRewardTrainer(RewardTrainer):
    """``RewardTrainer`` whose rows hold ``chosen_prob``; logs the Brier score of σ(d) against it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keep_prob(self)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The parent's loss plus (1 − p)·d, averaged over the batch."""
        prob = inputs.pop(PROB)  # what stays in the inputs goes to the model
        found: Any = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        loss, outputs = found
        chosen, rejected = outputs.logits.squeeze(-1).chunk(2)
        apart = chosen - rejected
        loss = loss + soft_term(apart, prob)
        log_brier(self, apart, prob)
        return (loss, outputs) if return_outputs else loss


def main() -> None:
    """Train on the job named on the command line."""
    job = jobs.from_command_line(RewardConfig)
    soft = job.own.get("soft_labels", True)
    train, test = jobs.load(job, [*COLUMNS, PROB] if soft else COLUMNS)
    trainer = (SoftRewardTrainer if soft else RewardTrainer)(
        model=job.base,
        args=jobs.arguments(job, RewardConfig),
        train_dataset=train,
        eval_dataset=test,
        peft_config=jobs.lora(job, "SEQ_CLS", ["score"]),
        callbacks=[jobs.Progress(job.out)],
    )
    rows = jobs.counted(trainer, train, test)
    jobs.save(trainer, job, jobs.train(trainer, job), rows)


if __name__ == "__main__":
    main()
