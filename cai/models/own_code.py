"""Models that bring code of their own, which is never run: a folder from elsewhere would do here whatever it likes."""

import importlib.util
import json
from pathlib import Path

UNKNOWN = "needs code of its own, which is not run here; name a model that the package transformers knows by itself"
"""What a sentence says of such a model."""


def needed(model: str) -> bool:
    """Whether a model's folder is of a kind that transformers does not know; False where that cannot be told from it.

    Args:
        model: the folder, or a name on the Hub, of which nothing is known here.
    """
    try:
        config = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    kind = str(config.get("model_type", "")).replace("-", "_") if isinstance(config, dict) else ""
    spec = importlib.util.find_spec("transformers")
    if not kind or not config.get("auto_map") or spec is None or not spec.origin:
        return False
    # By its folders, as to import it takes seconds; a part of a model, such as gemma3_text, has none of its own.
    folders = [each.name for each in (Path(spec.origin).parent / "models").iterdir() if each.is_dir()]
    return not any(kind == each or kind.startswith(f"{each}_") for each in folders)


def reason(error: Exception) -> str:
    """Why a model could not be loaded, in one line; what libraries say of their own switches for code is of no use here."""
    text = str(error)
    if "trust_remote_code" in text:
        return UNKNOWN
    if "weights_only" in text:
        return "holds pickled weights with code in them, which is not run here; save them as safetensors"
    return f"cannot be loaded: {(text or type(error).__name__).splitlines()[0]}"
