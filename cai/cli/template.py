"""``cai look --template``: a small conversation in a model's chat template, as it is asked, learnt and scored."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.text import Text

from cai.errors import RowError, UserError
from cai.flow.terminal import Terminal, line
from cai.models import own_code
from cai.models.bundled import resolve
from cai.models.harmless import TOOL, TOOL_NAME
from cai.models.lessons import Lesson, lesson
from cai.models.template_faults import Fault, faults
from cai.models.templates import ChatTemplate
from cai.models.thoughts import THOUGHT_KEYS
from constitution.wording import count

Message = dict[str, Any]
CALL = {"type": "function", "function": {"name": TOOL_NAME, "arguments": {"zone": "Europe/Oslo"}}}
PROMPT: tuple[Message, ...] = (
    {"role": "system", "content": "Answer in one sentence."},
    {"role": "user", "content": "What is a clock for?"},
    {"role": "assistant", "content": "It tells the time.", "reasoning_content": "They ask what clocks are for."},
    {"role": "user", "content": "Is it late in Oslo?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "name": TOOL_NAME, "content": "23:40"},
)
ANSWER: Message = {"role": "assistant", "content": "Yes, it is 23:40.", "reasoning_content": "23:40 is late."}
STYLES = ("black on green", "black on bright_green")
"""Of tokens that are trained on, one after the other, so that each can be told from the next."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token, or several that make a character together, says, and whether it is trained on."""

    text: str
    trained: bool


@dataclass(frozen=True, slots=True)
class TemplateAccount:
    """What is shown of a chat template.

    Attributes:
        without: what it does not take of the example, which is shown without.
        asked: the example to where the answer begins.
        learnt: the same and the answer, token by token.
        scored: the conversation with its answer, as a reward model reads it.
    """

    model: str
    without: list[str]
    asked: str
    learnt: list[Token]
    scored: str
    faults: list[Fault]


def show(model: str, as_json: bool) -> None:
    """Print it.

    Raises:
        UserError: there is no such model.
    """
    result = account(model, load(model))
    if as_json:
        line(json.dumps(asdict(result), indent=2, ensure_ascii=True))
        return
    terminal = Terminal(soft_wrap=True)
    for text in lines(result, terminal.is_terminal):
        terminal.print(text, soft_wrap=True)


def load(model: str) -> ChatTemplate:
    """The chat template of a folder, a Hub id or a bundled model.

    Raises:
        UserError: its tokenizer cannot be loaded.
    """
    from transformers import AutoTokenizer, GenerationConfig
    from transformers.utils import logging

    logging.set_verbosity_error()  # its advice on tokenizers is not for the person who reads our screen
    path = resolve(model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(f"--template: {model} {own_code.reason(error)}") from None
    try:
        return ChatTemplate(tokenizer, GenerationConfig.from_pretrained(path))
    except OSError:
        return ChatTemplate(tokenizer)


def account(model: str, template: ChatTemplate) -> TemplateAccount:
    """The richest form of the example that the template takes."""
    peculiarities = faults(template)
    toolless = bool({each.kind for each in peculiarities} & {"calls_dropped", "results_dropped"})
    for without, prompt, answer in _forms():
        if toolless and "tools" not in without:
            continue
        variant = template if "tools" in without else template.with_options([TOOL])
        try:
            target = lesson(variant, prompt, answer)
            scored = variant.whole([*prompt, answer])
        except (RowError, ValueError):  # without a template transformers has a ValueError
            continue
        return TemplateAccount(model, without, target.prompt_text, tokens(template, target), scored, peculiarities)
    return TemplateAccount(model, [], "", [], "", peculiarities)


def _forms() -> Iterator[tuple[list[str], Sequence[Message], Message]]:
    for without in ([], ["thoughts"], ["tools"], ["tools", "thoughts"]):
        messages = [
            each for each in PROMPT if "tools" not in without or not ("tool_calls" in each or each["role"] == "tool")
        ]
        hidden = THOUGHT_KEYS if "thoughts" in without else ()
        prompt = [{key: value for key, value in each.items() if key not in hidden} for each in (*messages, ANSWER)]
        yield without, prompt[:-1], prompt[-1]


def tokens(template: ChatTemplate, target: Lesson) -> list[Token]:
    """A lesson token by token; those that are part of a character stand together."""
    ids, start, prefix, pieces = [*target.prompt, *target.answer], len(target.prompt), "", list[Token]()
    for place in range(1, len(ids) + 1):
        text = template.tokenizer.decode(ids[:place])
        if not text.endswith("\ufffd") or place == len(ids):
            pieces.append(Token(text[len(prefix) :], place > start))
            prefix = text
    return pieces


def lines(shape: TemplateAccount, colours: bool) -> Iterator[Text]:
    """For people: trained tokens in colour, or each in brackets."""
    trained = sum(each.trained for each in shape.learnt)
    if shape.asked:
        without = f", without {' and '.join(shape.without)}, which it does not take" if shape.without else ""
        yield Text(f"{shape.model}: a small conversation in its chat template{without}")
        yield Text("\nAsked:", "bold")
        yield Text(shape.asked)
        yield Text(
            f"\nLearnt ({trained} of {count(len(shape.learnt), 'token')}, {'coloured' if colours else 'in brackets'}):",
            "bold",
        )
        yield _coloured(shape.learnt, colours)
        yield Text("\nScored:", "bold")
        yield Text(shape.scored)
        yield Text("")
    yield Text(f"What to know of it ({len(shape.faults)}):" if shape.faults else "Nothing peculiar.", "bold")
    for each in shape.faults:
        yield Text(f"- {each.kind}: {each.text}")


def _coloured(tokens: Sequence[Token], colours: bool) -> Text:
    text = Text()
    for number, token in enumerate(tokens):
        piece = json.dumps(token.text, ensure_ascii=False)[1:-1].replace('\\"', '"') if token.trained else token.text
        text.append(
            f"[{piece}]" if token.trained and not colours else piece,
            STYLES[number % 2] if token.trained and colours else "",
        )
    return text
