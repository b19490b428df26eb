"""A training as its run sees it: lines of metrics, each once, whatever happened before."""

import asyncio
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cai.train.launch import start
from cai.train.launch.start import Where, train

TRAINER = """
import json, pathlib, sys
out = pathlib.Path(sys.argv[3] if len(sys.argv) > 3 else sys.argv[1]).parent
with (out / "metrics.jsonl").open("a") as file:
    for step in (3, 4):
        file.write(json.dumps({"step": step, "steps": 4, "seconds": 0.123456789 * step}) + "\\n")
        file.flush()
        (out / "seen").read_text()  # until this step was read
(out / "manifest.json").write_text("{}")
(out / "line.json").write_text(json.dumps(sys.argv))
"""


def write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def test_a_training_that_goes_on_is_read_from_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "LOOK_SECONDS", 0.01)
    os.mkfifo(tmp_path / "seen")
    (tmp_path / "checkpoints" / "checkpoint-2").mkdir(parents=True)
    (tmp_path / "checkpoints" / "checkpoint-2" / "complete").touch()
    lines = [json.dumps({"step": step, "steps": 4, "note": "long " * 20}) for step in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines) + '{"step": 4, "st')
    (tmp_path / "job.json").write_text("{}")
    (tmp_path / "trainer.py").write_text(TRAINER)
    seen: list[dict[str, Any]] = []

    def see(line: dict[str, Any]) -> None:
        seen.append(line)
        (tmp_path / "seen").write_text("")

    command = [sys.executable, str(tmp_path / "trainer.py"), str(tmp_path / "job.json")]
    here: Any = SimpleNamespace(command=lambda: command[:2], environment=dict)
    asyncio.run(train("x", tmp_path / "job.json", tmp_path / "x.log", Where(here, "mlflow", "r/round-2/dpo"), see))
    assert [line["step"] for line in seen] == [3, 4]
    said = json.loads((tmp_path / "line.json").read_text())
    assert said[-4:] == ["--figures-to", "mlflow", "--figures-as", "r/round-2/dpo"]
    kept = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert kept == [1, 2, 3, 4]


def test_answers_with_line_separators_of_other_kinds_are_rewound(tmp_path: Path) -> None:
    from cai.train.launch.checkpoints import rewind

    rows = [{"step": step, "text": "one\u2028two\u0085three}"} for step in (1, 2)]
    write_lines(tmp_path / "answers.jsonl", [json.dumps(row, ensure_ascii=False) for row in rows])
    rewind(tmp_path / "answers.jsonl", 1)
    assert json.loads((tmp_path / "answers.jsonl").read_text(encoding="utf-8")) == rows[0]


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (
            "dpo: {base: m, guards: {method: score}}",
            "no judge is named for the method score; give a role under `judge`",
        ),
        ("dpo: {base: m, guards: {judge: j, method: rules}}", "the method rules asks no model; take judge out"),
        ("dpo: {base: m, guards: {length: {stop: [2, 0.5]}}}", "length.stop must rise, found [2, 0.5]"),
        ("dpo: {base: m, guards: {judge: v}}", "a vLLM server of ours would have to be up beside the training"),
        ("ppo: {base: m, method: score, reward: j, guards: {judge: j}}", '"j" is what the policy learns from'),
        ("ppo: {base: m, method: score, reward: j, kl_coef: 0}", "or say so again with no_kl: true"),
        ("dpo: {base: made, guards: {judge: made}}", "a vLLM server of ours would have to be up beside the training"),
        (
            "ppo: {base: m, method: score, reward: made}",
            "a vLLM server of ours would have to be up beside the training",
        ),
        (
            "dpo: {base: a}",
            '"a" is served with the adapter some/adapter, which a training would leave out; merge the two',
        ),
        ("dpo: {base: m, reference: a}", 'dpo.reference: "a" is served with the adapter'),
        ("dpo: {base: m, lr_scheduler_type: cosin}", 'found "cosin"'),
        (
            "ppo: {base: m, method: rules, lr_scheduler_type: warmup_stable_decay}",
            "needs settings for which ppo has no keys",
        ),
        ("dpo: {base: m, lr_scheduler_type: warmup_stable_decay}", "warmup_stable_decay needs num_decay_steps"),
        ("dpo: {base: m, max_steps: 0}", "max_steps: is 0, which would train nothing"),
        ("dpo: {base: m, max_steps: 5, warmup_steps: 5}", "warmup_steps: must be below max_steps (5), found 5"),
        ("dpo: {base: m, trl: {learning_rate: 1.0e-4}}", "learning_rate is a key of the block itself; write it there"),
        ("dpo: {base: m, trl: {output_dir: here}}", "output_dir is set by cai; take it out"),
        ("dpo: {base: m, guards: {every: 0, kl: {stop: 9}}}", "every: 0 looks never"),
        (
            "grpo: {base: m, method: rules, guards: {chosen: {stop: -1}}}",
            "chosen is for trainers that learn from pairs",
        ),
        (
            "ppo: {base: m, method: rules, guards: {every: 0, drawn: {stop: 0.5}}}",
            "drawn is for ppo whose answers are sampled by servers (rollouts)",
        ),
        ("ppo: {base: m, method: rules, kl_target: 6, kl_limit: 3}", "kl_limit: must be above kl_target (6), found 3"),
        ("dpo: {as: m, base: v}", 'makes a model called "m", and `models` has one'),
        ("ppo: {base: m, reward: j}", '"j" is no reward model; name one, or set `method: score`'),
        ("dpo: {base: mad}", 'there is no model "mad"; did you mean "made"?'),
        ("ppo: {base: m, reward: rm, rollouts: m}", '"m" is no role of `models` with `vllm:`'),
        ("ppo: {base: rm, method: rules}", '"rm" is a reward model, which writes no answers; name another'),
        ("ppo: {base: m, method: rules, rollouts: m}", '"m" is no role of `models` with `vllm:`'),
        ("ppo: {base: m, method: rules, rollouts: w}", 'there is no model "w"; known: a, j, m, made, v'),
    ],
)
def test_settings_that_do_not_go_together_are_a_sentence(tmp_path: Path, block: str, words: str) -> None:
    from cai.recipe.read import load_recipe
    from constitution.source import InputError

    text = (
        "name: r\nconstitution: principles/harmless.yaml\nmodels:\n  m: {local: bundled/smollm2-135m}\n"
        '  j: {endpoints: ["http://localhost:1/v1"], model: big}\n  v: {vllm: bundled/smollm2-135m}\n'
        "  a: {vllm: {model: bundled/smollm2-135m, lora: some/adapter}}\n"
        '  rm: {endpoints: ["http://localhost:1/v1"], model: rm, scores: true}\nstages:\n'
        "  - prompts: {redteam: principles/prompts/redteam.jsonl}\n  - sample: {model: m}\n"
        f"  - label: {{model: j}}\n  - prefs: {{}}\n  - dpo: {{base: v, as: made}}\n  - {block}\n"
    )
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        load_recipe(tmp_path / "r.yaml")
    assert words in str(error.value)
    assert len(error.value.problems) == 1


def test_a_policy_may_learn_from_a_reward_model_while_servers_sample(tmp_path: Path) -> None:
    from cai.recipe.read import load_recipe

    (tmp_path / "r.yaml").write_text(
        "name: r\nconstitution: principles/harmless.yaml\nmodels:\n  v: {vllm: bundled/smollm2-135m}\n"
        '  rm: {endpoints: ["http://localhost:1/v1"], model: rm, scores: true}\nstages:\n'
        "  - prompts: {redteam: principles/prompts/redteam.jsonl}\n  - ppo: {base: v, reward: rm, rollouts: v}\n"
    )
    assert load_recipe(tmp_path / "r.yaml").block("ppo").want.rollouts == "v"


def test_combinations_of_each_other_are_a_sentence(tmp_path: Path) -> None:
    from cai.recipe.read import load_recipe
    from constitution.source import InputError

    (tmp_path / "r.yaml").write_text(
        "name: r\nconstitution: principles/harmless.yaml\nmodels:\n  m: {local: bundled/smollm2-135m}\n"
        "  one: {rewards: {two: 1}}\n  two: {rewards: {one: 1}}\nstages:\n"
        "  - prompts: {redteam: principles/prompts/redteam.jsonl}\n  - ppo: {base: m, reward: one}\n"
    )
    with pytest.raises(InputError, match='there is no reward model "two"'):
        load_recipe(tmp_path / "r.yaml")
