"""What Prometheus asks for: counted anyway, and told only when it asks. Loaded only where a site wants it."""

from __future__ import annotations

from prometheus_client import start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from pydeliver.receiver.server import Server

OUTCOMES = ("delivered", "deferred", "refused")
COUNTERS = {"connections": "Clients that came.", "workers-started": "Workers that were started."}
GAUGES = {
    "clients": "Clients that are there.",
    "under-way": "Deliveries under way.",
    "workers-idle": "Workers that wait for one.",
}


class Told(Collector):
    def __init__(self, server: Server) -> None:
        self.server = server

    def collect(self) -> Iterator[Metric]:
        facts: dict[str, object] = self.server.facts()
        deliveries = CounterMetricFamily("pydeliver_deliveries", "What became of messages.", labels=["outcome"])
        for name in OUTCOMES:
            deliveries.add_metric([name], _number(facts[name]))
        yield deliveries
        for name, about in COUNTERS.items():
            yield CounterMetricFamily(_named(name), about, _number(facts[name]))
        for name, about in GAUGES.items():
            yield GaugeMetricFamily(_named(name), about, _number(facts[name]))
        yield GaugeMetricFamily("pydeliver_start_time_seconds", "When the server began.", self.server.began)


def _named(fact: str) -> str:
    return f"pydeliver_{fact.replace('-', '_')}"


def _number(fact: object) -> float:
    assert isinstance(fact, int)
    return float(fact)


def start(server: Server, place: str) -> None:
    """Answer at `host:port`, in a thread. Raises OSError."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Told(server))
    host, _, port = place.rpartition(":")
    start_http_server(int(port), host.strip("[]"), registry)
