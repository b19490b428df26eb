"""What OpenAI's own servers list, answer, refuse and err with."""

from dataclasses import replace

from exchanges.forms import (
    ALL,
    BUSY,
    FILTER_ENDS,
    LONG,
    OFF,
    ON,
    PASSING,
    ROW,
    SAID,
    SCHEMA,
    TOKENS,
    TOO_LONG,
    Body,
    Server,
    Wrong,
    chat,
    listed,
    told,
    unsupported,
)


def gpt5(body: Body) -> Wrong | None:
    """What GPT-5 does not take."""
    limit = ("max_tokens", " Use 'max_completion_tokens' instead.")
    for key, more in (limit, ("stop", ""), ("top_p", ""), ("logprobs", "")):
        if wrong := unsupported(body, key, f"Unsupported parameter: '{key}' is not supported with this model.{more}"):
            return wrong
    if body.get("temperature", 1) != 1:
        words = "'temperature' does not support 0.5 with this model. Only the default (1) value is supported."
        return unsupported(body, "temperature", f"Unsupported value: {words}")
    if body.get("reasoning_effort") == "none":
        words = "'reasoning_effort' does not support 'none' with this model. Supported values are: 'minimal', 'low'."
        return unsupported(body, "reasoning_effort", f"Unsupported value: {words}")
    return None


SERVERS: dict[str, Server] = {
    "OpenAI, GPT-5": Server(
        listed("gpt-5-mini", "system"),
        "gpt-5-mini",
        chat(
            {"content": "Yes.", "refusal": None, "annotations": []},
            "stop",
            {
                "prompt_tokens": 1200,
                "completion_tokens": 210,
                "total_tokens": 1410,
                "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 192, "audio_tokens": 0},
            },
            model="gpt-5-mini-2025-08-07",
            service_tier="default",
        ),
        {**SAID, "tokens_in": 1200, "tokens_cached": 1024, "tokens_out": 210, "tokens_thought": 192, "thinking": ()},
        gpt5,
        (
            (
                replace(OFF, stop=("\n\n",)),
                {"max_completion_tokens": 64, "max_tokens": None, "stop": None, "reasoning_effort": "minimal"},
            ),
            (ON, {"max_completion_tokens": 2064, "reasoning_effort": "medium"}),
        ),
        (
            "the limit goes as max_completion_tokens",
            "answers are cut here at their stops",
            "top_p 1 is left to it",
            "its thinking cannot be switched off, so that it is asked for minimal effort",
        ),
        (
            ((429, told("Rate limit reached for gpt-5-mini on tokens per min", "tokens", "rate_limit_exceeded")), BUSY),
            ((503, told("Slow down", "service_unavailable_error", "slow_down")), BUSY),
            ((500, told("The server had an error", "server_error", None)), PASSING),
            ((400, told(TOO_LONG, "invalid_request_error", "context_length_exceeded")), LONG),
            ((400, told("Invalid prompt: flagged as violating our policy", "x", "invalid_prompt")), ROW),
            ((401, told("Incorrect API key provided", "x", "invalid_api_key")), ALL + ": check the key"),
            (
                (429, told("You exceeded your current quota", "insufficient_quota", "project_spend_limit_exceeded")),
                ALL + ": add to the account",
            ),
            ((404, told("The model `gpt-5-mini` does not exist", "x", "model_not_found")), ALL + ": check `model`"),
        ),
        samples=True,
        ends=FILTER_ENDS,
        bound=(SCHEMA, chat({"content": '{"verdict":"A"}', "refusal": None, "annotations": []}, "stop", TOKENS)),
    ),
}
