"""What Prometheus reads of a run that goes on."""

import socket
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console

from cai.errors import UserError
from cai.flow import prometheus
from cai.flow.screen import Screen
from cai.models.concurrency import Slots


def test_rows_tokens_drops_and_requests_are_told_by_stage() -> None:
    screen = Screen(Console(quiet=True))
    bar = screen.bar("revise", total=10, done=4)
    bar.slots = Slots(8)
    bar.slots.busy = 8
    bar.advance((100, 60, 20))
    bar.advance((10, 0, 2), "unreadable_critique")
    registry = CollectorRegistry()
    registry.register(prometheus.Collector(screen))
    page = generate_latest(registry).decode()
    for line in (
        'cai_rows_total{stage="revise"} 6.0',
        'cai_rows_wanted{stage="revise"} 10.0',
        'cai_tokens_total{kind="cached",stage="revise"} 60.0',
        'cai_tokens_total{kind="out",stage="revise"} 22.0',
        'cai_drops_total{reason="unreadable_critique",stage="revise"} 1.0',
        'cai_requests_in_flight{stage="revise"} 8.0',
    ):
        assert line in page.splitlines()


def test_it_is_served_and_a_taken_port_is_a_sentence() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    screen = Screen(Console(quiet=True))
    screen.bar("sample", total=3)
    prometheus.serve(screen, str(port))
    with socket.socket() as elsewhere, pytest.raises(ConnectionRefusedError):
        elsewhere.connect(("127.0.0.2", port))  # another address of this machine: it listens to one alone
    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    assert 'cai_rows_wanted{stage="sample"} 3.0' in page
    with pytest.raises(UserError, match=f"--prometheus {port}: Address already in use; choose another port"):
        prometheus.serve(screen, str(port))
    prometheus.serve(screen, f"127.0.0.3:{port}")
    assert urllib.request.urlopen(f"http://127.0.0.3:{port}/metrics").status == 200


@pytest.mark.parametrize("place", ["", "0", "65536", "-1", "9400\n", ":9400", "host", "host:", "1e3", "\u0661\u0662"])
def test_a_place_that_is_none_is_a_sentence(place: str) -> None:
    with pytest.raises(UserError, match=r"expected a port from 1 to 65535, or HOST:PORT, such as 0\.0\.0\.0:9400"):
        prometheus.serve(Screen(Console(quiet=True)), place)
