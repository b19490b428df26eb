"""Why a program of others could not do a task, as a sentence that says what to do: its own words are a traceback, or many lines."""

import re
from pathlib import Path

from cai.data import harnesses
from cai.run.harnesses import Attempt

LOG_BYTES = 200_000
"""Of a program's output, from its end on, that are looked at."""
OFFLINE = (
    r"Couldn't reach|LocalEntryNotFoundError|OfflineModeIsEnabled|Cannot reach|Name or service not known"
    r"|Temporary failure in name resolution|Cannot connect to host|ConnectError|Failed to establish a new connection"
    r"|Network is unreachable|Connection error\.|Errno -[235]\b"
)
KEYLESS = r"PrerequisiteError.*?([A-Z_]+_API_KEY)|ERROR: Unable to initialise (\w+) client|No ([A-Z_]+_API_KEY) defined"
MISSING = r"ModuleNotFoundError: No module named '([\w.]+)'|pip install (\S+)"
UNLIKELY = r"Loglikelihood is not (?:supported|available) for chat completions"


def failure(attempt: Attempt, log: Path, cause: str = "") -> str:
    """Why a model could not do a task, and what to do about it.

    Args:
        cause: where it is known, and the program said nothing.
    """
    text = log.read_text(errors="replace")[-LOG_BYTES:] if log.exists() else ""
    why = _why(attempt, text) or cause or _last_words(text)
    return f"{attempt.role} could not do {attempt.task.title}: {why}; the whole log is {log}"


def _last_words(text: str) -> str:
    """The last error of a program's output, else its last paragraph, in one line."""
    errors = re.findall(r"^\W*(\w*(?:Error|Exception): \S.*)", text, re.MULTILINE)
    paragraphs = [each for each in re.split(r"\n\s*\n", text) if each.strip()]
    last = errors[-1:] or paragraphs[-1:] or ["it ended without a word"]
    return " ".join(last[0].split())[:300].rstrip(".")


def _why(attempt: Attempt, text: str) -> str:
    """The reason that a program's output tells, in words; empty where it tells none that is known."""
    if re.search(UNLIKELY, text):
        return (
            "it compares likelihoods of given answers, and models are asked for texts here; take a task that has the model "
            "write, or run lm-eval on the weights by itself"
        )
    if missing := re.search(MISSING, text):
        return f"it needs the package {missing[1] or missing[2]}; install that"
    if re.search(KEYLESS, text):
        return "it asks another model to grade; name a role under `judge`, or set that model's key"
    if re.search(OFFLINE, text):
        return f"{_absent(attempt, text)}, and there is no way to it from here; name files under `data`"
    return ""


def _absent(attempt: Attempt, text: str) -> str:
    """Which data a task looked for: the address that it said last, else what inspect_evals says of it."""
    names = re.findall(
        r"Downloading remote url (\S+)|Couldn't reach '([^']+)' on the Hub|Loading dataset (\S+) from", text
    )
    said = [name for each in names for name in each if name][-1:] or harnesses.sources(attempt.task.task)
    return f"its data ({', '.join(said)}) is not on this machine" if said else "its data is not on this machine"
