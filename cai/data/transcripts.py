"""Conversations written as one text, each turn after a mark of who speaks.

Those of the form ``Human: …``, ``Assistant: …`` are read: each turn begins after an empty line but the first, which may also be
``System: …``. Only such a mark begins a turn: other colons and empty lines are the turn's own. Those of other forms, such as what
a chat template writes, are told by how they begin and by the assistant's mark in them; they are left out, not asked as one turn.
"""

import re

from cai.data.notation import Unusable

_MARK = re.compile(r"(?:\A|\r?\n[ \t]*\r?\n)(?P<role>Human|Assistant):[ ]?|\A(?P<first>System):[ ]?")
_FIRST = ("Human:", "Assistant:", "System:")
_ASSISTANT = r"(?:assistant|ai|bot|chatbot|chatgpt|gpt)"
_CLOSE_MARK = re.compile(rf"(?:\n|\\n)[ \t]*(?:human|{_ASSISTANT}):|\sassistant:\Z", re.IGNORECASE)
_ASSISTANT_MARK = (
    r"<\|(?:assistant|im_start|im_end|end|eot_id|end_of_turn|endoftext|start_header_id)\|>|<\uff5cassistant\uff5c>|\[/INST\]"
    r"|<(?:start|end)_of_turn>|<(?:bot|assistant)>:?|\[\|(?:ai|assistant)\|\]|<extra_id_1>assistant"
)
OTHERS = tuple(
    (re.compile(begin, re.IGNORECASE), re.compile(answer, re.IGNORECASE))
    for begin, answer in (
        (r"###\s*(?:human|user|instruction|question|system|input):", r"###\s*(?:assistant|response|answer|output):"),
        (r"below is an instruction", r"### response:"),
        (r"(?:\\n)*(?:gpt4 correct )?(?:user|human|prompter):", rf"(?:\n|\\n)[ \t]*{_ASSISTANT}:|<\|end_of_turn\|>"),
        (r"system:", rf"(?:\n|\\n)[ \t]*(?:user|human|{_ASSISTANT}):"),
        (r"USER:(?-i: .* ASSISTANT:)", ""),
        (r"a chat between [^\n]{,300}? assistant\b", rf"\b{_ASSISTANT}:"),
        (r"<\||<\uff5c|<s>|<bos>|\[INST\]|<start_of_turn>|<extra_id_\d>|\[\||<(?:human|user)>:?", _ASSISTANT_MARK),
    )
)
"""How transcripts of other forms begin, and what then stands in them."""


def turns(words: str) -> list[tuple[str, str]]:
    """Who says what in a transcript, in its own words; nothing where a text, without space at its ends, is none.

    Raises:
        Unusable: it looks like one, and its turns cannot be told.
    """
    marks = list(_MARK.finditer(words)) if words.startswith(_FIRST) else []
    if not any(mark["role"] for mark in marks):
        _no_other(words)
        return []
    ends = [*(mark.start() for mark in marks[1:]), len(words)]
    talk = [
        (mark["role"] or mark["first"], words[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)
    ]
    if any(_CLOSE_MARK.search(text) for _, text in talk):
        raise Unusable(
            "unclear_turns",
            "no empty line stands before some of its turns, so that they cannot be told from their text",
        )
    return talk


def _no_other(words: str) -> None:
    """Refuse a transcript of another form.

    Raises:
        Unusable: it is one.
    """
    for begin, answer in OTHERS:
        if (match := begin.match(words)) and answer.search(words, match.end()):
            raise Unusable(
                "unknown_transcript",
                f"begins with {match[0][:30]} and looks like a transcript in a form that is not known",
            )
