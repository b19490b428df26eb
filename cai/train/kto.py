"""KTO on good and bad answers (Ethayarajh et al. 2024), a thin layer on TRL's ``KTOTrainer``.

    python -m cai.train.kto job.json

The reference is the base model as saved on disk, which with LoRA is the model with the adapter switched off, unless the job
names another.
"""

from datasets import Dataset
from trl import KTOConfig, KTOTrainer  # pyright: ignore[reportPrivateImportUsage]

from cai.stages.kto import Kto
from cai.train.shared import conversations, fit, loading, saving
from cai.train.shared import job as jobs


def main() -> None:
    """Train on the job named on the command line."""
    job = jobs.from_command_line(Kto)
    args = arguments(job)
    template = conversations.template(job, loading.tokenizer(job))
    rows = loading.load(job, ["prompt", "completion", "label"])
    train, test, refusals = conversations.fitting(rows, conversations.learnable(template, args.max_length))
    check_both(train)
    # TRL estimates the divergence from answers to the other prompts of a batch, and takes the rows in their order, in which
    # the answers to one prompt stand together: without a shuffle the others would be answers to the same prompt.
    train, test = train.shuffle(seed=job.seed), test.shuffle(seed=job.seed) if test else None
    trainer = KTOTrainer(
        model=job.base,
        ref_model=loading.reference(job, args),
        args=args,
        train_dataset=train,
        eval_dataset=test,
        processing_class=conversations.trainer_tokenizer(template),
        peft_config=loading.lora(job, "CAUSAL_LM"),
        callbacks=[fit.Progress(job.out)],
    )
    saving.save(trainer, job, fit.train(trainer, job), fit.row_counts(trainer, train, test, refusals))


def arguments(job: jobs.Job[Kto]) -> KTOConfig:
    """The TRL config."""
    want = job.want
    return fit.arguments(
        job,
        KTOConfig,
        max_length=want.max_length,
        beta=want.beta,
        loss_type=want.loss_type,
        desirable_weight=want.desirable_weight,
        undesirable_weight=want.undesirable_weight,
        precompute_ref_log_probs=want.precompute_ref_log_probs,
    )


def check_both(train: Dataset) -> None:
    """There must be good answers and bad ones.

    Raises:
        ValueError: all are the one or the other.
    """
    labels = set(train["label"])
    if len(labels) < 2:
        missing, key = ("good", "lower `good`") if False in labels else ("bad", "raise `bad`")
        raise ValueError(f"no answer is marked as {missing}, so there is nothing to tell apart; {key} of unpaired")


if __name__ == "__main__":
    main()
