"""What two models have in common if one server can hold first the one and then the other: all but their numbers.

A server that takes other weights keeps its config, its tokenizer, its chat template and its settings for sampling, and says
no more than a warning where a tensor is missing. So all of these must be the same, and where that is not certain it is not so.
"""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path

from cai.models import content

UNSAID = ("_name_or_path", "transformers_version", "use_cache", "_from_model_config")
"""Keys of the configs that change nothing of what a server says."""
NUMBERS = ("dtype", "torch_dtype")
"""Keys that decide in which type of number a server computes where nobody tells it."""
IDS = ("eos_token_id", "bos_token_id", "pad_token_id")
OF_READING = ("truncation", "padding")
"""Keys of ``tokenizer.json`` that a training leaves behind; a server pads and cuts nothing."""
DERIVED = ("vocab.json", "merges.txt", "model.safetensors.index.json", "adapter_config.json")
"""Files beside ``tokenizer.json`` and the weights that say the same once more."""


def blueprint(model: str, dtype: str) -> str:
    """A digest of all that a server keeps of a model's folder; empty where it is no folder of safetensors.

    Args:
        dtype: as the server is told it; where it is not, that of the config decides.
    """
    folder = Path(model)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights or not (folder / "tokenizer.json").exists() or any(folder.glob("*.py")):
        return ""
    unsaid = {*UNSAID, *OF_READING, *(NUMBERS if dtype else ())}
    try:
        files = {each.name: _meaning(each, unsaid) for each in sorted(folder.iterdir()) if _counts(each)}
        shapes = {name: shape for each in weights for name, shape in content.shapes(each).items()}
    except (OSError, ValueError, RecursionError):  # what is wrong with it, a server of its own will say
        return ""
    return hashlib.sha256(json.dumps([dtype, files, shapes], sort_keys=True).encode()).hexdigest()


def _counts(path: Path) -> bool:
    settings = path.is_file() and path.suffix in content.COMPANIONS
    return settings and path.name not in (*content.OF_TRAINING, *DERIVED)


def _meaning(path: Path, unsaid: Collection[str]) -> object:
    """What a file says to a server."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix != ".json":
        return text
    data = json.loads(text)
    if not isinstance(data, dict):
        return data
    # One id is what a list of it is; both are written.
    return {key: _single(each) if key in IDS else each for key, each in data.items() if key not in unsaid}


def _single(ids: object) -> object:
    return ids[0] if isinstance(ids, list) and len(ids) == 1 else ids
