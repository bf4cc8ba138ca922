"""Prometheus metrics, made from the status when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from andon.run.live.status import Status

_COUNTERS = {
    "received": "Packets received from all sources",
    "journaled": "Packets in the journal",
    "shed": "Packets left out because the engines could not keep up",
    "lost": "Packets that went by because the store took nothing",
    "findings": "Findings stored",
}
_GAUGES = {
    "backlog": "Packets in the journal that the engines have not seen",
    "segment": "Number of the last segment the engines have seen",
    "journal_bytes": "Size of the journal",
}


class LiveMetrics(Collector):
    """``status`` is called at every scrape."""

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status

    def collect(self) -> Iterator[Any]:
        now = self._status()
        for name, text in _COUNTERS.items():
            family = CounterMetricFamily(f"andon_{name}", text)
            family.add_metric([], getattr(now, name))
            yield family
        for name, text in _GAUGES.items():
            gauge = GaugeMetricFamily(f"andon_{name}", text)
            gauge.add_metric([], getattr(now, name))
            yield gauge
        if now.lag is not None:
            gauge = GaugeMetricFamily("andon_lag_seconds", "Seconds that the engines are behind the journal")
            gauge.add_metric([], now.lag)
            yield gauge
        cpu = CounterMetricFamily(
            "andon_engine_cpu_seconds", "CPU seconds of an engine", labels=["engine", "step"]
        )
        for engine, (take, conclude) in now.engines.items():
            cpu.add_metric([engine, "summarise"], take)
            cpu.add_metric([engine, "conclude"], conclude)
        yield cpu
        sources = CounterMetricFamily("andon_source_packets", "Packets received by source", labels=["source"])
        for source, rows in now.sources.items():
            sources.add_metric([source], rows)
        yield sources
        records = CounterMetricFamily("andon_records", "Records of other kinds than packets", labels=["kind"])
        for kind, rows in now.records.items():
            records.add_metric([kind], rows)
        yield records
        outbox = GaugeMetricFamily(
            "andon_outbox_messages", "Messages by sink and state", labels=["sink", "state"]
        )
        for sink, states in now.outbox.items():
            for state, count in states.items():
                outbox.add_metric([sink, state], count)
        yield outbox


def serve(listen: str, status: Callable[[], Status]) -> Callable[[], None]:
    """Answer at http://HOST:PORT/metrics; gives a function that stops it. Raises OSError if the port is taken."""
    from prometheus_client import start_http_server

    registry = CollectorRegistry()
    registry.register(LiveMetrics(status))
    host, _, port = listen.rpartition(":")
    server, thread = start_http_server(int(port), host.strip("[]"), registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)

    return stop
