"""Proximal policy optimisation of the policy against a reward (Schulman et al. 2017; Bai et al. 2022, section 4.1)."""

from dataclasses import dataclass

from cai.stages.online import Online

SERVER_SHARE = 0.3
"""Of a GPU's memory for the server that samples the answers, unless its role says another: the training needs the rest."""


@dataclass(frozen=True, slots=True)
class Ppo(Online):
    """The ``ppo`` block; TRL 1.16 has no PPO, so it is ours.

    One step samples an answer to each of ``batch_size`` prompts, scores the answers, and learns from them in
    ``num_ppo_epochs`` passes of ``num_mini_batches`` updates each.

    Attributes:
        batch_size: answers of a step, over all processes.
        per_device_train_batch_size: answers in one forward and backward pass; fewer take less memory and change no gradient.
        generate_batch_size: answers written at once; a server takes all at once.
        rollouts: the role with whose settings vLLM servers are started that sample the answers, with the policy's weights, on
            the GPUs that train; the training process itself samples unless given.
        max_new_tokens: of an answer.
        gamma, lam: discount and λ of the advantages (Schulman et al. 2016).
        cliprange, cliprange_value: how far a token's ratio and a state's value move before they stop to count.
        value_learning_rate: of the critic; the policy's unless given.
        value: what the critic starts from: the "reward" model, or the "policy" with a new head; "auto" takes the reward
            model where there is one that reads the same tokens.
        kl_coef: the weight of the KL to the reference in the reward; 0.05 in Lee et al. 2023.
        kl_target, kl_horizon: adapt the weight to hold the KL of an answer, in nats, there (Ziegler et al. 2019).
        kl_stop: passes over a batch end once the policy is this far, in nats a token, from the one that sampled it.
        kl_limit: the training ends where the KL of an answer to the reference passes this, in nats.
        missing_eos_penalty: taken off the score of an answer that does not end.
        whiten_rewards: divide a batch's scores by their standard deviation.
        entropy_coef: a bonus for entropy.
    """

    batch_size: int = 64
    num_mini_batches: int = 1
    num_ppo_epochs: int = 4
    generate_batch_size: int = 16
    rollouts: str = ""
    max_new_tokens: int = 256
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
