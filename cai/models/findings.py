"""What answers to harmless requests show: that rows would be asked in vain or put otherwise, and what a person is to know."""

from dataclasses import replace

from cai.models import structure, verdicts
from cai.models.abilities import Abilities, bound_otherwise
from cai.models.dialect import Vllm
from cai.models.headstart import Asked
from cai.models.replica import Replica
from cai.models.replies import THINKING
from cai.models.switches import room
from cai.models.types import Reply, Request


class Findings:
    """What is known of one model's servers so far; each note is said once."""

    def __init__(self, model: Asked) -> None:
        self.model = model
        self.notes: set[str] = set()

    def look(self, asked: Request, reply: Reply, server: Replica, role: str) -> bool:
        """Look at an answer to a harmless request of a role.

        Returns:
            whether it has to be asked anew, as the server does not keep to what it took.

        Raises:
            NoLogprobs: it holds no verdict, though one was asked.
        """
        if asked.choices:
            goes_on = bool(asked.prompt) or isinstance(self.model.dialect, Vllm)
            verdicts.look(reply, role, server.title, goes_on)
            return False
        self.model.thinks |= (bool(reply.thinking) or THINKING in reply.finishes) and not asked.thinking
        for note in self.model.dialect.learn(asked, reply):
            self.note(note)
        if structure.ignored(asked, reply, self.model.dialect.now):
            self.put(*bound_otherwise(self.model.dialect.now))
            return True
        self._note_samples(asked, reply)
        return False

    def _note_samples(self, asked: Request, reply: Reply) -> None:
        """What is peculiar about the samples of an answer."""
        if not asked.score and len(reply.samples) < asked.n:
            self.put(replace(self.model.dialect.now, samples=False), "samples are asked one by one")
        if "unknown" in reply.finishes:
            self.note("it does not say how its answers end, so that none counts as whole")
        if self.model.spec.served:  # few tokens were asked
            return
        if THINKING in reply.finishes:
            self._note_spent(asked)
        elif reply.thinking and not any(reply.texts):
            self.note("it answers a greeting with a thought alone, as where a server takes all for one")

    def _note_spent(self, asked: Request) -> None:
        """That a thought took all tokens; not of a request that is asked anew, with a budget for its thought."""
        off = asked.thinking == "off"
        if asked.messages and not (asked.budget or off or asked.begin):
            return
        most = asked.max_tokens + (room(asked) if self.model.dialect.now.room else 0)
        more, less = "max_tokens", "extra_body"
        if asked.messages and not off:
            more, less = f"{more}, or thinking: {{budget: TOKENS}}", f"thinking: off, or {less}"
        spent = f"a thought took all {most:,} tokens of its answer to a greeting"
        self.note(f"{spent}; give it more ({more}), or lessen its thinking ({less})")

    def put(self, now: Abilities, note: str) -> None:
        """Put requests so from now on."""
        self.model.dialect.now = now
        self.note(note)

    def note(self, note: str) -> None:
        """Tell a person, once."""
        if note and note not in self.notes:
            self.notes.add(note)
            self.model.say(f"{self.model.name}: {note}")
