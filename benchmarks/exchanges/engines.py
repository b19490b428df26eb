"""What other engines' servers list, answer, refuse and err with, by their source: SGLang, llama.cpp, Ollama."""

from exchanges.forms import (
    ALL,
    BUSY,
    CALL,
    CHAT_ENDS,
    FUNCTION,
    LETTERS,
    LONG,
    OFF,
    ON,
    SAID,
    SCHEMA,
    THOUGHT,
    THOUGHTS,
    TOKENS,
    Server,
    chat,
    kwargs,
    listed,
    told,
)

SERVERS: dict[str, Server] = {
    "SGLang": Server(
        listed("glm", "sglang", root="glm", max_model_len=131072),
        "glm",
        chat(
            {"content": "Yes.", "reasoning_content": "Rye is a cereal.", "tool_calls": None},
            "stop",
            {"prompt_tokens": 30, "total_tokens": 50, "completion_tokens": 20, "prompt_tokens_details": None}
            | {"reasoning_tokens": 15},
            model="glm",
            metadata={"weight_version": "default"},
        ),
        {**SAID, **THOUGHT, "tokens_in": 30, "tokens_cached": 0, "tokens_out": 20, "tokens_thought": 15},
        sent=(
            (OFF, {**kwargs(False), "thinking_token_budget": None}),
            (ON, {**kwargs(True), "max_tokens": 2064, "thinking_token_budget": None}),
        ),
        notes=("it thinks although its thinking was switched off",),
        errors=(
            (
                (
                    400,
                    {
                        "object": "error",
                        "message": "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
                        "type": "BadRequestError",
                        "param": None,
                        "code": 400,
                    },
                ),
                LONG,
            ),
            ((503, {"object": "error", "message": "The request queue is full.", "type": "x", "code": 503}), BUSY),
        ),
        samples=True,
        likeliest=THOUGHTS,
        ends=CHAT_ENDS,
        bound=(SCHEMA, chat({"content": '{"verdict": "A"}', "reasoning_content": None}, "stop", TOKENS)),
    ),
    "llama.cpp": Server(
        listed("qwen3.gguf", "llamacpp", meta={"n_ctx_train": 40960}),
        "qwen3.gguf",
        chat(
            {"content": "Yes.", "reasoning_content": "Rye is a cereal."},
            "stop",
            {
                "completion_tokens": 20,
                "prompt_tokens": 30,
                "total_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 29},
            },
            model="qwen3.gguf",
            system_fingerprint="b6400",
            timings={"cache_n": 29, "prompt_n": 1, "predicted_n": 20},
        ),
        {**SAID, **THOUGHT, "tokens_in": 30, "tokens_cached": 29, "tokens_out": 20, "tokens_thought": 16},
        sent=((OFF, kwargs(False)), (ON, {**kwargs(True), "max_tokens": 2064, "thinking_token_budget": None})),
        notes=("it thinks although its thinking was switched off",),
        errors=(
            ((503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}), BUSY),
            (
                (
                    400,
                    {
                        "error": {
                            "code": 400,
                            "message": "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
                            "type": "exceed_context_size_error",
                            "n_prompt_tokens": 5000,
                            "n_ctx": 4096,
                        }
                    },
                ),
                LONG,
            ),
            (
                (401, {"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}}),
                ALL + ": check the key",
            ),
        ),
        samples=True,
        likeliest=THOUGHTS,
        ends=CHAT_ENDS,
        bound=(SCHEMA, chat({"content": '{"verdict": "A"}'}, "stop", TOKENS)),
    ),
    "Ollama": Server(
        listed("qwen3:8b", "library"),
        "qwen3:8b",
        chat(
            {"content": "Yes.", "reasoning": "Rye is a cereal."},
            "stop",
            {"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50},
            model="qwen3:8b",
            system_fingerprint="fp_ollama",
        ),
        {**SAID, **THOUGHT, "tokens_in": 30, "tokens_out": 20, "tokens_thought": 16},
        sent=(
            (OFF, {"reasoning_effort": "none", "max_tokens": 64}),
            (ON, {"reasoning_effort": "medium", "max_tokens": 2064}),
        ),
        notes=("it thinks although its thinking was switched off",),
        errors=(
            ((503, told("server busy, please try again.  maximum pending requests exceeded", "api_error", None)), BUSY),
            ((400, told("the input length exceeds the context length", "invalid_request_error", None)), LONG),
            (
                (404, told("model 'qwen3:8b' not found, try pulling it first", "not_found_error", None)),
                ALL + ": check `model`",
            ),
        ),
        likeliest=THOUGHTS,
        ends={**CHAT_ENDS, "load": "unknown"},
        bound=(SCHEMA, chat({"content": '{\n  "verdict": "A"\n}'}, "stop", TOKENS)),
    ),
    "Ollama, a model that does not think": Server(
        listed("llama3:latest", "library"),
        "llama3",
        chat({"content": "Yes."}, "length", {"prompt_tokens": 30, "completion_tokens": 64, "total_tokens": 94}),
        {"texts": ("Yes.",), "finishes": ("length",), "thinking": (), "tokens_out": 64, "tokens_thought": 0},
        lambda body: (
            (400, told('"llama3" does not support thinking', "invalid_request_error", None))
            if body.get("reasoning_effort", "none") != "none"
            else None
        ),
        ((OFF, {"reasoning_effort": "none"}), (ON, {"reasoning_effort": None, "max_tokens": 2064})),
        ("it takes no switch that puts thinking on",),
        likeliest=LETTERS,
        # Its cloud takes a schema, and keeps to the call of a tool alone.
        bound=(FUNCTION, chat(CALL, "tool_calls", TOKENS)),
    ),
}
