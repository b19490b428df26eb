"""PPO: its formulas against numbers worked out by hand, its optimum against one found by counting."""

import asyncio
import math

import pytest
import torch
from toy import END, WORDS, by_text, distribution, language, loop, models, objective, random_batch, settings

from cai.train.adapters import under
from cai.train.rl import advantages, kl, losses
from cai.train.rl.actor import Actor
from cai.train.rl.learner import Learner, PpoBatch
from cai.train.rl.processes import Processes
from cai.train.rl.rewards import Rewards, Scoring


def test_advantages_are_those_worked_out_by_hand() -> None:
    # γ = 0.9, λ = 0.5; a row of three tokens, and one of two whose third is padding.
    rewards = torch.tensor([[0.0, -1.0, 2.0], [1.0, 3.0, 9.0]])
    values = torch.tensor([[0.5, 1.0, -1.0], [2.0, 1.0, 9.0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    found, returns = advantages.gae(rewards, values, mask, 0.9, 0.5)
    # Surprises: 3, −1 + 0.9·(−1) − 1 = −2.9, 0 + 0.9·1 − 0.5 = 0.4; then A = δ + 0.45·A of the next.
    assert torch.allclose(found[0], torch.tensor([0.4 + 0.45 * -1.55, -2.9 + 0.45 * 3, 3.0]))
    # Surprises: 3 − 1 = 2, 1 + 0.9·1 − 2 = −0.1.
    assert torch.allclose(found[1], torch.tensor([-0.1 + 0.45 * 2, 2.0, 0.0]))
    assert torch.allclose(returns[1], torch.tensor([0.8 + 2.0, 3.0, 0.0]))


def test_the_policy_loss_is_the_one_worked_out_by_hand() -> None:
    old = torch.zeros(1, 5)
    new = torch.tensor([[1.1, 1.5, 0.5, 0.9, 4.0]]).log()
    gained = torch.tensor([[1.0, 1.0, -1.0, -1.0, 1.0]])
    mask = torch.tensor([[True, True, True, True, False]])
    # min(ρA, clip(ρ)A): 1.1, 1.2 (clipped), −0.8 (the worse of −0.5 and −0.8), −0.9.
    assert losses.policy_loss(new, old, gained, mask, 0.2, 4).item() == pytest.approx(-(1.1 + 1.2 - 0.8 - 0.9) / 4)
    assert losses.clipped_share(new, old, mask, 0.2).item() == 2


def test_the_value_loss_is_the_one_worked_out_by_hand() -> None:
    new, old = torch.tensor([[1.0, 3.0]]), torch.tensor([[0.9, 1.0]])
    returns, mask = torch.tensor([[2.0, 4.0]]), torch.tensor([[True, True]])
    # (1 − 2)² within the range; the second is 1.2 when clipped, and (1.2 − 4)² is the worse.
    assert losses.value_loss(new, old, returns, mask, 0.2, 2).item() == pytest.approx(0.5 * (1.0 + 7.84) / 2)


def test_whitening_leaves_padding_out() -> None:
    values, mask = torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([[True, True, False]])
    white = advantages.whiten(values, mask, advantages.moments(values, mask))
    assert torch.allclose(white, torch.tensor([[-1.0, 1.0, 0.0]]), atol=1e-6)


def test_explained_variance_is_one_for_a_critic_that_knows_and_zero_for_one_that_does_not() -> None:
    returns, mask = torch.tensor([[1.0, 2.0, 4.0]]), torch.ones(1, 3, dtype=torch.bool)

    def explained(values: torch.Tensor) -> float:
        moments = [advantages.moments(each, mask) for each in (returns, returns - values)]
        return advantages.explained_variance(*moments)

    assert explained(returns) == pytest.approx(1.0)
    assert explained(torch.zeros(1, 3)) == pytest.approx(0.0)


def test_the_coefficient_moves_towards_its_target() -> None:
    fixed, adapted = kl.Coefficient(0.1), kl.Coefficient(0.1, target=6.0, horizon=1000)
    fixed.adapt(60.0, 100)
    adapted.adapt(60.0, 100)  # far above: the error is cut at 0.2
    assert fixed.value == 0.1
    assert adapted.value == pytest.approx(0.1 * 1.02)
    adapted.adapt(5.4, 100)
    assert adapted.value == pytest.approx(0.1 * 1.02 * 0.99)


def lesson(actor: Actor, rows: int = 6) -> PpoBatch:
    batch = random_batch(rows)
    draw = torch.Generator().manual_seed(1)
    shape = batch.mask.shape
    with torch.no_grad():
        old, values = actor.logprobs(batch)[0], actor.values(batch)
    old = old + 0.3 * torch.randn(shape, generator=draw)
    return PpoBatch(batch, old, values, torch.randn(shape, generator=draw), torch.randn(shape, generator=draw))


@pytest.mark.parametrize("lora", [None, 4])
def test_micro_batches_change_no_gradient(lora: int | None) -> None:
    from accelerate import Accelerator

    found = {}
    for size in (1, 2, 6):
        torch.manual_seed(0)
        actor = Actor(*models(), lora, 1.0)
        want = settings(per_device_train_batch_size=size, lora=lora, entropy_coef=0.01)
        learner = Learner(actor, want, 10, Processes(Accelerator(cpu=True)))
        learner._gradients(lesson(actor), torch.arange(6))
        grads = [each.grad for some in learner.parameters.values() for each in some]
        assert all(each is not None for each in grads)
        found[size] = torch.cat([each.flatten() for each in grads if each is not None])
    assert found[6].abs().max() > 1e-3
    for size in (1, 2):
        assert torch.allclose(found[size], found[6], atol=1e-6)


def test_padding_changes_no_probability_and_no_value() -> None:
    policy, critic = models()
    actor = Actor(policy, critic, None, 1.0)
    batch = random_batch()
    with torch.no_grad():
        together = actor.logprobs(batch)[0], actor.values(batch)
        for row in range(len(batch.ids)):
            kept = batch.attention[row].bool()
            ids, count = batch.ids[row][kept].unsqueeze(0), int(batch.mask[row].sum())
            spread = policy(ids).logits[0, -count - 1 : -1].log_softmax(-1)
            alone = spread.gather(-1, ids[0, -count:].unsqueeze(-1)).squeeze(-1)
            assert torch.allclose(together[0][row, :count], alone, atol=1e-5)
            hidden = critic.model(ids).last_hidden_state[0, -count - 1 : -1]
            assert torch.allclose(together[1][row, :count], critic.score(hidden).squeeze(-1), atol=1e-5)


@pytest.mark.parametrize("lora", [None, 8])
def test_a_bandit_is_solved(lora: int | None) -> None:
    # One token: seven arms. The best policy under a KL of weight 0.25 is known: π_ref·exp(r/β), normalised.
    arms = {"a": 1.0, "b": 0.8, "c": -1.0}
    want = settings(max_new_tokens=1, batch_size=128, lora=lora, learning_rate=1e-2 if lora else 3e-3)
    trained = loop(want, by_text(lambda text: arms.get(text, 0.0)), 20)
    prompt = trained.talk.ask([{"role": "user", "content": "say"}])
    answers = language(1)
    rewards = torch.tensor([arms.get(WORDS[answer[0]], 0.0) for answer in answers])
    reference = distribution(trained.actor.policy, prompt, answers)
    first, *_, figures = (trained.step(number)[0] for number in range(1, 21))
    reached, before, best = objective(distribution(trained.actor.policy, prompt, answers), reference, rewards, 0.25)
    assert before < 0.5 * best
    assert reached == pytest.approx(best, rel=0.02)
    assert first["kl"] == pytest.approx(0, abs=1e-6) and first["kl_sampled"] == pytest.approx(0, abs=1e-6)
    assert figures["reward"] > first["reward"]
    # One token's KL is that of the whole answer, however few are sampled.
    asked = [each for each in trained.task.batch(1) if each.prompt.id == "0"]
    rollout = trained.rollout(asked)
    log_p = distribution(trained.actor.policy, prompt, answers)
    exact = (log_p.exp() * (log_p - reference)).sum().item()
    assert trained.figures(rollout, trained.experience(rollout))["kl"] == pytest.approx(exact, rel=1e-3)


def test_a_step_without_a_single_score_changes_nothing() -> None:
    unread = loop(settings(max_new_tokens=2), lambda asked, texts: [None] * len(texts), 3)
    read = loop(settings(max_new_tokens=2), by_text(lambda text: float(len(text))), 3)
    read.step(1)
    read.score = unread.score  # the optimizer has its momentum by now
    for trained in (unread, read):
        before = [each.detach().clone() for each in trained.actor.policy.parameters()]
        figures, *_ = trained.step(2)
        assert figures["unread"] == 1 and figures["updates"] == 0
        assert (
            not {"reward", "kl", "entropy", "length"} & figures.keys()
        )  # nothing is known of them, so nothing is said
        assert all(each.equal(old) for each, old in zip(trained.actor.policy.parameters(), before, strict=True))


def test_a_reward_that_is_no_number_is_left_out() -> None:
    scoring = Scoring("rules", "principles/harmless.yaml", "", rules={"length": math.inf})
    asked = loop(settings(), by_text(len), 1).task.batch(1)[:2]
    assert asyncio.run(Rewards(scoring).score(asked, ["a b", "a"])) == [None, None]


def test_a_gradient_that_is_no_number_moves_nothing() -> None:
    trained = loop(settings(max_new_tokens=2), by_text(lambda text: math.nan), 1)
    before = [each.detach().clone() for each in trained.actor.policy.parameters()]
    with pytest.raises(ValueError, match="a gradient of the policy is nan"):
        trained.step(1)
    assert all(each.equal(old) for each, old in zip(trained.actor.policy.parameters(), before, strict=True))


def test_what_adapters_learn_is_held_in_float32_over_weights_in_bfloat16() -> None:
    policy, critic = (each.bfloat16() for each in models())
    actor = Actor(policy, critic, 4, 1.0)
    trained = [each for some in actor.parameters().values() for each in some]
    assert any("score" in name for name, each in actor.critic.named_parameters() if each.requires_grad)
    assert {each.dtype for each in trained} == {torch.float32}
    actor.values(random_batch()).sum().backward()  # the head reads what the body says in bfloat16
    assert next(each for each in actor.critic.parameters() if each.dtype == torch.bfloat16).grad is None


@pytest.mark.parametrize("lora", [None, 4])
def test_sampling_leaves_a_model_its_settings_for_generation(lora: int | None) -> None:
    trained = loop(settings(max_new_tokens=2, lora=lora), by_text(lambda text: 0.0), 1)
    trained.rollout(trained.task.batch(1))
    assert under(trained.actor.policy).generation_config.eos_token_id == END


def test_a_model_s_own_settings_for_generation_do_not_change_what_is_sampled() -> None:
    # The probabilities that PPO learns from know of no penalties: the sampling may have none either.
    plain, set_up = (loop(settings(max_new_tokens=6), by_text(lambda text: 0.0), 1) for _ in range(2))
    set_up.actor.policy.generation_config.repetition_penalty = 5.0
    set_up.actor.policy.generation_config.min_new_tokens = 4
    texts = [each.rollout(each.task.batch(1)).texts for each in (plain, set_up)]
    assert texts[0] == texts[1]
    assert set_up.actor.policy.generation_config.repetition_penalty == 5.0  # it is saved with the model


def test_a_process_without_rows_of_a_mini_batch_waits_for_the_others() -> None:
    trained = loop(settings(max_new_tokens=2, num_mini_batches=4, batch_size=8), by_text(lambda text: 1.0), 1)
    nothing = torch.empty(0, dtype=torch.long)
    rollout = trained.rollout(trained.task.batch(1))
    made, _ = trained._lesson(rollout, trained.experience(rollout))
    assert trained.learner._gradients(made, nothing)["tokens"] == 0


def test_scores_that_are_all_the_same_are_not_blown_up() -> None:
    trained = loop(settings(max_new_tokens=2, whiten_rewards=True), by_text(lambda text: 1.0), 1)
    rollout = trained.rollout(trained.task.batch(1))
    assert trained._rewards(trained.experience(rollout)).abs().max() <= 1.0


def said(answer: tuple[int, ...]) -> str:
    return " ".join(WORDS[token] for token in answer if token != END)


@pytest.mark.parametrize(("steps", "within"), [(25, 0.1), pytest.param(100, 0.02, marks=pytest.mark.slow)])
def test_a_language_of_two_tokens_is_solved(steps: int, within: float) -> None:
    # "b" pays only when "a" went before: the first token's worth shows one token later.
    def reward(text: str) -> float:
        return {"a b": 1.0, "a": 0.3, "c": 0.5, "b b": -0.5}.get(text, 0.0)

    want = settings(max_new_tokens=2, batch_size=128, learning_rate=1e-3)
    trained = loop(want, by_text(reward), steps)
    prompt = trained.talk.ask([{"role": "user", "content": "say"}])
    answers = language(2)
    rewards = torch.tensor([reward(said(answer)) for answer in answers])
    reference = distribution(trained.actor.policy, prompt, answers)
    assert math.isclose(reference.exp().sum().item(), 1.0, rel_tol=1e-4)
    for number in range(1, steps + 1):
        trained.step(number)
    reached, before, best = objective(distribution(trained.actor.policy, prompt, answers), reference, rewards, 0.25)
    assert before < 0.5 * best
    assert reached == pytest.approx(best, rel=within)
