"""How likely a model finds a text, passage by passage: a process of its own, so that torch never loads into a run.

    python -m cai.models.likelihood JOB OUT

JOB is a JSON file with ``spec`` (a role's block) and ``passages``. Each is read alone, after the token that begins a text, and in
windows of ``WINDOW`` tokens where it is longer.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from cai.models.spec import ModelSpec
from cai.models.weights import load

WINDOW = 1024
"""Tokens at the most that are read at once; each window begins anew."""


@torch.inference_mode()
def nats(model: Any, tokenizer: Any, passage: str) -> tuple[float, int]:
    """The sum of a passage's negative log-likelihoods, and its tokens."""
    ids = tokenizer.encode(passage, add_special_tokens=False)
    begin = next(each for each in (tokenizer.bos_token_id, tokenizer.eos_token_id, ids[0]) if each is not None)
    total = 0.0
    for start in range(0, len(ids), WINDOW):
        window = torch.tensor([[begin, *ids[start : start + WINDOW]]], device=model.device)
        logits = model(input_ids=window).logits[0, :-1].float()
        total += torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="sum").item()
    return total, len(ids)


def main() -> None:
    """Read the text under the model and write what it found, whole or not at all."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    out = Path(sys.argv[2])
    model, tokenizer = load(ModelSpec(**job["spec"]), AutoModelForCausalLM, "left")
    if job["spec"].get("lora"):
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, job["spec"]["lora"]).eval()
    rows = []
    for number, passage in enumerate(job["passages"], 1):
        total, tokens = nats(model, tokenizer, passage)
        if not math.isfinite(total):
            raise ValueError(
                f"the model gives passage {number} no likelihood, so its weights or its numbers are broken"
            )
        rows.append({"nats": total, "tokens": tokens, "bytes": len(passage.encode())})
    partial = out.with_suffix(".open")
    partial.write_text(json.dumps(rows), encoding="utf-8")
    partial.rename(out)


if __name__ == "__main__":
    main()
