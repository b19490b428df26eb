"""A role's block in a recipe, or a model named on the command line, → ``ModelSpec``, with a sentence for each mistake."""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator

from cai.errors import UserError, install
from cai.models import bundled, own_code, scripted, vllm
from cai.models.machine import this_machine
from cai.models.spec import KINDS, SAMPLING, ModelSpec
from cai.recipe.schema import SCHEMA
from constitution.schema import Validator, describe, problems
from constitution.shipped import find
from constitution.source import Keys, Problem, Source, Yaml, complain, parse_yaml

SCORER = "ForSequenceClassification"
"""How the architectures of reward models end."""
HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+", re.ASCII)
Wrong = Callable[[Keys, str], None]
COMMAND = "--model"
REQUEST_KEYS = ("headers_env", "extra_body", "thinking", *SAMPLING)
"""How servers are asked, in which roles may differ."""
COMBINE_KEYS = ("combine", "safety", "threshold", "spread")


def read_model(role: str, block: Yaml, keys: Keys, beside: Path, wrong: Wrong) -> ModelSpec:
    """A block that the schema allows → how to reach the model; mistakes go to ``wrong``."""
    if isinstance(block.get("vllm"), dict):
        server = block["vllm"]
        if twice := server.keys() & (block.keys() - {"vllm", "model"}):
            wrong((*keys, "vllm", min(twice)), f'"{min(twice)}" is there twice, in vllm and beside it; take one out')
        block = {**block, **server, "vllm": server["model"], "model": block.get("model", "")}
    kinds = [kind for kind in KINDS if block.get(kind)]
    if len(kinds) != 1:
        wrong(keys, f"needs exactly one of {', '.join(KINDS)}, found {', '.join(kinds) or 'none'}")
        return ModelSpec(role, scripted="none")
    fields: Yaml = {key: tuple(value) if isinstance(value, list) else value for key, value in block.items()}
    if fields.get("concurrency") == "auto":
        del fields["concurrency"]
    for key, kind in (
        ("backend", "reward"),
        ("scores", "endpoints"),
        ("api", "endpoints"),
        ("batch", "endpoints"),
        *((key, "rewards") for key in COMBINE_KEYS),
    ):
        if key in block and kind != kinds[0]:
            wrong((*keys, key), f"is for `{kind}`, and this role is given by `{kinds[0]}`; take it out")
    if "reasoning_parser" in block and kinds[0] != "vllm":
        wrong((*keys, "reasoning_parser"), f"is for `vllm`, and this role is given by `{kinds[0]}`; take it out")
    for key in (key for key in REQUEST_KEYS if key in block and kinds[0] not in ("endpoints", "vllm")):
        wrong((*keys, key), f"is for `endpoints` and `vllm`, and this role is given by `{kinds[0]}`; take it out")
    if block.get("batch") and kinds[0] == "endpoints" and (len(block["endpoints"]) > 1 or block.get("scores")):
        wrong((*keys, "batch"), "is for texts of one endpoint, which has the batches; name one, or take it out")
    if kinds[0] == "endpoints" and "model" not in block:
        wrong(keys, '"model" is missing: the name under which the endpoints know the model; add it')
    for number, url in enumerate(block.get("endpoints", ())):
        if not _is_url(url):
            wrong(
                (*keys, "endpoints", number), f"{describe(url)} is no URL, such as http://host:8000/v1; write its host"
            )
    if kinds[0] == "scripted":
        path = find(block["scripted"], beside)
        if path is None:
            wrong((*keys, "scripted"), f"there is no file {block['scripted']}; check the path")
        fields["scripted"] = str(path) if path else "none"
    elif kinds[0] in ("vllm", "local", "reward"):
        fields[kinds[0]] = read_weights(block[kinds[0]], (*keys, kinds[0]), beside, wrong)
    return ModelSpec(role, **fields)


def _is_url(text: str) -> bool:
    """Whether it names a host, and a port that there can be."""
    try:
        place = urlsplit(text)
        return bool(place.hostname) and place.port != 0 and text.isprintable() and " " not in text
    except ValueError:
        return False


def read_weights(name: str, keys: Keys, beside: Path, wrong: Wrong) -> str:
    """A bundled model, a folder that is there, or what looks like a Hub id."""
    if name.startswith(bundled.PREFIX):
        try:
            bundled.source_file(name.removeprefix(bundled.PREFIX))
        except UserError as error:
            wrong(keys, str(error))
        return name
    path = find(name, beside)
    if path is not None:
        if not (path / "config.json").exists():
            wrong(keys, f"{path} is not a model's folder: it has no config.json")
        elif keys[-1:] in (("vllm",), ("local",)) and _scores(path):
            wrong(keys, f"{path} is a reward model, which writes no answers; name another, or give it by `reward`")
        return str(path.resolve())
    if not HUB_ID.fullmatch(name):
        wrong(keys, f"there is no model at {name}; give a folder, a Hub id (owner/name) or bundled/smollm2-135m")
    return name


def _scores(folder: Path) -> bool:
    """Whether a folder's model gives scores alone: loaded as one that writes, it would get a random last layer, in silence."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    names = config.get("architectures") if isinstance(config, dict) else None
    return isinstance(names, list) and bool(names) and all(str(each).endswith(SCORER) for each in names)


def command_model(text: str, prefer: str = "vllm", option: str = COMMAND) -> ModelSpec:
    """A model named on the command line.

    Args:
        text: a Hub id, a folder or ``bundled/…``; the URL of a server, with ``#NAME`` where it has several models; a
            script of answers (``….yaml``); or a recipe's block, such as ``{vllm: ID, max_len: 8192}``.
        prefer: "vllm", "local" or "reward", for a name alone; "local" where vLLM is not installed.
        option: where it was said, for sentences.

    Raises:
        InputError: it names no model, or one that cannot be reached from here.
    """
    text, machine = text.strip(), this_machine()
    if not text:
        raise UserError(f"{option} is empty; name a model, such as bundled/smollm2-135m or a server's URL")
    if text.startswith("{"):
        spec = _from_block(text, option)
    elif text.startswith(("http://", "https://")):
        url, _, name = text.partition("#")
        if not _is_url(url):
            raise UserError(f"{option}: {describe(url)} is no URL, such as http://host:8000/v1; write its host")
        spec = ModelSpec("model", endpoints=(url,), model=name)
    else:
        name = prefer if prefer != "vllm" or "vllm" in machine.packages else "local"
        kind = "scripted" if text.endswith((".yaml", ".yml")) else name
        spec = _spec({kind: text}, Source(Path(option), {}, {}))
    if spec.rewards:
        raise UserError(f"{option}: rewards combines the roles of a recipe; name one reward model here")
    if spec.served:
        vllm.check(spec, machine)
    elif spec.kind in ("local", "reward") and "transformers" not in machine.packages:
        raise UserError(
            f"{option}: neither vLLM nor transformers is installed; name a server's URL, or run: {install('train')}"
        )
    elif spec.kind in ("local", "reward") and own_code.needed(spec.weights or spec.reward):
        raise UserError(f"{option}: {spec.weights or spec.reward} {own_code.UNKNOWN}")
    elif spec.kind == "scripted":
        scripted.read_script(Path(spec.scripted))
    return spec


def _from_block(text: str, option: str) -> ModelSpec:
    source = parse_yaml(text, Path(option))
    complain(problems(source, _validator()))
    return _spec(source.data, source)


def _spec(block: Yaml, source: Source) -> ModelSpec:
    mistakes: list[Problem] = []
    spec = read_model("model", block, (), Path(), lambda keys, text: mistakes.append(source.problem(keys, text)))
    complain([Problem(source.path, 0, "", problem.text) for problem in mistakes])
    return spec


@cache
def _validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return Validator({"$ref": "#/$defs/model", "$defs": schema["$defs"]})
