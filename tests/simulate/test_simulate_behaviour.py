"""Schedules, growth, changes, tools: what families do is what their rows say."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from andon.records import packet
from andon.simulate.internet import (
    Always,
    Bursts,
    Change,
    Family,
    Growth,
    InStep,
    InternetConfig,
    Repeat,
    demo_config,
    packets,
    parse_family,
    small_config,
    truth,
)
from andon.simulate.internet.apportion import apportion

HOUR = 3600.0


def of(*families: Family, **options: object) -> InternetConfig:
    return replace(InternetConfig(seed=3, packets=20_000, noise=0.0, families=families), **options)  # type: ignore[arg-type]


def table(config: InternetConfig) -> dict[str, np.ndarray]:
    whole = pa.Table.from_batches(packets(config))
    columns = {n: whole[n] for n in packet.COLUMNS[:-2]}
    columns["ts"] = columns["ts"].cast(pa.int64())
    found = {n: c.to_numpy() for n, c in columns.items()}
    found["s"] = (found["ts"] - config.start_ns) / 1e9
    return found


def bot(tool: str = "mirai", **options: object) -> Family:
    return replace(Family("f", tool, "botnet", "attack", 50, 1.0), **options)  # type: ignore[arg-type]


def test_a_botnet_in_step_wakes_and_stops_together() -> None:
    t = table(of(bot(schedule=InStep(1000, 1600), spread=0.1)))
    sources = np.unique(t["src"])
    assert len(sources) == 50
    for src in sources:
        mine = t["s"][t["src"] == src]
        assert 1000 <= mine.min() < 1025 and 1575 < mine.max() <= 1602


def test_a_worm_infects_half_of_its_hosts_by_half_time() -> None:
    t = table(of(bot("windows-7", kind="worm", sources=600, schedule=Growth(1800, 240), spread=0.1)))
    first = np.sort([t["s"][t["src"] == src].min() for src in np.unique(t["src"])])
    assert 0.4 < np.searchsorted(first, 1900) / 600 < 0.6
    assert np.searchsorted(first, 900) < 60
    early = np.histogram(t["s"], bins=6, range=(0, HOUR))[0]
    assert (np.diff(early) > 0).all()  # packets only grow


def test_a_port_set_grows_on_its_date_and_the_process_stays_the_same() -> None:
    grown = Change(1800, ((23, 1), (5555, 1)))
    config = of(bot(ports=((23, 1),), changes=(grown,), spread=0.2))
    t = table(config)
    assert set(t["dst_port"][t["s"] < 1800]) == {23}
    assert set(t["dst_port"][t["s"] >= 1800]) == {23, 5555}
    for src in np.unique(t["src"]):
        mine = t["src"] == src
        assert len(set(zip(t["src_port"][mine], t["tcp_window"][mine], t["ttl"][mine], strict=True))) == 1
    rows, events = truth(config)
    assert rows["ports"].to_pylist() == [[23, 5555]] * 50
    assert events.filter(pc.equal(events["event"], "ports"))["detail"].to_pylist() == ["23,5555"]
    assert events["ts"].cast(pa.int64()).to_pylist() == [config.start_ns + 1800 * 10**9]


def test_a_family_that_turns_its_relation_off_keeps_it_before() -> None:
    t = table(of(bot(changes=(Change(1800, tool="mirai-random-seq"),))))
    same = t["tcp_seq"] == t["dst"]
    assert same[t["s"] < 1800].all() and not same[t["s"] >= 1800].any()


def test_mirai_goes_to_2323_every_tenth_time() -> None:
    t = table(of(bot(ports=((23, 9), (2323, 1)))))
    assert np.mean(t["dst_port"] == 2323) == pytest.approx(0.1, abs=0.01)
    assert set(t["tcp_hlen"]) == {20} and (t["tcp_flags"] == packet.SYN).all()


def test_masscan_sends_ttl_255_and_window_1024_and_only_the_current_one_an_mss_option() -> None:
    for tool, header in (("masscan", 24), ("masscan-old", 20)):
        t = table(of(bot(tool)))
        assert set(t["tcp_hlen"]) == {header} and set(t["tcp_window"]) == {1024}
        assert t["ttl"].min() > 230
        assert (t["ip_id"] == ((t["dst"] ^ t["dst_port"] ^ t["tcp_seq"]) & 0xFFFF)).all()


def test_only_old_zmap_sends_54321() -> None:
    assert set(table(of(bot("zmap-old", ports=((22, 1),))))["ip_id"]) == {54321}
    new = table(of(bot("zmap", ports=((22, 1),))))
    assert (
        len(set(new["ip_id"])) > 15_000 and set(new["tcp_window"]) == {65535} and set(new["tcp_hlen"]) == {40}
    )


def test_old_nmap_couples_window_and_ttl() -> None:
    t = table(of(bot("nmap-old", sources=1)))
    hops = {
        (w // 1024 - 1 - ttl) % 4 for w, ttl in zip(t["tcp_window"].tolist(), t["ttl"].tolist(), strict=True)
    }
    assert len(hops) == 1 and set(t["tcp_window"]) == {1024, 2048, 3072, 4096}


def test_backscatter_is_answers_of_victims_that_come_in_bursts() -> None:
    config = of(
        bot("synack", kind="backscatter", purpose="backscatter", sources=5, schedule=Bursts(120, 600))
    )
    t = table(config)
    assert (t["tcp_flags"] == packet.SYN | packet.ACK).all() and set(t["src_port"]) == {23}
    assert (t["tcp_ack"] > 0).mean() > 0.99 and len(set(t["dst_port"])) > 5_000
    events = truth(config)[1].to_pylist()
    begins = sum(e["event"] == "attack-begin" for e in events)
    assert begins == sum(e["event"] == "attack-end" for e in events) >= 5
    second = t["s"][t["src"] == t["src"][0]]
    assert len(set((second // 60).astype(int))) < 45  # there are quiet minutes


def test_a_flood_has_made_up_sources_and_one_target_that_the_events_name() -> None:
    config = of(bot("flood", kind="flood", sources=1, schedule=InStep(600, 900)))
    t = table(config)
    rows, events = truth(config)
    assert len(set(t["dst"])) == 1 and len(set(t["src"])) > 19_900
    assert set(events["dst"].to_pylist()) == {0, int(t["dst"][0])}
    assert sum(rows["packets"].to_pylist()) == 20_000 and rows.num_rows == len(set(t["src"]))


def test_a_survey_comes_back_every_day_for_ten_days() -> None:
    daily = bot(
        "connect", kind="survey", purpose="survey", schedule=Repeat(86400, 3600, 7200), one_block=True
    )
    t = table(of(daily, duration=10 * 86400.0, start=datetime(2026, 3, 1, tzinfo=UTC)))
    assert set((t["s"] // 86400).astype(int)) == set(range(10))
    assert ((t["s"] % 86400 >= 7200) & (t["s"] % 86400 <= 10800)).all()
    assert len(set(t["src"] >> 8)) == 1
    per_day = np.bincount((t["s"] // 86400).astype(int))
    assert per_day.std() < 0.1 * per_day.mean()


def test_hosts_may_carry_two_infections() -> None:
    one = bot(name="one", sources=100)
    two = bot("mozi", name="two", sources=50, shares_hosts_with=("one", 0.4))
    rows = truth(of(one, two))[0].to_pylist()
    both = Counter(r["src"] for r in rows)
    assert sum(n == 2 for n in both.values()) == 20
    for r in rows:
        if both[r["src"]] == 2:
            other = next(o for o in rows if o["src"] == r["src"] and o["family"] != r["family"])
            assert r["foreign"] == other["packets"]


def test_connecting_stacks_send_the_same_syn_again() -> None:
    t = table(of(bot("linux-5", sources=400, spread=0.1), packets=8000))
    again = Counter(zip(t["src"], t["dst"], t["src_port"], t["dst_port"], t["tcp_seq"], strict=True))
    assert Counter(again.values())[3] > 2000
    five = next(key for key, n in again.items() if n == 3)
    mine = np.all(
        [t[c] == v for c, v in zip(("src", "dst", "src_port", "dst_port", "tcp_seq"), five, strict=True)], 0
    )
    assert np.allclose(np.diff(t["s"][mine]), [1, 2], atol=1e-3)
    assert np.diff(t["ip_id"][mine].astype(int)).tolist() in ([1, 1], [1, -65535], [-65535, 1])


def test_udp_scanners_send_a_well_formed_request() -> None:
    t = table(of(bot("udp", ports=((53, 1), (11211, 1)))))
    assert set(t["proto"]) == {17} and set(zip(t["dst_port"], t["ip_len"], strict=True)) == {
        (53, 58),
        (11211, 43),
    }


def test_all_families_are_in_the_small_and_in_the_demo_configuration() -> None:
    rows = truth(small_config(1, 100_000))[0]
    families = set(rows["family"].to_pylist())
    assert len(families) == 36 and {"noise", "ordinary", "mirai", "zmap-old", "flood-on-one"} <= families
    assert {"attack", "survey", "none", "backscatter"} == set(rows["purpose"].to_pylist())
    demo = demo_config(1)
    assert demo.packets >= 10_800_000 and demo.packets / demo.duration >= 3000


@pytest.mark.parametrize("size", [1, 2, 17, 400])
def test_few_packets_are_still_exact(size: int) -> None:
    config = small_config(1, size)
    assert sum(b.num_rows for b in packets(config)) == size
    assert sum(truth(config)[0]["packets"].to_pylist()) == size


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("telescope", [("192.0.2.7/32",), ("9.0.0.0/8", "192.0.2.0/24")])
def test_any_telescope_and_any_share_of_noise(noise: float, telescope: tuple[str, ...]) -> None:
    families = (bot(), bot("echo", name="e"))
    config = of(*families, noise=noise, telescope=telescope, packets=3000, duration=5.0)
    t = table(config)
    assert len(t["src"]) == 3000
    if len(telescope) == 1:
        assert set(t["dst"]) == {0xC0000207}


def test_shares_are_exact_and_never_off_by_more_than_one() -> None:
    rng = np.random.default_rng(1)
    weights = rng.random(1000)
    counts = apportion(weights, 12345, rng)
    assert counts.sum() == 12345
    assert (np.abs(counts - weights / weights.sum() * 12345) <= 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"packets": 0}, "packets must be"),
        ({"duration": 0.0}, "duration"),
        ({"start": datetime(2026, 1, 1)}, "needs a time zone"),
        ({"start": datetime(1960, 1, 1, tzinfo=UTC)}, "capture file"),
        ({"noise": 1.2}, "noise is a share"),
        ({"contamination": 1.0}, "contamination is a share"),
        ({"telescope": ()}, "at least one block"),
        ({"telescope": ("10.0.0.1/8",)}, "10.0.0.1/8"),
        ({"telescope": ("1.0.0.0/7",)}, "1.0.0.0/7"),
        ({"telescope": ("1.0.0.0/16", "1.0.4.0/24")}, "overlap"),
        ({"telescope": ("nonsense",)}, "nonsense"),
        ({"noise_sources": 0}, "noise_sources"),
        ({"extra": (parse_family("mirai:tcp.seq == ip.dst:5"),)}, "'mirai' is there twice"),
        ({"families": (Family("a", "udp", "tool", "attack", 1, 1.0),) * 2}, "there twice"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        InternetConfig(**({"seed": 1} | options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("noexpr", "NAME:EXPR:SOURCES"),
        ("a:tcp.seq == ip.dst:many", "NAME:EXPR:SOURCES"),
        (":tcp.seq == ip.dst:3", "NAME:EXPR:SOURCES"),
        ("a:tcp.seq = ip.dst:3", "family 'a'"),
        ("a:tcp.nothing == 4:3", "tcp.nothing"),
        ("a:ip.src == ip.dst:3", "not ours to set"),
        ("a:tcp.seq == ip.dst or ip.id == 4:3", "leaves a choice"),
        ("a:tcp.seq == ip.dst:0", "at least one source"),
        ("a:tcp.seq == ip.dst:6000000", "at most 5,000,000"),
    ],
)
def test_a_wrong_family_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_family(text)


def test_a_family_may_set_ports_only_if_nothing_else_can_be_set() -> None:
    config = of(parse_family("p:tcp.dstport == 4444 and tcp.window == lo16(ip.dst ^ tcp.seq):5"))
    t = table(config)
    assert set(t["dst_port"]) == {4444}
    assert (t["tcp_window"] == ((t["dst"] ^ t["tcp_seq"]) & 0xFFFF)).all()


def test_always_active_sources_are_active_throughout() -> None:
    t = table(of(bot(schedule=Always(), spread=0.0)))
    per_slot = np.bincount((t["s"] // 600).astype(int))
    assert per_slot.min() > 0.9 * per_slot.max()
