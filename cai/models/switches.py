"""How thinking is switched on and off, and bounded, in the OpenAI protocol: each kind of server has a way of its own.

Which it is shows the server's list of models (``cai.models.listing``), and what it does not take is put otherwise at its refusal
(``cai.models.abilities``). The limit of an answer's tokens holds thought and answer on all servers, so a budget widens it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from cai.models.abilities import CHOICE, EFFORT, REASONING, TEMPLATE, Abilities
from cai.models.types import Request

KWARGS = "chat_template_kwargs"
JOINED = (KWARGS, "output_config", "provider")
"""Keys of a body of which a role may say one thing, and a request another: a template's variables, the form and the effort of
Anthropic's answers, OpenRouter's choice of providers."""
SWITCHES = ("enable_thinking", "thinking")
"""Variables of chat templates that switch thinking, by the two names that families have for it."""
SWITCH_KEYS = frozenset(
    ("reasoning_effort", "reasoning", "thinking", "enable_thinking", "think", "thinking_token_budget")
)
"""Keys by which a role's extra_body switches thinking itself."""
PLAIN = Abilities()
SERVERS = {
    "vllm": replace(PLAIN, switch=TEMPLATE, structure=CHOICE),
    "sglang": replace(PLAIN, switch=TEMPLATE, budget=False),
    "llamacpp": replace(PLAIN, switch=TEMPLATE, budget=False),
    "openrouter": replace(PLAIN, switch=REASONING),
}
"""Kind of server → what it takes; of another, the plain protocol."""


def variables(thinking: object, more: Mapping[str, object]) -> dict[str, object]:
    """What a chat template is told for a role, beside the conversation; nothing where all is left to the model.

    Args:
        thinking, more: the role's ``thinking`` and ``extra_body``, of which the latter wins.
    """
    extra = more.get(KWARGS)
    return _switch(thinking) | (dict(extra) if isinstance(extra, Mapping) else {})


def _switch(thinking: object) -> dict[str, object]:
    return {} if thinking == "auto" else dict.fromkeys(SWITCHES, thinking != "off")


def room(request: Request) -> int:
    """Tokens of the limit that are the thought's, beside the answer's own."""
    bounded = request.messages and request.thinking != "off" and not request.choices
    return (request.budget or 0) if bounded else 0


def is_off(more: Mapping[str, object]) -> bool:
    """Whether a role's extra_body switches thinking off, in any of the ways that servers have for it."""
    settings = {**more, **variables("auto", more)}
    return any(_says_off(settings.get(key)) for key in SWITCH_KEYS)


def _says_off(value: object) -> bool:
    if isinstance(value, Mapping):
        return value.get("type") == "disabled" or value.get("enabled") is False or value.get("effort") == "none"
    return value is False or value == "none"


def thinking_fields(request: Request, now: Abilities) -> dict[str, object]:
    """What a body says of thinking; nothing where nothing is asked of it, or where the role's extra_body says it."""
    if not (request.thinking or room(request)) or SWITCH_KEYS & request.more.keys() or is_off(request.more):
        return {}
    return _WAYS[now.switch](request, now)


def merge(body: Mapping[str, object], more: Mapping[str, object]) -> dict[str, object]:
    """A body with a role's extra_body, which wins; objects that say several things are joined, key by key."""
    if not more:
        return dict(body)
    both = {
        key: {**ours, **extra}
        for key in JOINED
        if isinstance(ours := body.get(key), Mapping) and isinstance(extra := more.get(key), Mapping)
    }
    return {**body, **more, **both}


def _template(request: Request, now: Abilities) -> dict[str, object]:
    """Variables of the chat template, under both names that families have for it (vLLM, SGLang, llama.cpp)."""
    on, effort = request.thinking == "on", {"on": now.on, "off": now.off}.get(request.thinking)
    body: dict[str, object] = {KWARGS: dict.fromkeys(SWITCHES, on)} if effort else {}
    return body | ({"thinking_token_budget": room(request)} if room(request) and now.budget else {})


def _effort(request: Request, now: Abilities) -> dict[str, object]:
    """OpenAI, Gemini's door, LiteLLM, Ollama and most others."""
    effort = {"on": now.on, "off": now.off}.get(request.thinking)
    return {"reasoning_effort": effort} if effort else {}


def _reasoning(request: Request, now: Abilities) -> dict[str, object]:
    """OpenRouter."""
    if request.thinking == "off":
        reasoning: dict[str, object] = (
            {"enabled": False} if now.off == PLAIN.off else {"effort": now.off} if now.off else {}
        )
    else:
        reasoning = {"enabled": True} if request.thinking and now.on else {}
        reasoning |= {"max_tokens": room(request)} if room(request) and now.budget else {}
    return {"reasoning": reasoning} if reasoning else {}


_WAYS: Mapping[str, Callable[[Request, Abilities], dict[str, object]]] = {
    EFFORT: _effort,
    TEMPLATE: _template,
    REASONING: _reasoning,
}
