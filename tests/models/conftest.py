"""What several tests of models share."""

import sys

import pytest
from stand_in import STAND_IN

from cai.models import vllm


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        vllm, "command", lambda spec, model, port, on_cpu, parser: [sys.executable, "-c", STAND_IN, str(port), "Hello"]
    )
    monkeypatch.setattr(vllm, "check", lambda spec: None)
    monkeypatch.setattr(vllm, "WATCH_SECONDS", 0.1)
    monkeypatch.setattr("cai.models.pool.PROBE_SECONDS", 0.1)
