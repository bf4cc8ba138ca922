"""A scenario into a folder: the files that products and owners write, and the truth beside them."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from andon.simulate.organisation.build import World
from andon.simulate.organisation.scenario import DAY

from . import observed
from .book import Alarm, Book
from .catalogue import Rule
from .estate import Estate, estate
from .nuisances import UPDATES
from .observed import Told
from .ordinary import bulk, linked, servers, terminals
from .past import happened, verdicts
from .scenario import Scenario
from .stage import Stage

INSIDE: Final = ("10.0.0.0/8", "203.0.113.0/24")
TRUTH: Final = pa.schema(
    [
        ("file", pa.string()), ("position", pa.int64()), ("ts", pa.timestamp("ns", tz="UTC")), ("product", pa.string()),
        ("rule", pa.string()), ("host", pa.string()), ("address", pa.string()), ("inner", pa.string()),
        ("cause", pa.int64()), ("kind", pa.string()), ("true", pa.bool_()),
    ]
)  # fmt: skip
_CONN: Final = (
    "ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "service", "duration", "orig_bytes",
    "resp_bytes", "conn_state", "orig_pkts", "resp_pkts",
)  # fmt: skip
_TYPES: Final = (
    "time", "string", "addr", "port", "addr", "port", "enum", "string", "interval", "count", "count", "string", "count",
    "count",
)  # fmt: skip


@dataclass(frozen=True)
class Happened:
    """A scenario with everything that happened in it, before anybody observed it."""

    scenario: Scenario
    estate: Estate
    book: Book
    links: pa.Table  # ordinary.LINKS


@dataclass(frozen=True)
class Made:
    folder: Path
    alerts: int
    flows: int
    causes: int
    true: int


def play(scenario: Scenario) -> Happened:
    """Everything that happens. ``stale``, ``missing`` and ``skew`` change nothing of it."""
    world = World(scenario.organisation)
    held = estate(scenario, world)
    book = Book()
    servers(Stage(held, book, scenario.rng("servers"), scenario.length), scenario.days)
    happened(scenario, Stage(held, book, scenario.rng("causes"), scenario.length), scenario.days)
    links = pa.concat_tables([terminals(world), linked(book.links)])
    bulk(scenario, held, links, book)
    return Happened(scenario, held, book, links)


def simulate(scenario: Scenario, out: Path) -> Made:
    """Write ``eve.json``, ``wazuh.json``, ``conn.log``, ``assets.csv``, ``verdicts.ndjson``, ``lists/`` and ``truth/``.
    Raises OSError."""
    return write(play(scenario), scenario, out)


def write(happened: Happened, scenario: Scenario, out: Path) -> Made:
    """As ``simulate``, of what happened already; ``scenario`` may differ in how it is observed."""
    book, held = happened.book, happened.estate
    for folder in (out, out / "lists", out / "truth"):
        folder.mkdir(parents=True, exist_ok=True)
    seen = observed.flows(scenario, held, happened.links)
    _conn(scenario, seen, out / "conn.log")
    told = observed.alerts(scenario, held, book)
    texts = (_eve, _wazuh)
    truth = []
    for name, each, text in zip(("eve.json", "wazuh.json"), told, texts, strict=True):
        with (out / name).open("w") as file:
            file.writelines(text(t, book.alarms[t.number]) for t in each)
        truth.append(_truth(name, each, book, held))
    pq.write_table(pa.concat_tables(truth), out / "truth" / "alerts.parquet")
    causes = {
        "number": [c.number for c in book.causes], "kind": [c.kind for c in book.causes],
        "true": [c.true for c in book.causes], "hosts": [list(c.hosts) for c in book.causes],
        "begin": pa.array([(scenario.organisation.begin + c.begin) * 1_000_000 for c in book.causes], pa.int64()),
    }  # fmt: skip
    pq.write_table(pa.table(causes), out / "truth" / "causes.parquet")
    _assets(scenario, held, out / "assets.csv")
    _lists(scenario, held, book, out / "lists")
    with (out / "verdicts.ndjson").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in verdicts(scenario, held))
    return Made(out, len(book.alarms), seen.num_rows, len(book.causes), sum(c.true for c in book.causes))


def _truth(name: str, told: list[Told], book: Book, held: Estate) -> pa.Table:
    alarms = [book.alarms[t.number] for t in told]
    inner = {s.public: s.address for s in held.servers if s.public}
    ours = [_ours(t, a) for t, a in zip(told, alarms, strict=True)]
    columns = [
        pa.repeat(pa.scalar(name), len(told)),
        pa.array(range(len(told)), pa.int64()),
        pa.array([t.ts * 1_000_000 for t in told], pa.int64()).cast(TRUTH.field("ts").type),
        pa.array([a.rule.product for a in alarms], pa.string()),
        pa.array([a.rule.number for a in alarms], pa.string()),
        pa.array([a.machine or o for a, o in zip(alarms, ours, strict=True)], pa.string()),
        pa.array(ours, pa.string()),
        pa.array([inner.get(o, o) for o in ours], pa.string()),
        pa.array([a.cause for a in alarms], pa.int64()),
        pa.array([book.causes[a.cause].kind if a.cause >= 0 else "nothing" for a in alarms], pa.string()),
        pa.array([a.harm for a in alarms], pa.bool_()),
    ]
    return pa.table(columns, schema=TRUTH)


def _ours(told: Told, alarm: Alarm) -> str:
    """Our side of an alert, as an address."""
    if alarm.machine:
        return alarm.address
    own = told.src.startswith(("10.", "203.0.113.")) and not told.dst.startswith(("10.", "203.0.113."))
    return told.src if own else told.dst


def _time(ms: int, places: int) -> str:
    moment = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}{'0' * (places - 3)}+0000"


def _eve(told: Told, alarm: Alarm) -> str:
    rule = alarm.rule
    more = ""
    if rule.attack:
        more = (
            f',"metadata":{{"mitre_technique_id":["{rule.attack}"]'
            + (f',"cve":["{rule.cve}"]' if rule.cve else "")
            + "}"
        )
    named = f',"tls":{{"sni":"{alarm.name}"}}' if alarm.name else ""
    action = "blocked" if alarm.blocked else "allowed"
    return (
        f'{{"timestamp":"{_time(told.ts, 6)}","flow_id":{told.number + 1},"event_type":"alert","src_ip":"{told.src}",'
        f'"src_port":{alarm.sport},"dest_ip":"{told.dst}","dest_port":{alarm.dport},"proto":"{alarm.protocol.upper()}",'
        f'"alert":{{"action":"{action}","gid":1,"signature_id":{rule.number},"rev":1,"signature":"{rule.title}",'
        f'"category":"{rule.category}","severity":{rule.severity}{more}}}{named}}}\n'
    )


def _groups(rule: Rule) -> str:
    return ",".join(f'"{group}"' for group in rule.category.split(","))


def _wazuh(told: Told, alarm: Alarm) -> str:
    rule = alarm.rule
    mitre = f',"mitre":{{"id":["{rule.attack}"]}}' if rule.attack else ""
    data = ",".join(
        f'"{key}":"{value}"' for key, value in (("srcip", told.src), ("dstuser", alarm.user)) if value
    )
    return (
        f'{{"timestamp":"{_time(told.ts, 3)}","rule":{{"level":{rule.severity},"description":"{rule.title}",'
        f'"id":"{rule.number}","groups":[{_groups(rule)}]{mitre}}},"agent":{{"id":"{1 + told.number % 900:03d}",'
        f'"name":"{alarm.machine}","ip":"{alarm.address}"}},"manager":{{"name":"wazuh"}},"id":"{told.ts}.{told.number}",'
        f'"data":{{{data}}},"location":"journald"}}\n'
    )


def _conn(scenario: Scenario, seen: pa.Table, path: Path) -> None:
    ts = pc.add(seen.column("ts"), scenario.organisation.begin)
    quiet = pc.is_in(seen.column("state"), pa.array(["S0", "REJ"]))

    def seconds(ms: pa.Array) -> pa.Array:
        whole, rest = (
            pc.divide(ms, 1000),
            pc.cast(pc.subtract(ms, pc.multiply(pc.divide(ms, 1000), 1000)), pa.string()),
        )
        return pc.binary_join_element_wise(pc.cast(whole, pa.string()), pc.utf8_lpad(rest, 3, "0"), ".")

    def unless(values: pa.Array) -> pa.Array:
        return pc.if_else(quiet, "-", pc.cast(values, pa.string()))

    number = pc.cast(pa.array(range(seen.num_rows), pa.int64()), pa.string())
    packets = pc.add(pc.divide(seen.column("out"), 1200), 2)
    answers = pc.add(pc.divide(seen.column("back"), 1300), 2)
    none, rejected = pc.equal(seen.column("state"), "S0"), pc.equal(seen.column("state"), "REJ")
    columns = [
        seconds(ts), pc.binary_join_element_wise("C", number, ""), seen.column("src"), seen.column("sport"),
        seen.column("dst"), seen.column("dport"), seen.column("protocol"), seen.column("service"),
        pc.if_else(quiet, "-", seconds(seen.column("duration"))), unless(seen.column("out")),
        unless(seen.column("back")),
        seen.column("state"), packets, pc.if_else(none, 0, pc.if_else(rejected, 1, answers)),
    ]  # fmt: skip
    with path.open("wb") as file:
        heading = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n"
        file.write(f"{heading}#fields\t{chr(9).join(_CONN)}\n#types\t{chr(9).join(_TYPES)}\n".encode())
        table = pa.table(columns, names=list(_CONN))
        pcsv.write_csv(
            table, file, pcsv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
        )


def _assets(scenario: Scenario, held: Estate, path: Path) -> None:
    first = datetime.fromtimestamp(scenario.organisation.begin / 1000, UTC)
    rows = observed.assets(scenario, held)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow(
                row | {"installed": (first - timedelta(days=row["installed"])).date().isoformat()}
            )


def _lists(scenario: Scenario, held: Estate, book: Book, folder: Path) -> None:
    first = datetime.fromtimestamp((scenario.organisation.begin - 20 * DAY) / 1000, UTC).date().isoformat()
    black = "".join(f"{address},address,,{first}\n" for address in dict.fromkeys(book.black))
    (folder / "black.csv").write_text("value,type,family,date\n" + black)
    white = "".join(f"{n},cdn{n}.update.example\n" for n in range(len(UPDATES)))
    (folder / "white.csv").write_text(white)
    (folder / "scanners.csv").write_text(
        "".join(f"{address}/32,own vulnerability scanner\n" for address in held.scanner)
    )
