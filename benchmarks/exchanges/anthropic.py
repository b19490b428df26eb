"""What Anthropic's Messages API answers, refuses and errs with."""

from dataclasses import replace

from exchanges.forms import (
    ALL,
    BUSY,
    FORMAT,
    LONG,
    OFF,
    ON,
    PASSING,
    PLAIN,
    ROW,
    SAID,
    THOUGHT,
    Body,
    Server,
    Wrong,
    blocks,
    claude,
)


def adaptive(body: Body) -> Wrong | None:
    """What Claude 4.7 and later do not take."""
    if body.get("thinking", {}).get("type") in ("enabled", "disabled"):
        words = '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" instead.'
        return claude(400, "invalid_request_error", words)
    if "temperature" in body:
        return claude(400, "invalid_request_error", "`temperature` is deprecated for this model.")
    return None


SERVERS: dict[str, Server] = {
    "Anthropic, to Claude 4.5": Server(
        {
            "data": [
                {
                    "type": "model",
                    "id": "claude-haiku-4-5-20251001",
                    "display_name": "Claude Haiku 4.5",
                    "created_at": "x",
                }
            ],
            "has_more": False,
            "first_id": "claude-haiku-4-5-20251001",
            "last_id": "claude-haiku-4-5-20251001",
        },
        "claude-haiku-4-5",
        {
            "id": "msg_01",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-4-5-20251001",
            "content": [
                {"type": "thinking", "thinking": "Rye is a cereal.", "signature": "EqoB"},
                {"type": "redacted_thinking", "data": "EmwK"},
                {"type": "text", "text": "Yes."},
            ],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "stop_details": None,
            "usage": {
                "input_tokens": 21,
                "cache_creation_input_tokens": 9,
                "cache_read_input_tokens": 1000,
                "output_tokens": 300,
                "output_tokens_details": {"thinking_tokens": 280},
            },
        },
        {
            **{**SAID, **THOUGHT, "model": "claude-haiku-4-5-20251001"},
            **{"tokens_in": 1030, "tokens_cached": 1000, "tokens_out": 300, "tokens_thought": 280},
        },
        sent=(
            (
                replace(PLAIN, temperature=0.5, stop=("\n\n", "\n\nHuman:")),
                {"max_tokens": 64, "temperature": 0.5, "stop_sequences": ["\n\nHuman:"], "seed": None, "n": None}
                | {"system": "Be kind."}
                | {"messages": [{"role": "user", "content": "Row: is rye sour?"}], "thinking": None},
            ),
            (OFF, {"thinking": {"type": "disabled"}, "max_tokens": 64, "temperature": None}),
            (
                replace(ON, temperature=0.0),
                {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 2064, "temperature": None},
            ),
            (replace(ON, budget=10), {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 1088}),
        ),
        notes=(
            "it thinks although its thinking was switched off",
            "its temperature is 1 while it thinks",
            "a thought has 1,024 tokens, as it takes no bound below that",
        ),
        errors=(
            (claude(529, "overloaded_error", "Overloaded"), BUSY),
            (claude(429, "rate_limit_error", "This request would exceed your organization's rate limit"), BUSY),
            (claude(500, "api_error", "Internal server error"), PASSING),
            (claude(400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"), LONG),
            (claude(413, "request_too_large", "Request exceeds the maximum size"), LONG),
            (claude(400, "invalid_request_error", "Output blocked by content filtering policy"), ROW),
            (claude(401, "authentication_error", "invalid x-api-key"), ALL + ": check the key"),
            (
                claude(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
                ALL + ": add to the account",
            ),
            (
                claude(400, "invalid_request_error", "You have reached your specified API usage limits."),
                ALL + ": add to the account",
            ),
            (claude(404, "not_found_error", "model: claude-haiku-4-5"), ALL + ": check `model`"),
        ),
        path="/v1/messages",
        ends={
            **{"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "refusal": "content_filter"},
            **{"model_context_window_exceeded": "length", "tool_use": "tool_calls", "pause_turn": "tool_calls"},
        },
        bound=(FORMAT, blocks({"type": "text", "text": '{"verdict":"A"}'}, end="end_turn")),
    ),
    "Anthropic, Claude 4.7 and later": Server(
        {"data": [{"type": "model", "id": "claude-opus-5", "display_name": "Claude Opus 5"}], "has_more": False},
        "claude-opus-5",
        {
            "type": "message",
            "model": "claude-opus-5",
            "content": [],
            "stop_reason": "refusal",
            "stop_details": {"type": "refusal", "category": "bio", "explanation": None},
            "usage": {"input_tokens": 21, "output_tokens": 2},
        },
        {"texts": ("",), "finishes": ("content_filter",), "tokens_in": 21, "tokens_out": 2, "tokens_thought": 0},
        adaptive,
        (
            (OFF, {"thinking": None, "max_tokens": 64}),
            (ON, {"thinking": {"type": "adaptive", "display": "summarized"}, "max_tokens": 2064}),
        ),
        (
            "it takes no switch that puts thinking off",
            "it takes no bound for a thought, which shares the limit of tokens with its answer",
        ),
        path="/v1/messages",
        judge={
            "type": "message",
            "model": "claude-opus-5",
            "content": [
                {"type": "thinking", "thinking": "", "signature": "EqoB"},
                {"type": "text", "text": "The answer is: (A)"},
            ],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 21, "output_tokens": 90},
        },
        bound=(FORMAT, blocks({"type": "text", "text": '{"verdict": "A"}'}, end="end_turn")),
    ),
}
