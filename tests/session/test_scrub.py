"""No binary leaves the reader of honeypots' logs, and nothing else is changed."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_batches import batch, session

from andon.observe import honeypot
from andon.observe.honeypot.scrub import scrubbed
from andon.observe.jsonlines import Skipped
from andon.records import binaries

ELF = b"\x7fELF\x02\x01\x01" + bytes(range(64))


def escaped(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


@pytest.mark.parametrize(
    "text",
    [
        f"echo -ne '{escaped(ELF)}' >> a", f"printf '{escaped(ELF).replace(chr(92), chr(92) * 2)}'",
        f"echo {ELF.hex()} | xxd -r -p",
        "echo -ne '" + "".join(f"\\{byte:03o}" for byte in ELF) + "'", "cat > a <<E\n" + ELF.decode("latin-1") + "\nE",
    ],
    ids=["hex escapes", "doubled", "digits", "octal", "raw"],
)  # fmt: skip
def test_programs_are_cut_out_of_commands_in_every_form(text: str) -> None:
    clean = scrubbed(batch(session(1, typed=[text, "uname -a"]))).column("commands").to_pylist()[0]
    assert binaries.LEFT.search(clean[0]["input"])
    assert "\x7fELF" not in clean[0]["input"]
    assert "454c46" not in clean[0]["input"].lower().replace("\\x", "").replace("\\", "")
    assert clean[1]["input"] == "uname -a"


def test_the_digest_is_that_of_the_program() -> None:
    clean = (
        scrubbed(batch(session(1, typed=[f"echo -ne '{escaped(ELF)}'"])))
        .column("commands")
        .to_pylist()[0][0]["input"]
    )
    assert clean == f"echo -ne '<BIN {len(ELF)} bytes sha256 {sha256(ELF).hexdigest()}>'"


@pytest.mark.parametrize(
    "text",
    ["echo -e '\\x1b[31mred'", "echo \\x41\\x42", "C:\\123\\x", "awk '{print $1}'", "", "日本語; ls\t-l\n"],
)
def test_other_commands_stay_as_they_were_typed(text: str) -> None:
    rows = batch(session(1, typed=[text]))
    assert scrubbed(rows).equals(rows)


def test_payloads_keep_what_comes_before_a_program_and_its_digest() -> None:
    head = b"POST /upload HTTP/1.1\r\n\r\n"
    payload = {"length": 9, "md5": None, "sha256": None, "sha512": None, "hex": (head + ELF).hex()}
    plain = payload | {"hex": head.hex()}
    odd = payload | {"hex": "0" + "7f454c46" + "1"}  # the digits of the magic, but not its bytes
    found = scrubbed(batch(session(1, payloads=[payload, plain, odd]))).column("payloads").to_pylist()[0]
    assert bytes.fromhex(found[0]["hex"]) == head
    assert found[0]["sha256"] == sha256(head + ELF).hexdigest()
    assert found[1:] == [plain, odd]


def test_files_are_read_without_binaries(tmp_path: Path) -> None:
    path = tmp_path / "cowrie.json"
    lines = [
        {
            "eventid": "cowrie.session.connect",
            "session": "a",
            "timestamp": "2026-01-01T00:00:00Z",
            "src_ip": "192.0.2.1",
        },
        {
            "eventid": "cowrie.command.input",
            "session": "a",
            "timestamp": "2026-01-01T00:00:01Z",
            "input": f"echo -ne '{escaped(ELF)}' > x",
        },
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (only,) = honeypot.sessions(path, Skipped())
    assert "<BIN 71 bytes sha256" in only.column("commands").to_pylist()[0][0]["input"]


@given(st.binary(min_size=8, max_size=200), st.text(max_size=40))
def test_no_run_of_escapes_that_is_no_text_survives(data: bytes, around: str) -> None:
    text = binaries.cut(around + escaped(data) + around, undo=False)
    if not binaries.printable(data):
        assert escaped(data) not in text


@given(st.text(max_size=300))
def test_cutting_twice_is_cutting_once(text: str) -> None:
    once = binaries.cut(text, undo=False)
    assert binaries.cut(once, undo=False) == once
