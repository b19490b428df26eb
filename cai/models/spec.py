"""A role's model, as a recipe gives it.

Six kinds of model answer requests: ``vllm`` (a server of our own), ``endpoints`` (servers that are there), ``local``
(transformers in this process), ``reward`` (a reward model, in this process or on a vLLM server of our own), ``rewards``
(several of those combined) and ``scripted`` (answers from a file or a function).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cai.models import content


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A role's block in a recipe; exactly one of ``KINDS`` says which kind it is.

    Attributes:
        vllm: Hub id, path or ``bundled/…`` of a model to serve with vLLM.
        endpoints: base URLs of servers that hold the same model, OpenAI-compatible or Anthropic's.
        local: Hub id, path or ``bundled/…`` to load with transformers in this process.
        scripted: a file of answers.
        reward: Hub id or path of a reward model; it answers with scores.
        backend: of a reward model: "transformers" in this process (unless given), or "vllm", a server of our own.
        scores: whether the endpoints hold a reward model, to be asked for scores (vLLM's ``/classify``).
        rewards: role of a reward model → weight, for several combined.
        combine: how: "weighted", "mean", "minimum" or "safety_first", see ``cai.models.combined``.
        safety: the role that safety_first asks first.
        threshold: the probability σ(score) of the safety model below which its score decides.
        spread: standard deviations of the members' scores to subtract.
        api: which the endpoints speak, "openai" or "anthropic"; where empty, that is seen by their URLs and lists of models.
        model: the name under which the endpoints know the model, and which stands in the rows.
        api_key_env: the environment variable that holds the endpoints' key.
        headers_env: header → the environment variable that holds what is sent in it.
        extra_body: sent with each request to its servers as it stands.
        temperature, top_k, min_p: of all texts that it writes, whatever the stage asks for.
        thinking: "auto", as the model does by itself, "off", "on", or {"budget": tokens that a thought may take}.
        reasoning_parser: by which a vLLM server of ours tells thoughts from answers; the model's own where empty, "none" for
            none.
        concurrency: requests in flight at once; None ("auto") follows a vLLM server's own figures.
        timeout: seconds that one request may take.
        patience: seconds to wait for servers that are gone or too busy before the run stops.
        max_len: tokens of prompt and answer together; the model's own limit unless given.
        dtype: of the weights; the server's own choice unless given.
        replicas: vLLM servers to start; None means one for each group of GPUs.
        tensor_parallel: GPUs of each replica.
        gpu_memory: share of each GPU's memory that vLLM may take.
        quantization: as vLLM's ``--quantization``.
        lora: the folder of an adapter on top of the model.
        port: of our vLLM server, the next ones for further replicas; free ones unless given.
        args: further arguments for vLLM, as on its command line.
        format: "chat" for models with a chat template, "transcript" for base models.
        batch: whether a stage's requests go through the batch API of its server.
        price: of a million tokens: ``in``, ``out`` and, where they are cheaper, ``cached``; decides no row.
    """

    role: str
    vllm: str = ""
    endpoints: tuple[str, ...] = ()
    local: str = ""
    scripted: str = ""
    model: str = ""
    api_key_env: str = ""
    concurrency: int | None = None
    timeout: float = 600.0
    patience: float = 300.0
    max_len: int | None = None
    dtype: str = ""
    replicas: int | None = None
    tensor_parallel: int = 1
    gpu_memory: float | None = None
    quantization: str = ""
    lora: str = ""
    port: int | None = None
    args: tuple[str, ...] = ()
    format: str = "chat"
    reward: str = ""
    backend: str = ""
    headers_env: Mapping[str, str] = field(default_factory=dict)
    extra_body: Mapping[str, object] = field(default_factory=dict)
    temperature: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    scores: bool = False
    rewards: Mapping[str, float] = field(default_factory=dict)
    combine: str = "weighted"
    safety: str = ""
    threshold: float = 0.15
    spread: float = 0.0
    members: "tuple[ModelSpec, ...]" = ()
    """How to reach the models of ``rewards``, in their order; filled in by the run."""
    thinking: str | Mapping[str, int] = "auto"
    reasoning_parser: str = ""
    trained: bool = False  # by this run, whose steps stand for what it holds
    picked: bool = False  # its kind is what happens to be installed, as nobody named one
    api: str = ""
    price: Mapping[str, float] = field(default_factory=dict)
    batch: bool = False

    @property
    def kind(self) -> str:
        """One of ``KINDS``."""
        return next(kind for kind in KINDS if getattr(self, kind))

    @property
    def hosted(self) -> bool:
        """Whether the model takes this machine's accelerators or cores."""
        return self.kind in ("vllm", "local", "reward") or any(each.hosted for each in self.members)

    @property
    def scorer(self) -> bool:
        """Whether it answers with scores rather than texts."""
        return bool(self.reward or self.rewards or self.scores)

    @property
    def served(self) -> str:
        """What a vLLM server of ours is to hold; empty where there is none."""
        return self.vllm or (self.reward if self.backend == "vllm" else "")

    @property
    def weights(self) -> str:
        """The weights behind the role, for training; empty for endpoints, scripts and reward models."""
        return self.vllm or self.local

    @property
    def title(self) -> str:
        """The name that stands in the rows: the model's own rather than the role's."""
        weights = f"{self.weights}+{self.lora}" if self.lora else self.weights
        return self.model or weights or self.reward or self.scripted or (self.role if self.rewards else "")

    def identity(self) -> dict[str, object]:
        """What decides the rows this model gives; how fast or where it serves does not, nor where its files lie."""
        keys = {**self.by_name(), **({} if self.trained else self._content())}
        if self.members:
            keys["members"] = [each.identity() for each in self.members]
        return keys | ({"kind": "picked"} if self.picked else {})

    def _content(self) -> Mapping[str, object]:
        """The model and its adapter by what their files hold; by their names where they are no files here."""
        name = self.weights or self.reward or self.scripted
        weights, adapter = content.digest(name), content.digest(self.lora)
        keys = (
            {"weights": weights, "model": self.model} if weights else {"weights": name} if self.model and name else {}
        )
        return keys | ({"lora": adapter} if adapter else {})

    def by_name(self) -> dict[str, object]:
        """As ``identity``, by the names of its files: so it stands in runs that were begun before contents were looked at."""
        keys: dict[str, object] = {
            "kind": self.kind,
            "model": self.title,
            "max_len": self.max_len,
            "dtype": self.dtype,
            "args": list(self.args),
            "format": self.format,
        }
        # Only where given, so that runs made before these keys were there can go on.
        more = {"quantization": self.quantization, "lora": self.lora, "scores": self.scores, **self._combination()}
        more |= {"extra_body": dict(self.extra_body), "reasoning_parser": self.reasoning_parser}
        more["thinking"] = self.thinking if self.thinking != "auto" else ""
        sampling = {key: value for key in SAMPLING if (value := getattr(self, key)) is not None}
        return keys | {key: value for key, value in more.items() if value} | sampling

    def _combination(self) -> dict[str, object]:
        """What decides the scores of several reward models together."""
        if not self.rewards:
            return {}
        settings = {key: getattr(self, key) for key in ("combine", "safety", "threshold", "spread")}
        return {"rewards": dict(self.rewards), **settings, "members": [each.by_name() for each in self.members]}

    def same_server(self, other: "ModelSpec") -> bool:
        """Whether two roles can share one server; how they are asked (form, sampling) is no matter of servers."""
        unlike = dict.fromkeys(("format", "extra_body", "thinking", *SAMPLING), "")
        like = ("weights", "endpoints", "reward", "scripted", "backend", "api_key_env", "headers_env", "api", "batch")
        one, two = (({**each.by_name(), **unlike}, *(getattr(each, key) for key in like)) for each in (self, other))
        return one == two


SAMPLING = ("temperature", "top_k", "min_p")
KINDS = ("vllm", "endpoints", "local", "reward", "rewards", "scripted")
