"""What trainers are given of a conversation, token by token: what is asked as it is asked, and what a model has to write."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from families import FAMILIES, generation, tokenizer

from cai.models.harmless import TOOL

PROMPT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yo"},
    {"role": "user", "content": "Late?"},
]
YES, NO = ([{"role": "assistant", "content": text}] for text in ("Yes.", "Yo, no."))
ODD = ["chatml", "gemma-2", "mistral-v3", "qwen3.5", "deepseek-r1, distilled", "glm-4.5", "phi-3", "zephyr"]
"""Those that TRL by itself would train on other tokens than they are asked with, each for a reason of its own."""


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a model of a few weights with a family's tokenizer and settings."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    root = tmp_path_factory.mktemp("families")

    def write(name: str) -> Path:
        folder = root / str(list(FAMILIES).index(name))
        if not folder.exists():
            reads = tokenizer(FAMILIES[name])
            shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
            torch.manual_seed(0)
            random: Any = LlamaForCausalLM(LlamaConfig(vocab_size=len(reads), **shape))
            random.generation_config = generation(FAMILIES[name], reads)
            random.save_pretrained(folder)
            reads.save_pretrained(folder)
        return folder

    return write


def of_sft(made: Any, args: Any, folder: Path) -> list[tuple[list[int], list[int]]]:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = Dataset.from_list([{"prompt": PROMPT, "completion": said} for said in (YES, NO)])
    trainer = SFTTrainer(str(folder), args=SFTConfig(**args), train_dataset=rows, processing_class=made)
    found: Any = trainer.train_dataset
    split = [sum(label == -100 for label in row["labels"]) for row in found]
    return [(row["input_ids"][:asked], row["labels"][asked:]) for row, asked in zip(found, split, strict=True)]


def of_dpo(made: Any, args: Any, folder: Path) -> list[tuple[list[int], list[int]]]:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    rows = Dataset.from_list([{"prompt": PROMPT, "chosen": YES, "rejected": NO}])
    trainer = DPOTrainer(str(folder), args=DPOConfig(**args), train_dataset=rows, processing_class=made)
    [row] = trainer.train_dataset
    return [(row["prompt_ids"], row["chosen_ids"]), (row["prompt_ids"], row["rejected_ids"])]


def of_kto(made: Any, args: Any, folder: Path) -> list[tuple[list[int], list[int]]]:
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    rows = Dataset.from_list([{"prompt": PROMPT, "completion": said, "label": said is YES} for said in (YES, NO)])
    settings = KTOConfig(**args, per_device_train_batch_size=2)
    trainer = KTOTrainer(str(folder), args=settings, train_dataset=rows, processing_class=made)
    return [(row["prompt_ids"], row["completion_ids"]) for row in trainer.train_dataset]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("given", [of_sft, of_dpo, of_kto])
def test_trl_trains_on_what_is_asked_and_written(
    model: Callable[[str], Path], arguments: dict[str, Any], name: str, given: Callable[..., Any]
) -> None:
    from cai.models.lessons import lesson
    from cai.train.rl.rollout import ChatTokens
    from cai.train.shared.conversations import template, trainer_tokenizer

    folder = model(name)
    of = template(job("dpo", folder), reads(folder))
    wanted = [lesson(of, PROMPT, said[0]) for said in (YES, NO)]
    found = given(trainer_tokenizer(of), arguments, folder)
    assert found == [(each.prompt, each.answer) for each in wanted]
    asked = ChatTokens(reads(folder)).ask(PROMPT)  # by which PPO, GRPO, RLOO and the guards ask
    assert asked == found[0][0]
    assert "".join(f"[{of.tokenizer.decode([token])}]" for token in found[0][1]) == FAMILIES[name].learnt


def reads(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def job(kind: str, folder: Path) -> Any:
    from cai.stages import STAGES
    from cai.train.shared.job import Job

    return Job(kind, STAGES[kind].want(base=str(folder)), folder, folder / "out", 0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ODD)
def test_a_reward_model_is_trained_on_what_it_scores(
    model: Callable[[str], Path], arguments: dict[str, Any], name: str
) -> None:
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    from cai.train.shared.conversations import template, trainer_tokenizer

    folder = model(name)
    of = template(job("reward", folder), reads(folder))
    rows = Dataset.from_list([{"prompt": PROMPT, "chosen": YES, "rejected": NO}])
    trainer = RewardTrainer(
        str(folder),
        args=RewardConfig(**arguments),
        train_dataset=rows,
        processing_class=trainer_tokenizer(of, scored=True),
    )
    [row] = trainer.train_dataset
    assert row["chosen_ids"] == of.score_ids([*PROMPT, *YES])
    assert row["rejected_ids"] == of.score_ids([*PROMPT, *NO])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize(("module", "kind", "config"), [("orpo", "ORPO", "orpo"), ("cpo", "CPO", "simpo")])
def test_orpo_and_simpo_train_on_the_same(
    model: Callable[[str], Path], arguments: dict[str, Any], name: str, module: str, kind: str, config: str
) -> None:
    from datasets import Dataset

    from cai.models.lessons import lesson
    from cai.train.shared import experimental
    from cai.train.shared.conversations import template

    folder = model(name)
    trainer_type, settings = experimental.load(module, kind)
    of = template(job(config, folder), reads(folder))
    pairs = experimental.as_text(Dataset.from_list([{"prompt": PROMPT, "chosen": YES, "rejected": NO}]), of)
    before = of.tokenizer.bos_token, of.tokenizer.eos_token
    with experimental.plain(of):
        trainer = experimental.exact(trainer_type, of)(
            model=str(folder),
            args=settings(**arguments),
            train_dataset=pairs,
            processing_class=of.tokenizer,
        )
    [row] = trainer.train_dataset
    for side, said in (("chosen", YES), ("rejected", NO)):
        wanted = lesson(of, PROMPT, said[0])
        assert row[f"{side}_input_ids"] == wanted.prompt + wanted.answer
        assert row[f"{side}_labels"] == [-100] * len(wanted.prompt) + wanted.answer
    assert (of.tokenizer.bos_token, of.tokenizer.eos_token) == before


def test_what_a_template_would_lose_is_left_out_and_counted(model: Callable[[str], Path]) -> None:
    from datasets import Dataset

    from cai.train.shared.conversations import fitting, learnable, template

    folder = model("deepseek-r1, distilled")
    of = template(job("sft", folder), reads(folder))
    lost = [{"role": "assistant", "content": "A tag: </think> is one."}]
    rows = Dataset.from_list([{"prompt": PROMPT, "completion": said} for said in (YES, lost, NO, [*YES, *NO])])
    train, test, counts = fitting((rows, None), learnable(of))
    assert [row["completion"][0]["content"] for row in train] == ["Yes.", "Yo, no."]
    assert test is None
    assert counts == {"changed_by_template": 1, "several_messages": 1}
    with pytest.raises(ValueError, match="none of 1 row can be trained on: the chat template shows another"):
        fitting((rows.select([1]), None), learnable(of))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "stops"),
    [
        ("llama-3, a base model's end", {"<|eot_id|>", "<|end_of_text|>"}),
        ("glm-4.5", {"<|user|>", "<|observation|>", "<|endoftext|>"}),
    ],
)
def test_a_model_stops_where_its_turns_end(
    model: Callable[[str], Path],
    tmp_path: Path,
    train_here: Callable[[str, Path], dict[str, Any]],
    name: str,
    stops: set[str],
) -> None:
    """The first one's settings name another token, as a base model's do that was given a chat template by hand."""
    from transformers import GenerationConfig

    from cai.data import dataset
    from cai.stages.sft import Sft
    from cai.train.launch.start import job as write_job

    (tmp_path / "data").mkdir()
    more = {"id": "1", "source": "test", "track": "helpful", "principles": [], "revision": 1, "prompt_id": "1"}
    dataset.write(tmp_path / "data", [{"prompt": PROMPT, "completion": YES, **more}], set())
    want = Sft(base=str(model(name)), bf16=False, max_steps=1)
    train_here("sft", write_job("sft", want, want.base, (tmp_path / "data", tmp_path / "out"), seed=0))
    settings, saved = GenerationConfig.from_pretrained(tmp_path / "out" / "model"), reads(tmp_path / "out" / "model")
    assert {saved.decode([each]) for each in settings.eos_token_id} == stops


def test_what_the_template_is_told_is_told_in_training_too(model: Callable[[str], Path]) -> None:
    """As TRL hands on ``chat_template_kwargs``; what is for the tokenizer is not the template's."""
    from cai.train.shared.conversations import template, trainer_tokenizer

    tokens = trainer_tokenizer(template(job("grpo", model("qwen3.5")), reads(model("qwen3.5"))))
    told = {"tokenize": True, "return_dict": True, "enable_thinking": False}
    [asked] = tokens.apply_chat_template([PROMPT], add_generation_prompt=True, **told)["input_ids"]
    assert tokens.decode(asked).endswith("<think>\n\n</think>\n\n")
    assert tokens.apply_chat_template([*PROMPT, *YES], **told)["input_ids"][: len(asked)] == asked


CALLED = {
    "id": "call00001",
    "type": "function",
    "function": {"name": "name_of_the_tool", "arguments": '{"zone": "UTC"}'},
}
TALK = [
    {"role": "tools", "content": json.dumps([TOOL])},
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Late?"},
    {"role": "assistant", "content": "", "tool_calls": json.dumps([CALLED])},
    {"role": "tool", "content": "23:40", "name": "name_of_the_tool", "tool_call_id": "call00001"},
]
"""As prompts have it, from which rows are asked."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["qwen2.5", "gpt-oss", "mistral-v3"])
def test_tools_are_learnt_as_they_are_asked(
    model: Callable[[str], Path], arguments: dict[str, Any], tmp_path: Path, name: str
) -> None:
    """Datasets have their definitions in a column, and calls as lists: the same tokens come of them, to train and to score."""
    from dataclasses import replace

    from trl import DPOConfig, DPOTrainer

    from cai.data import columns, dataset
    from cai.models.templates import ChatTemplate
    from cai.train.shared import loading
    from cai.train.shared.conversations import fitting, learnable, scorable, template, trainer_tokenizer

    row = {"prompt": TALK, "chosen": YES, "rejected": NO, "prompt_id": "1"}
    dataset.write(tmp_path, [row] * 2, set(), frozenset(columns.extras(row)))
    given = replace(job("dpo", model(name)), data=tmp_path, out=tmp_path)
    asked = ChatTemplate(reads(model(name))).prompt(TALK)
    assert "Tells the time." in asked
    assert "23:40" in asked
    rows = loading.load(given, ["prompt", "chosen", "rejected"])
    of = template(given, reads(model(name)))
    train, _, counts = fitting(rows, learnable(of))
    assert not counts
    assert not fitting(rows, scorable(of))[2]
    trainer = DPOTrainer(
        given.base, args=DPOConfig(**arguments), train_dataset=train, processing_class=trainer_tokenizer(of)
    )
    assert [each["prompt_ids"] for each in trainer.train_dataset] == [of.ids(asked)] * 2
    [first, _] = train
    scored = of.with_options(first["tools"]).score_ids(first["prompt"] + first["chosen"])
    assert scored == of.score_ids([*TALK, *YES])


@pytest.mark.parametrize(
    ("name", "written", "text"),
    [
        ("chatml", "Yes.", "Yes."),
        ("qwen3", "<think>\nSo.\n</think>\n\nYes.", "Yes."),
        ("qwen3.5", "So.\n</think>\n\nYes.", "Yes."),
        ("qwen3.5", "So it goes on and on", ""),
    ],
)
def test_a_policy_s_thought_is_not_scored_as_its_answer(
    model: Callable[[str], Path], name: str, written: str, text: str
) -> None:
    """The tags are plain tokens with such models, so that they are still there where special ones are left out."""
    import torch

    from cai.store.rows import Prompt
    from cai.train.rl.rollout import ChatTokens, Sample, SeededPrompt

    class Writer:
        def write(self, prompts: Any, seeds: Any) -> list[Sample]:
            return [Sample(letters(written))]

    talk = ChatTokens(reads(model(name)))

    def letters(text: str) -> list[int]:
        return [each for letter in text for each in talk.tokenizer.encode(letter, add_special_tokens=False)]

    asked = SeededPrompt(Prompt("1", tuple(PROMPT), "test", "redteam"), 0)
    rollout = talk.rollout([asked], Writer(), torch.device("cpu"))  # type: ignore[arg-type]
    assert rollout.texts == [text]


def test_a_policy_is_trained_as_its_role_asks_it(tmp_path: Path) -> None:
    """Of a role whose thinking is off, the prompt of training has the empty thought that the prompt of asking has."""
    from dataclasses import replace

    from cai.models.switches import variables
    from cai.stages.sft import Sft
    from cai.train.shared import conversations
    from cai.train.shared.job import Job

    own = tokenizer(FAMILIES["qwen3"])
    asked = [{"role": "user", "content": "Late?"}]
    job = Job("sft", Sft(base=str(tmp_path)), tmp_path, tmp_path, 0)
    plain = conversations.template(job, own).prompt(asked)
    off = conversations.template(replace(job, template=variables("off", {})), own).prompt(asked)
    assert plain.endswith("<|im_start|>assistant\n")
    assert off == f"{plain}<think>\n\n</think>\n\n"
    assert variables("auto", {}) == {}
    assert variables({"budget": 5}, {})["enable_thinking"] is True
