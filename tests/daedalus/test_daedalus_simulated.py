"""Hosts of members among the noise of a simulated Internet, known to the last one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from daedalus_traffic import HOUR, RELATIONS, START, Live

from andon.records.columns import column
from andon.records.contract import Organisation, Site
from andon.records.finding import Finding
from andon.simulate.internet import InternetConfig, packets, truth

TELESCOPE = ("23.90.64.0/18", "101.44.0.0/18")
CONFIG = InternetConfig(
    seed=7, packets=150_000, duration=900.0, telescope=TELESCOPE, start=datetime(2026, 1, 1, 0, 10, tzinfo=UTC)
)  # fmt: skip
EXPECTED = {
    "mirai": ("outbound-scan", "mirai"),
    "masscan": ("outbound-scan", "masscan"),
    "worm-smb": ("outbound-scan", None),
    "udp-dns": ("outbound-scan", None),
    "backscatter-synack": ("backscatter", None),
    "backscatter-rst": ("backscatter", None),
}
EACH = 12


def prefix(address: int) -> str:
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8)) + ".0/24"


@pytest.fixture(scope="module")
def infected() -> dict[str, list[tuple[int, int]]]:
    """Family -> (source, packets) of a dozen sources that do nothing else."""
    table, _ = truth(CONFIG)
    src, family = table["src"].to_numpy(), np.array(table["family"].to_pylist(), object)
    count = table["packets"].to_numpy()
    alone = np.bincount(np.unique(src, return_inverse=True)[1])[np.unique(src, return_inverse=True)[1]] == 1
    found = {}
    for name in EXPECTED:
        rows = np.flatnonzero((family == name) & alone & (count >= 3))[:EACH]
        found[name] = [(int(src[row]), int(count[row])) for row in rows]
    return found


@pytest.fixture(scope="module")
def alerts(infected: dict[str, list[tuple[int, int]]]) -> list[Finding]:
    """What is told when each of these sources belongs to an organisation of its own /24."""
    nets = sorted({prefix(src) for rows in infected.values() for src, _ in rows})
    organisations = tuple(Organisation(f"org {n}", (net,)) for n, net in enumerate(nets))
    live = Live(Site(telescope=TELESCOPE, organisations=organisations, relations=RELATIONS))
    live.end = START
    return live.run(*packets(CONFIG), until=START + 100 * HOUR)


def of(alerts: Sequence[Finding], src: int) -> list[Finding]:
    value = ".".join(str(src >> shift & 255) for shift in (24, 16, 8, 0))
    return [f for f in alerts if f.subject[1] == value]


@pytest.mark.parametrize("family", EXPECTED)
def test_every_infected_host_is_told_with_its_kind_and_tool(
    family: str, infected: dict[str, list[tuple[int, int]]], alerts: list[Finding]
) -> None:
    kind, tool = EXPECTED[family]
    assert len(infected[family]) >= 4
    for src, count in infected[family]:
        told = of(alerts, src)
        assert told and told[0].attributes["state"] == "new"
        final = max((f for f in told if f.attributes["state"] == "closed"), key=lambda f: f.count)
        # The first query of a scan for resolvers looks like a mistyped resolver; it is corrected at the next.
        first = {"misconfiguration"} if family == "udp-dns" else set()
        assert {kind} <= {f.attributes["alert_kind"] for f in told} <= {kind} | first
        assert final.count == count
        if tool:
            assert tool in [item["name"] for item in final.attributes["tools"]]
        else:
            assert final.attributes["tools"] == []


def test_nobody_else_is_told_and_every_packet_of_a_member_is_in_an_alert(
    infected: dict[str, list[tuple[int, int]]], alerts: list[Finding]
) -> None:
    nets = {prefix(src).rsplit(".", 1)[0] for rows in infected.values() for src, _ in rows}
    heard: dict[int, int] = {}
    for batch in packets(CONFIG):
        src = column(batch, "src")
        for address, n in zip(*np.unique(src, return_counts=True), strict=True):
            if prefix(int(address)).rsplit(".", 1)[0] in nets:
                heard[int(address)] = heard.get(int(address), 0) + int(n)
    hosts = {f.subject[1] for f in alerts if f.subject[0] == "ipv4-addr"}
    assert {host.rsplit(".", 1)[0] for host in hosts} <= nets
    assert hosts == {".".join(str(src >> shift & 255) for shift in (24, 16, 8, 0)) for src in heard}


def test_relabelled_columns_are_internal_scans_of_one_organisation() -> None:
    site = Site(
        telescope=TELESCOPE,
        organisations=(Organisation("Campus", ("101.44.0.0/17", "203.0.112.0/20")),),
        relations=RELATIONS,
    )
    batch = next(iter(packets(CONFIG)))
    src = column(batch, "src").copy()
    mine = np.flatnonzero(column(batch, "dst") >> 24 == 101)[:40]
    src[mine] = 0x652C4000 + np.arange(len(mine)) % 4  # 101.44.64.0 on: live, beside the dark half
    relabelled = batch.set_column(
        batch.schema.get_field_index("src"), batch.schema.field("src"), pa.array(src)
    )
    alerts = Live(site).run(relabelled)
    assert {f.attributes["alert_kind"] for f in alerts} <= {
        "internal-scan",
        "backscatter",
        "misconfiguration",
    }
    assert "internal-scan" in {f.attributes["alert_kind"] for f in alerts}
    assert {f.subject[1] for f in alerts} <= {f"101.44.64.{n}" for n in range(4)}
