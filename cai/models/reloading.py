"""What runs inside the workers of a vLLM server of ours when it takes other weights, see ``--worker-extension-cls``.

vLLM 0.31 reloads the tensors that a folder holds. On a CPU a layer computes with a copy of its weights that was packed for
it; the output layer of a model whose embeddings are tied has no tensor of its own, so that its copy stays the former model's,
with no more than a line in the log.
"""

from typing import Any


class Reloading:
    """Methods that every worker has besides its own."""

    def take_weights(self: Any, folder: str) -> None:
        """Compute with the weights of a folder, of a model of the same shape."""
        self.reload_weights(weights_path=folder)
        for layer in self.get_model().modules():
            if hasattr(layer, "cpu_linear") and layer.weight.numel():  # packed, and the weights kept beside
                layer.quant_method.process_weights_after_loading(layer)
