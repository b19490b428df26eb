"""Direct preference optimisation on the AI preferences, a thin layer on TRL's ``DPOTrainer``.

    python -m cai.train.dpo job.json

The reference is the base model as saved on disk, which with LoRA is the model with the adapter switched off, unless the job
names another. With soft labels the sigmoid loss becomes −p·log σ(βΔ) − (1−p)·log σ(−βΔ), where Δ is how much more the policy
prefers the chosen answer than the reference does (Rafailov et al. 2023, section 4; Mitchell 2023, where p is the same for all
pairs): see ``cai.train.shared.soft``.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from trl import DPOConfig, DPOTrainer  # pyright: ignore[reportPrivateImportUsage]

from cai.stages.dpo import Dpo
from cai.train.shared import conversations, fit, loading, saving
from cai.train.shared import job as jobs
from cai.train.shared.soft import PROB, Count, Inputs, Loss, keep_column, log_brier, soft_term

COLUMNS = ["prompt", "chosen", "rejected"]


class SoftDPOTrainer(DPOTrainer):
    """``DPOTrainer`` whose rows hold ``chosen_prob``; logs the Brier score of σ(βΔ) against it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keep_column(self, PROB)
        self.sigmoid_weight = sum(
            weight for name, weight in zip(self.loss_types, self.loss_weights, strict=True) if name == "sigmoid"
        )

    def compute_loss(
        self, model: nn.Module, inputs: Inputs, return_outputs: bool = False, num_items_in_batch: Count = None
    ) -> Loss:
        """The parent's loss plus (1 − p)·βΔ, averaged over the batch, with the sigmoid loss's weight."""
        prob = inputs.pop(PROB)  # what stays in the inputs goes to the model
        with log_probs(self.model, self.ref_model) as passes:
            result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        loss = result[0] if return_outputs else result
        delta = self.beta * self._delta(inputs, passes)
        loss = loss + self.sigmoid_weight * soft_term(delta, prob)
        log_brier(self, delta, prob)
        return (loss, result[1]) if return_outputs else loss

    def _delta(self, inputs: Inputs, passes: list[torch.Tensor]) -> torch.Tensor:
        """Δ of each pair, from what the models said in the parent's own forward passes."""
        mask = inputs["completion_mask"][:, 1:]
        chosen, rejected = of_answers(passes[0], mask, self.ld_alpha).chunk(2)
        if self.precompute_ref_logps:
            return chosen - rejected - (inputs["ref_chosen_logps"] - inputs["ref_rejected_logps"])
        ref_chosen, ref_rejected = of_answers(passes[1], mask, self.ld_alpha).chunk(2)
        return chosen - rejected - (ref_chosen - ref_rejected)


@contextmanager
def log_probs(*models: object) -> Iterator[list[torch.Tensor]]:
    """The tokens' log-probabilities of each forward pass meanwhile, in order: the policy's, then the reference's.

    TRL returns a loss without what it was made from; asking the models again would double the work.
    """
    passes: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: object, output: object) -> None:
        if (log_probs := getattr(output, "log_probs", None)) is not None:
            passes.append(log_probs)

    with ExitStack() as stack:
        for model in models:
            if isinstance(model, nn.Module):
                stack.callback(model.register_forward_hook(keep).remove)
        yield passes


def of_answers(logps: torch.Tensor, mask: torch.Tensor, ld_alpha: float | None) -> torch.Tensor:
    """The log-probability of each answer, shape (2·pairs,), chosen ones first.

    Args:
        logps: of each token, 0 outside the answers, shape (2·pairs, length).
        mask: where the answers are, of the same shape.
        ld_alpha: weight of the tokens by which an answer is longer than the other of its pair; None for 1.
    """
    logps = logps[:, -mask.shape[1] :]
    if ld_alpha is None:
        return logps.sum(1)
    shared = torch.minimum(*mask.sum(1).chunk(2)).repeat(2)
    longer = mask.cumsum(1) > shared[:, None]
    return (logps * torch.where(longer, ld_alpha, 1.0)).sum(1)


def main() -> None:
    """Train on the job named on the command line."""
    job = jobs.from_command_line(Dpo)
    args, soft = arguments(job), job.want.soft_labels
    template = conversations.template(job, loading.tokenizer(job))
    rows = loading.load(job, [*COLUMNS, PROB] if soft else COLUMNS)
    train, test, refusals = conversations.fitting(rows, conversations.learnable(template, args.max_length))
    trainer = (SoftDPOTrainer if soft else DPOTrainer)(
        model=job.base,
        ref_model=loading.reference(job, args),
        args=args,
        train_dataset=train,
        eval_dataset=test,
        processing_class=conversations.trainer_tokenizer(template),
        peft_config=loading.lora(job, "CAUSAL_LM"),
        callbacks=[fit.Progress(job.out)],
    )
    saving.save(trainer, job, fit.train(trainer, job), fit.row_counts(trainer, train, test, refusals))


def arguments(job: jobs.Job[Dpo]) -> DPOConfig:
    """The TRL config."""
    want = job.want
    return fit.arguments(
        job,
        DPOConfig,
        max_length=want.max_length,
        beta=want.beta,
        loss_type=list(want.loss_type),
        loss_weights=want.loss_weights and list(want.loss_weights),
        label_smoothing=want.label_smoothing,
        ld_alpha=want.ld_alpha,
        precompute_ref_log_probs=want.precompute_ref_log_probs,
    )


if __name__ == "__main__":
    main()
