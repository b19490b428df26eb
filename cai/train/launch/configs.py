"""The keys of each trainer's config, read from the source of TRL and transformers: to import those takes torch, and seconds
to minutes, and a recipe is checked before anything starts.
"""

import ast
import importlib.util
from functools import cache
from pathlib import Path

from cai.errors import UserError
from cai.store.ledger import versions

CONFIGS = {
    "sft": "trl.SFTConfig",
    "reward": "trl.RewardConfig",
    "dpo": "trl.DPOConfig",
    "kto": "trl.KTOConfig",
    "grpo": "trl.GRPOConfig",
    "rloo": "trl.RLOOConfig",
    "orpo": "trl.experimental.orpo.ORPOConfig",
    "simpo": "trl.experimental.cpo.CPOConfig",
    "rrhf": "transformers.TrainingArguments",
    "ppo": "cai.stages.ppo.Ppo",
}
"""Trainer → what its settings go to."""
LAST = "1.16"
"""The TRL that the trainers were tried with."""


def keys(kind: str) -> frozenset[str]:
    """The keys that a trainer's config has.

    Raises:
        UserError: the TRL that is installed has no such config.
    """
    module, _, name = CONFIGS[kind].rpartition(".")
    try:
        return _fields(module, name)
    except (LookupError, OSError):
        raise UserError(gone(CONFIGS[kind])) from None


def gone(name: str) -> str:
    """The sentence for a trainer, or its config, that TRL has no longer."""
    instead = ", or use dpo instead" if name.startswith("trl.experimental") else ""
    return f"TRL {versions().get('trl', '?')} has no {name}; TRL {LAST} had it: install trl=={LAST}.*{instead}"


@cache
def _fields(module: str, name: str) -> frozenset[str]:
    """The fields of a dataclass and of its bases, wherever the module has it from."""
    tree = _tree(module)
    if (source := _source(tree, module, name)) is not None:
        return _fields(*source)
    [config] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name] or [None]
    if config is None:
        raise LookupError(f"{module}.{name}")
    annotations = [
        node for node in config.body if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node)
    ]
    own = frozenset(node.target.id for node in annotations if isinstance(node.target, ast.Name))
    return own.union(*(_fields(module, base.id) for base in config.bases if isinstance(base, ast.Name)))


def _source(tree: ast.Module, module: str, name: str) -> tuple[str, str] | None:
    """The module from which a name is imported, and its name there; None where it is not."""
    package = module if _file(module).name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):  # packages that load slowly import for type checkers alone
        if not isinstance(node, ast.ImportFrom):
            continue
        for alias in node.names:
            if (alias.asname or alias.name) == name:
                relative = "." * node.level + (node.module or "")
                return importlib.util.resolve_name(relative, package), alias.name
    return None


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text(encoding="utf-8"))


def _file(module: str) -> Path:
    """A module's source, found without importing what it is in."""
    top, *below = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        raise LookupError(module)
    path = Path(spec.origin).parent.joinpath(*below)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
