# ruff: noqa: I001
from inspect_ai import Task, task
from inspect_evals.utils import load_csv_dataset

CARDS = "https://cards.example/v1/cards.csv"


@task
def cards(suit: str = "all", tricks: int = 3) -> Task:
    return Task(load_csv_dataset(file_path=CARDS, eval_name="cards", cache_tag="deck"))


@task(version=2)
def graded(subset: str = "safe", judge_llm: str | None = "openai/gpt-4o", critic_scorer: str | None = None) -> Task: ...


@task
def offline() -> Task: ...


@task
def keyless() -> Task: ...


@task
def packageless() -> Task: ...


@task
def broken() -> Task: ...


@task
def endless() -> Task: ...


@task
def scoreless() -> Task: ...


@task
def tooled() -> Task: ...
