"""Guards at work while PPO learns: it has answers to look at in every step, and now and then held-out ones for the judge."""

from collections.abc import Mapping, Sequence

from cai.train.launch import guards
from cai.train.rl import held_out
from cai.train.rl.loop import Loop
from cai.train.rl.rewards import Blocking
from cai.train.rl.rollout import Rollout, SeededPrompt

POLICY = ("entropy", "kl")
"""Figures of a step that its answers' texts do not tell."""
DRAWN = "drawn"
"""One more, where servers sample the answers."""


class PpoMonitor:
    """Looks at the answers of each step; its bounds are relative to the first.

    Args:
        judge: the held-out judge, where there is one.
        prompts: held-out prompts for it.
        before: the figures of the first step, where the training goes on.
    """

    def __init__(
        self, loop: Loop, judge: Blocking | None, prompts: Sequence[SeededPrompt], before: dict[str, float] | None
    ) -> None:
        self.loop, self.judge, self.before = loop, judge, before
        self.guards = guards.parse(loop.want.guards)
        self.prompts = prompts[: self.guards.prompts]

    def look(
        self, number: int, figures: dict[str, float], rollout: Rollout
    ) -> tuple[dict[str, float | list[str]], str]:
        """What a step's line of metrics gains, and why the training is to end, if it is.

        Args:
            figures: of the step, whose answers the rollout has.
        """
        if not self.guards.every:
            return {}, ""
        measures = guards.text_measures(self.loop.processes.all(rollout.texts))
        current = measures | {name: figures[name] for name in (*POLICY, DRAWN) if name in figures}
        if self.before is None and set(POLICY) <= current.keys():  # a step whose answers all went unread tells little
            self.before = current
        alarms = guards.alarms(guards.measures(current, self.before or {}), self.guards)
        line: dict[str, float | list[str]] = {f"guard/{name}": value for name, value in measures.items()}
        if alarms:
            line["alarms"] = [each.text for each in alarms]
        if self.judge and self.prompts and (number == 1 or number % self.guards.every == 0):
            line |= self._judge_scores()
        return line, "; ".join(each.text for each in alarms if each.stops)

    def _judge_scores(self) -> dict[str, float]:
        """The same answers to held-out prompts by the reward that the policy learns from and by one that it does not."""
        answers = held_out.answers(self.loop, self.prompts)
        assert self.judge is not None
        if not self.loop.processes.first:
            return {}
        scores = self.judge(self.prompts, [each["text"] for each in answers])
        both = {"reward": [each["score"] for each in answers], "judge": scores}
        readable = {name: [score for score in column if score is not None] for name, column in both.items()}
        return {f"guard/{name}": sum(column) / len(column) for name, column in readable.items() if column}


def first(lines: Sequence[Mapping[str, float]]) -> dict[str, float] | None:
    """The figures of the first step, from ``metrics.jsonl``; None where there is none yet."""
    for line in lines:
        if set(POLICY) <= line.keys():
            texts = {name.removeprefix("guard/"): value for name, value in line.items() if name.startswith("guard/")}
            return {**texts, **{name: line[name] for name in POLICY}}
    return None
