"""Who a terminal is, and pseudonyms."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pyarrow as pa
import pytest
from edges_world import HOUR, START, contacts
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from andon.cli import app
from andon.observe.logs.identity import Identity
from andon.observe.logs.options import Options
from andon.observe.logs.pseudonyms import ADDRESS, HOST, USER, BadKey, Pseudonyms, make_key, read_key
from andon.records.asset import ASSET
from andon.records.flow import FLOW
from andon.records.kinds import kind_of

KEY = bytes(range(64))


def _leases(*rows: dict[str, object]) -> pa.Table:
    default = {"valid_from": None, "valid_to": None, "basis": "lease", "first": 0, "last": 0}
    columns = []
    for field in ASSET:
        values = [(default | row).get(field.name, [] if pa.types.is_list(field.type) else "") for row in rows]
        raw = pa.int64() if pa.types.is_timestamp(field.type) else field.type
        columns.append(pa.array(values, raw).cast(field.type))
    return pa.table(columns, schema=ASSET)


def _terminals(options: Options, *rows: dict[str, object]) -> list[str]:
    made = Identity(options).apply("contact", contacts(*rows))
    assert kind_of(made) == "contact"
    return list(made.column("terminal").to_pylist())


ROWS = (
    {"user": "alice", "address": "10.0.0.1"},
    {"user": "", "address": "10.0.0.2"},
    {"user": "-", "address": "10.0.0.3"},
)


def test_a_terminal_is_the_user_where_one_is_named_else_the_address() -> None:
    assert _terminals(Options(), *ROWS) == ["alice", "10.0.0.2", "10.0.0.3"]
    assert _terminals(Options(terminal="address"), *ROWS) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


def test_a_lease_names_the_device_that_had_the_address_at_the_time() -> None:
    leases = _leases(
        {"address": "10.0.0.2", "hostname": "PC-1.", "valid_from": START, "valid_to": START + HOUR},
        {"address": "10.0.0.2", "mac": "00:11:22:33:44:55", "valid_from": START + HOUR, "valid_to": START + 2 * HOUR},
        {"address": "10.0.0.3", "asset": "A-7", "basis": "list"},
        {"address": "10.0.0.0/24", "hostname": "nobody"},
        {"address": "2001:db8::5", "hostname": "six"},
    )  # fmt: skip
    asked = [("10.0.0.2", -1), ("10.0.0.2", 0), ("10.0.0.2", HOUR), ("10.0.0.2", 2 * HOUR), ("10.0.0.3", -HOUR),
             ("10.0.0.9", 0), ("2001:db8::5", 0)]  # fmt: skip
    rows = [{"user": "", "address": address, "ts": START + at} for address, at in asked]
    assert _terminals(Options(leases=leases), *rows, {"user": "alice", "address": "10.0.0.3"}) == [
        "10.0.0.2", "pc-1", "00:11:22:33:44:55", "10.0.0.2", "A-7", "10.0.0.9", "six", "alice",
    ]  # fmt: skip
    assert _terminals(
        Options(leases=leases, terminal="address"), {"user": "alice", "address": "10.0.0.3"}
    ) == ["A-7"]


def test_a_lease_over_an_entry_of_a_list_wins_while_it_lasts() -> None:
    leases = _leases(
        {"address": "10.0.0.2", "hostname": "listed", "basis": "list"},
        {"address": "10.0.0.2", "hostname": "leased", "valid_from": START, "valid_to": START + HOUR},
    )
    rows = [{"user": "", "address": "10.0.0.2", "ts": START + at} for at in (-1, 0, HOUR)]
    assert _terminals(Options(leases=leases), *rows) == ["listed", "leased", "listed"]


def test_under_a_key_nobody_is_named_and_everybody_stays_apart() -> None:
    leases = _leases({"address": "10.0.0.2", "hostname": "pc-1"})
    made = Identity(Options(key=KEY, leases=leases)).apply("contact", contacts(*ROWS, ROWS[0]))
    back = Pseudonyms(KEY)
    terminals = made.column("terminal").to_pylist()
    assert [back.reveal(name) for name in terminals] == [
        (USER, "alice"), (HOST, "pc-1"), (ADDRESS, "10.0.0.3"), (USER, "alice"),
    ]  # fmt: skip
    assert terminals[0] == terminals[3]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, made.schema) as stream:
        stream.write_batch(made)
    written = sink.getvalue().to_pybytes()
    assert not any(name in written for name in (b"alice", b"pc-1", b"10.0.0."))
    assert (
        made.column("user").to_pylist()[1:3] == ["", "-"]
        and made.column("host").to_pylist()[0] == "a.example"
    )


def test_of_flows_the_inner_side_gets_a_pseudonym_and_the_outer_stays() -> None:
    row = {"src": "10.0.0.9", "dst": "198.51.100.1"}
    columns = []
    for field in FLOW:
        empty = START if field.name == "ts" else None if field.nullable else 0
        value = row.get(field.name, "" if pa.types.is_dictionary(field.type) else empty)
        if pa.types.is_dictionary(field.type):
            columns.append(
                pa.array([value, "203.0.113.8" if field.name == "src" else value]).dictionary_encode()
            )
        else:
            columns.append(
                pa.array([value, value], pa.int64() if field.name == "ts" else field.type).cast(field.type)
            )
    made = Identity(Options(key=KEY)).apply("flow", pa.RecordBatch.from_arrays(columns, schema=FLOW))
    src, terminal = made.column("src").to_pylist(), made.column("terminal").to_pylist()
    assert src == terminal and src[0].startswith("addr-") and src[1] == "203.0.113.8"
    assert made.column("dst").to_pylist() == ["198.51.100.1"] * 2
    inside = Identity(Options(key=KEY, inside=("198.51.100.0/24",)))
    assert (
        inside.apply("flow", pa.RecordBatch.from_arrays(columns, schema=FLOW))
        .column("dst")
        .to_pylist()[0][:5]
        == "addr-"
    )


@given(st.text(min_size=1, max_size=80), st.sampled_from([USER, ADDRESS, HOST]))
def test_a_pseudonym_is_one_word_in_lower_case_and_leads_back(name: str, kind: str) -> None:
    names = Pseudonyms(KEY)
    made = names.of(kind, name)
    if name == "-":
        assert made == name
        return
    assert made == made.lower() and made.replace("-", "").isalnum() and made.startswith(f"{kind}-")
    assert names.reveal(made) == (kind, name)


def test_another_key_another_kind_or_a_changed_letter_leads_nowhere() -> None:
    made = Pseudonyms(KEY).of(USER, "alice")
    assert Pseudonyms(KEY[::-1]).of(USER, "alice") != made
    changed = made[:-3] + ("a" if made[-3] != "a" else "b") + made[-2:]
    for wrong in (made.replace("user-", "host-"), changed, "alice", "user-", "user-" + "a" * 40):
        with pytest.raises(BadKey):
            Pseudonyms(KEY).reveal(wrong)
    with pytest.raises(BadKey):
        Pseudonyms(KEY[::-1]).reveal(made)


def test_addresses_have_pseudonyms_of_one_length() -> None:
    names = Pseudonyms(KEY)
    assert len({len(names.of(ADDRESS, f"10.0.{n}.{n}")) for n in range(0, 256, 15)}) == 1


def test_the_commands_make_a_key_that_is_kept_and_turn_names_back(tmp_path: Path) -> None:
    key, run = tmp_path / "secret.key", CliRunner()
    assert run.invoke(app, ["pseudonym", "key", str(key)]).exit_code == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert run.invoke(app, ["pseudonym", "key", str(key)]).exit_code == 2  # never overwritten
    made = Pseudonyms(read_key(key)).of(USER, "alice")
    shown = run.invoke(app, ["pseudonym", "reveal", "--key", str(key), made])
    assert shown.exit_code == 0 and shown.stdout.split() == [made, "user", "alice"]
    wrong = run.invoke(app, ["pseudonym", "reveal", "--key", str(key), "--format", "json", made, "user-x"])
    assert wrong.exit_code == 1 and '"name": "alice"' in wrong.stdout
    assert run.invoke(app, ["pseudonym", "reveal", "--key", str(tmp_path / "none"), made]).exit_code == 2


def test_a_key_that_everybody_can_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "k"
    make_key(key)
    if os.name == "posix":
        key.chmod(0o604)
        with pytest.raises(BadKey, match="chmod 600"):
            read_key(key)
    other = tmp_path / "other"
    other.write_text("-----BEGIN PRIVATE KEY----- c2VjcmV0")
    other.chmod(0o600)
    with pytest.raises(BadKey) as refused:
        read_key(other)
    assert "c2VjcmV0" not in str(refused.value)


def test_the_key_is_shown_nowhere() -> None:
    assert "01020304" not in repr(Options(key=KEY)) and "key" not in repr(Options(key=KEY))
