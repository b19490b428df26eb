"""What is computed of a batch: little of it is padding, and its gradients are those of the whole batch at once."""

from typing import Any

import pytest
import torch
from accelerate import Accelerator
from toy import models, settings

from cai.train.rl import losses
from cai.train.rl.actor import Actor
from cai.train.rl.learner import Learner, PpoBatch
from cai.train.rl.processes import Processes
from cai.train.rl.rollout import together

ROWS = 48
UNREAD = 5


def uneven(actor: Actor) -> PpoBatch:
    """Prompts and answers as unequal as those of a training: most are short, and one of them has no score."""
    draw = torch.Generator().manual_seed(0)
    rows: list[list[list[int]]] = [[], []]
    for number in range(ROWS):
        for side, longest in zip(rows, (36, 24), strict=True):
            length = 1 + int(longest * torch.rand(1, generator=draw) ** (3 if number % 6 else 0.2))
            side.append(torch.randint(2, 7, (length,), generator=draw).tolist())
    batch = together(*rows, 0)
    batch.mask[UNREAD] = False
    shape = batch.mask.shape
    with torch.no_grad():
        old, values = actor.logprobs(batch)[0], actor.values(batch)
    old = old + 0.1 * torch.randn(shape, generator=draw)
    return PpoBatch(batch, old, values, torch.randn(shape, generator=draw), torch.randn(shape, generator=draw))


def learner(lora: int | None, **more: Any) -> Learner:
    torch.manual_seed(0)
    want = settings(per_device_train_batch_size=4, lora=lora, **more)
    return Learner(Actor(*models(), lora, 1.0), want, 10, Processes(Accelerator(cpu=True)))


def gradients(of: Learner) -> torch.Tensor:
    grads = [each.grad for some in of.parameters.values() for each in some]
    return torch.cat([each.flatten() for each in grads if each is not None])


@pytest.mark.parametrize("coefficient", [0.0, 0.01])
@pytest.mark.parametrize("lora", [None, 4])
def test_gradients_are_those_of_the_whole_batch_with_its_padding(lora: int | None, coefficient: float) -> None:
    whole, parts = (learner(lora, entropy_coef=coefficient) for _ in range(2))
    actor, lesson = whole.actor, uneven(whole.actor)
    mask, count = lesson.batch.mask, float(lesson.batch.mask.sum())
    new, entropy = actor.logprobs(lesson.batch)
    policy = losses.policy_loss(new, lesson.old, lesson.advantages, mask, 0.2, count)
    (policy - coefficient * (entropy * mask).sum() / count).backward()
    losses.value_loss(actor.values(lesson.batch), lesson.values, lesson.returns, mask, 0.2, count).backward()
    figures = parts._gradients(lesson, torch.arange(ROWS))
    assert gradients(whole).abs().max() > 1e-3
    assert torch.allclose(gradients(parts), gradients(whole), atol=1e-6)
    assert figures["tokens"] == count
    assert figures["policy_loss"] == pytest.approx(policy.item() * count, abs=1e-4)
    assert figures["entropy"] == pytest.approx((entropy * mask).sum().item(), rel=1e-5)


def test_a_pass_over_a_batch_is_little_more_than_its_tokens() -> None:
    made = learner(None)
    lesson, sizes = uneven(made.actor), []
    made.actor.policy.register_forward_pre_hook(
        lambda _, args, kwargs: sizes.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    made._gradients(lesson, torch.arange(ROWS))
    learnt = lesson.batch.attention[lesson.batch.mask.any(1)]
    assert lesson.batch.ids.numel() > 2 * learnt.sum()
    assert sum(sizes) < 1.5 * learnt.sum()


def test_an_entropy_that_is_not_learnt_holds_nothing_for_a_gradient() -> None:
    made = learner(None)
    batch = uneven(made.actor).batch
    new, entropy = made.actor.logprobs(batch, learns_entropy=False)
    assert new.requires_grad and not entropy.requires_grad
    assert entropy.equal(made.actor.logprobs(batch)[1].detach())
