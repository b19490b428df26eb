"""How a model's folder tells that it thinks: which of vLLM's reasoning parsers reads its answers, and the tags of its thoughts.

Known by the family in ``config.json`` and by the chat template, which must speak of the family's tags: of one family some
models think and others do not. Where neither tells, none is named, and thoughts are found by their tags in the text, see
``cai.models.thoughts``.
"""

import json
from pathlib import Path

from cai.models.switches import SWITCHES
from cai.models.thoughts import TAGS

NONE = "none"
"""Says in a recipe that a server is to be started without a parser."""
HARMONY = "openai_gptoss"
"""The parser of gpt-oss, whose thoughts stand in channels."""
OPENING = "<think>"
"""What most families put before a thought."""
OPENINGS = {
    "seed_oss": "<seed:think>",
    "mistral": "[THINK]",
    "cohere_command3": "<|START_THINKING|>",
    "gemma4": "<|channel>thought\n",
    "minimax_m3": "<mm:think>",
}
"""Parser → what its family puts there, where that is something else; all tags are in ``cai.models.thoughts``."""
FAMILIES = (
    ("gpt_oss", HARMONY),
    ("deepseek_v4", "deepseek_v4"),
    ("deepseek", "deepseek_v3"),
    ("kimi", "kimi_k2"),
    ("glm4_moe", "glm45"),
    ("glm_moe", "glm47"),
    ("glm5", "glm47"),
    ("qwen3", "qwen3"),
    ("mimo", "mimo"),
    ("nemotron", "nemotron_v3"),
    ("minimax_m3", "minimax_m3"),
    ("minimax", "minimax_m2"),
    ("seed_oss", "seed_oss"),
    ("gemma4", "gemma4"),
    ("hunyuan", "hunyuan_a13b"),
    ("ernie4_5", "ernie45"),
    ("olmo3", "olmo3"),
    ("step3p", "step3p5"),
    ("step3", "step3"),
    ("cohere2", "cohere_command3"),
    ("mistral3", "mistral"),
    ("ministral", "mistral"),
    ("bailing", "ling3"),
)
"""How a family's ``model_type`` begins → the parser of vLLM 0.31 that reads it; the first that fits."""
SETTINGS = ("config.json", "tokenizer_config.json", "chat_template.*")


def parser_of(model: str) -> str:
    """The name of vLLM's parser for a model's thoughts; empty where what lies in its folder tells of none.

    Args:
        model: a folder, or a Hub id, whose settings are fetched; where they cannot be had, the server will say why.
    """
    if Path(model).is_dir():
        return parser(Path(model))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return parser(Path(snapshot_download(model, allow_patterns=[*SETTINGS])))
    except (OSError, HfHubHTTPError, HFValidationError):
        return ""


def parser(folder: Path) -> str:
    """As ``parser_of``, of a folder."""
    kind = _json(folder / "config.json").get("model_type")
    name = next((name for family, name in FAMILIES if isinstance(kind, str) and kind.startswith(family)), "")
    text = template(folder)
    if name == HARMONY:
        return name
    if name and tags(name)[1] in text:
        return "deepseek_r1" if name == "deepseek_v3" and not _has_switch(text) else name
    # Distilled models have the family of their base, and the template of their teacher.
    return "deepseek_r1" if "<\uff5cAssistant\uff5c>" in text and tags("")[1] in text else ""


def tags(name: str) -> tuple[str, str]:
    """What opens and closes a thought, by the parser's name; without one as in most families."""
    opening = OPENINGS.get(name, OPENING)
    return opening, dict(TAGS)[opening.strip()]


def template(folder: Path) -> str:
    """A model's chat templates as one text; empty where there is none."""
    jinja = folder / "chat_template.jinja"
    texts = [jinja.read_text(encoding="utf-8", errors="replace")] if jinja.is_file() else []
    for name in ("chat_template.json", "tokenizer_config.json"):
        texts.append(json.dumps(_json(folder / name).get("chat_template", ""), ensure_ascii=False))
    return "\n".join(texts)


def _has_switch(text: str) -> bool:
    """Whether a chat template has a variable by which thinking is switched."""
    return any(each in text for each in (*SWITCHES, "reasoning_effort"))


def _json(path: Path) -> dict[str, object]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
