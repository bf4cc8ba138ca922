"""An organisation's logs: the same for a seed, read without a loss by the product's own readers, and consistent."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from andon.observe.assets import assets
from andon.observe.jsonlines import Skipped
from andon.observe.logs import Options, records
from andon.observe.reputation import reputation
from andon.simulate.organisation import Made, Scenario, build, simulate

DAYS = 2


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    scenario = Scenario(seed=5, terminals=80, days=DAYS, camera="203.0.113.9", exposure=0.2, inspect=0.7)
    return simulate(scenario, tmp_path_factory.mktemp("org"), ("squid", "zeek"))


def contacts(path: Path, options: Options | None = None) -> pa.Table:
    skipped = Skipped()
    batches = [batch for _, batch in records(path, options or Options(), skipped)]
    assert skipped.lines == 0, skipped.examples
    plain = [
        [c.cast(pa.string()) if pa.types.is_dictionary(c.type) else c for c in b.columns] for b in batches
    ]
    return pa.concat_tables(pa.table(dict(zip(batches[0].schema.names, p, strict=True))) for p in plain)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_a_seed_gives_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        simulate(Scenario(seed=seed, terminals=30, days=1), tmp_path / name, ("squid", "zeek"))
    a, b, c = (digests(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys() and all(a[name] != c[name] for name in ("access.log", "zeek/conn.log"))


def test_blocks_of_another_size_give_the_same_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario(seed=6, terminals=30, days=2)
    simulate(scenario, tmp_path / "large", ("squid",))
    monkeypatch.setattr(build, "BLOCK", 37)
    simulate(scenario, tmp_path / "small", ("squid",))
    large, small = ((tmp_path / name / "access.log").read_text().splitlines() for name in ("large", "small"))
    assert sorted(large) == sorted(small)
    assert [line[:14] for line in large] == [line[:14] for line in small]  # in the order of their ends


def test_squid_reads_every_line_in_the_order_of_ends(made: Made) -> None:
    lines = (made.folder / "access.log").read_text().splitlines()
    assert len(lines) == made.lines
    native = re.compile(
        r"\d{10}\.\d{3} +\d+ [0-9.]+ [A-Z_]+/\d{3} \d+ [A-Z]+ \S+ \S+ (HIER_NONE/-|HIER_DIRECT/[0-9.]+) \S+"
    )
    assert all(native.fullmatch(line) for line in lines)
    ends = [float(line[:14]) for line in lines]
    assert ends == sorted(ends)
    assert contacts(made.folder / "access.log").num_rows == made.lines


def test_combined_says_the_same_with_referers_and_agents(made: Made, tmp_path: Path) -> None:
    scenario = Scenario(seed=5, terminals=80, days=DAYS, camera="203.0.113.9", exposure=0.2, inspect=0.7)
    simulate(scenario, tmp_path, ("squid",), "combined")
    table, native = contacts(tmp_path / "access.log"), contacts(made.folder / "access.log")
    for name in ("host", "path", "terminal", "status", "method"):
        assert table.column(name).to_pylist() == native.column(name).to_pylist(), name
    told = pc.filter(table.column("referer"), pc.not_equal(table.column("referer"), ""))
    assert 0.1 < len(told) / table.num_rows < 0.9
    assert pc.all(pc.starts_with(told, "http")).as_py()
    assert len(set(table.column("agent").to_pylist())) > 10


def test_zeek_shows_the_proxys_traffic(made: Made) -> None:
    proxy = contacts(made.folder / "access.log")
    seen = {name: contacts(made.folder / "zeek" / f"{name}.log") for name in ("conn", "http", "ssl", "dns")}
    assert seen["conn"].num_rows == made.flows
    clear = proxy.filter(pc.equal(proxy.column("scheme"), "http"))
    assert sorted(
        zip(seen["http"]["host"].to_pylist(), seen["http"]["path"].to_pylist(), strict=True)
    ) == sorted(zip(clear["host"].to_pylist(), clear["path"].to_pylist(), strict=True))
    hosts = set(proxy["host"].to_pylist())
    for name in ("ssl", "dns"):
        assert set(seen[name]["host"].to_pylist()) - {""} <= hosts
    assert seen["ssl"].num_rows > 100 and seen["dns"].num_rows > 100
    uids = [
        line.split("\t")[1] for line in (made.folder / "zeek" / "http.log").read_text().splitlines()[7:-1]
    ]
    assert set(uids) <= {
        line.split("\t")[1] for line in (made.folder / "zeek" / "conn.log").read_text().splitlines()[7:-1]
    }


def test_the_lists_are_read_whole(made: Made) -> None:
    black, skipped = reputation(made.folder / "lists" / "black.csv", "black", None)
    assert not skipped.lines and black.num_rows > 1500
    assert black.column("added").null_count == 0 and set(black.column("type").to_pylist()) == {
        "domain",
        "address",
    }
    white, skipped = reputation(made.folder / "lists" / "white.csv", "white", None)
    assert not skipped.lines and pc.min(white.column("rank")).as_py() == 1
    assert not set(black.column("value").to_pylist()) & set(white.column("value").to_pylist())


def test_names_belong_to_nobody_and_do_not_tell_the_kind(made: Made) -> None:
    truth = pq.read_table(made.folder / "truth" / "destinations.parquet")
    names = truth.column("host").to_pylist()
    assert all(n.endswith((".example", ".test")) or n.replace(".", "").isdigit() for n in names)
    assert all(n.startswith(("198.18.", "198.19.")) for n in names if n.replace(".", "").isdigit())
    # Nor would a word that is a kind's own; "web" and "cdn" are no words of the generator, four letters may be.
    telling = (
        "malicious",
        "compromised",
        "telemetry",
        "personal",
        "streaming",
        "shortener",
        "campaign",
        "niche",
    )
    assert not [n for n in names for word in telling if word in n]
    # A shape that looks suspicious is no proof: rates as the documentation says.
    odd = re.compile(
        r"^(login|secure|account|verify|update|support|mail|service)-.*-|^[0-9.]+$|^[a-z0-9]{10,18}$"
    )

    def share(wanted: set[str]) -> float:
        mine = [n for n, k in zip(names, truth.column("kind").to_pylist(), strict=True) if k in wanted]
        shaped = [n for n in mine if odd.search(n.rsplit(".", 1)[0] if not n[-1].isdigit() else n)
                  and not re.fullmatch(r"([a-z][aeioyhr]){4,5}\d{0,2}", n.split(".")[0])]  # fmt: skip
        return len(shaped) / len(mine)

    assert 0.15 < share({"malicious", "listed"}) < 0.55
    assert share({"tail", "personal", "niche", "compromised"}) < 0.1


def test_leases_say_who_had_an_address(tmp_path: Path) -> None:
    scenario = Scenario(seed=8, terminals=40, days=3, users=False, lease_days=1)
    simulate(scenario, tmp_path, ("squid",))
    text = (tmp_path / "dhcpd.leases").read_text()
    owners = re.findall(r'lease (\S+) \{\n  starts \d (\S+).*?client-hostname "(\S+?)"', text, re.S)
    assert len(owners) == 40 * 3
    by_terminal: dict[str, set[str]] = {}
    for address, _, terminal in owners:
        by_terminal.setdefault(terminal, set()).add(address)
    assert sum(len(a) > 1 for a in by_terminal.values()) > 25
    table = contacts(tmp_path / "access.log")
    assert set(table.column("address").to_pylist()) <= {address for address, _, _ in owners}
    assert set(table.column("user").to_pylist()) == {""}
    # With the leases the reader calls every terminal by its device, as the truth does.
    leases = assets(tmp_path / "dhcpd.leases", Skipped())
    named = contacts(tmp_path / "access.log", Options(leases=leases))
    truth = pq.read_table(tmp_path / "truth" / "terminals.parquet").to_pydict()
    seen = {t for t, lines in zip(truth["terminal"], truth["lines"], strict=True) if lines}
    assert set(named.column("terminal").to_pylist()) == seen
    count = Counter(named.column("terminal").to_pylist())
    assert all(count[t] == lines for t, lines in zip(truth["terminal"], truth["lines"], strict=True))


def test_what_cannot_be_simulated_is_refused() -> None:
    for options, word in (
        ({"terminals": 3}, "terminals"), ({"days": 0}, "days"), ({"inspect": 1.5}, "inspect"),
        ({"camera": "x"}, "camera"),
        ({"campaigns": 999}, "campaigns"), ({"exposure": 9.0}, "exposure"), ({"lease_days": -1}, "addresses"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=word):
            Scenario(seed=1, **options)
    with pytest.raises(ValueError, match="no log apache"):
        simulate(Scenario(seed=1), Path("/nonexistent"), ("apache",))
    with pytest.raises(ValueError, match="format"):
        simulate(Scenario(seed=1), Path("/nonexistent"), ("squid",), "json")
