"""Fine-tuning: the mix of tracks, the end of the turn, chat templates for base models, and what needs a GPU."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cai.models.machine import PACKAGES, Machine
from cai.recipe.read import load_recipe
from constitution.source import InputError

TrainHere = Callable[[str, Path], dict[str, Any]]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random base model: its tokenizer knows bytes, a beginning and an end, and no conversation."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("base")
    letters = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    inner.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(letters), **shape, eos_token_id=1, bos_token_id=0)).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)
    return folder


def written(folder: Path, redteam: int = 8, helpful: int = 4) -> Path:
    """A small SL-CAI set."""
    from cai.data import dataset

    folder.mkdir()
    rows = [
        {
            "prompt": [{"role": "user", "content": f"Q{number}?"}],
            "completion": [{"role": "assistant", "content": "Fine. " * (1 + number % 3)}],
            "id": str(number),
            "source": "test",
            "track": "redteam" if number < redteam else "helpful",
            "principles": [],
            "revision": 1,
            "prompt_id": str(number),
        }
        for number in range(redteam + helpful)
    ]
    dataset.write(folder, rows, set())
    return folder


def trained(train_here: TrainHere, base: Path, out: Path, **config: Any) -> dict[str, Any]:
    from cai.stages.sft import Sft
    from cai.train.launch.start import job as write_job

    settings = {"bf16": False, "max_steps": 1, "per_device_train_batch_size": 2, **config}
    file = write_job("sft", Sft(base=str(base), **settings), str(base), (written(out / "data"), out), seed=0)
    return train_here("sft", file)


def test_a_mix_takes_each_track_in_its_share() -> None:
    from cai.train.sft import mix_order

    tracks = ["redteam"] * 8 + ["helpful"] * 4
    order = mix_order(tracks, {"redteam": 0.5, "helpful": 2.5}, 0)
    assert Counter(tracks[number] for number in order) == {"redteam": 4, "helpful": 10}
    assert sorted(Counter(number for number in order if number >= 8).values()) == [2, 2, 3, 3]
    assert order == mix_order(tracks, {"redteam": 0.5, "helpful": 2.5}, 0)
    assert order != mix_order(tracks, {"redteam": 0.5, "helpful": 2.5}, 1)
    assert mix_order(tracks, {}, 0) == list(range(12))
    with pytest.raises(ValueError, match="mix: no training row is of the track help; the tracks are: helpful, redteam"):
        mix_order(tracks, {"help": 0.5}, 0)
    with pytest.raises(ValueError, match="leave no row"):
        mix_order(tracks, {"redteam": 0, "helpful": 0}, 0)


def test_a_base_model_gets_chatml_with_its_tokens(base: Path, tmp_path: Path, train_here: TrainHere) -> None:
    """The result is a chat model: template, new tokens, embeddings that hold them, and the end by which it stops."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tmp_path = tmp_path / "sft"
    tmp_path.mkdir()
    manifest = trained(train_here, base, tmp_path, chat_template="chatml", mix={"redteam": 0.5, "helpful": 2.0})
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert tokenizer.eos_token == "<|im_end|>"
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    assert tokenizer.apply_chat_template(said, tokenize=False).startswith("<s><|im_start|>user\nHi<|im_end|>")
    ids = tokenizer("<|im_start|><|im_end|>", add_special_tokens=False)["input_ids"]
    assert len(ids) == 2
    assert max(ids) < model.get_input_embeddings().num_embeddings
    assert model.generation_config.eos_token_id in (ids[1], [ids[1]])
    assert manifest["rows"] == {"train": 8, "too_long": 0, "not_in_mix": 4, "repeated": 4, "test": 0, "cut": 0}
    assert manifest["decided"] == {"bf16": False, "weights": "float32", "packing": False}
    assert manifest["turn_end"] == {"token": "<|im_end|>", "cut_share": 0.0}


def test_a_model_s_template_can_be_taken(base: Path, tiny: Path, tmp_path: Path, train_here: TrainHere) -> None:
    from transformers import AutoTokenizer

    trained(train_here, base, tmp_path, chat_template=str(tiny))
    ours, theirs = AutoTokenizer.from_pretrained(tmp_path / "model"), AutoTokenizer.from_pretrained(tiny)
    assert ours.chat_template == theirs.chat_template
    assert ours.eos_token == "<|im_end|>"


@pytest.mark.parametrize(
    ("template", "more", "words"),
    [
        (None, {}, "is a base model without a chat template: set chat_template to chatml"),
        (
            "chatml",
            {"lora": 2},
            "adds <|im_start|> and <|im_end|> to the model's vocabulary, which LoRA does not train",
        ),
        ("{% for m in messages %}{{ m.content }}\n{% endfor %}", {}, "no special token after the assistant's answer"),
        (
            "{% for m in messages %}{{ m.content }}{% if m.content | length < 15 %}</s>{% endif %}{% endfor %}",
            {},
            "33% of the examples (4 of 12) do not train the end of the assistant's turn (</s>), though",
        ),
        (
            "{% for m in messages %}{{ m.content }}</s>{% endfor %}",
            {"max_length": 8},
            "max_length 8 cuts every example",
        ),
    ],
)
def test_a_model_that_could_not_stop_is_not_trained(
    base: Path, tmp_path: Path, train_here: TrainHere, template: str | None, more: dict[str, Any], words: str
) -> None:
    if template and "{" in template:
        (tmp_path / "own.jinja").write_text(template)
        template = str(tmp_path / "own.jinja")
    with pytest.raises(ValueError, match=re.escape(words)):
        trained(train_here, base, tmp_path, chat_template=template, **more)
    assert not (tmp_path / "model").exists()


def test_packed_examples_are_looked_at_one_by_one() -> None:
    from datasets import Dataset

    from cai.train.sft import check_turn_ends

    def packed(labels: list[int]) -> Dataset:
        return Dataset.from_list([{"labels": labels, "seq_lengths": [3, 2]}])

    assert check_turn_ends(packed([-100, 5, 9, 6, 9]), 9, "<end>", 64) == (0, 2)
    with pytest.raises(ValueError, match=r"50% of the examples \(1 of 2\) do not train"):
        check_turn_ends(packed([9, 5, 9, 6, 7]), 9, "<end>", 64)


def test_adapters_merge_into_the_base_on_disk(base: Path, tmp_path: Path) -> None:
    """As after four-bit training, which needs a GPU: here the base was whole all along, so both ways agree."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from cai.train.shared.quantized import merge

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    peft: Any = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    found = merge(peft, str(base), tmp_path / "adapter").state_dict()
    wanted = peft.merge_and_unload().state_dict()
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).state_dict()
    assert found.keys() == wanted.keys() == plain.keys()
    assert all(found[name].equal(wanted[name]) for name in wanted)
    assert any(not found[name].equal(plain[name]) for name in plain)
    assert not (tmp_path / "adapter").exists()


RECIPE = """\
name: good
constitution: principles/harmless.yaml
models:
  policy: {{local: {base}}}
  writer: {{local: bundled/smollm2-135m}}
stages:
  - prompts: {{redteam: principles/prompts/redteam.jsonl}}
  - revise: {{model: writer}}
  - sft_set: {{}}
  - sft: {{base: policy, chat_template: chatml}}
"""


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("", "sft.base: {base} is a base model without a chat template; set chat_template to chatml"),
        (", chat_template: none.jinja", "sft.chat_template: there is no file none.jinja"),
        (", chat_template: ./none", "sft.chat_template: there is no model at ./none"),
        (", chat_template: chatml, packing: true", "sft.packing: needs a GPU with FlashAttention"),
        (", chat_template: chatml, quantization: 4bit", "sft.quantization: is for LoRA"),
        (", chat_template: chatml, quantization: 4bit, lora: 4", "sft.quantization: needs a GPU"),
        (
            ", chat_template: chatml, quantization: 4bit, lora: 4",
            "sft.quantization: needs the package bitsandbytes",
        ),
        (", chat_template: chatml, mix: {{redteam: -1}}", "sft.mix.redteam"),
    ],
)
def test_a_mistake_is_one_clear_sentence(
    write: Callable[[str, str], Path], base: Path, settings: str, words: str
) -> None:
    machine = Machine(packages=frozenset(PACKAGES) - {"bitsandbytes"})
    text = RECIPE.replace(", chat_template: chatml", settings).format(base=base.resolve())
    with pytest.raises(InputError) as error:
        load_recipe(write("r.yaml", text), machine=machine)
    assert words.format(base=base.resolve()) in str(error.value)


def test_with_a_template_chosen_the_base_model_is_right(write: Callable[[str, str], Path], base: Path) -> None:
    recipe = load_recipe(write("r.yaml", RECIPE.format(base=base)))
    assert recipe.block("sft").want.chat_template == "chatml"


def test_what_was_thought_can_be_read_and_not_learnt(tokenizer: Any) -> None:
    from copy import deepcopy

    from datasets import Dataset

    from cai.models.lessons import lesson
    from cai.models.templates import ChatTemplate
    from cai.train.sft import NUMBER, without_thoughts

    own = deepcopy(tokenizer)
    own.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>"
        "{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    template, asked = ChatTemplate(own), [{"role": "user", "content": "Late?"}]
    answers = [{"role": "assistant", "content": "Yes.", **more} for more in ({"reasoning_content": "So it is."}, {})]
    rows = [{"prompt": asked, "completion": [answer]} for answer in answers]
    taught = [lesson(template, asked, answer) for answer in answers]
    labels = [[-100] * len(each.prompt) + each.answer for each in taught]
    data = Dataset.from_dict({"labels": labels, NUMBER: [0, 1]})
    learnt = [[token for token in row["labels"] if token != -100] for row in without_thoughts(data, rows, template)]
    assert [own.decode(each) for each in learnt] == ["Yes.<|im_end|>"] * 2
    assert "So it is." in own.decode(taught[0].answer)
