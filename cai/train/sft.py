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
    dressed = templates.prepare(job, kwargs)
    template = conversations.template(job, dressed.tokenizer)
    train, test, refused = conversations.fitting((train, test), conversations.learnable(template))
    order = mixed(train["track"], job.want.mix, job.seed)
    if not isinstance(dressed.model, str):
        args.model_init_kwargs = None
    held_out = test and numbered(test, list(range(len(test))))
    trainer = SFTTrainer(
        model=dressed.model,
        args=args,
        train_dataset=numbered(train, order),
        eval_dataset=held_out,
        processing_class=conversations.as_asked(template),
        quantization_config=quantized.config(job.want.quantization),
        peft_config=loading.lora(job, "CAUSAL_LM"),
        callbacks=[fit.Progress(job.out)],
    )
    if not job.want.train_on_thinking:
        trainer.train_dataset = without_thoughts(trainer.train_dataset, train, template)
        trainer.eval_dataset = held_out and without_thoughts(trainer.eval_dataset, test, template)
    cut = check_turn_ends(trainer, dressed.end)
    rows = {**counted(trainer, len(train), order), "test": len(test) if test else 0, **refused}
    templates.stop_at(trainer, dressed.end)
    metrics = fit.train(trainer, job)
    saving.save(trainer, job, metrics, rows, turn_end={"token": dressed.end, "cut_share": cut})


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
    kwargs = {"attn_implementation": "flash_attention_2", **job.want.trl.get("model_init_kwargs", {})}
    packed = jobs.with_trl(job, {"packing": True, "model_init_kwargs": kwargs})
    return fit.arguments(packed, SFTConfig, max_length=most)


def mixed(tracks: list[str], mix: Mapping[str, float], seed: int) -> list[int]:
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
        wanted = round(mix.get(track, 1.0) * len(numbers))
        whole, rest = divmod(wanted, len(numbers))
        order += numbers * whole + Random(f"{seed}/mix/{track}").sample(numbers, rest)
    if not order:
        raise ValueError("mix: the shares leave no row to train on; give a track a larger one")
    return sorted(order)


def numbered(train: Dataset, order: list[int]) -> Dataset:
    """The rows of the mix, with their numbers."""
    return train.select(order).remove_columns("track").add_column(NUMBER, order)  # pyright: ignore


def counted(trainer: Any, there: int, order: list[int]) -> dict[str, int]:
    """The ledger of the training rows: trained on, outside the mix, too long for anything of their answer to be left."""
    used = len(set(order))
    # Packing cuts rows and drops none; it leaves no column by which to tell them.
    packed = NUMBER not in trainer.train_dataset.column_names
    kept = used if packed else len(set(trainer.train_dataset[NUMBER]))
    return {"train": kept, "too_long": used - kept, "not_in_mix": there - used, "repeated": len(order) - used}


def without_thoughts(data: Any, rows: Any, template: ChatTemplate) -> Any:
    """Tokenized rows whose labels leave out what was thought before an answer: it is read, and not learnt.

    Args:
        rows: what they were made of, by number.
    """

    def masked(row: Any) -> dict[str, list[int]]:
        said = rows[row[NUMBER]]
        own, answer = template.with_options(said.get("tools")), conversations.only(said["completion"])
        taught = lesson(own, said["prompt"], answer)
        end = len(taught.prompt) + thought_tokens(own, taught, answer)
        return {"labels": [-100] * min(end, len(row["labels"])) + row["labels"][end:]}

    return data.map(masked)


def check_turn_ends(trainer: Any, end: str) -> float:
    """Every example must train the token that ends the assistant's turn, unless ``max_length`` cut it off.

    Returns:
        the share of examples that were cut.

    Raises:
        ValueError: examples that were not cut train no such token, or all were cut.
    """
    number, longest = trainer.processing_class.convert_tokens_to_ids(end), trainer.args.max_length
    cut = lacking = total = 0
    for labels in _examples(trainer.train_dataset):  # tokens that are not trained on are labelled -100
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
    return round(cut / total, 4)


def _examples(data: Any) -> Iterator[list[int]]:
    """The labels of each example, also of those packed into one row."""
    for row in data.select_columns([each for each in ("labels", "seq_lengths") if each in data.column_names]):
        start = 0
        for size in row.get("seq_lengths") or [len(row["labels"])]:
            yield row["labels"][start : start + size]
            start += size


if __name__ == "__main__":
    main()
