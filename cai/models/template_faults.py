"""What is peculiar about a chat template, each in one sentence with what to do about it.

A template is tried rather than read: it is given small conversations with marks in them, and what it does with these is looked at.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import TemplateError

from cai.errors import RowError
from cai.models.harmless import TOOL, TOOL_NAME
from cai.models.lessons import MARK_OF_THOUGHT
from cai.models.switches import SWITCHES
from cai.models.templates import MARK, ChatTemplate, Fields
from cai.models.thoughts import TAGS, THOUGHT_KEYS, open_tags, skips_thought

WORDS = 24
"""Characters, special tokens apart, from which on what a template begins with is more than the names of roles."""
SHOWN = 60
"""Characters that are quoted of a text."""
USER = {"role": "user", "content": "Is it late?"}
SYSTEM = {"role": "system", "content": MARK}
ANSWER = {"role": "assistant", "content": "It is."}
THINKER = {**ANSWER, THOUGHT_KEYS[0]: MARK_OF_THOUGHT}
CALL = {"type": "function", "function": {"name": TOOL_NAME, "arguments": {"zone": "UTC"}}}
CALLER = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT = {"role": "tool", "name": TOOL_NAME, "content": MARK}
_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


@dataclass(frozen=True, slots=True)
class Fault:
    """One peculiarity: a word for its kind, and the sentence."""

    kind: str
    text: str


def faults(template: ChatTemplate) -> list[Fault]:
    """All that was found."""
    if not template.tokenizer.chat_template:
        text = "there is no chat template: this is a base model; ask it with format: transcript, or train sft with chat_template"
        return [Fault("no_template", text)]
    try:
        template.prompt((USER,))
    except RowError as error:
        return [
            Fault("unusable", f"it takes no question of a user ({error}), so that the model cannot be asked; mend it")
        ]
    return [Fault(kind, text) for look in LOOKS for kind, text in look(template)]


Sentences = Iterator[tuple[str, str]]


def _system(template: ChatTemplate) -> Sentences:
    first, later = template.takes_system((SYSTEM, USER), True), (SYSTEM, USER, ANSWER, USER)
    advice = (
        "here it is put before the words of the first turn, to ask and to train; other programs have to do the same"
    )
    if not first and _text(template, SYSTEM, USER) is None:
        yield "system_refused", f"it refuses a system message; {advice}"
    elif not first:
        yield "system_dropped", f"it leaves a system message out without a word; {advice}"
    elif not template.takes_system(later, True):
        yield "system_dropped_later", f"it leaves a system message out after the first turn; {advice}"
    if first and not template.takes_system((SYSTEM, USER, ANSWER), False):
        yield (
            "system_not_learnt",
            "it shows a system message when it asks, and leaves it out of the same conversation with its answer: what cuts "
            "answers out of whole conversations trains without it; here they are trained as they are asked",
        )


def _own_words(template: ChatTemplate) -> Sentences:
    before = (_text(template, {"role": "user", "content": MARK}) or "").partition(MARK)[0]
    words = re.sub("^(system|developer) ", "", " ".join(_plain(template, before).split()))
    if len(words) >= WORDS:
        replaced = words not in " ".join(_plain(template, _text(template, SYSTEM, USER) or "").split())
        todo = "a system message of your own takes their place" if replaced else "count on them in prompts of your own"
        yield "own_words", f'it puts words of its own before a conversation ("{_cut(words)}"); {todo}'
    if re.search(r"strftime_now|date_string", str(template.tokenizer.chat_template)):
        yield (
            "date",
            "it puts the date before a conversation: what is trained today is asked under another date tomorrow; where that "
            "matters, give it date_string, or a template without",
        )


def _thinking(template: ChatTemplate) -> Sentences:
    prompt = template.prompt((USER,))
    if tags := open_tags(prompt):
        yield (
            "opens_thought",
            f"it opens a thought for every answer ({tags[0]}): an answer without one is learnt as an empty thought and the answer; "
            "switch thinking off for such a model, or train on thoughts",
        )
    elif skips_thought(prompt):
        yield (
            "empty_thought",
            "it puts an empty thought before every answer, so that the model does not think unless told to",
        )
    elif (_text(template, USER, ANSWER) or "").removeprefix(prompt).lstrip().startswith(tuple(tag for tag, _ in TAGS)):
        yield (
            "learns_empty_thought",
            "an answer without a thought is learnt with an empty one before it, so that a model which thought stops thinking; "
            "train on thoughts, or ask it with thinking off, too",
        )
    if (other := _other_prompt(template, not skips_thought(prompt))) and other != prompt:
        added = _cut(other.removeprefix(prompt) if other.startswith(prompt) else other[-SHOWN:])
        yield (
            "thinking_switch",
            f"enable_thinking changes what is asked ({json.dumps(added)}): train and ask with the same, or each learns what the "
            "other does not see",
        )
    shows = MARK_OF_THOUGHT in (_text(template, USER, THINKER) or "")
    if shows and MARK_OF_THOUGHT not in (_text(template, USER, THINKER, USER, begins=True) or ""):
        yield (
            "thoughts_dropped",
            "it drops the thoughts of earlier turns: an answer in a dialogue is learnt as its last turn, as here; what trains on "
            "all turns of a dialogue at once teaches them without thoughts",
        )
    if open_tags(prompt) and not shows:
        yield (
            "thought_not_shown",
            "it opens a thought and shows none in a whole conversation: what cuts answers out of those teaches to answer without "
            "one; here thought and answer go on from what is asked",
        )


def _answers(template: ChatTemplate) -> Sentences:
    whole = _text(template, USER, {"role": "assistant", "content": f"\n{MARK}\n"}) or ""
    if f"\n{MARK}\n" not in whole:
        yield (
            "stripped",
            "it takes spaces and line breaks off the ends of what is said; an answer is learnt without them",
        )
    if "a </think> b" not in (
        _text(template, USER, {"role": "assistant", "content": "a </think> b"}) or "a </think> b"
    ):
        yield (
            "split",
            "it takes what stands before </think> in an answer for its thought; such answers are left out and counted",
        )
    prompt, whole = template.prompt((USER,)), _text(template, USER, ANSWER) or ""
    if not whole.startswith(prompt) and not open_tags(prompt):
        beginning = json.dumps(prompt[-SHOWN // 2 :], ensure_ascii=False)
        yield (
            "shown_otherwise",
            f"it asks with {beginning}, and shows a whole conversation otherwise: what cuts answers out of those trains on "
            "another prompt than it asks; here the answer goes on from what is asked",
        )
    if _text(template, USER, USER, begins=True) is None:
        yield (
            "alternating",
            "it refuses two turns of one side in a row; such conversations are left out and counted as refused_by_template",
        )


def _ends(template: ChatTemplate) -> Sentences:
    end, stops = template.end, ", ".join(sorted(template.stops)) or "nothing"
    if not end:
        yield (
            "no_end",
            "it puts no special token after an answer: a model that learns from it never stops; end the assistant's turn with "
            "one, such as {{ eos_token }}",
        )
        return
    if end not in template.stops:
        yield (
            "end_no_stop",
            f"it ends an answer with {end}, and generation stops at {stops}: the model goes on after its answer; name {end} in "
            "eos_token_id of generation_config.json (sft saves it so)",
        )
    after = template.around((USER,))[1]
    if end not in after:
        yield (
            "end_opens_next",
            f"it puts nothing behind the last answer; {end}, which begins the next turn, is learnt as its end",
        )
    elif _specials(template, after.partition(end)[2]):
        behind = json.dumps(after.partition(end)[2].strip(), ensure_ascii=False)
        yield (
            "after_end",
            f"it puts {behind} behind the end of an answer ({end}), which no model gets to write; it is not learnt",
        )
    if (template.tokenizer.pad_token or template.tokenizer.eos_token) == end:
        yield (
            "pad_is_end",
            f"the padding is {end}, the end of an answer: what leaves padding out of the loss by its token never teaches to "
            "stop; here the loss goes by place",
        )


def _beginning(template: ChatTemplate) -> Sentences:
    tokenizer, text = template.tokenizer, template.prompt((USER,))
    bos = tokenizer.bos_token
    if not bos:
        return
    added = tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
    if text.startswith(bos * 2):
        yield "bos_twice", f"it begins with {bos} twice; take one out of the template"
    elif text.startswith(bos) and added:
        yield (
            "bos_added_again",
            f"it begins with {bos}, and the tokenizer puts another before each text: what tokenizes its text has to say "
            "add_special_tokens=False, as here",
        )
    elif added:
        yield (
            "bos_missing",
            f"the tokenizer begins each text with {bos}, and the template does not: conversations are asked and learnt without "
            "it; where the model was trained with it, put {{ bos_token }} first in the template",
        )


def _marks(template: ChatTemplate) -> Sentences:
    if not _GENERATION.search(str(template.tokenizer.chat_template)):
        yield (
            "no_generation_marks",
            "it has no {% generation %} marks, so that TRL's assistant_only_loss cannot be used; here none are needed",
        )
        return
    turns, form = (USER, ANSWER, USER), {"tokenize": True, "return_dict": True, "return_assistant_tokens_mask": True}
    encoding = template.tokenizer.apply_chat_template([dict(each) for each in turns], **form, **template.options)
    tokens = template.tokenizer.convert_ids_to_tokens(encoding["input_ids"])
    inside = [token for token, mark in zip(tokens, encoding["assistant_masks"], strict=True) if mark]
    if template.end not in inside:
        yield (
            "end_unmarked",
            f"its {{% generation %}} marks leave out the end of an answer ({template.end}): assistant_only_loss would train a "
            "model that never stops; here the end is learnt",
        )


def _tools(template: ChatTemplate) -> Sentences:
    offer = template.with_options([TOOL])
    if TOOL_NAME not in (_text(offer, USER, begins=True) or ""):
        yield "tools_dropped", "it leaves the definitions of tools out; describe them in a system message"
    call = _text(offer, USER, CALLER)
    if TOOL_NAME not in (call or ""):
        yield "calls_dropped", "it leaves tool calls out; answers that call tools are left out and counted"
    elif MARK not in (_text(offer, USER, CALLER, RESULT, begins=True) or ""):
        yield (
            "results_dropped",
            "it leaves the results of tools out, or refuses them; conversations with some are not to be asked",
        )


LOOKS = (_system, _own_words, _thinking, _answers, _ends, _beginning, _marks, _tools)


def _text(template: ChatTemplate, *messages: Fields, begins: bool = False) -> str | None:
    """The template's own text; None where it refuses."""
    try:
        return template.render(messages, begins)
    except TemplateError:
        return None


def _other_prompt(template: ChatTemplate, on: bool) -> str:
    """What is asked with thinking switched the other way."""
    other = template.with_options(**dict.fromkeys(SWITCHES, not on))
    return _text(other, USER, begins=True) or ""


def _plain(template: ChatTemplate, text: str) -> str:
    return re.sub("|".join(map(re.escape, template.special)) or "$^", "", text)


def _specials(template: ChatTemplate, text: str) -> bool:
    return any(each in text for each in template.special)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
