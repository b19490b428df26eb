"""``inspect eval`` and ``inspect log dump``, as far as a run calls them. A task of the name of a failure fails so."""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

FAILURES = {
    "offline": "ConnectionError: Couldn't reach 'owner/cards' on the Hub (LocalEntryNotFoundError)",
    "keyless": "PrerequisiteError: ERROR: Unable to initialise OpenAI client\n\nNo OPENAI_API_KEY defined in the environment.",
    "packageless": "ModuleNotFoundError: No module named 'emoji'",
    "broken": "ValueError: the cards are marked",
}


def values(name: str) -> list[str]:
    line = sys.argv
    return [line[place + 1] for place, each in enumerate(line) if each == name]


def ask(model: str, text: str, **more: object) -> str:
    body = json.dumps(
        {"model": model.removeprefix("openai-api/cai/"), "messages": [{"role": "user", "content": text}], **more}
    )
    headers = {"Authorization": f"Bearer {os.environ['CAI_API_KEY']}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{os.environ['CAI_BASE_URL']}/chat/completions", body.encode(), headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["choices"][0]["message"]["content"]
    except urllib.error.HTTPError:
        return ""  # as where a sample fails and the others go on


def evaluate(task: str, folder: Path) -> None:
    name, [model] = task.rpartition("/")[2], values("--model")
    if name in FAILURES and not os.environ.get("NEW_CARDS"):
        sys.exit(FAILURES[name])
    if name == "endless":
        (folder / "begun").touch()
        time.sleep(600)
    questions = Path("owner/cards/test.jsonl")
    texts = (
        [json.loads(line)["q"] for line in questions.read_text().splitlines()] if questions.exists() else ["Q1", "Q2"]
    )
    texts = texts[: int(values("--limit")[0])] if values("--limit") else texts
    answers = [ask(model, text, **({"tools": [{}]} if name == "tooled" else {})) for text in texts]
    for grader in (each.partition("=")[2] for each in values("-T") if each.startswith("judge_llm=")):
        answers += [ask(json.loads(grader), f"GRADE {answer}") for answer in answers]
    right = sum("right" in answer for answer in answers)
    metrics = {
        "accuracy": {"name": "accuracy", "value": right / len(answers)},
        "stderr": {"name": "stderr", "value": 0.25},
    }
    results = {"total_samples": len(texts), "completed_samples": len(texts)}
    results["scores"] = [{"name": "match", "scorer": "match", "metrics": metrics}] if name != "scoreless" else []
    about = {"task": task, "task_version": "2-A", "config": {}, "dataset": {"sample_ids": [*range(len(texts))]}}
    log = {"version": 2, "status": "success", "eval": about, "results": results}
    (folder / "2026-01-01T00-00-00_cards_x.json").write_text(json.dumps({**log, "line": sys.argv, "at": os.getcwd()}))


if sys.argv[1] == "eval":
    evaluate(sys.argv[2], Path(values("--log-dir")[0]))
else:
    print(Path(sys.argv[-1]).read_text())
