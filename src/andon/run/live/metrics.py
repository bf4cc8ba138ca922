"""Prometheus metrics, made from the status when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    "withheld": "Messages held back because their sink may not carry them",
}
_GAUGES = {
    "backlog": "Packets in the journal that the engines have not seen",
    "segment": "Number of the last segment the engines have seen",
    "journal_bytes": "Size of the journal",
}
_SENT = {
    "messages": "Messages that the broker has acknowledged",
    "rows": "Packets and other records in them",
    "nbytes": "Bytes of their values",
    "left_out": "Records that were larger than a message may be",
    "restarts": "Times that sending began again after what was acknowledged",
}
_READ = {
    "messages": "Messages read",
    "rows": "Packets and other records taken from them",
    "duplicates": "Messages that were taken before",
    "refused": "Messages that could not be used",
    "lost": "Packets that sensors sent and no message held",
    "doubled": "Messages that another analyser of the group has taken too",
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
        yield from _bus(now.bus)


def _bus(bus: Mapping[str, Mapping[str, Any]]) -> Iterator[Any]:
    """Of what is sent to a bus and read from one."""
    if sent := bus.get(""):
        for name, text in _SENT.items():
            family = CounterMetricFamily(f"andon_bus_sent_{name}", text)
            family.add_metric([], sent[name])
            yield family
        waiting = GaugeMetricFamily(
            "andon_bus_waiting_segments", "Segments of the journal that no broker has yet"
        )
        waiting.add_metric([], sent["waiting"])
        yield waiting
    read = {name: said for name, said in bus.items() if name}
    for name, text in _READ.items() if read else ():
        family = CounterMetricFamily(f"andon_bus_read_{name}", text, labels=["source"])
        for source, said in read.items():
            family.add_metric([source], said[name])
        yield family
    if read:
        lag = GaugeMetricFamily(
            "andon_bus_lag_messages", "Messages behind the end", labels=["source", "partition"]
        )
        for source, said in read.items():
            for partition, behind in said["lag"].items():
                lag.add_metric([source, str(partition)], behind)
        yield lag


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
