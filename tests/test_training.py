"""A training as its run sees it: lines of metrics, each once, whatever happened before."""

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cai.training import Where, train

TRAINER = """
import json, pathlib, sys, time
out = pathlib.Path(sys.argv[3] if len(sys.argv) > 3 else sys.argv[1]).parent
with (out / "metrics.jsonl").open("a") as file:
    for step in (3, 4):
        time.sleep(0.7)
        file.write(json.dumps({"step": step, "steps": 4, "seconds": 0.123456789 * step}) + "\\n")
        file.flush()
(out / "manifest.json").write_text("{}")
"""


def write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def test_a_training_that_goes_on_is_read_from_its_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "checkpoint-2").mkdir(parents=True)
    (tmp_path / "checkpoints" / "checkpoint-2" / "complete").touch()
    lines = [json.dumps({"step": step, "steps": 4, "note": "long " * 20}) for step in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines) + '{"step": 4, "st')
    (tmp_path / "job.json").write_text("{}")
    (tmp_path / "trainer.py").write_text(TRAINER)
    seen: list[dict[str, Any]] = []
    command = [sys.executable, str(tmp_path / "trainer.py"), str(tmp_path / "job.json")]
    here: Any = SimpleNamespace(command=lambda: command[:2], environment=dict)
    asyncio.run(train("x", tmp_path / "job.json", tmp_path / "x.log", Where(here), seen.append))
    assert [line["step"] for line in seen] == [3, 4]
    kept = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert kept == [1, 2, 3, 4]


def test_answers_with_line_separators_of_other_kinds_are_rewound(tmp_path: Path) -> None:
    from cai.train.checkpoints import rewind

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
        ("dpo: {base: m, lr_scheduler_type: cosin}", 'reduce_lr_on_plateau, found "cosin"'),
        (
            "ppo: {base: m, method: rules, lr_scheduler_type: reduce_lr_on_plateau}",
            "needs settings for which ppo has no keys",
        ),
        ("ppo: {base: m, method: rules, rollouts: m}", '"m" is no role of `models` with `vllm:`'),
        ("ppo: {base: m, method: rules, rollouts: w}", 'there is no model "w"; known: a, j, m, made, v'),
    ],
)
def test_settings_that_do_not_go_together_are_a_sentence(tmp_path: Path, block: str, words: str) -> None:
    from cai.recipe import load_recipe
    from constitution.source import InputError

    text = (
        "name: r\nconstitution: principles/harmless.yaml\nmodels:\n  m: {local: bundled/smollm2-135m}\n"
        '  j: {endpoints: ["http://localhost:1/v1"], model: big}\n  v: {vllm: bundled/smollm2-135m}\n'
        "  a: {vllm: {model: bundled/smollm2-135m, lora: some/adapter}}\nstages:\n"
        "  - prompts: {redteam: principles/prompts/redteam.jsonl}\n  - sample: {model: m}\n"
        f"  - label: {{model: j}}\n  - prefs: {{}}\n  - dpo: {{base: v, as: made}}\n  - {block}\n"
    )
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        load_recipe(tmp_path / "r.yaml")
    assert words in str(error.value)
    assert len(error.value.found) == 1
