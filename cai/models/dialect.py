"""What servers speak: request bodies and answers. All that is vLLM's own is in ``Vllm``.

vLLM goes on from a forced beginning of the answer and gives the raw distribution of the next token. The OpenAI protocol
has no such thing: there the beginning becomes an instruction to answer with one of the choices.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cai.errors import UserError
from cai.models.types import Message, Reply, Request

TOP = 20


class OpenAI:
    """The plain protocol."""

    def health(self, url: str) -> str:
        """Where a server says whether it is well: the protocol has only its list of models."""
        return f"{url}/models"

    def beside(self, url: str, page: str) -> str:
        """A page that is not of the protocol, beside its base URL."""
        return f"{url.removesuffix('/v1')}/{page}"

    def at(self, url: str, path: str) -> str:
        """Where a request goes."""
        return f"{url}/{path}"

    def body(self, model: str, request: Request) -> tuple[str, dict[str, Any]]:
        """The path under the base URL, and the JSON body."""
        common: dict[str, Any] = {
            "model": model,
            "n": request.n,
            "max_tokens": 1 if request.choices else request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
        }
        if request.stop:
            common["stop"] = list(request.stop)
        if request.seed is not None:
            common["seed"] = request.seed
        if request.prompt:
            if request.choices:
                common["logprobs"] = TOP
            return "completions", {**common, "prompt": request.prompt + request.begin}
        if request.choices:
            common |= {"logprobs": True, "top_logprobs": TOP}
        return "chat/completions", {**common, **self.conversation(request)}

    def conversation(self, request: Request) -> dict[str, Any]:
        """The messages, with the forced beginning as far as the protocol allows one."""
        messages = list(request.messages)
        if request.begin:
            reasoned = request.begin.rsplit("\n\n", 1)[0] if "\n\n" in request.begin else ""
            last = {
                "role": "user",
                "content": f"Reply with one of these and nothing else: {', '.join(request.choices)}.",
            }
            messages += [{"role": "assistant", "content": reasoned}, last] if reasoned else []
            if not reasoned:
                messages[-1] = {**messages[-1], "content": f"{messages[-1]['content']}\n\n{last['content']}"}
        return {"messages": messages}

    def reply(self, answer: dict[str, Any], request: Request) -> Reply:
        """The server's JSON → ``Reply``.

        Raises:
            KeyError, IndexError, TypeError: it is not of the protocol's form.
        """
        samples = sorted(answer["choices"], key=lambda each: each.get("index", 0))
        samples[0]  # an answer without a sample is none
        usage = answer.get("usage") or {}
        return Reply(
            texts=tuple(each["message"]["content"] or "" if "message" in each else each["text"] for each in samples),
            finishes=tuple(each.get("finish_reason") or "stop" for each in samples),
            choice_logprobs=_choices(samples[0]["logprobs"], request.choices) if request.choices else {},
            tokens_in=usage.get("prompt_tokens") or 0,
            tokens_cached=(usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
            tokens_out=usage.get("completion_tokens") or 0,
            model=answer.get("model") or "",
        )


class Vllm(OpenAI):
    """vLLM's server (0.22 and later)."""

    def health(self, url: str) -> str:
        """Fails where the engine is dead, while the list of models is still given."""
        return self.beside(url, "health")

    def body(self, model: str, request: Request) -> tuple[str, dict[str, Any]]:
        """Tokens in and tokens out, where tokens are asked; all else as in the plain protocol."""
        path, body = super().body(model, request)
        if not request.tokens:
            return path, body
        del body["messages"]
        return "completions", {**body, "prompt": list(request.tokens), "return_token_ids": True, "logprobs": 0}

    def reply(self, answer: dict[str, Any], request: Request) -> Reply:
        """The server's JSON → ``Reply``; log-probabilities are as the server's ``--logprobs-mode`` has them.

        Raises:
            KeyError, IndexError, TypeError: it is not of vLLM's form.
        """
        reply = super().reply(answer, request)
        if not request.tokens:
            return reply
        sample = answer["choices"][0]
        return replace(reply, tokens=tuple(sample["token_ids"]), logprobs=tuple(sample["logprobs"]["token_logprobs"]))

    def conversation(self, request: Request) -> dict[str, Any]:
        """The answer goes on from ``begin``, word for word."""
        if not request.begin:
            return {"messages": list(request.messages)}
        return {
            "messages": [*request.messages, {"role": "assistant", "content": request.begin}],
            "continue_final_message": True,
            "add_generation_prompt": False,
        }


class Scores(Vllm):
    """A reward model on vLLM's server, by ``/classify`` (vLLM 0.31): the classifier's raw logit, without its sigmoid.

    Args:
        tokens: a conversation → its token ids. Without it the server puts the messages into the model's chat template itself,
            which gives other scores where the template ends in the padding token, see ``cai.models.weights.conversation``.
    """

    def __init__(self, tokens: Callable[[Sequence[Message]], list[int]] | None = None) -> None:
        self.tokens = tokens

    def at(self, url: str, path: str) -> str:
        """Beside the base URL: it is no part of the OpenAI protocol."""
        return self.beside(url, path)

    def body(self, model: str, request: Request) -> tuple[str, dict[str, Any]]:
        """The page and the JSON body; the last layer's activation, on unless told, would squeeze scores into (0, 1)."""
        if not request.score:
            raise writes_nothing(model)
        asked = {"model": model, "use_activation": False}
        if self.tokens:
            return "classify", {**asked, "input": self.tokens(request.messages), "add_special_tokens": False}
        return "classify", {**asked, "messages": list(request.messages), "add_generation_prompt": False}

    def reply(self, answer: dict[str, Any], request: Request) -> Reply:
        """The server's JSON → ``Reply``.

        Raises:
            KeyError, IndexError, TypeError: it is not of vLLM's form.
            UserError: the model has more than one output.
        """
        logits = answer["data"][0]["probs"]
        if len(logits) != 1:
            raise UserError(f"{answer.get('model')} has {len(logits)} outputs; a reward model has one")
        tokens = (answer.get("usage") or {}).get("prompt_tokens") or 0
        return Reply(tokens_in=tokens, model=answer.get("model") or "", score=float(logits[0]))


def writes_nothing(name: str) -> UserError:
    """What is said to who asks a reward model for a text."""
    return UserError(f"{name} is a reward model: it scores answers and writes none; use method: reward")


def _choices(logprobs: dict[str, Any], choices: tuple[str, ...]) -> dict[str, float]:
    """Sums the tokens that read as a choice ("A", " A") in the first position's distribution."""
    if "content" in logprobs:
        top = [(each["token"], each["logprob"]) for each in logprobs["content"][0]["top_logprobs"]]
    else:
        top = list(logprobs["top_logprobs"][0].items())
    mass: dict[str, float] = {}
    for token, logprob in top:
        if token.strip() in choices:
            mass[token.strip()] = mass.get(token.strip(), 0.0) + math.exp(logprob)
    return {choice: math.log(share) for choice, share in mass.items() if share > 0}
