"""By what a prompt is known: an id of what it says, and a key that prompts which say the same have in common."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence

from cai.store.rows import Message
from constitution.tools import everything

_UNSEEN = re.compile("[\u00ad\u180e\u200b\u200e\u200f\u2060-\u2064\ufeff]")


def is_text(text: str) -> bool:
    """Whether it can be written and sent: JSON and a command line can hold lone surrogates, which are no text."""
    return text == text.encode(errors="ignore").decode()


def content_key(messages: Sequence[Message]) -> int:
    """What two prompts that say the same have in common, whatever their ids, case, spaces and Unicode forms.

    A hash of 64 bits: among a million prompts two that differ share one with a probability of 3 in a hundred million.
    """
    text = "\n".join(f"{each['role']} {_bare(everything(each))}" for each in messages)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _bare(text: str) -> str:
    """A text in one line, case and Unicode forms folded, without what nobody sees and no word needs."""
    plain_form = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_UNSEEN.sub("", plain_form).split())


def content_id(messages: Sequence[Message]) -> str:
    """The id of a prompt that came without one: a hash of what it says."""
    text = json.dumps(list(messages), ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
