"""Models by what their folders hold: moved ones are the same, and any other weights are others."""

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cai.models import content
from cai.models.spec import ModelSpec

SIZES = {"embed": 400_000, "layers.0.norm": 64, "layers.0.mlp": 300_000, "score": 128}
Folder = Callable[..., Path]


def safetensors(tensors: Mapping[str, bytes]) -> bytes:
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, data in tensors.items():
        header[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [end, end + len(data)]}  # type: ignore
        end += len(data)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(tensors.values())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Writes a model's folder; each tensor is filled with its byte."""

    def make(name: str = "model", **fills: int) -> Path:
        path = tmp_path / name
        path.mkdir(parents=True, exist_ok=True)
        (path / "config.json").write_text('{"model_type": "llama"}')
        tensors = {name: bytes([fills.get(name.replace(".", "_"), 1)]) * size for name, size in SIZES.items()}
        (path / "model.safetensors").write_bytes(safetensors(tensors))
        return path

    return make


@pytest.fixture(params=["whole", "sampled"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How weights are read: as small ones are, or as large ones."""
    if request.param == "sampled":
        monkeypatch.setattr(content, "WHOLE", 0)
        monkeypatch.setattr(content, "READS", 64)
    content._digest.cache_clear()
    return request.param


@pytest.mark.usefixtures("way")
def test_the_same_weights_elsewhere_are_the_same_model(folder: Folder) -> None:
    assert content.digest(str(folder("here"))) == content.digest(str(folder("there/again"))) != ""


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("tensor", SIZES)
def test_another_tensor_alone_is_another_model(folder: Folder, tensor: str) -> None:
    before = content.digest(str(folder()))
    assert content.digest(str(folder(**{tensor.replace(".", "_"): 2}))) != before


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja"])
def test_what_stands_beside_the_weights_counts_where_it_decides_anything(folder: Folder, name: str) -> None:
    path = folder()
    before = content.digest(str(path))
    (path / "README.md").write_text("About it.")
    (path / "trainer_state.json").write_text("{}")
    assert content.digest(str(path)) == before
    (path / name).write_text('{"of": "its own"}')
    assert content.digest(str(path)) != before


@pytest.mark.usefixtures("way")
def test_weights_without_a_header_are_read_as_one(folder: Folder) -> None:
    path = folder() / "pytorch_model.bin"
    found = set()
    for at in (0, 350_000, 699_999):
        data = bytearray(700_000)
        data[at] = 1
        path.write_bytes(data)
        found.add(content.digest(str(path.parent)))
    assert len(found) == 3


def test_a_file_is_known_by_its_content_and_a_hub_id_by_none(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("- {say: [So.]}")
    assert content.digest(str(tmp_path / "a.yaml")) == content.digest(str(tmp_path / "b.yaml")) != ""
    assert content.digest("owner/name") == content.digest("") == ""


def test_an_adapter_counts_by_what_it_holds(folder: Folder) -> None:
    base, adapter = str(folder()), folder("adapter")
    spec = ModelSpec("m", vllm=base, lora=str(adapter))
    moved = ModelSpec("m", vllm=base, lora=str(adapter.rename(adapter.with_name("moved"))))
    before = ModelSpec("m", vllm=base, lora=moved.lora).identity()
    assert spec.lora != moved.lora
    folder("moved", score=2)
    assert moved.identity() != before
    assert (
        folder("again", score=2)
        and ModelSpec("m", vllm=base, lora=str(folder("again", score=2))).identity() == moved.identity()
    )


def test_a_name_of_its_own_hides_no_other_model() -> None:
    one, other = (ModelSpec("m", vllm=name, model="judge") for name in ("owner/one", "owner/other"))
    assert one.identity() != other.identity()
