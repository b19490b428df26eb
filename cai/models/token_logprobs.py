"""Log-probabilities of tokens, of those that were sampled and of those that were given, as vLLM's servers tell them.

A prompt's own are vLLM's ``prompt_logprobs``; of two answers to one prompt they say which a model finds the likelier.
"""

from collections.abc import Mapping

from cai.errors import UserError
from cai.models import replies


class NoLikelihoods(UserError):
    """A model gives no log-probabilities of an answer that it is given, or none that mean something.

    Args:
        name: of the model.
        why: what it does instead.
    """

    def __init__(self, name: str, why: str = "") -> None:
        usual = "gives no log-probabilities of an answer that it is given; vLLM's servers and models in this process (`local:`) do"
        super().__init__(f"{name} {why or usual}")


def sampled_tokens(answer: object) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The sampled tokens and their log-probabilities.

    Raises:
        Unreadable: they are not there.
    """
    choice = replies.choices(answer)[0]
    tokens, logprobs = choice.get("token_ids"), choice.get("logprobs")
    values = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
    if not isinstance(tokens, list) or not isinstance(values, list):
        raise replies.Unreadable("an answer without the sampled tokens")
    if len(tokens) != len(values) or not all(type(each) is int for each in tokens):
        raise replies.Unreadable("sampled tokens without a log-probability each")
    return tuple(tokens), tuple(map(replies.number, values))


def given_tokens(answer: object) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The tokens that were given, and the log-probability of each but the first, before which nothing stands.

    Raises:
        NoLikelihoods: the server left them out, as what stands before one may do.
        Unreadable: they are of another form.
    """
    whole: Mapping[str, object] = answer if isinstance(answer, dict) else {}
    whole = whole if whole.get("prompt_logprobs") else replies.choices(answer)[0]  # where completions have them
    ids, places = whole.get("prompt_token_ids"), whole.get("prompt_logprobs")
    if places is None:
        raise NoLikelihoods(replies.name(answer))
    if not isinstance(ids, list) or not isinstance(places, list) or len(ids) != len(places):
        raise replies.Unreadable("an answer without the log-probabilities of what was given")
    if not all(type(each) is int for each in ids):
        raise replies.Unreadable("given tokens that are no ids")
    logprobs = [_logprob_of(token, place) for token, place in zip(ids[1:], places[1:], strict=True)]
    return tuple(ids), tuple(logprobs)


def _logprob_of(token: object, place: object) -> float:
    entry = place.get(str(token)) if isinstance(place, dict) else None
    return replies.number(entry.get("logprob") if isinstance(entry, dict) else None)
