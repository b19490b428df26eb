"""Direct preference optimisation on the AI preferences, a thin layer on TRL's ``DPOTrainer``.

    python -m cai.train.dpo job.json

The reference is the base model as saved on disk; with LoRA it is the model with the adapter switched off.
"""

from trl import DPOConfig, DPOTrainer  # pyright: ignore[reportPrivateImportUsage]

from cai.train import job as jobs


def main() -> None:
    """Train on the job named on the command line."""
    job = jobs.from_command_line(DPOConfig)
    train, test = jobs.load(job, ["prompt", "chosen", "rejected"])
    trainer = DPOTrainer(
        model=job.base,
        args=jobs.arguments(job, DPOConfig),
        train_dataset=train,
        eval_dataset=test,
        peft_config=jobs.lora(job, "CAUSAL_LM"),
        callbacks=[jobs.Progress(job.out)],
    )
    metrics = jobs.train(trainer, job)
    kept = len(trainer.train_dataset)  # pyright: ignore[reportArgumentType]
    rows = {"train": kept, "test": len(test) if test else 0, "too_long": len(train) - kept}
    jobs.save(trainer, job, metrics, rows)


if __name__ == "__main__":
    main()
