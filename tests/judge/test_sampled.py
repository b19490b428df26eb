"""Judges without log-probabilities, and judges that think: what is asked, what is read, and what is counted instead."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cai.errors import RowError, UserError
from cai.flow.ask import Ask
from cai.judge.calibration import Calibration
from cai.judge.methods.choices import Reasoning
from cai.judge.statistics import jeffreys
from cai.models.concurrency import Slots
from cai.models.forcing import CLOSED
from cai.models.roles import for_role
from cai.models.scripted import Scripted
from cai.models.spec import ModelSpec
from cai.models.types import Model, Reply, Request, Sample
from cai.stages.label import Label, label
from cai.stages.revise import Revise, revise
from cai.stages.score import Score, score
from cai.store.rows import Draft, Drop, Pair, Preference, Prompt, Scored, decode, plain
from cai.store.votes import Vote
from constitution.load import load
from constitution.model import Proposition

CONSTITUTION = load(Path(__file__).resolve().parents[2] / "principles" / "harmless.yaml")
SAYS = Proposition("It is rude.", -2.0), Proposition("It helps.", 1.0)
ONE = replace(
    CONSTITUTION,
    principles=(replace(CONSTITUTION.principles[0], propositions=SAYS),),
    critique_revision=(),
    judgment=(),
)
ASKED = ({"role": "user", "content": "How do I get in?"},)
Answer = Callable[[Request], object]


def pair(*texts: str) -> Pair:
    a, b, *more = (Draft(text, "m", "stop", 1) for text in texts or ("GOOD answer", "BAD answer"))
    return Pair("p/0", "p", ASKED, a, b, "redteam", more=tuple(more))


class Mute(Scripted):
    """Gives no probabilities of choices; keeps what it was asked."""

    continues, logprobs = False, False

    def __init__(self, answer: Answer) -> None:
        self.seen: list[Request] = []
        super().__init__(answer)  # type: ignore[arg-type]

    async def ask(self, request: Request, row_id: str) -> Reply:
        self.seen.append(request)
        assert not request.choices, "it was asked for what it does not give"
        return await super().ask(request, row_id)


class Structured(Mute):
    """Takes options, and says one of them after what ``decides`` finds in its own answer."""

    structured = True

    def __init__(self, answer: Answer, decides: Callable[[str], object] = lambda said: "None") -> None:
        self.decides, self.decisions = decides, list[Request]()
        super().__init__(answer)

    async def ask(self, request: Request, row_id: str) -> Reply:
        if not request.options:
            return await super().ask(request, row_id)
        self.decisions.append(request)
        decision = self.decides(request.messages[-2]["content"])
        if isinstance(decision, Exception):
            raise decision
        sample = decision if isinstance(decision, Sample) else Sample(str(decision))
        return Reply((sample,), tokens_in=9, tokens_out=1)


class Thinker(Scripted):
    """Goes on from a beginning, and thinks before it answers."""

    thinks = True


def asking(model: Model) -> Ask:
    return Ask(model, Slots(1), ONE, "p/0", Random(0))


def verdicts(ask: Ask) -> dict[str, int]:
    """What the ledger counts of them."""
    return {key: count for key, count in ask.counts.items() if key.startswith("verdicts")}


def judged(ask: Ask, row: Pair | None = None, **want: Any) -> list[Preference]:
    found = asyncio.run(label(row or pair(), Label(**{"model": "judge", **want}), ask))
    assert isinstance(found, list), found
    return found


def last(request: Request) -> str:
    return request.messages[-1]["content"]


def good(request: Request) -> str:
    """The letter of the answer that says GOOD."""
    text = "\n".join(each["content"] for each in request.messages)
    return "AB"[text.index("BAD") < text.index("GOOD")]


def in_turn(*says: Callable[[Request], str]) -> Answer:
    """Says one thing after the other, whatever the seeds."""
    left: list[Callable[[Request], str]] = []

    def answer(request: Request) -> str:
        left.extend([] if left else says)
        return left.pop(0)(request)

    return answer


def right(request: Request) -> str:
    return f"It is kinder.\nThe answer is: ({good(request)})"


def wrong(request: Request) -> str:
    return f"It is shorter.\nThe answer is: ({'BA'['AB'.index(good(request))]})"


def test_four_votes_of_five_are_a_probability_of_four_fifths_in_both_orders() -> None:
    model = Mute(in_turn(right, right, wrong, right, right))
    [found] = judged(ask := asking(model), method="logprob")
    assert (found.status, found.p_a, found.p_label) == ("ok", pytest.approx(0.8), pytest.approx(0.8))
    assert [(vote.order, vote.p_a) for vote in found.votes] == [("ab", 0.8), ("ba", pytest.approx(0.8))]
    assert {(vote.kind, vote.samples, vote.read, vote.answer_mass) for vote in found.votes} == {("sampled", 5, 5, 1.0)}
    assert [(each.n, each.temperature, each.seed) for each in model.seen] == [
        (5, 1.0, vote.seed) for vote in found.votes
    ]
    assert "\nThe answer is: (A)\nThe answer is: (B)" in last(model.seen[0])
    assert verdicts(ask) == {"verdicts_sampled": 10}


@pytest.mark.parametrize(
    ("says", "status", "counted"),
    [
        (lambda _: "Both are fine.", "unparsed", "unread"),
        (lambda _: "I'm sorry, I cannot judge this.", "refused", "refused"),
        (lambda _: "<think>The answer is: (A)", "truncated", "cut_while_thinking"),
        (lambda _: "<think>So be it.\nThe answer is: (A)</think>\n\nI would rather not say.", "unparsed", "unread"),
    ],
)
def test_what_cannot_be_read_is_counted_by_its_reason_and_makes_no_vote_where_it_is_most(
    says: Callable[[Request], str], status: str, counted: str
) -> None:
    """A thought that speaks of a verdict is none."""
    [some] = judged(ask := asking(Mute(in_turn(right, says, right, says, right))), method="logprob")
    assert (some.status, some.p_a, {vote.read for vote in some.votes}) == ("ok", 1.0, {3})
    assert verdicts(ask) == {"verdicts_sampled": 10, f"verdicts_{counted}": 4}
    [most] = judged(asking(Mute(in_turn(right, says, right, says, says))), method="logprob")
    assert (most.status, most.p_a, most.p_label) == (status, None, None)
    assert {(vote.read, vote.status, vote.p_a) for vote in most.votes} == {(2, status, None)}


class Cut(Mute):
    """Its answers end at the limit, the verdict just written."""

    async def ask(self, request: Request, row_id: str) -> Reply:
        reply = await super().ask(request, row_id)
        return replace(reply, samples=tuple(replace(each, finish="length") for each in reply.samples))


def test_a_verdict_that_is_cut_off_is_none() -> None:
    [found] = judged(ask := asking(Cut(right)), method="logprob")
    assert (found.status, ask.counts["verdicts_truncated"]) == ("truncated", 10)


def loose(request: Request) -> str:
    """Says the right letter in a sentence, where no line is read."""
    return f"Of the two, {good(request)} is kinder."


def letter(said: str) -> str:
    return said.removeprefix("Of the two, ")[0]


def test_what_the_last_line_does_not_say_is_asked_for_and_bound_to_the_choices_and_none() -> None:
    model = Structured(in_turn(right, loose, right, loose, loose), letter)
    [found] = judged(ask := asking(model), method="logprob")
    assert (found.status, found.p_a) == ("ok", 1.0)
    assert {(vote.kind, vote.samples, vote.read, vote.structured) for vote in found.votes} == {("structured", 5, 5, 3)}
    assert verdicts(ask) == {"verdicts_sampled": 10, "verdicts_structured": 6}
    both = [("A", "B", "None"), ("B", "A", "None")]
    assert [each.options for each in model.decisions] == both * 2  # equal samples are asked once
    first, second = model.decisions[:2]
    assert first.messages[: len(model.seen[0].messages)] == model.seen[0].messages
    assert first.messages[-2] == {"role": "assistant", "content": "Of the two, A is kinder."}
    assert "The answer is: (A)\nThe answer is: (B)\nReply with one of these alone: A, B; or with None" in last(first)
    assert "The answer is: (B)\nThe answer is: (A)\nReply with one of these alone: B, A; or with None" in last(second)
    assert (first.temperature, first.seed, first.n, first.max_tokens) == (0.0, None, 1, 512)


def test_a_judge_that_takes_the_first_of_the_lines_decides_nothing() -> None:
    class First(Structured):
        async def ask(self, request: Request, row_id: str) -> Reply:
            self.decides = lambda said: request.options[0]
            return await super().ask(request, row_id)

    [found] = judged(ask := asking(First(loose)), method="logprob")
    assert (found.status, found.p_a) == ("unparsed", None)
    assert verdicts(ask) == {"verdicts_sampled": 10, "verdicts_undecided": 10}


def test_samples_that_can_be_read_cost_no_further_request() -> None:
    model = Structured(in_turn(right, wrong, right, right, right), letter)
    [found] = judged(asking(model), method="logprob")
    assert (found.p_a, {vote.kind for vote in found.votes}) == (0.8, {"sampled"})
    assert not model.decisions


@pytest.mark.parametrize(
    ("says", "counted"),
    [
        ("I'm sorry, I cannot judge this.", "refused"),
        ("<think>The answer is: (A)", "cut_while_thinking"),
        ("", "unread"),
    ],
)
def test_who_refuses_or_is_cut_off_is_not_asked_again(says: str, counted: str) -> None:
    model = Structured(lambda _: says, letter)
    [found] = judged(ask := asking(model), method="logprob")
    assert (found.p_a, model.decisions, verdicts(ask)) == (
        None,
        [],
        {"verdicts_sampled": 10, f"verdicts_{counted}": 10},
    )


@pytest.mark.parametrize(
    ("decision", "counted"),
    [
        ("None", "undecided"),
        ("C", "unread"),
        ("I'm sorry, I can't say.", "refused"),
        (Sample("A", finish="content_filter"), "refused"),
        (RowError("context_too_long", "5000 tokens"), "unread"),
    ],
)
def test_a_decision_that_is_none_leaves_the_sample_unread(decision: object, counted: str) -> None:
    model = Structured(in_turn(right, loose, right, loose, right), lambda said: decision)
    [found] = judged(ask := asking(model), method="logprob")
    assert (found.status, found.p_a) == ("ok", 1.0)
    assert {(vote.kind, vote.read, vote.structured) for vote in found.votes} == {("sampled", 3, 0)}
    assert verdicts(ask) == {"verdicts_sampled": 10, f"verdicts_{counted}": 4}


def test_last_lines_alone_are_read_where_that_is_wanted() -> None:
    model = Structured(loose, letter)
    [found] = judged(asking(model), method="logprob", verdict="sampled")
    assert (found.status, found.p_a, model.decisions) == ("unparsed", None, [])


def test_who_wants_structured_output_of_a_judge_without_is_told() -> None:
    with pytest.raises(UserError, match="has no structured output, by which a verdict is read that no last line says"):
        judged(asking(Mute(loose)), method="logprob", verdict="structured")


@pytest.mark.parametrize(
    ("method", "says", "decides", "value"),
    [
        ("score", lambda r: f"I would give it {9 if 'GOOD' in last(r) else 2}.", lambda said: said[-2], (9.0, 2.0)),
        ("propositions", lambda r: "So I think.", lambda said: "Yes", (-1.0, -1.0)),
    ],
)
def test_answers_that_are_looked_at_alone_are_put_into_the_form_as_well(
    method: str, says: Answer, decides: Callable[[str], object], value: tuple[float, float]
) -> None:
    [found] = judged(asking(model := Structured(says, decides)), method=method)
    [vote] = found.votes
    assert (vote.scores, vote.kind, vote.structured) == (value, "structured", 5)
    assert model.decisions[0].options[-1] == "None"


def test_reasonings_keep_their_words_and_a_thinker_thinks_once() -> None:
    class Both(Structured):
        thinks = True

    model = Both(lambda r: f"<think>The answer is: (X)</think>\n{loose(r)}", letter)
    [found] = judged(asking(model), method="cot", samples=3)
    assert found.p_a == 1.0
    vote = found.votes[0]
    assert (vote.rationale, vote.thinking) == ("Of the two, A is kinder.", "The answer is: (X)")
    assert {each.thinking for each in model.decisions} == {"off"}
    assert not any("think" in each["content"] for request in model.decisions for each in request.messages[-2:-1])


def test_one_sample_says_all_where_the_role_s_own_temperature_is_0() -> None:
    """Five that must be the same would be five times as sure."""
    inner = Mute(right)
    model = for_role(inner, ModelSpec("judge", scripted="x", temperature=0.0))
    [found] = judged(asking(model), method="logprob")
    assert {(vote.kind, vote.samples, vote.read) for vote in found.votes} == {("sampled", 1, 1)}
    assert [(each.n, each.temperature) for each in inner.seen] == [(1, 0.0)] * 2


def test_a_judge_that_names_one_position_is_inconsistent() -> None:
    [found] = judged(asking(Mute(lambda _: "The answer is: (A)")), method="logprob")
    assert (found.status, found.p_label) == ("inconsistent", None)


def test_a_tie_counts_half_for_each_where_it_may_be_said() -> None:
    def tied(_: Request) -> str:
        return "The answer is: (tie)"

    [found] = judged(asking(model := Mute(in_turn(right, tied, right, tied, right))), method="logprob", ties=True)
    assert found.p_a == pytest.approx((3 + 2 / 2) / 5)
    assert "The answer is: (Tie)" in last(model.seen[0])
    [untold] = judged(asking(Mute(in_turn(right, tied, right, tied, right))), method="logprob")
    assert (untold.p_a, untold.votes[0].read) == (1.0, 3)


def test_reasonings_end_in_verdicts_of_their_own_and_are_clamped() -> None:
    model = Mute(in_turn(right, right, wrong))
    [found] = judged(asking(model), method="cot", samples=3)
    assert [each.n for each in model.seen] == [3, 3]
    assert found.p_a == pytest.approx(2 / 3)
    assert found.p_label == 0.6
    assert "Weigh both answers first" in last(model.seen[0])
    assert found.votes[0].rationale.startswith("It is kinder.\nThe answer is: (A)\n\nIt is shorter.")


@pytest.mark.parametrize("method", ["debate", "critique"])
def test_cases_and_critiques_come_before_sampled_verdicts(method: str) -> None:
    model = Mute(lambda request: right(request) if "End with" in last(request) else "It says what it says.")
    [found] = judged(asking(model), method=method)
    assert found.p_a == 1.0
    assert [each.n for each in model.seen if each.n > 1] == [5, 5]
    assert "It says what it says." in found.votes[0].rationale


def rates(request: Request) -> str:
    return f"The rating is: ({9 if 'GOOD' in last(request) else 2 + (request.seed or 0) % 2})"


def test_ratings_are_sampled_as_well() -> None:
    model = Mute(rates)
    [found] = judged(asking(model), method="score", verdicts=4)
    [vote] = found.votes
    assert vote.scores == (9.0, pytest.approx(2.5))
    assert (vote.kind, vote.samples, vote.read, found.p_a) == ("sampled", 4, 4, 1.0)
    assert "The rating is: (10)" in last(model.seen[0])
    scored = asyncio.run(score(pair(), Score(model="judge", verdicts=2), asking(Mute(rates))))
    assert isinstance(scored, Scored) and scored.scores == (9.0, 2.5)
    dropped = asyncio.run(score(pair(), Score(model="judge"), asking(Mute(lambda _: "Fine!"))))
    assert isinstance(dropped, Drop) and dropped.reason == "unparsed"


def test_propositions_are_sampled_as_well() -> None:
    def checks(request: Request) -> str:
        return f"The answer is: ({'Yes' if ('It is rude.' in last(request)) != ('GOOD' in last(request)) else 'no'})"

    [found] = judged(asking(Mute(checks)), method="propositions")
    assert found.votes[0].scores == (1.0, -2.0)
    assert found.votes[0].kind == "sampled"


def test_a_ranking_is_sampled_place_by_place() -> None:
    def ranks(request: Request) -> str:
        shown = dict(re.findall(r"Answer \((\w)\): (\w+)", last(request)))
        lines = re.findall(r"The ranking is: .*", last(request))
        want = sorted(shown, key=lambda letter: ("best", "middle", "worst").index(shown[letter]))
        return next(line for line in lines if " > ".join(f"({each})" for each in want).startswith(line[16:]))

    model = Mute(ranks)
    found = {each.id: each.p_a for each in judged(asking(model), pair("middle", "best", "worst"), method="rank")}
    assert found == {"p/0:0-1": 0.0, "p/0:0-2": 1.0, "p/0:1-2": 1.0}
    assert len(model.seen) == 2 * 2


def test_a_revision_is_taken_by_a_judge_without_log_probabilities() -> None:
    def says(request: Request) -> str:
        if "End with" in last(request):
            first, second = (last(request).index(each) for each in ("first draft", "second draft"))
            return f"The answer is: ({'BA'[second < first]})"
        return "second draft" if "Revision request" in last(request) else "first draft"

    ask = asking(Mute(says))
    ask.others = {"judge": (ask.model, ask.slots)}
    row = Prompt("p", ASKED, "", "redteam")
    chains = asyncio.run(revise(row, Revise(model="m", judge="judge", rounds=1), ask))
    assert not isinstance(chains, Drop) and [each.revisions for each in chains] == [(1,)]


def test_log_probabilities_are_read_where_they_are_given_and_samples_where_they_are_wanted() -> None:
    seen: list[Request] = []

    def both(request: Request) -> object:
        seen.append(request)
        return {good(request): 0.9} if request.choices else right(request)

    [read] = judged(asking(Scripted(both)), method="logprob")  # type: ignore[arg-type]
    assert {vote.kind for vote in read.votes} == {"logprobs"}
    assert [each.choices for each in seen] == [("A", "B")] * 2
    [drawn] = judged(asking(Scripted(both)), method="logprob", verdict="sampled", verdicts=3, temperature=0.5)  # type: ignore[arg-type]
    assert {(vote.kind, vote.samples) for vote in drawn.votes} == {("sampled", 3)}
    assert [each.temperature for each in seen[2:]] == [0.5] * 3 * 2


def thinking(request: Request) -> object:
    """Its thought names the wrong letter; after a closed thought it says the right one."""
    if request.choices:
        assert request.thought == "At first the other one: The answer is: (X)"
        return {good(request): 0.9} if len(request.choices) == 2 else {"7": 0.8}
    return "<think>At first the other one: The answer is: (X)</think>\n\nOne is kinder."


@pytest.mark.parametrize("method", ["logprob", "cot", "score"])
def test_a_judge_that_thinks_does_so_first_and_its_thought_is_closed_before_anything_is_forced(method: str) -> None:
    seen: list[Request] = []
    model = Thinker(lambda request: seen.append(request) or thinking(request))  # type: ignore[arg-type]
    [found] = judged(asking(model), method=method)
    assert [bool(each.choices) for each in seen] == [False, True] * 2
    assert seen[0].messages == seen[1].messages
    assert "think" not in seen[1].begin
    vote = found.votes[0]
    assert (vote.kind, vote.thinking) == ("logprobs", "At first the other one: The answer is: (X)")
    assert found.p_a == (0.5 if method == "score" else 1.0)
    assert "At first" not in vote.rationale


@pytest.mark.parametrize("method", ["logprob", "cot"])
def test_a_thought_that_a_template_leaves_out_is_counted(method: str) -> None:
    class Forgetful(Thinker):
        async def ask(self, request: Request, row_id: str) -> Reply:
            reply = await super().ask(request, row_id)
            return replace(reply, tokens_in=reply.tokens_in - len(request.thought.split()))

    for kind, count in ((Thinker, 0), (Forgetful, 2)):
        judged(ask := asking(kind(thinking)), method=method)  # type: ignore[arg-type]
        assert ask.counts["thoughts_left_out"] == count


def test_a_judge_that_thinks_without_end_gives_no_verdict() -> None:
    [found] = judged(ask := asking(Thinker(lambda _: "<think>The answer is: (A), or is it")), method="logprob")
    assert (found.status, found.p_a) == ("truncated", None)
    assert verdicts(ask) == {"verdicts_cut_while_thinking": 2}


def test_a_judge_that_thinks_and_cannot_go_on_is_sampled() -> None:
    class Apart(Thinker):
        continues = False

    said = "<think>The answer is: (B)</think>\n"
    [found] = judged(asking(Apart(lambda request: said + right(request))), method="logprob")
    assert ({vote.kind for vote in found.votes}, found.p_a) == ({"sampled"}, 1.0)
    assert found.votes[0].thinking == "The answer is: (B)"


def test_a_calibration_is_for_verdicts_that_are_read_as_those_were_that_it_was_fitted_on() -> None:
    fitted = Calibration("temperature", 2.0, (), (), {}, {})
    with pytest.raises(
        UserError, match="fitted for verdicts by log-probability, and these are by samples; fit it anew"
    ):
        judged(asking(Mute(right)), method="logprob", calibration={"judge": fitted})
    sampled = replace(fitted, judge={"verdict": "sampled", "verdicts": 5})
    [found] = judged(asking(Mute(right)), method="logprob", calibration={"judge": sampled})
    assert found.p_calibrated is not None and found.p_calibrated < 1
    [structured] = judged(asking(Structured(loose, letter)), method="logprob", calibration={"judge": sampled})
    assert structured.p_calibrated == found.p_calibrated


def test_five_that_agree_do_not_outweigh_all_else_on_the_logit_scale() -> None:
    """One order says a five times of five, the other twice: their mean is not that of a certainty and a doubt."""
    turns = iter([right] * 5 + [right] * 2 + [wrong] * 3)
    model = Mute(lambda request: next(turns)(request))
    [found] = judged(asking(model), method="logprob", mean="logits", disagree="average", both_share=0)
    assert found.p_a == pytest.approx(1 / (1 + ((1 / 11) * (3 / 2)) ** 0.5))


def test_votes_of_before_say_how_they_were_read_by_their_method() -> None:
    old = {"principle": "p", "order": "ab", "method": "logprob", "model": "m", "seed": 1, "status": "ok", "p_a": 0.7}
    assert decode(Vote, old).verdict == "logprobs"
    assert decode(Vote, {**old, "method": "reward"}).verdict == "scores"
    new = Vote("p", "ab", "cot", "m", 1, "ok", 0.8, kind="sampled", samples=5, read=5)
    assert decode(Vote, plain(new)) == new


@pytest.mark.parametrize(("won", "of"), [(0, 5), (4, 5), (5, 5), (2.5, 5), (1, 1), (17, 64), (0, 64)])
def test_jeffreys_interval_is_that_of_scipy(won: float, of: int) -> None:
    beta = pytest.importorskip("scipy.stats").beta
    low, high = beta.ppf([0.025, 0.975], won + 0.5, of - won + 0.5)
    assert jeffreys(won, of) == pytest.approx((low if won else 0, high if won < of else 1), abs=1e-3)


def test_tokens_of_several_requests_say_nothing_of_a_thought_that_a_template_leaves_out() -> None:
    """The prompt counts in each: where a thought was closed by us, or samples came one by one."""
    one = Reply((Sample("It is A.", "Hm. " * 8),), tokens_in=100, tokens_out=40)
    assert 100 < Reasoning.of(one, 0, "It is A.").tokens <= 140
    closed = replace(one, tokens_in=230, counts={"thoughts": 1, CLOSED: 1})
    for reply in (
        closed,
        one.with_samples(one),
        replace(one, tokens_in=0),
        replace(one, samples=(Sample("It is A."),)),
    ):
        assert Reasoning.of(reply, 0, "It is A.").tokens == 0
