"""Supervised fine-tuning on the SL-CAI dataset (Bai et al. 2022, section 3.2), a thin layer on TRL's ``SFTTrainer``.

    python -m cai.train.sft job.json

Prompt-completion rows: the loss is on the completion alone. Fails, rather than warns, where the end of the assistant's
turn is not trained on, because such a model never stops.
"""

from typing import Any

from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportPrivateImportUsage]

from cai.train import job as jobs

CHECKED = 64


def main() -> None:
    """Train on the job named on the command line."""
    job = jobs.from_command_line(SFTConfig)
    train, test = jobs.load(job, ["prompt", "completion"])
    trainer = SFTTrainer(
        model=job.base,
        args=jobs.arguments(job, SFTConfig),
        train_dataset=train,
        eval_dataset=test,
        peft_config=jobs.lora(job, "CAUSAL_LM"),
        callbacks=[jobs.Progress(job.out)],
    )
    check_turn_ends(trainer)
    metrics = jobs.train(trainer, job)
    jobs.save(trainer, job, metrics, {"train": len(train), "test": len(test) if test else 0, "too_long": 0})


def check_turn_ends(trainer: Any) -> None:
    """Of the first examples, at least one must train the token that ends a turn.

    Raises:
        ValueError: none does.
    """
    end = trainer.processing_class.eos_token_id
    for example in trainer.train_dataset.select(range(min(CHECKED, len(trainer.train_dataset)))):
        if end in example["labels"]:  # tokens that are not trained on are labelled -100
            return
    token = trainer.processing_class.eos_token
    raise ValueError(f"no example trains the end of the turn ({token}); check the chat template and max_length")


if __name__ == "__main__":
    main()
