"""What a recipe's ``rounds`` stand for: each round is ordinary steps in a folder of its own, with a verdict at its end.

``round-2/label`` is the second round's step ``label``, and ``round-2`` the role of its policy; with ``as: late`` they are
``late-2/label`` and ``late-2``. The role ``rounds`` is the policy of the last round that was accepted. All rounds are steps
of the recipe from the start; which of them are not run is found out as the run goes, from the verdicts' seals.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cai.models.spec import ModelSpec
from cai.recipe.block import SINGLE, Block
from cai.stages import STAGES
from cai.stages.rounds import Bounds, Outcome, Rounds, Verdict
from constitution.source import Keys, Yaml, nearest

SEVERAL = ("models", "panel", "calibration")
"""Keys of blocks that name several roles."""

WORDS = ("newest", "previous", "initial")
WITH_REFERENCE = ("dpo", "kto")
"""The trainers that take a reference."""

Problems = Iterator[tuple[Keys, str]]


@dataclass(frozen=True, slots=True)
class Round:
    """One round, as its steps are named.

    Attributes:
        of: the name of the rounds.
        number: from 1.
    """

    of: str
    number: int

    @property
    def policy(self) -> str:
        """The round's folder, and the role of its policy."""
        return f"{'round' if self.of == 'rounds' else self.of}-{self.number}"

    def before(self, init: str) -> str:
        """The role of the policy that the round begins with."""
        return Round(self.of, self.number - 1).policy if self.number > 1 else init

    def step(self, name: str) -> str:
        """The name of one of its steps."""
        return f"{self.policy}/{name}"


def read(block: Yaml) -> Rounds:
    """A checked block of the recipe."""
    return Rounds(**{**block, "stages": tuple(block["stages"])})


def bounds(want: Rounds) -> Bounds:
    """Its bounds."""
    fields: Yaml = {key: tuple(value) if isinstance(value, list) else value for key, value in want.until.items()}
    return Bounds(**fields)


def rounds_of(want: Rounds, name: str) -> list[Round]:
    """Its rounds, in order."""
    return [Round(name, number + 1) for number in range(want.times)]


def within(round: Round, step: Block) -> Block:
    """A step as that of a round: training differs from round to round in its seed, too."""
    if step.table.shape != "train":
        return replace(step, rounds=round.of, round=round.number)
    policy = "" if step.kind == "reward" else round.policy
    return replace(step, rounds=round.of, round=round.number, number=round.number - 1, policy=policy)


def steps(want: Rounds, round: Round, prompts: str) -> Iterator[tuple[str, Yaml, Keys]]:
    """The steps of one round as a recipe would have them, its comparison last: kind, block, and where the block stands.

    Args:
        prompts: the step whose prompts they take.
    """
    inner = [(kind, dict(settings or {})) for item in want.stages for kind, settings in item.items()]
    names = [settings.get("as", kind) for kind, settings in inner]
    before = round.before(want.init)
    roles = {**dict.fromkeys(("newest", "previous"), before), "initial": want.init}
    roles |= {name: round.step(name) for name, (kind, _) in zip(names, inner, strict=True) if kind == "reward"}
    for number, ((kind, settings), name) in enumerate(zip(inner, names, strict=True)):
        block: Yaml = {key: _with_roles(key, value, roles) for key, value in settings.items()}
        if block.get("from") in names:
            block["from"] = round.step(block["from"])
        elif "prompts" in STAGES[kind].reads:
            block.setdefault("from", prompts)
        yield kind, {**block, "as": round.step(name)}, ("stages", number, kind)
    comparison = {"models": [before, round.policy], "as": round.step("evaluate"), "from": prompts}
    yield "evaluate", {**want.evaluate, **comparison}, ("evaluate",)


def _with_roles(key: str, value: object, roles: Mapping[str, str]) -> object:
    """A block's value, its words for policies replaced by their roles."""
    if key in SINGLE and isinstance(value, str):
        return roles.get(value, value)
    if key in SEVERAL and isinstance(value, dict):
        return {roles.get(role, role): each for role, each in value.items()}
    if key in SEVERAL and isinstance(value, list):
        return [roles.get(role, role) for role in value]
    return value


def verdict(want: Rounds, round: Round, keys: Keys) -> Block:
    """The step that ends a round."""
    first, last = Round(round.of, 1).step("evaluate"), Round(round.of, round.number - 1).step("verdict")
    decides = Verdict((want.init, round.policy), round.before(want.init), first, bounds(want))
    after = (first, last) if round.number > 1 else ()
    step = Block("rounds", round.step("verdict"), decides, round.step("evaluate"), keys, after=after)
    return within(round, step)


def outcome(want: Rounds, name: str, keys: Keys) -> Block:
    """The step after all rounds, whose role is the policy that they end with."""
    verdicts = tuple(each.step("verdict") for each in rounds_of(want, name))
    return Block("rounds", name, Outcome(want.init, verdicts), "", keys, after=verdicts)


def problems(want: Rounds, name: str, models: Mapping[str, ModelSpec], before: Sequence[Block]) -> Problems:
    """All that is wrong with a block of rounds beyond its schema: the keys below the block's, and a sentence.

    Args:
        models: by role, those that the recipe names.
        before: the steps before it.
    """
    yield from _init(want, models, before)
    yield from _names(want, name, models, before)
    yield from _kinds(want)
    yield from _policies(want)
    yield from _judge(want, models)
    if (length := bounds(want).length) and length[0] > length[1]:
        yield ("until", "length"), f"must rise: the least ratio and the most, found [{length[0]:g}, {length[1]:g}]"


def unjudged(prompts: str, before: Sequence[Block]) -> Iterator[str]:
    """Where no prompt is left to compare the rounds on.

    Args:
        prompts: the step whose prompts they take.
    """
    if any(each.name == prompts and not each.want.heldout for each in before):
        yield f"compares on held-out prompts, and {prompts} sets none aside; give it a share under heldout, such as 0.1"


def _init(want: Rounds, models: Mapping[str, ModelSpec], before: Sequence[Block]) -> Problems:
    roles = [role for role, spec in models.items() if not spec.scorer]
    roles += [each.role for each in before if each.trains and each.kind != "reward" and not each.round]
    if want.init not in roles:
        hint = "a path or Hub id first gets a role under `models`"
        yield ("init",), f'there is no model "{want.init}"; {nearest(want.init, roles)}; {hint}'
    elif want.init in models and not models[want.init].weights:
        yield ("init",), f'"{want.init}" has no weights to train: give a `vllm` or `local` model'


def _names(want: Rounds, name: str, models: Mapping[str, ModelSpec], before: Sequence[Block]) -> Problems:
    own = [each.policy for each in rounds_of(want, name)]
    for clash in models.keys() & {*WORDS, name, *own}:
        yield (), f'gives the name "{clash}" to a policy, and a model has it already; rename that under `models`'
    for clash in {each.name for each in before} & {*WORDS, *own}:
        yield (), f'gives the name "{clash}" to a policy, and a stage has it already; rename that with `as:`'


def _kinds(want: Rounds) -> Problems:
    """A round is data and training: what it reads, and what is said of the whole run, stands outside."""
    inner = [(number, kind) for number, item in enumerate(want.stages) for kind in item]
    for number, kind in inner:
        if STAGES[kind].shape not in ("rows", "set", "train"):
            hint = (
                "each round is compared by itself" if kind == "evaluate" else "put it before the rounds, or after them"
            )
            yield ("stages", number, kind), f"is no step of a round; {hint}"
        elif STAGES[kind].shape == "train" and kind != "reward" and number < len(inner) - 1:
            yield (
                ("stages", number, kind),
                "trains a policy before the round's end; a round trains one, with its last step",
            )
    number, kind = inner[-1]
    if STAGES[kind].shape in ("rows", "set") or kind == "reward":
        yield ("stages", number, kind), "ends a round without a policy; let the last step train one, such as dpo"


def _policies(want: Rounds) -> Problems:
    """Each round must take up the policy before it, and say what holds its own."""
    roles = [
        role
        for item in want.stages
        for settings in item.values()
        for key, value in (settings or {}).items()
        if key in SINGLE + SEVERAL
        for role in ([value] if isinstance(value, str) else value or ())
    ]
    if not {"newest", "previous"} & set(roles):
        yield (
            ("stages",),
            "never name the newest policy, so all rounds would be the same; such as sample: {model: newest}",
        )
    for number, item in enumerate(want.stages):
        for kind, settings in item.items():
            if kind in WITH_REFERENCE and "reference" not in (settings or {}):
                text = "does not say what its policy is held to; add reference: initial, or reference: previous"
                yield ("stages", number, kind), text


def _judge(want: Rounds, models: Mapping[str, ModelSpec]) -> Problems:
    """A policy learns what its labeller likes; only another judge can tell whether that is any better."""
    judge = want.evaluate["judge"]
    for item in want.stages:
        for kind, settings in item.items():
            for role in _labellers(kind, settings or {}):
                clash = role == judge or (
                    role in models and judge in models and models[role].same_server(models[judge])
                )
                if clash and not want.same_judge:
                    text = (
                        f'"{judge}" labels, too, in {kind}; name another judge, or say so again with same_judge: true'
                    )
                    yield ("evaluate", "judge"), text


def _labellers(kind: str, settings: Yaml) -> list[str]:
    """The roles that judge in a step of a round."""
    keys = {"label": ("model",), "score": ("model",), "revise": ("judge",)}.get(kind, ("reward",))
    return [role for key in keys if (role := settings.get(key))] + list(settings.get("panel") or ())
