"""What a run is doing, for Prometheus: ``cai run … --prometheus 9400`` serves it while the run goes on."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from cai.errors import UserError, install
from cai.flow.screen import Bar, Screen

TOKENS = ("in", "cached", "out")
LOOPBACK = "127.0.0.1"


class Gauge(Protocol):
    """A family of gauges, as far as it is filled here."""

    def add_metric(self, labels: Sequence[str], value: float) -> None: ...


class Collector:
    """Reads the bars that the screen shows, at the moment it is asked."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen

    def collect(self) -> Iterator[Any]:
        """Rows, tokens and drops as counters; what is open as gauges; each with its stage."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        rows = CounterMetricFamily(
            "cai_rows", "Input rows done, kept or dropped, earlier sessions included.", labels=["stage"]
        )
        total = GaugeMetricFamily(
            "cai_rows_wanted", "Input rows of the stage, as far as they are known.", labels=["stage"]
        )
        tokens = CounterMetricFamily("cai_tokens", "Tokens of this session.", labels=["stage", "kind"])
        drops = CounterMetricFamily("cai_drops", "Rows left out in this session.", labels=["stage", "reason"])
        busy = GaugeMetricFamily("cai_requests_in_flight", "Requests that a model is answering.", labels=["stage"])
        waiting = GaugeMetricFamily("cai_requests_waiting", "Requests that wait for a slot.", labels=["stage"])
        for name, bar in list(self.screen.by_name.items()):
            rows.add_metric([name], bar.done)
            total.add_metric([name], bar.total)
            for kind, count in zip(TOKENS, bar.tokens, strict=True):
                tokens.add_metric([name, kind], count)
            for reason, count in list(bar.dropped.items()):
                drops.add_metric([name, reason], count)
            self._requests(name, bar, busy, waiting)
        yield from (rows, total, tokens, drops, busy, waiting)

    def _requests(self, name: str, bar: Bar, busy: Gauge, waiting: Gauge) -> None:
        if bar.slots is not None:
            busy.add_metric([name], bar.slots.busy)
            waiting.add_metric([name], bar.slots.queued)


def serve(screen: Screen, place: str) -> None:
    """Serve ``/metrics`` until the process ends.

    Args:
        place: a port, to which this machine alone has access, or ``HOST:PORT`` for one of its addresses; ``0.0.0.0`` is all.

    Raises:
        UserError: prometheus-client is not installed, or it cannot listen there.
    """
    host, colon, number = place.rpartition(":")
    port = int(number) if re.fullmatch(r"[0-9]{1,5}", number) else 0
    if not 0 < port < 65536 or (colon and not host):
        raise UserError(f"--prometheus {place}: expected a port from 1 to 65535, or HOST:PORT, such as 0.0.0.0:9400")
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        raise UserError(f"--prometheus needs the package prometheus-client; run: {install('metrics')}") from None
    registry = CollectorRegistry()
    registry.register(Collector(screen))
    try:
        start_http_server(port, host.strip("[]") or LOOPBACK, registry=registry)
    except OSError as error:
        raise UserError(f"--prometheus {place}: {error.strerror}; choose another port or address") from None
