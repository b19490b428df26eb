"""What the blocks of trainers share that answer prompts themselves and learn from the scores of their answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cai.judge.settings import VERDICTS
from cai.stages.train import Aligned
from cai.store.ledger import ADDED


@dataclass(frozen=True, slots=True)
class Online(Aligned):
    """What ``ppo``, ``grpo`` and ``rloo`` share; they read ``prompts``.

    Attributes:
        reward: the role that scores answers; none for the method rules.
        method: how it scores: "reward" asks a reward model; "score" and "propositions" ask a judge under a principle drawn
            for each prompt, which is direct RLAIF (Lee et al. 2023, section 2.2.2); "rules" asks no model.
        choice: how the principle is drawn, see ``constitution.draw``.
        floor: the least probability that the options must hold together; under it an answer has no score.
        rules: detector → weight, for ``rules``; its own where none are given.
        tracks: which prompts are answered.
        temperature: at which answers are sampled, and their probabilities taken.
        eval_prompts: held-out prompts that are answered before and after the training, with the same random draws.
        no_kl: says once more that no KL holds the policy to its reference, where ``beta`` or ``kl_coef`` is 0.
        verdict, verdicts: how a judge's options are read, as in ``label``.
    """

    learning_rate: float = 1e-6
    save_steps: int = 10
    reward: str = ""
    method: str = "reward"
    choice: str = "uniform"
    floor: float = 0.1
    rules: Mapping[str, float] = field(default_factory=dict)
    tracks: tuple[str, ...] = ("redteam", "helpful")
    temperature: float = 1.0
    eval_prompts: int = 64
    no_kl: bool = False
    verdict: str = field(default="auto", metadata=ADDED)
    verdicts: int = field(default=VERDICTS, metadata=ADDED)
