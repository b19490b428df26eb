"""How far a policy has gone from another: the KL divergence of its answers to held-out prompts, in nats an answer.

    python -m cai.train.divergence job.json

At each place of an answer the two models' whole distributions over the next token are compared, and an answer's divergence
is the sum over its places: of the same mean as the log-ratio of the sampled tokens, but never below zero, and it varies less
(Amini et al. 2025, "Better Estimation of the Kullback-Leibler Divergence Between Language Models"). It is that of the models
as they are, at temperature 1, whatever the temperature of the answers.
"""

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from cai.store.files import write_json
from cai.store.ledger import versions
from cai.store.rows import Answers
from cai.store.stage import Stage
from cai.train.rl import kl
from cai.train.rl.rollout import ChatTokens
from cai.train.shared.devices import placed


def main() -> None:
    """Measure what the job on the command line names: policy, initial policy, and the folder of the policy's answers."""
    if os.environ.get("RANK", "0") != "0":  # launched like a training on several GPUs, one of them does it
        return
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    start_time = time.monotonic()
    policy = load(job["policy"])
    initial = load(job["initial"], policy.dtype)
    tokenizer = AutoTokenizer.from_pretrained(job["policy"], trust_remote_code=False)
    talk = ChatTokens(tokenizer, policy.generation_config, job.get("template", {}))
    rows = list(Stage(Path(job["answers"])).all_rows(Answers))
    values = [divergence(policy, initial, *tokens(talk, row)) for row in rows]
    figures = {"answers": len(values), **summary(values), "seconds": round(time.monotonic() - start_time, 1)}
    write_json(Path(job["out"]) / "manifest.json", {**figures, "versions": versions()})


def load(weights: str, dtype: torch.dtype | str = "auto") -> PreTrainedModel:
    """A causal language model to read with.

    Args:
        dtype: as it was saved unless told; two models are to round alike, or the rounding would count as divergence.
    """
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(weights, dtype=dtype, trust_remote_code=False)
    return placed(model, "cuda" if torch.cuda.is_available() else "cpu").eval()


def tokens(talk: ChatTokens, row: Answers) -> tuple[list[int], list[int]]:
    """The tokens of a conversation, and those of its answer with the one that ended it."""
    answer = talk.tokenizer(row.draft.text, add_special_tokens=False)["input_ids"]
    return talk.ask(row.messages), answer + ([talk.tokenizer.eos_token_id] if row.draft.finish == "stop" else [])


@torch.inference_mode()
def divergence(policy: PreTrainedModel, other: PreTrainedModel, prompt: Sequence[int], answer: Sequence[int]) -> float:
    """Σ over the places of an answer of KL(policy ‖ other), in nats; 0 for an answer without a token."""
    if not answer:
        return 0.0
    ids = torch.tensor([[*prompt, *answer]], device=policy.device)
    mine, theirs = (
        model(ids, logits_to_keep=len(answer) + 1).logits[0, :-1].float().log_softmax(-1) for model in (policy, other)
    )
    return kl.over_all_tokens(mine, theirs).sum().item()


def summary(values: Sequence[float]) -> dict[str, float | None]:
    """The mean over answers, and its standard error; none where a broken policy makes one of no number."""
    has_error = len(values) > 1 and all(map(math.isfinite, values))
    error = statistics.stdev(values) / math.sqrt(len(values)) if has_error else None
    return {"kl": statistics.fmean(values) if values else None, "kl_error": error}


if __name__ == "__main__":
    main()
