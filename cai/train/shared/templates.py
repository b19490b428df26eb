"""The chat template of a model that is trained, and the token that ends the assistant's turn in it.

A base model has no template. Which one it gets is the recipe's choice, never a guess: the wrong one trains well and then
talks to nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    set_seed,
)

from cai.models.bundled import resolve
from cai.models.templates import ChatTemplate, ends
from cai.stages.sft import Sft
from cai.train.adapters import under
from cai.train.shared import conversations
from cai.train.shared.job import Job

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model ready for conversations.

    Attributes:
        model: its path; or the model itself, where its embeddings had to grow.
        end: the token that ends the assistant's turn.
    """

    model: str | PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    end: str


def prepare(job: Job[Sft], model_kwargs: Mapping[str, object]) -> Prepared:
    """The base model with its own chat template, or with the one that ``chat_template`` names.

    Args:
        model_kwargs: for loading the model, where that is needed here.

    Raises:
        ValueError: there is no template, it ends no turn, or its tokens cannot be learnt with LoRA.
    """
    tokenizer = AutoTokenizer.from_pretrained(job.base, trust_remote_code=False)
    choice = job.want.chat_template
    if not choice and not tokenizer.chat_template:
        raise ValueError(
            f"{job.base} is a base model without a chat template: set chat_template to chatml, to a .jinja file, or to a "
            "model whose template it is to get"
        )
    if not choice:
        return Prepared(job.base, tokenizer, turn_end(conversations.template(job, tokenizer)))
    tokens = install(tokenizer, choice)
    if tokens and job.want.lora:
        raise ValueError(
            f"chat_template: {choice} adds {' and '.join(tokens)} to the model's vocabulary, which LoRA does not train: take "
            "lora out, or choose a template whose tokens the model has"
        )
    end = turn_end(conversations.template(job, tokenizer))
    tokenizer.eos_token = end  # by which generation stops, here and in servers
    return Prepared(grown(job, tokenizer, model_kwargs) if tokens else job.base, tokenizer, end)


def install(tokenizer: PreTrainedTokenizerBase, choice: str) -> list[str]:
    """Give the tokenizer a template with its tokens; returns those that were new to it."""
    if choice == "chatml":
        # A tokenizer that begins each text with its own first token was trained that way.
        begins = tokenizer.bos_token_id is not None and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
        tokenizer.chat_template = "{{ bos_token }}" * begins + CHATML
        specials = CHATML_TOKENS
    elif choice.endswith(".jinja"):
        tokenizer.chat_template, specials = Path(choice).read_text(encoding="utf-8"), ()
    else:
        other = AutoTokenizer.from_pretrained(resolve(choice), trust_remote_code=False)
        if not other.chat_template:
            raise ValueError(f"chat_template: {choice} has no chat template of its own; name another model, or chatml")
        tokenizer.chat_template = other.chat_template
        specials = [
            token for token in other.get_added_vocab() if token in other.chat_template or token == other.eos_token
        ]
    tokens = [token for token in specials if token not in tokenizer.get_vocab()]
    # Special also where the words were there as plain text, so that they are one token and never part of an answer.
    if specials:
        tokenizer.add_special_tokens({"extra_special_tokens": list(specials)}, replace_extra_special_tokens=False)
    return tokens


def turn_end(template: ChatTemplate) -> str:
    """The token that the chat template puts after the assistant's answer.

    Raises:
        ValueError: it puts none there, so that a model could not learn to stop.
    """
    if not template.end:
        raise ValueError(
            "the chat template puts no special token after the assistant's answer, so a model could not learn to stop: end "
            "the assistant's turn with one, such as {{ eos_token }}"
        )
    return template.end


def stop_at(trainer: Trainer, end: str) -> None:
    """See that the saved model stops where its turns end, also where it comes with other settings for generation."""
    config, tokenizer = (
        under(trainer.accelerator.unwrap_model(trainer.model)).generation_config,
        trainer.processing_class,
    )
    assert config is not None and isinstance(tokenizer, PreTrainedTokenizerBase)
    config.eos_token_id = sorted(ends(tokenizer, config) | {token_id(tokenizer, end)})


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """A token's number."""
    number = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(number, int)
    return number


def grown(job: Job[Sft], tokenizer: PreTrainedTokenizerBase, model_kwargs: Mapping[str, object]) -> PreTrainedModel:
    """The base model with embeddings for the tokens that are new, drawn around the mean of the others."""
    set_seed(job.seed)
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        job.base, **{"dtype": torch.float32, "trust_remote_code": False, **model_kwargs}
    )
    if len(tokenizer) > model.get_input_embeddings().get_parameter("weight").shape[0]:
        model.resize_token_embeddings(len(tokenizer))
    for config in (model.config, model.generation_config):
        config.eos_token_id = tokenizer.eos_token_id
    return model
