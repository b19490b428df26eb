"""Supervised fine-tuning on the SL-CAI dataset (Bai et al. 2022, section 3.2), a thin layer on TRL's ``SFTTrainer``.

    python -m cai.train.sft job.json

Prompt-completion rows: the loss is on the completion alone. Fails, rather than warns, where the end of the assistant's
turn is not trained on, because such a model never stops.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportPrivateImportUsage]

from cai.models.lessons import lesson, thought_tokens
from cai.models.machine import Machine, this_machine
from cai.models.templates import ChatTemplate
from cai.stages.sft import Sft
from cai.train.launch import needs
from cai.train.shared import conversations, fit, loading, quantized, saving, templates
from cai.train.shared import job as jobs

NUMBER = "row"
"""The column that tells, after tokenizing, which rows were kept."""


def main() -> None:
    """Train on the job named on the command line."""
    job, machine = jobs.from_command_line(Sft), this_machine()
    for key, text in needs.unable(job.want, machine):
        raise ValueError(f"{key} {text}")
    train, test = loading.load(job, ["prompt", "completion", "track"])
    args = arguments(job, machine)
    kwargs = args.model_init_kwargs or {}
    assert isinstance(kwargs, dict)
    base = templates.prepare(job, kwargs)
    template = conversations.template(job, base.tokenizer)
    train, test, refusals = conversations.fitting((train, test), conversations.learnable(template))
    order = mix_order(train["track"], job.want.mix, job.seed)
    if not isinstance(base.model, str):
        args.model_init_kwargs = None
    held_out = test and with_numbers(test, list(range(len(test))))
    trainer = SFTTrainer(
        model=base.model,
        args=args,
        train_dataset=with_numbers(train, order),
        eval_dataset=held_out,
        processing_class=conversations.trainer_tokenizer(template),
        quantization_config=quantized.config(job.want.quantization),
        peft_config=loading.lora(job, "CAUSAL_LM"),
        callbacks=[fit.Progress(job.out)],
    )
    if not job.want.train_on_thinking:
        trainer.train_dataset = without_thoughts(fit.train_rows(trainer), train, template)
        trainer.eval_dataset = without_thoughts(fit.eval_rows(trainer), test, template) if test else None
    learnable = fit.train_rows(trainer)
    cut, examples = check_turn_ends(learnable, templates.token_id(base.tokenizer, base.end), base.end, args.max_length)
    rows = {**row_counts(learnable, len(train), order), "test": len(test) if test else 0, "cut": cut, **refusals}
    templates.stop_at(trainer, base.end)
    metrics = fit.train(trainer, job)
    saving.save(trainer, job, metrics, rows, turn_end={"token": base.end, "cut_share": round(cut / examples, 4)})


def arguments(job: jobs.Job[Sft], machine: Machine) -> SFTConfig:
    """The TRL config, with packing where it was asked for or can be had."""
    packing, most = job.want.packing, job.want.max_length
    if not job.want.train_on_thinking:
        packing = False  # in a packed row examples have no number, by which their thoughts are found
    if packing is None:
        packing = not needs.packing_needs(machine) and job.want.bf16 is not False
    if not packing:
        return fit.arguments(job, SFTConfig, max_length=most, packing=False)
    # Only this attention keeps the examples of a row apart.
    kwargs = {"attn_implementation": "flash_attention_2", **job.want.init_kwargs}
    packing_job = jobs.with_trl(job, {"packing": True, "model_init_kwargs": kwargs})
    return fit.arguments(packing_job, SFTConfig, max_length=most)


def mix_order(tracks: list[str], mix: Mapping[str, float], seed: int) -> list[int]:
    """The numbers of the rows to train on, each track in its share; a row is there several times where that is above 1.

    Args:
        tracks: of each row.

    Raises:
        ValueError: the mix names a track that no row has, or leaves nothing.
    """
    by_track: dict[str, list[int]] = defaultdict(list)
    for number, track in enumerate(tracks):
        by_track[track].append(number)
    if unknown := sorted(mix.keys() - by_track.keys()):
        raise ValueError(
            f"mix: no training row is of the track {unknown[0]}; the tracks are: {', '.join(sorted(by_track))}"
        )
    order: list[int] = []
    for track, numbers in sorted(by_track.items()):
        size = round(mix.get(track, 1.0) * len(numbers))
        whole, rest = divmod(size, len(numbers))
        order += numbers * whole + Random(f"{seed}/mix/{track}").sample(numbers, rest)
    if not order:
        raise ValueError("mix: the shares leave no row to train on; give a track a larger one")
    return sorted(order)


def with_numbers(train: Dataset, order: list[int]) -> Dataset:
    """The rows of the mix, with their numbers."""
    return train.select(order).remove_columns("track").add_column(NUMBER, order)  # pyright: ignore


def row_counts(rows: Dataset, total: int, order: list[int]) -> dict[str, int]:
    """The ledger of the training rows: trained on, outside the mix, too long for anything of their answer to be left.

    Args:
        rows: as the trainer took them.
        total: rows there were before the mix.
    """
    size = len(set(order))
    # Packing cuts rows and drops none; it leaves no column by which to tell them.
    packed = NUMBER not in rows.column_names
    count = size if packed else len(set(rows[NUMBER]))
    return {"train": count, "too_long": size - count, "not_in_mix": total - size, "repeated": len(order) - size}


def without_thoughts(data: Dataset, rows: Dataset, template: ChatTemplate) -> Dataset:
    """Tokenized rows whose labels leave out what was thought before an answer: it is read, and not learnt.

    Args:
        rows: what they were made of, by number.
    """

    def masked(row: conversations.Row) -> dict[str, list[int]]:
        example = rows[row[NUMBER]]
        own, answer = template.with_options(example.get("tools")), conversations.only(example["completion"])
        target = lesson(own, example["prompt"], answer)
        end = len(target.prompt) + thought_tokens(own, target, answer)
        return {"labels": [-100] * min(end, len(row["labels"])) + row["labels"][end:]}

    return data.map(masked)


def check_turn_ends(rows: Dataset, number: int, end: str, longest: int | None) -> tuple[int, int]:
    """Every example must train the token that ends the assistant's turn, unless ``max_length`` cut it off.

    Args:
        rows: as the trainer took them.
        number, end: the token's id, and its text.
        longest: the trainer's ``max_length``.

    Returns:
        examples that were cut, and all.

    Raises:
        ValueError: examples that were not cut train no such token, or all were cut.
    """
    cut = lacking = total = 0
    for labels in _examples(rows):  # tokens that are not trained on are labelled -100
        total += 1
        if number not in labels:
            whole = not longest or len(labels) < longest
            lacking, cut = lacking + whole, cut + (not whole)
    if lacking:
        raise ValueError(
            f"{lacking / total:.0%} of the examples ({lacking} of {total}) do not train the end of the assistant's turn ({end}), "
            "though max_length did not cut them: the model would not learn to stop; check the chat template"
        )
    if cut == total:
        raise ValueError(f"max_length {longest} cuts every example before the end of the turn ({end}); raise it")
    return cut, total


def _examples(rows: Any) -> Iterator[list[int]]:
    """The labels of each example, also of those packed into one row."""
    for row in rows.select_columns([each for each in ("labels", "seq_lengths") if each in rows.column_names]):
        start = 0
        for size in row.get("seq_lengths") or [len(row["labels"])]:
            yield row["labels"][start : start + size]
            start += size


if __name__ == "__main__":
    main()
