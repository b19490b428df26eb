"""Rows of a run as transcripts: samples of Inspect's log format (version 2), as plain data.

A chain is a conversation: the answer, each critique as the next turn, the revision. Of a pair both answers stand beside each other,
with the votes as scores. What a model thought is reasoning of its message; why a row was left out is its sample's error.
"""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from cai.models.types import Message
from cai.report.rows import unrevised
from cai.store.rows import Answers, Chain, Draft, Preference, Scored, Vote, plain
from constitution.tools import CALLS, DEFINITIONS

Plain = dict[str, Any]
STOPS = {"stop": "stop", "length": "max_tokens", "thinking": "max_tokens", "content_filter": "content_filter"}
"""How an answer ended → Inspect's word."""


def of_chain(row: Chain) -> Plain:
    """A chain: critiques are the turns between drafts."""
    turns: list[Plain] = []
    for number, draft in enumerate(row.drafts):
        if number:
            turns.append(_critique(draft, number))
        if not unrevised(draft):
            turns.append(_answer(draft, {"revision": number}))
    flags = sorted({flag for draft in row.drafts for flag in draft.flags})
    score = {"value": len(row.revisions), "metadata": {"principles": [each.principle for each in row.drafts[1:]]}}
    about = {"track": row.track, "source": row.source, "language": row.language, "flags": flags}
    return _sample(row.id, row.messages, turns, {"revisions": score}, about)


def of_preference(row: Preference) -> Plain:
    """A pair with its votes: the score is the probability that answer a is the better."""
    pair = row.pair
    turns = [_answer(draft, {"answer": name}) for name, draft in zip(_names(pair.answers), pair.answers, strict=True)]
    better = "" if row.status != "ok" or row.confidence is None else "a" if row.confidence > 0.5 else "b"
    known = {key: value for key, value in plain(row).items() if key.startswith("p_")}
    score = {**_value(row.p_a, row.status), "answer": better, "explanation": "\n\n".join(map(_words, row.votes))}
    about = {"track": pair.track, "tags": list(pair.tags), "language": pair.language, "prompt_id": pair.prompt_id}
    about |= {"a": pair.a.model, "b": pair.b.model}
    sample = _sample(row.id, row.messages, turns, {"a_is_better": {**score, "metadata": known}}, about)
    return {**sample, "choices": [draft.text for draft in pair.answers], "events": [_vote(each) for each in row.votes]}


def of_answers(row: Answers) -> Plain:
    """One model's answer to a held-out prompt."""
    about = {"track": row.track, "tags": list(row.tags), "language": row.language}
    return _sample(row.id, row.messages, [_answer(row.draft, {})], {}, about)


def of_scored(row: Scored) -> Plain:
    """Answers that were each scored alone."""
    names = _names(row.answers)
    turns = [_answer(draft, {"answer": name}) for name, draft in zip(names, row.answers, strict=True)]
    scores = {f"score_{name}": _value(value, "unparsed") for name, value in zip(names, row.scores, strict=True)}
    about = {"track": row.track, "principle": row.principle, "method": row.method, "judge": row.model}
    return _sample(row.id, row.messages, turns, scores, about)


def of_drop(drop: Mapping[str, Any]) -> Plain:
    """A row that was left out: its reason is the sample's error."""
    text = f"left out: {drop['reason']}" + (f" ({drop['detail']})" if drop.get("detail") else "")
    partial = drop.get("partial")
    said = partial.get("messages") if isinstance(partial, dict) else None
    messages = [each for each in said if _is_message(each)] if isinstance(said, list) else []
    sample = _sample(str(drop["in"]), messages, [], {}, {"left_out": drop["reason"], "partial": partial})
    return {**sample, "error": {"message": text, "traceback": text, "traceback_ansi": text}}


def _is_message(data: object) -> bool:
    return isinstance(data, dict) and isinstance(data.get("role"), str) and isinstance(data.get("content"), str)


def _sample(id: str, prompt: Sequence[Message], turns: list[Plain], scores: Plain, about: Plain) -> Plain:
    asked = [_message(each) for each in prompt]
    last = next((turn for turn in reversed(turns) if turn["role"] == "assistant"), None)
    choices = [{"message": last, "stop_reason": last["metadata"]["stop"]}] if last else []
    return {
        "id": id,
        "epoch": 1,
        "input": asked,
        "target": "",
        "messages": [*asked, *turns],
        "output": {"model": last["model"] if last else "", "choices": choices},
        "scores": scores,
        "metadata": {key: value for key, value in about.items() if value},
    }


def _message(message: Message) -> Plain:
    """A message of a prompt; definitions of tools stand as text, as Inspect has them beside the messages."""
    role, text = message["role"], message["content"]
    if role == DEFINITIONS:
        return {"role": "system", "content": f"Tools: {text}", "source": "input"}
    known = role if role in ("system", "user", "assistant", "tool") else "user"
    calls = [_call(each) for each in json.loads(message[CALLS])] if message.get(CALLS) else None
    return {"role": known, "content": text, "source": "input"} | ({"tool_calls": calls} if calls else {})


def _call(call: Mapping[str, Any]) -> Plain:
    function = call.get("function") or {}
    given = function.get("arguments")
    with suppress(ValueError):
        given = json.loads(given) if isinstance(given, str) else given
    arguments = given if isinstance(given, dict) else {"arguments": given}
    return {
        "id": str(call.get("id", "")),
        "function": str(function.get("name", "")),
        "arguments": arguments,
        "type": "function",
    }


def _answer(draft: Draft, about: Plain) -> Plain:
    stop = STOPS.get(draft.finish, "unknown")
    about = {**about, "seed": draft.seed, "stop": stop, "flags": list(draft.flags)}
    content = _content(draft.text, draft.thinking)
    return {"role": "assistant", "content": content, "source": "generate", "model": draft.model, "metadata": about}


def _critique(draft: Draft, number: int) -> Plain:
    """The critique that led to a draft; it is the model's, and stands where a person would ask for better."""
    why = unrevised(draft)
    text = draft.critique + (f"\n\n[no revision: {why}]" if why else "")
    about = {
        "critique": number,
        "principle": draft.principle,
        "model": draft.model,
        "thinking": draft.critique_thinking,
    }
    shown = f"[critique {number}, under {draft.principle}]\n{text}"
    return {"role": "user", "content": shown, "metadata": {key: value for key, value in about.items() if value}}


def _content(text: str, thinking: str) -> str | list[Plain]:
    if not thinking:
        return text
    return [{"type": "reasoning", "reasoning": thinking}, {"type": "text", "text": text}]


def _names(answers: Sequence[object]) -> list[str]:
    """``a``, ``b``, and numbers beyond."""
    return [chr(ord("a") + place) if place < 26 else str(place) for place in range(len(answers))]


def _value(value: float | None, status: str) -> Plain:
    """A score; of what could not be read Inspect's mark of one that is none, with the reason."""
    return {"value": value} if value is not None else {"value": math.nan, "reason": status}


def _vote(vote: Vote) -> Plain:
    known = {key: value for key, value in plain(vote).items() if value not in ("", None, 0) and key != "rationale"}
    score = {**_value(vote.p_a, vote.status), "explanation": _words(vote), "metadata": known}
    name = f"{vote.principle} {vote.order} {vote.model}".strip()
    return {"event": "score", "score": score, "intermediate": True, "scorer": name}


def _words(vote: Vote) -> str:
    """A vote as a person reads it."""
    share = "not read" if vote.p_a is None else f"{vote.p_a:.2f} that a is better"
    order = {"ab": "a shown first", "ba": "b shown first"}.get(vote.order, "each alone")
    head = f"**{vote.principle or vote.method}** ({order}, by {vote.model or vote.method}): {share}, {vote.status}"
    return f"{head}\n\n{vote.rationale}" if vote.rationale else head
