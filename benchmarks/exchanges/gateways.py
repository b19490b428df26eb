"""What stands before other people's models: Gemini's OpenAI door, OpenRouter and LiteLLM."""

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
    THOUGHT,
    TOKENS,
    Body,
    Server,
    Wrong,
    chat,
    listed,
    told,
    unsupported,
)


def mandatory(body: Body) -> Wrong | None:
    """What OpenRouter says of a model that always thinks."""
    error = {"message": "Reasoning is mandatory for this endpoint and cannot be disabled.", "code": 400}
    return (400, {"error": error}) if body.get("reasoning", {}).get("enabled") is False else None


def always(body: Body) -> Wrong | None:
    """What Gemini's door says of a model that always thinks; its errors come in a list."""
    words = "Logprobs is not enabled for models/gemini-2.5-pro" if body.get("logprobs") else ""
    if body.get("reasoning_effort") in ("none", "minimal"):
        words = "Budget 0 is invalid. This model only works in thinking mode."
    return (400, [{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}]) if words else None


def unmapped(body: Body) -> Wrong | None:
    """What LiteLLM says of keys that a provider's API does not have."""
    keys = [key for key in ("reasoning_effort", "logprobs", "top_logprobs") if key in body]
    words = f"litellm.UnsupportedParamsError: anthropic does not support parameters: {keys}, for model=claude"
    return unsupported(body, keys[0], words) if keys else None


SERVERS: dict[str, Server] = {
    "Gemini's OpenAI door": Server(
        listed("models/gemini-2.5-pro", "google", display_name="Gemini 2.5 Pro"),
        "gemini-2.5-pro",
        # A thought is counted in the total alone.
        chat(
            {"content": "Yes."},
            "stop",
            {"prompt_tokens": 20, "completion_tokens": 151, "total_tokens": 553},
            model="gemini-2.5-pro",
        ),
        {**SAID, "tokens_in": 20, "tokens_out": 533, "tokens_thought": 382},
        always,
        (
            (OFF, {"reasoning_effort": "low", "max_tokens": 64}),
            (ON, {"reasoning_effort": "medium", "max_tokens": 2064}),
        ),
        ("its thinking cannot be switched off, so that it is asked for low effort",),
        (
            (
                (
                    429,
                    [
                        {
                            "error": {
                                "code": 429,
                                "message": "You exceeded your current quota, please check your plan and billing details. "
                                "Please retry in 36.2s.",
                                "status": "RESOURCE_EXHAUSTED",
                            }
                        }
                    ],
                ),
                BUSY,
            ),
            ((503, [{"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}]), BUSY),
            (
                (
                    400,
                    [
                        {
                            "error": {
                                "code": 400,
                                "message": "The input token count (5000) exceeds the maximum number of tokens allowed (4096).",
                                "status": "INVALID_ARGUMENT",
                            }
                        }
                    ],
                ),
                LONG,
            ),
            (
                (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}]),
                ALL + ": check the key",
            ),
        ),
        ends={**FILTER_ENDS, "content_filter: PROHIBITED_CONTENT": "content_filter"},
        bound=(SCHEMA, chat({"content": '{"verdict":"A"}'}, "stop", TOKENS)),
    ),
    "OpenRouter": Server(
        {"data": [{"id": "z-ai/glm-5", "canonical_slug": "z-ai/glm-5", "supported_parameters": ["reasoning"]}]},
        "z-ai/glm-5",
        chat(
            {
                "content": "Yes.",
                "refusal": None,
                "reasoning": None,
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "Rye is ", "signature": None, "index": 0},
                    {"type": "reasoning.summary", "summary": "a cereal.", "index": 1},
                    {"type": "reasoning.encrypted", "data": "EqoB", "index": 2},
                    {"type": "reasoning.server_tool_call", "index": 3},
                ],
            },
            "stop",
            {
                "prompt_tokens": 30,
                "completion_tokens": 20,
                "total_tokens": 50,
                "cost": 0.0001,
                "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 17},
            },
            provider="Z.AI",
            model="z-ai/glm-5",
        ),
        {**SAID, "thinking": ("Rye is \na cereal.",), "tokens_in": 30, "tokens_cached": 8, "tokens_out": 20}
        | {"tokens_thought": 17},
        mandatory,
        (
            (OFF, {"reasoning": {"effort": "minimal"}, "max_tokens": 64}),
            (ON, {"reasoning": {"enabled": True, "max_tokens": 2000}, "max_tokens": 2064}),
        ),
        ("its thinking cannot be switched off, so that it is asked for minimal effort",),
        (
            (
                (
                    200,
                    {
                        "error": {
                            "code": 502,
                            "message": "Provider returned error",
                            "metadata": {"raw": "upstream died"},
                        }
                    },
                ),
                PASSING,
            ),
            (
                (200, {"choices": [{"finish_reason": "error", "error": {"code": 429, "message": "Slow down"}}]}),
                BUSY,
            ),
            ((403, {"error": {"code": 403, "message": "flagged", "metadata": {"flagged_input": "rye"}}}), ROW),
            ((402, {"error": {"code": 402, "message": "Insufficient credits"}}), ALL + ": add to the account"),
            ((404, {"error": {"code": 404, "message": "No endpoints found for z-ai/glm-5."}}), ALL + ": check `model`"),
        ),
        ends=FILTER_ENDS,
        bound=(
            {**SCHEMA, "provider": {"require_parameters": True}},
            chat({"content": '{"verdict":"A"}'}, "stop", TOKENS),
        ),
    ),
    "LiteLLM": Server(
        listed("claude-sonnet", "openai"),
        "claude-sonnet",
        chat(
            {
                "content": "Yes.",
                "reasoning_content": None,
                "thinking_blocks": [{"type": "thinking", "thinking": "Rye is a cereal.", "signature": "EqoB"}],
                "tool_calls": None,
            },
            "stop",
            {
                "prompt_tokens": 2006,
                "completion_tokens": 300,
                "total_tokens": 2306,
                "prompt_tokens_details": {"cached_tokens": 1920},
                "completion_tokens_details": {"reasoning_tokens": 0},
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 1920,
            },
            model="claude-sonnet",
        ),
        {**SAID, **THOUGHT, "tokens_in": 2006, "tokens_cached": 1920, "tokens_out": 300, "tokens_thought": 240},
        unmapped,
        ((ON, {"reasoning_effort": None, "max_tokens": 2064}),),
        ("it takes no switch that puts thinking on",),
        (
            (
                (
                    429,
                    told(
                        "No deployments available for selected model, Try again in 5 seconds.",
                        "throttling_error",
                        "429",
                    ),
                ),
                BUSY,
            ),
            (
                (
                    400,
                    told(
                        "litellm.ContextWindowExceededError: litellm.BadRequestError: prompt is too long: 5000",
                        None,
                        "400",
                    ),
                ),
                LONG,
            ),
            ((400, told("litellm.ContentPolicyViolationError: blocked", None, "400")), ROW),
            (
                (400, told("Budget has been exceeded! Current cost: 1.2, Max budget: 1.0", "budget_exceeded", "400")),
                ALL + ": add to the account",
            ),
        ),
        ends=FILTER_ENDS,
        bound=(SCHEMA, chat({"content": '{"verdict": "A"}', "tool_calls": None}, "stop", TOKENS)),
    ),
}
