"""Proximal policy optimisation of the policy against a reward (Schulman et al. 2017; Bai et al. 2022, section 4.1)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cai.stages.train import Train


@dataclass(frozen=True, slots=True)
class Ppo(Train):
    """The ``ppo`` block.

    One step samples an answer to each of ``batch_size`` prompts, scores the answers, and learns from them in
    ``num_ppo_epochs`` passes.

    Attributes:
        reward: the role that scores answers; none for the method rules.
        method: how it scores: "reward" asks a reward model; "score" and "propositions" ask a judge under a principle drawn
            for each prompt (direct RLAIF, Lee et al. 2023, section 2.2.2); "rules" asks no model.
        rules: detector → weight, for ``rules``.
        tracks: which prompts are answered.
        batch_size: answers of a step, over all processes.
        num_mini_batches: optimizer steps in each pass over them.
        num_ppo_epochs: passes.
        per_device_train_batch_size: answers in one forward pass; less takes less memory and changes no gradient.
        generate_batch_size: answers written at once.
        max_new_tokens: of an answer.
        temperature: at which answers are sampled and their probabilities taken.
        gamma, lam: discount and λ of the advantages (Schulman et al. 2016).
        cliprange, cliprange_value: how far a token's ratio and a state's value move before they stop to count.
        value_learning_rate: of the critic; the policy's unless given.
        value: what the critic starts from: the "reward" model, or the "policy" with a new head; "auto" takes the reward
            model where there is one that reads the same tokens.
        kl_coef: the weight of the KL to the reference in the reward; 0.05 in Lee et al. 2023.
        kl_target, kl_horizon: adapt the weight to hold the KL of an answer, in nats, there; see ``cai.rl.kl``.
        kl_stop: passes over a batch end once the policy is this far, in nats a token, from the one that sampled it.
        kl_limit: training ends where the KL of an answer to the reference passes this, in nats.
        missing_eos_penalty: taken off the score of an answer that does not end.
        whiten_rewards: divide a batch's scores by their standard deviation.
        entropy_coef: a bonus for entropy.
        eval_prompts: held-out prompts that are answered before and after, with the same random draws.
    """

    OWN = Train.OWN

    reward: str = ""
    method: str = "reward"
    rules: Mapping[str, float] = field(default_factory=dict)
    tracks: tuple[str, ...] = ("redteam", "helpful")
    learning_rate: float = 1e-6
    batch_size: int = 64
    num_mini_batches: int = 1
    num_ppo_epochs: int = 4
    generate_batch_size: int = 16
    max_new_tokens: int = 256
    temperature: float = 1.0
    gamma: float = 1.0
    lam: float = 0.95
    cliprange: float = 0.2
    cliprange_value: float = 0.2
    value_learning_rate: float | None = None
    value: str = "auto"
    kl_coef: float = 0.05
    kl_target: float | None = None
    kl_horizon: int = 10_000
    kl_stop: float | None = None
    kl_limit: float | None = None
    missing_eos_penalty: float = 1.0
    whiten_rewards: bool = False
    entropy_coef: float = 0.0
    max_grad_norm: float = 1.0
    eval_prompts: int = 64
    save_steps: int = 10
