"""What vLLM's server lists, answers, refuses and errs with, by its source (0.31)."""

from dataclasses import replace

from exchanges.forms import (
    ALL,
    CHANNELS,
    CHAT_ENDS,
    CHOICES,
    LETTERS,
    LONG,
    OFF,
    ON,
    PASSING,
    PLAIN,
    SAID,
    SCHEMA,
    SPENT,
    THOUGHT,
    TOKENS,
    TOO_LONG,
    Body,
    Server,
    Wrong,
    chat,
    kwargs,
    listed,
    told,
)


def parser_missing(body: Body) -> Wrong | None:
    """What vLLM says where it was started without a parser of thoughts."""
    words = "thinking_token_budget is set but reasoning_config is not configured. Please set --reasoning-parser"
    error = {"message": words, "type": "BadRequestError", "param": None, "code": 400}
    return (400, {"error": error}) if "thinking_token_budget" in body else None


SERVERS: dict[str, Server] = {
    "vLLM, with a parser of thoughts": Server(
        listed("qwen3", "vllm", max_model_len=32768, root="qwen3"),
        "qwen3",
        chat(
            {"content": "\n\nYes.", "reasoning": "\nRye is a cereal.\n", "refusal": None, "function_call": None},
            "stop",
            {
                "prompt_tokens": 30,
                "total_tokens": 50,
                "completion_tokens": 20,
                "prompt_tokens_details": {"cached_tokens": 16},
                "completion_tokens_details": {"reasoning_tokens": 14},
            },
            model="qwen3",
            prompt_logprobs=None,
        ),
        {
            **{"texts": ("\n\nYes.",), "finishes": ("stop",), "thinking": ("\nRye is a cereal.\n",)},
            **{"tokens_in": 30, "tokens_cached": 16, "tokens_out": 20, "tokens_thought": 14},
        },
        sent=(
            (PLAIN, {"chat_template_kwargs": None, "reasoning_effort": None}),
            (OFF, {**kwargs(False), "max_tokens": 64, "thinking_token_budget": None}),
            (ON, {**kwargs(True), "max_tokens": 2064, "thinking_token_budget": 2000}),
            (replace(ON, thinking=""), {"chat_template_kwargs": None, "thinking_token_budget": 2000}),
        ),
        notes=("it thinks although its thinking was switched off",),
        errors=(
            ((400, told(TOO_LONG, "BadRequestError", 400)), LONG),
            ((404, told("The model `qwen3` does not exist.", "NotFoundError", 404)), ALL + ": check `model`"),
            ((500, told("EngineCore encountered an issue", "InternalServerError", 500)), PASSING),
        ),
        samples=True,
        likeliest=LETTERS,
        ends={**CHAT_ENDS, "repetition": "length"},
        bound=(CHOICES, chat({"content": "A", "reasoning": None, "refusal": None}, "stop", TOKENS)),
    ),
    "vLLM, without a parser": Server(
        listed("qwen3", "vllm"),
        "qwen3",
        chat(
            {"content": "<think>\nRye is a cereal.\n</think>\n\nYes."},
            "stop",
            {"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50},
        ),
        {**SAID, **THOUGHT, "tokens_in": 30, "tokens_cached": 0, "tokens_out": 20, "tokens_thought": 16},
        parser_missing,
        ((ON, {**kwargs(True), "max_tokens": 2064, "thinking_token_budget": None}),),
        ("it takes no bound for a thought, which shares the limit of tokens with its answer",),
        samples=True,
        likeliest=LETTERS,
        ends=CHAT_ENDS,
        # A release that knows no list of choices by this name leaves it out, and takes a schema.
        bound=(SCHEMA, chat({"content": '{ "verdict": "A" }'}, "stop", TOKENS)),
    ),
    "vLLM, gpt-oss": Server(
        listed("openai/gpt-oss-20b", "vllm"),
        "openai/gpt-oss-20b",
        chat(
            {"content": None, "reasoning": "The user asks"},
            "length",
            {
                "prompt_tokens": 90,
                "completion_tokens": 64,
                "total_tokens": 154,
                "completion_tokens_details": {"reasoning_tokens": 64},
            },
            model="openai/gpt-oss-20b",
        ),
        {**SPENT, "thinking": ("The user asks",), "tokens_in": 90, "tokens_out": 64, "tokens_thought": 64},
        sent=((OFF, kwargs(False)),),
        notes=(
            "it thinks although its thinking was switched off",
            "a thought took all 64 tokens of its answer to a greeting; give it more (max_tokens), or lessen its "
            "thinking (extra_body)",
        ),
        samples=True,
        likeliest=CHANNELS,
        errors=(
            ((400, told(TOO_LONG, "BadRequestError", 400)), LONG),
            ((500, told("unexpected tokens remaining in message header", "InternalServerError", 500)), PASSING),
        ),
        ends={"length": "thinking", "tool_calls": "tool_calls"},
        judge=chat({"content": "The answer is: (A)", "reasoning": "The user asks"}, "stop", {"prompt_tokens": 90}),
        bound=(CHOICES, chat({"content": "A", "reasoning": "The first one."}, "stop", TOKENS)),
    ),
}
