"""What a recipe's schema cannot say about a step: settings that do not go together, each a sentence."""

from collections.abc import Iterator, Mapping, Sequence, Set

from cai.data.labels import conflicts
from cai.judge.calibration import DECIDES
from cai.judge.methods import BESIDE, METHODS, Method
from cai.judge.settings import Judging
from cai.models.machine import Machine
from cai.models.spec import ModelSpec
from cai.recipe.block import Block, method, named_roles
from cai.recipe.checks import benchmarks, evaluation, exams, training
from cai.stages.benchmarks import Benchmarks
from cai.stages.evaluate import Evaluate
from cai.stages.label import Label
from cai.stages.online import Online
from cai.stages.pairs import Pairs
from cai.stages.ppo import Ppo
from cai.stages.prefs import Prefs
from cai.stages.revise import Revise
from cai.stages.robustness import Robustness
from cai.stages.sample import Sample
from cai.stages.score import Score
from cai.stages.verify import Verify
from cai.store.votes import DRAWN, LOGPROBS, SAMPLED
from cai.train.launch import guards
from constitution.model import Constitution
from constitution.naming import LETTERS, RENAMED, unnamed

Problems = Iterator[tuple[str, str]]
"""The key in the block (or nothing, for the block itself), and a sentence."""


def misplacement(role: str, scores: bool, models: Mapping[str, ModelSpec], steps: Sequence[Block], place: int) -> str:
    """Why a role that is there cannot be named by a step; empty where it is not there at all.

    Args:
        scores: whether a reward model is wanted.
        steps: all of them; ``place`` is the one that names it.
    """
    makers = [number for number, each in enumerate(steps) if each.trains and each.role == role]
    if role not in models and makers and makers[0] >= place:
        return f'"{role}" is trained after this step; move it before' if makers[0] > place else ""
    if role not in models and not makers:
        return ""
    if scores:
        return f'"{role}" is no reward model; name one, or set `method: score`, by which a judge rates answers'
    return f'"{role}" is a reward model, which writes no answers; name another'


def unjudged(block: Block, constitution: Constitution) -> Iterator[str]:
    """Where nothing can be judged by this constitution."""
    tracks = getattr(block.want, "tracks", ())
    for who, way in _methods(block):
        if not way.needs:
            continue
        named = getattr(block.want, "principles", ())
        able = [each for each in constitution.principles if way.judges_by(each) and (not named or each.id in named)]
        if any(not tracks or not each.applies_to.track or set(tracks) & set(each.applies_to.track) for each in able):
            continue
        what = "a judgment question" if way.needs == "judgment" else "propositions"
        where = f" that applies to the track {' or '.join(tracks)}" if able else ""
        yield f"no principle of {constitution.name}{where} has {what}, which {who} needs; add {what} or one with it"


def misnamed(block: Block, constitution: Constitution) -> Iterator[str]:
    """Where the constitution's words call the answers otherwise than the step does."""
    want = _comparing(block.want)
    if want is None or want.names not in RENAMED or want.method not in BESIDE:
        return
    for place in unnamed(constitution, want.layout):
        yield (
            f"calls answers by {want.names}, and {place} of {constitution.name} by letters that cannot be replaced; write "
            "them tracks as (A) and (B), or take `names` out"
        )


def _comparing(want: object) -> Judging | None:
    """How a step compares two answers; None where it does not."""
    match want:
        case Label():
            return want
        case Evaluate():
            return want.label()
        case Revise(judge=judge) if judge:
            return Judging("logprob", names=want.names)
    return None


def unanswered(block: Block, tracks: Set[str]) -> str:
    """Why a step would answer no prompt; empty where it answers some, or none is known.

    Args:
        tracks: the tracks that its prompts are on.
    """
    if not isinstance(block.want, Sample | Online) or not tracks or tracks & set(block.want.tracks):
        return ""
    has, wants = " and ".join(sorted(tracks)), " and ".join(block.want.tracks)
    return f"answers {wants} prompts, and {block.reads} has {has} ones alone; give it `tracks: [{', '.join(sorted(tracks))}]`"


def _methods(block: Block) -> Iterator[tuple[str, Method]]:
    """Who judges in a step, and how."""
    if way := method(block):
        yield block.name, way
    if isinstance(block.want, Revise) and block.want.judge:
        yield f"the judge of {block.name}", METHODS["logprob"]
    if name := guards.scoring(getattr(block.want, "guards", {})):
        yield f"the judge in the guards of {block.name}", METHODS[name]


def not_fitted(block: Block, models: Mapping[str, ModelSpec], constitution: str) -> Iterator[str]:
    """Where a calibration was fitted for another judge than the one that it is named for.

    Args:
        constitution: the digest of the recipe's.
    """
    if not isinstance(block.want, Label):
        return
    for role, calibration in block.want.calibration.items():
        model = models[role].title if role in models else ""
        judge = {"constitution": constitution, "model": model or calibration.judge.get("model")}
        judge |= {key: getattr(block.want, key) for key in DECIDES}
        judge |= {"names": block.want.names}
        how = SAMPLED if block.want.verdict in DRAWN else block.want.verdict
        judge |= {"verdict": how} if how != "auto" else {}
        judge |= {"verdicts": block.want.verdicts} if calibration.judge.get("verdict") == SAMPLED else {}
        if role in models and (weights := models[role].identity().get("weights")) and "weights" in calibration.judge:
            judge |= {"weights": weights, "model": calibration.judge["model"]}  # what it holds says more than its name
        for key, was in {"names": LETTERS, **calibration.judge}.items():
            # A model may be named by another path to it.
            if _last(was) != _last(judge.get(key, was)):
                yield f"was fitted for {key} {was}, and this is {judge[key]}; fit it anew with cai judge-eval, or take it out"


def _last(value: object) -> object:
    return value.rpartition("/")[2] if isinstance(value, str) else value


def problems(block: Block, models: Mapping[str, ModelSpec], before: Sequence[Block], machine: Machine) -> Problems:
    """All that is wrong with a step beyond its schema.

    Args:
        models: by role, those that the recipe names.
        before: the steps before it.
    """
    yield from _too_many(block, models)
    yield from training.problems(block.want, models, before, machine)
    if isinstance(block.want, Label | Score | Evaluate | Revise | Online):
        yield from _verdicts(block, models)
    if isinstance(block.want, Label | Evaluate | Revise):
        yield from _names(block.want)
    if isinstance(block.want, Sample | Revise):
        yield from _dialogue(block.want)
    if isinstance(block.want, Benchmarks):
        yield from benchmarks.problems(block.want, models, machine)
    match block.want:
        case Label() as want:
            yield from _judges(want)
            yield from _settings(want)
            yield from _group(want, block, before)
        case Score() as want:
            yield from _scorer(want)
        case Pairs(columns=columns):
            yield from (("columns", text) for text in conflicts(columns))
        case Evaluate():
            yield from evaluation.problems(block, models, before)
        case Verify() | Robustness():
            yield from exams.problems(block, before)
        case Sample(n=n, group=group) if n % group:
            yield "n", f"must be a multiple of group ({group}), found {n}"
        case Sample(temperature=0):
            yield "temperature", "is 0, at which all answers to a prompt are the same; raise it"
        case Ppo(rollouts=role) if role and not _is_server(role, models, before):
            yield (
                "rollouts",
                f'"{role}" is no role of `models` with `vllm:`, whose servers could be started; name such a one',
            )
        case Prefs(margins=(full, most, some)) if not full >= most >= some:
            yield "margins", "must fall: the probabilities from which the margin is 1, 2/3 and 1/3"


def _dialogue(want: Sample | Revise) -> Problems:
    if want.turns > 1 and not want.user:
        yield "turns", "needs a role that plays the person; add `user: ROLE`, such as the judge's"
    elif want.turns == 1 and (want.user or want.person):
        key = "user" if want.user else "person"
        yield key, "is for conversations that go on; add `turns: 2` or more, or take it out"


def _is_server(role: str, models: Mapping[str, ModelSpec], before: Sequence[Block]) -> bool:
    """Whether a role that is there is a server of ours."""
    return models[role].kind == "vllm" if role in models else all(each.role != role for each in before)


def _too_many(block: Block, models: Mapping[str, ModelSpec]) -> Problems:
    """A row stage asks all its models at once; an evaluation asks one after the other."""
    if not isinstance(block.want, Label | Revise):
        return
    hosts = [(key, models[role]) for key, role in named_roles(block.want) if role in models and models[role].hosted]
    for key, spec in hosts[1:]:
        if not hosts[0][1].same_server(spec):
            yield key, "two models would have to be up on this machine at once; give one of them by `endpoints`"
            return


def _judges(want: Label) -> Problems:
    asks = METHODS[want.method].model_kind
    if not asks and (want.model or want.panel):
        yield "model" if want.model else "panel", f"the method {want.method} asks no model; take it out"
    elif asks and not want.model and not want.panel:
        yield "", "names no judge; give a role under `model`, or several under `panel`"
    elif want.model and want.panel:
        yield "panel", "stands beside `model`; name all judges under `panel`, each with a weight, and take `model` out"
    for role in want.calibration.keys() - set(want.judges):
        if not role:
            yield "calibration", "names one fit for a panel; name one for each role: {role: name}"
            continue
        yield "calibration", f'"{role}" is not a judge of this step; name one of: {", ".join(want.judges)}'


def _scorer(want: Score) -> Problems:
    asks = METHODS[want.method].model_kind
    if not asks and want.model:
        yield "model", f"the method {want.method} asks no model; take it out"
    elif asks and not want.model:
        yield "", "names no judge; give a role under `model`"
    if want.rules and want.method != "rules":
        yield "rules", "are for the method rules; take them out"


def _settings(want: Label) -> Problems:
    low, high = want.clamp or (0.0, 1.0)
    if not 0 <= low <= 0.5 <= high <= 1:
        yield "clamp", f"must hold one half between two probabilities, found [{low}, {high}]"
    if want.combine != "average" and want.choice != "all":
        yield "combine", "is for several principles of one comparison; add `choice: all`"
    if want.samples != 1 and want.method != "cot":
        yield "samples", f"is for the method cot; {want.method} has no sampled reasoning; take it out"
    if want.temperature is not None and want.method != "cot" and want.verdict not in DRAWN:
        yield (
            "temperature",
            f"is for the method cot, or `verdict: sampled`; {want.method} has no sampled reasoning; take it out",
        )
    if want.samples > 1 and want.temperature == 0:
        yield "temperature", "is 0, at which all reasonings are the same; take it out, or `samples`"
    if want.ties and (want.verdict == LOGPROBS or want.method in ("score", "propositions", "rank")):
        yield "ties", "are for sampled verdicts on two answers beside each other; take it out"
    if want.rules and want.method != "rules":
        yield "rules", "are for the method rules; take them out"


def _names(want: Label | Evaluate | Revise) -> Problems:
    """What is said of answers' names where none are shown beside each other."""
    comparing = _comparing(want)
    if want.names != LETTERS and comparing is None:
        yield "names", "are for a judge that compares, and none is asked here; add `judge: ROLE`, or take them out"
    elif comparing is not None and comparing.names != LETTERS and comparing.method not in BESIDE:
        yield "names", f"are for two answers beside each other, which {comparing.method} does not show; take them out"


def _verdicts(block: Block, models: Mapping[str, ModelSpec]) -> Problems:
    """What is said of how a judge's choice is read, by any step that has a judge."""
    want, usual, asks = block.want, Judging(), {who.model_kind for _, who in _methods(block)}
    keys = [key for key in ("verdict", "verdicts") if getattr(want, key) != getattr(usual, key)]
    if keys and "text" not in asks:
        yield keys[0], "is for a judge that chooses among options, and none is asked here; take it out"
    elif want.verdict == LOGPROBS and want.verdicts != usual.verdicts:
        yield "verdicts", "are for sampled verdicts, and these are read by log-probability; take it out"
    elif want.verdict in DRAWN and want.verdicts > 1 and _heats(want, models) == {0}:
        yield (
            "verdict",
            f"is {want.verdict} at temperature 0, at which all samples are the same; raise it, or set `verdicts: 1`",
        )


def _heats(want: object, models: Mapping[str, ModelSpec]) -> set[float | None]:
    """The temperatures at which verdicts are sampled: the roles' own, or the step's where it has one for them."""
    keys = ("judge",) if isinstance(want, Revise) else ("model", "judge", "panel", "reward")
    roles = {role for key, role in named_roles(want) if key in keys}
    step = want.temperature if isinstance(want, Label | Score) else None
    temperatures = [models[role].temperature for role in roles if role in models]
    return {step if own is None else own for own in temperatures}


def _group(want: Label, block: Block, before: Sequence[Block]) -> Problems:
    source = next((each.want for each in before if each.name == block.reads), None)
    if want.method == "people" and isinstance(source, Sample):
        yield "method", f"nobody compared the answers of {block.reads}; people is for a `pairs` stage"
    if isinstance(source, Sample) and source.group > 2 and want.method != "rank":
        yield (
            "method",
            f"{block.reads} gives groups of {source.group} answers, which only rank compares; use it, or `group: 2`",
        )
