"""Lint: what is wrong with a constitution's file, before it costs GPU hours.

Errors keep a file from loading; warnings and notes come from ``constitution.rules``, and the file may silence each with
a reason (``silence: [{rule, principle, reason}]``).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from constitution import rules
from constitution.load import ConstitutionFile, resolve
from constitution.rules import Context
from constitution.source import InputError, Problem, Source, nearest

ERRORS = {
    "yaml": "The file is missing, is no YAML, or uses tags, aliases or a key twice.",
    "schema": "A key is unknown, missing or of the wrong kind.",
    "references": "An include, a principle's id, an exemplar or an override names what is not there.",
    "templates": "A template has a placeholder that is unknown, unnamed or missing.",
    "recipe": "A recipe does not load.",
}
IDLE = "idle-silence"
IDLE_ABOUT = "A silence names no rule or no principle, or there is nothing left for it to silence."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at.

    Attributes:
        level: "error" (the file does not load), "warning", or "note" (good to know).
    """

    level: str
    rule: str
    problem: Problem

    def __str__(self) -> str:
        return f"{self.level}: {self.problem} [{self.rule}]"

    def plain(self) -> dict[str, object]:
        """As JSON has it."""
        problem = self.problem
        place = {"file": str(problem.path), "line": problem.line, "path": problem.field}
        return {"level": self.level, "rule": self.rule, **place, "text": problem.text}


def catalogue() -> dict[str, tuple[str, str]]:
    """Every rule's name with its level and what it means."""
    entries = {name: ("error", about) for name, about in ERRORS.items()}
    for level, group in (("warning", rules.WARNINGS), ("note", rules.NOTES)):
        entries |= {rules.name(rule): (level, " ".join((rule.__doc__ or "").split())) for rule in group}
    return {**entries, IDLE: ("warning", IDLE_ABOUT)}


def check(source: Source, context: Context | None = None) -> list[Finding]:
    """Everything to be found in a constitution's file; errors alone where it does not load."""
    try:
        file = resolve(source)
    except InputError as error:
        return [Finding("error", problem.rule, problem) for problem in error.problems]
    return check_file(file, context or Context())


def check_file(file: ConstitutionFile, context: Context) -> list[Finding]:
    """Warnings and notes on a file that loads, in the order of the file."""
    silences = file.source.data.get("silence", [])
    hits: set[int] = set()
    findings = []
    for level, group in (("note", rules.NOTES), ("warning", rules.WARNINGS)):
        for rule in group:
            for keys, principle, text in rule(file, context):
                silent = _silence_numbers(silences, rules.name(rule), principle)
                hits |= silent
                if not silent:
                    findings.append(Finding(level, rules.name(rule), file.source.problem(keys, text)))
    findings += _idle(file, hits, context)
    return sorted(findings, key=lambda finding: finding.problem.line)


def _silence_numbers(silences: list[dict[str, str]], rule: str, principle: str) -> set[int]:
    """The numbers of the silences that a finding falls under."""
    return {
        number
        for number, silence in enumerate(silences)
        if silence["rule"] == rule and silence.get("principle", principle) == principle
    }


def _idle(file: ConstitutionFile, hits: set[int], context: Context) -> Iterator[Finding]:
    names = [name for name, (level, _) in catalogue().items() if level != "error" and name != IDLE]
    ids = list(file.constitution.by_id)
    # Two rules need more than the file; without it they say nothing, and their silences are not idle.
    exempt = {"over-long"} if context.count is None else set()
    exempt |= {"applies-to-nothing"} if context.prompts is None else set()
    for number, silence in enumerate(file.source.data.get("silence", [])):
        rule, principle = silence["rule"], silence.get("principle")
        if rule not in names:
            text = f'there is no rule "{rule}" that can be silenced; {nearest(rule, names)}'
        elif principle is not None and principle not in ids:
            text = f'there is no principle "{principle}"; {nearest(principle, ids)}'
        elif number in hits or rule in exempt:
            continue
        else:
            text = f'"{rule}" finds nothing here any more; take this silence out'
        yield Finding("warning", IDLE, file.source.problem(("silence", number), text))
