"""Every honeypot's log as it is on disk, plain or compressed, becomes sessions; hostile lines cost only themselves."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.observe import honeypot
from andon.observe.honeypot import mapped
from andon.observe.honeypot.maps import MAPS
from andon.observe.jsonlines import Skipped
from andon.records.honeypot import SESSION

NATIVE = [  # file, honeypot, events in it (counted with wc and grep), protocols
    ("tpot_formats_2025/ciscoasa/ciscoasa.log.zst", "ciscoasa", 2, {"https"}),
    ("tpot_formats_2025/conpot/conpot_IEC104.json.zst", "conpot", 7, {"IEC104"}),
    ("tpot_formats_2025/conpot/conpot_guardian_ast.json.zst", "conpot", 4, {"guardian_ast"}),
    ("tpot_formats_2025/conpot/conpot_kamstrup_382.json.zst", "conpot", 23, {"kamstrup_protocol"}),
    ("tpot_formats_2025/cowrie/cowrie.json.zst", "cowrie", 323, {"ssh", "telnet"}),
    ("tpot_formats_2025/dionaea/dionaea.json.zst", "dionaea", 3183, None),
    ("tpot_formats_2025/elasticpot/elasticpot.json.zst", "elasticpot", 2, {"http"}),
    ("tpot_formats_2025/fatt/fatt.log.zst", "fatt", 1499, None),
    ("tpot_formats_2025/h0neytr4p/log.json.zst", "h0neytr4p", 4, {"https"}),
    ("tpot_formats_2025/heralding/log_session.json.zst", "heralding", 20, None),
    ("tpot_formats_2025/heralding/session.csv.zst", "heralding", 20, None),
    ("tpot_formats_2025/honeyaml/honeyaml.log.zst", "honeyaml", 4, {"http"}),
    ("tpot_formats_2025/honeytrap/honeytrap.log.zst", "honeytrap", 5546, {"tcp"}),
    ("tpot_formats_2025/mailoney/commands.log.zst", "mailoney", 31, {"smtp"}),
    ("tpot_formats_2025/redishoneypot/redishoneypot.log.zst", "redishoneypot", 47, {"redis"}),
    ("tpot_formats_2025/sentrypeer/sentrypeer.json.zst", "sentrypeer", 312, {"sip"}),
    ("tpot_formats_2025/tanner/tanner_report.json.zst", "tanner", 25, {"http"}),
    ("tpot_gcp_2025/ciscoasa.jsonl.zst", "ciscoasa", 182_043, {"https"}),
    ("tpot_gcp_2025/dionaea.jsonl.zst", "dionaea", 3541, None),
    ("tpot_gcp_2025/heralding.jsonl.zst", "heralding", 58_018, None),
    ("tpot_gcp_2025/honeytrap_attackers.jsonl.zst", "honeytrap", 2924, {"tcp", "udp"}),
    ("scenario/tanner_report.json.zst", "tanner", 340, {"http"}),
]


def table(path: Path, skipped: Skipped | None = None) -> pa.Table:
    return pa.Table.from_batches(list(honeypot.sessions(path, skipped or Skipped())), schema=SESSION)


def raw(path: Path) -> bytes:
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file).read()


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "who", "events", "protocols"), NATIVE)
def test_native_logs_are_recognised_and_read_whole(
    andon_data: Path, name: str, who: str, events: int, protocols: set[str] | None
) -> None:
    skipped = Skipped()
    rows = table(andon_data / "joint" / name, skipped)
    assert set(rows.column("honeypot").to_pylist()) == {who}
    # Eight lines of one log have no source address.
    assert dict(skipped.reasons) == (
        {mapped.NO_SOURCE: 8} if name.endswith("gcp_2025/dionaea.jsonl.zst") else {}
    )
    assert pc.sum(rows.column("events")).as_py() + skipped.lines == events
    if protocols is not None:
        assert set(rows.column("protocol").to_pylist()) <= protocols
    assert pc.min(rows.column("address")).as_py() > 0
    assert pc.all(pc.less_equal(rows.column("start"), rows.column("end"))).as_py()


@pytest.mark.real_data
def test_credentials_payloads_and_requests_are_those_of_the_log(andon_data: Path) -> None:
    data = andon_data / "joint" / "tpot_gcp_2025"
    tried: Counter[tuple[str, str]] = Counter()
    for line in raw(data / "dionaea.jsonl.zst").splitlines():
        pair = json.loads(line).get("credentials", {})
        tried.update(zip(pair.get("username", []), pair.get("password", []), strict=True))
    flat = table(data / "dionaea.jsonl.zst").column("credentials").combine_chunks().flatten()
    assert tried == Counter(zip(*(flat.field(n).to_pylist() for n in ("username", "password")), strict=True))
    attempts = sum(
        len(json.loads(line)["auth_attempts"]) for line in raw(data / "heralding.jsonl.zst").splitlines()
    )
    credentials = table(data / "heralding.jsonl.zst").column("credentials")
    assert attempts == pc.sum(pc.list_value_length(credentials)).as_py() > 0
    sent: Counter[str] = Counter()
    for line in raw(data / "honeytrap_attackers.jsonl.zst").splitlines():
        payload = json.loads(line)["attack_connection"]["payload"]
        sent.update([payload["sha512_hash"]] if payload["length"] else [])
    payloads = table(data / "honeytrap_attackers.jsonl.zst").column("payloads").combine_chunks().flatten()
    assert sent == Counter(payloads.field("sha512").to_pylist())
    asked = Counter(
        (body["method"], body["path"])
        for body in map(json.loads, raw(andon_data / "joint/scenario/tanner_report.json.zst").splitlines())
    )
    requests = table(andon_data / "joint/scenario/tanner_report.json.zst").column("requests")
    flat = requests.combine_chunks().flatten()
    assert asked == Counter(zip(flat.field("method").to_pylist(), flat.field("uri").to_pylist(), strict=True))
    accesses = raw(data / "ciscoasa.jsonl.zst").count(b'"payload_printable": "\\"GET ')
    gets = table(data / "ciscoasa.jsonl.zst").column("requests").combine_chunks().flatten().field("method")
    assert accesses == gets.to_pylist().count("GET") > 90_000


@pytest.mark.parametrize("chart", MAPS, ids=lambda chart: f"{chart.honeypot}-{chart.marks[1]}")
def test_a_line_of_each_map_is_recognised_as_its_own(chart: Any, tmp_path: Path) -> None:
    line: dict[str, Any] = {}
    for number, path in enumerate(dict.fromkeys((*chart.marks, *chart.paths))):
        value: Any = f"value{number}"
        if path in chart.time:
            value = "2026-01-02T03:04:05Z"
        elif path == chart.src:
            value = "192.0.2.9" if chart.src_port else "192.0.2.9:4444"
        elif path in (chart.src_port, chart.dst_port):
            value = 4444
        place = line
        *above, name = path.split(".")
        for step in above:
            place = place.setdefault(step, {})
        if not isinstance(place.get(name), dict):
            place[name] = value
    log = tmp_path / "log.json.gz"
    log.write_bytes(gzip.compress(json.dumps(line).encode() + b"\n"))
    [row] = table(log).drop(["start", "end", "commands", "credentials"]).to_pylist()
    assert row["honeypot"] == chart.honeypot
    assert (row["src"], row["address"]) == ("192.0.2.9", 0xC0000209)
    assert row["src_port"] in (4444, -1)


def test_what_is_no_honeypot_log_is_said_to_be_none(tmp_path: Path) -> None:
    for name, content in (("a", b"hello\n"), ("b", b'{"x": 1}\n'), ("c", b""), ("d", b"\x00" * 5000)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(honeypot.UnknownLog):
            table(tmp_path / name)


def test_a_cut_compression_ends_the_log_and_is_counted(tmp_path: Path) -> None:
    lines = b"".join(
        b'{"timestamp": "2026-01-01T00:00:%02dZ", "src_ip": "192.0.2.1", "src_port": %d, "data": "EHLO x"}\n'
        % (n % 60, n)
        for n in range(20_000)
    )
    packed = gzip.compress(lines)
    (tmp_path / "cut.gz").write_bytes(packed[: len(packed) // 2])
    skipped = Skipped()
    assert 0 < table(tmp_path / "cut.gz", skipped).num_rows < 20_000
    assert any("cut" in reason for reason in skipped.reasons)


def test_visits_are_parted_by_five_minutes_of_silence() -> None:
    chart = next(chart for chart in MAPS if chart.honeypot == "mailoney")
    minutes = (0, 1, 2, 8, 9, 30)
    log = b"".join(
        b'{"timestamp": "2026-01-01T00:%02d:00Z", "src_ip": "192.0.2.1", "src_port": 9, "data": "NOOP"}\n' % m
        for m in minutes
    )
    [batch] = mapped.sessions(io.BytesIO(log), chart, Skipped())
    assert batch.column("events").to_pylist() == [3, 2, 1]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(VALUES, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_any_value_in_any_member_is_read_or_counted(values: list[Any]) -> None:
    for chart in MAPS:
        if chart.honeypot not in ("dionaea", "heralding", "honeytrap", "redishoneypot", "ciscoasa", "tanner"):
            continue
        lines = []
        for number, value in enumerate(values):
            line: dict[str, Any] = {}
            for k, path in enumerate(chart.paths):
                place = line
                *above, name = path.split(".")
                for step in above:
                    inner = place.setdefault(step, {})
                    place = inner if isinstance(inner, dict) else {}
                place[name] = value if (k + number) % 2 else "2026-01-01T00:00:00Z"
            lines.append(json.dumps(line))
        skipped = Skipped()
        batches = list(mapped.sessions(io.BytesIO("\n".join(lines).encode()), chart, skipped))
        events = sum(pc.sum(batch.column("events")).as_py() for batch in batches)
        assert events + skipped.lines == len(lines)
