"""What processes share: rows are dealt out, sums and gradients are added up.

Every process holds all weights and its share of a batch's rows. Gradients are added once a mini-batch, after its
micro-batches, so processes may have unequal numbers of rows and the sum is the one that a single process would have.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

T = TypeVar("T")


class Processes:
    """The processes of a training; often one."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.device: torch.device = accelerator.device
        self.count, self.number = accelerator.num_processes, accelerator.process_index
        self.first = accelerator.is_main_process

    def mine(self, rows: Sequence[T]) -> Sequence[T]:
        """This process's share: a run of neighbours."""
        return rows[self.bounds(len(rows))]

    def bounds(self, count: int) -> slice:
        """Where this process's share of so many rows begins and ends."""
        return slice(count * self.number // self.count, count * (self.number + 1) // self.count)

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.count == 1:
            return value
        total = self.accelerator.reduce(value.clone(), reduction="sum")
        assert isinstance(total, Tensor)
        return total

    def sums(self, values: Mapping[str, Tensor | float]) -> dict[str, float]:
        """Sums over all processes, by name."""
        if not values:
            return {}
        stacked = torch.stack([torch.as_tensor(each, dtype=torch.float64).to(self.device) for each in values.values()])
        return dict(zip(values, self.sum(stacked).tolist(), strict=True))

    def all(self, rows: Sequence[T]) -> list[T]:
        """The rows of all processes, in order."""
        return list(rows) if self.count == 1 else gather_object(list(rows))

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Let every process have the sum of all processes' gradients."""
        if self.count == 1:
            return
        parameters = list(parameters)
        flat = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        total = self.sum(torch.cat([each.reshape(-1).float() for each in flat]))
        for each, part in zip(parameters, total.split([each.numel() for each in parameters]), strict=True):
            each.grad = part.view_as(each).to(each.dtype)
