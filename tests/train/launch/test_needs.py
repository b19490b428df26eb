"""What is said of a training block that is allowed and seldom meant."""

from cai.stages.dpo import Dpo
from cai.stages.sft import Sft
from cai.train.launch.needs import doubtful


def test_adapters_at_the_rate_of_full_weights_are_told_of() -> None:
    said = doubtful("tuned", Dpo(base="b", lora=16))
    assert said.startswith("tuned trains adapters (lora: 16) at the learning rate of full weights, 1e-06")
    assert said.endswith("learning_rate: 1e-05")
    assert "learning_rate: 0.0001" in doubtful("sft", Sft(base="b", lora=8))
    assert not doubtful("dpo", Dpo(base="b", lora=16, learning_rate=5e-5))
    assert not doubtful("dpo", Dpo(base="b"))
