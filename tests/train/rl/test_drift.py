"""Answers that are not the policy's: a server that keeps its first weights ends a training, and strange answers are left out."""

import math

import pytest
import torch
from elsewhere import Elsewhere
from toy import loop, settings

from cai.stages.ppo import Ppo
from cai.train.launch import guards
from cai.train.rl import drift
from cai.train.rl.loop import Loop


def training(want: Ppo, stale: bool = False, off: tuple[float, ...] = ()) -> tuple[Loop, Elsewhere]:
    made = loop(want, lambda asked, texts: [float(len(text)) for text in texts], 4)
    elsewhere = Elsewhere(made, stale, off)
    made.writer = elsewhere
    return made, elsewhere


@pytest.mark.parametrize("lora", [None, 4])
@pytest.mark.parametrize("rate", [3e-3, 1e-4])
def test_a_server_that_never_takes_new_weights_ends_the_training_at_its_second_step(
    lora: int | None, rate: float
) -> None:
    want = settings(max_new_tokens=6, lora=lora, learning_rate=10 * rate if lora else rate, guards={"every": 0})
    stale, _ = training(want, stale=True)
    stale.step(1)
    learnt = {name: each.clone() for name, each in stale.actor.state()["policy"].items()}
    with pytest.raises(ValueError, match=r"the servers do not take the policy's weights: answers are .* nats a token"):
        stale.step(2)
    assert all(
        each.equal(learnt[name]) for name, each in stale.actor.state()["policy"].items()
    )  # nothing of it is learnt
    fresh, _ = training(want)
    assert all(fresh.step(number)[0]["drawn"] < drift.ROUNDING for number in range(1, 5))


def test_a_server_of_another_policy_ends_the_training_unless_its_bound_says_otherwise() -> None:
    off = (0.6,) * 64
    with pytest.raises(ValueError, match=r"0\.22 nats a token from the policy, over guards\.drawn\.stop \(0\.1\)"):
        training(settings(max_new_tokens=4), off=off)[0].step(1)
    bounded, _ = training(settings(max_new_tokens=4, guards={"drawn": {"stop": 0.3}}), off=off)
    assert bounded.step(1)[0]["drawn"] == pytest.approx(math.exp(0.6) - 1.6, abs=1e-3)
    assert guards.parse({}).stop == {"drawn": (None, 0.1)}
    [alarm] = guards.alarms({"drawn": 0.05}, guards.parse({}))
    assert not alarm.stops and alarm.text.startswith("drawn 0.05 is above 0.02")


def test_an_answer_that_is_no_sample_of_the_policy_is_left_out_whole_and_counted() -> None:
    want = settings(max_new_tokens=4, guards={"drawn": {"stop": 1.0}})
    strange, _ = training(want, off=(1.0, -1.0, 0.5))
    rollout = strange.rollout(strange.task.batch(1))
    experience = strange.experience(rollout)
    assert experience.mask.any(1).tolist() == [False, False] + [True] * 62
    assert torch.equal(experience.mask[2:], rollout.batch.mask[2:])
    figures = strange.figures(rollout, experience)
    assert (figures["far"], figures["unread"]) == (2 / 64, 0.0)
    assert experience.readable_scores() == [float(len(text)) for text in rollout.texts]  # to be read, they have scores


def test_a_step_tells_how_far_the_server_is_from_the_policy_and_gives_it_the_new_weights() -> None:
    plain = loop(settings(), lambda asked, texts: [float(len(text)) for text in texts], 4).step(1)[0]
    served, elsewhere = training(settings())
    same = served.step(1)[0]
    assert same["kl_drawn"] == pytest.approx(0.0, abs=1e-5)
    assert elsewhere.told == 1
    assert not {"kl_drawn", "drawn", "far"} & plain.keys()
    assert {key: same[key] for key in plain} == pytest.approx(plain, abs=1e-5)
    assert training(settings(), off=(0.3,) * 64)[0].step(1)[0]["kl_drawn"] > 0.01
