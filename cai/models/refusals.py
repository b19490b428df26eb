"""Whose fault a refusal is.

Busy is busy by whatever status or words. Of all else a server's words are a hint alone, since some flag a prompt with a 403 and
say with a 400 that an account is empty: what a harmless request alike is refused with too is everyone's, and otherwise it is
the row's (``cai.models.endpoint`` asks it). The words then say which reason is counted, and what a person is told to do.
"""

import re
from collections.abc import Sequence

from cai.models.replica import Replica
from cai.models.replies import Failure
from cai.models.retries import Transient
from cai.models.transport import Page

BUSY = re.compile(
    r"overload|rate.?limit|too many (?:requests|concurrent)|(?:over|at|no|insufficient) capacity|throttl|slow down|"
    r"(?:try|retry) (?:again )?(?:later|in\b)|temporarily|server(?: is|'s)? busy|(?:is|still|currently) loading|loading model|"
    r"resource.?exhausted|queue is full|warming up",
    re.I,
)
MONEY = re.compile(
    r"insufficient.{0,16}(?:credit|quota|balance|fund)|credit.balance|(?:out of|no|more|add) credits?|billing|payment|"
    r"insufficient_quota|quota.{0,24}exceed|exceed.{0,24}quota|budget.{0,24}exceed|exceed.{0,4}budget|"
    r"(?:spend|spending|usage).limit",
    re.I,
)
PER_TIME = re.compile(r"per (?:second|minute|hour)|/min|\b[rt]pm\b|retry|try again", re.I)
KEY = re.compile(
    r"api.?key|authoriz|authenticat|credential|permission|forbidden|access|token|account|region|country", re.I
)
MODEL = re.compile(
    r"model.{0,80}(?:not|unknown|no such|unavailable)|(?:unknown|invalid|no such).{0,16}model|no endpoints found", re.I
)
TOO_LARGE = re.compile(r"request too large|tokens must be reduced|reduce your message size", re.I)
LONG = re.compile(
    r"context.?(?:length|window|size)|too (?:long|large|many tokens)|(?:maximum|max).{0,40}(?:tokens|length)|"
    r"tokens.{0,40}must be (?:<|less|at most)|tokens must be reduced|reduce your message size|longer than.{0,40}length|"
    r"(?:prompt|input|tokens).{0,60}exceed|exceed.{0,60}(?:context|tokens|length)|n_ctx",
    re.I,
)

OTHERWISE = "change what the role (temperature, extra_body) or the stage asks for, or ask another server"
TEMPERATURE = "give the role temperature: 1"


class Refused(Exception):
    """A server answered that it will not; whose fault it is is not known yet.

    Attributes:
        status: as HTTP has it, also of an error that came as an answer; 0 where it said none.
        replica: the server.
    """

    def __init__(self, status: int, words: str, replica: Replica | None = None) -> None:
        super().__init__(f"{status} {words}".strip())
        self.status, self.words, self.replica = status, words, replica

    @property
    def reason(self) -> str:
        """What a row's drop is counted under, where it is the row's."""
        return "context_too_long" if self.status == 413 or LONG.search(self.words) else "refused_by_server"

    @property
    def of_request(self) -> bool:
        """Whether it is about what was asked, as far as can be told, rather than about who asks, or of which model."""
        return self.advice() in (OTHERWISE, TEMPERATURE)

    def advice(self) -> str:
        """What to do where it is everyone's."""
        if self.status == 402 or MONEY.search(self.words):
            return "add to the account, then run the same command again"
        if self.status == 404 or MODEL.search(self.words):
            return "check `model` and the URL"
        if self.status >= 500:
            return "look at its log, then run the same command again"
        if self.status in (401, 403, 407) or (KEY.search(self.words) and not LONG.search(self.words)):
            return "check the key (api_key_env)"
        return TEMPERATURE if "temperature" in self.words.lower() else OTHERWISE


def refusal(page: Page | Failure, request: Sequence[str], replica: Replica | None = None) -> Refused | Transient:
    """What a page of an error means.

    Args:
        request: its texts, and the keys sent with it, which some servers repeat; they are no word of the server's.
        replica: the server that sent it.
    """
    words, after = (page.words, None) if isinstance(page, Failure) else (page.words(), page.after)
    words = _without(words, request)
    text = f"{page.status or 'an error'} {words}".strip()
    waits = page.status == 402 and after is not None  # what others in flight may cost is not free yet (OpenRouter)
    money = not waits and (page.status == 402 or (MONEY.search(words) and not PER_TIME.search(words)))
    if page.status == 413 or TOO_LARGE.search(words):  # said with a 429, too: so large a request never has its minute
        return Refused(page.status, words, replica)
    if not money and (
        waits or page.status in (425, 429, 498, 529) or BUSY.search(words) or (page.status == 503 and after is not None)
    ):
        return Transient(text, after, busy=True, status=page.status)
    if page.status in (0, 408, 409) or (page.status >= 500 and not money) or page.status < 300:
        return Transient(text, after, status=page.status or 500)
    return Refused(page.status, words, replica)


def _without(words: str, request: Sequence[str]) -> str:
    """The words without what was asked, as it stood or on one line."""
    for text in request:
        for form in (text, " ".join(text.split())):
            if len(form) > 8:
                words = words.replace(form, "…")
    return words
