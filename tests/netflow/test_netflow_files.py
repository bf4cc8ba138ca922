"""Files of export packets, and the same numbers from tools of others."""

from __future__ import annotations

import gzip
import shutil
import socket
import struct
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from exports import decoded, flowset, ipfix, record5, rows, template, v5
from recorded import packet

from andon.observe.jsonlines import Skipped
from andon.observe.netflow.decoder import Decoder
from andon.observe.netflow.files import recognise, records
from andon.observe.sensors import sniff

FOUR = [(8, 4), (12, 4), (2, 4)]
DATA = bytes([10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 9])
Told = Counter[tuple[Any, ...]]


def told(found: list[dict[str, Any]]) -> Told:
    return Counter(
        (r["src"], r["dst"], r["src_port"], r["dst_port"], r["protocol"], r["bytes_out"], r["packets_out"])
        for r in found
    )


@pytest.mark.parametrize("name", ["tcp_v5", "udp6_v9", "udp6_ipfix", "udp6_ipfix_biflow"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("times", [1, 3])
def test_packets_behind_one_another_are_a_file(tmp_path: Path, name: str, packed: bool, times: int) -> None:
    data = packet(name) * times
    path = tmp_path / "exports.bin"
    path.write_bytes(gzip.compress(data) if packed else data)
    sensor = sniff(path)
    assert sensor is not None and sensor.name == "netflow"
    skipped = Skipped()
    found = rows(records(path, skipped))
    assert found == decoded([packet(name)] * times)
    assert all("lost" in reason for reason in skipped.reasons)  # the numbers come again


def test_damage_is_stepped_over(tmp_path: Path) -> None:
    path = tmp_path / "exports.bin"
    one = ipfix(template(256, FOUR), flowset(256, DATA * 3))
    path.write_bytes(
        one + one + b"\xffnoise\x00\x0a\x00\x03" * 40 + ipfix(flowset(256, DATA), sequence=6) + one[:30]
    )
    skipped = Skipped()
    assert len(rows(records(path, skipped))) == 7
    assert skipped.reasons["bytes between export packets that are none"] > 300
    assert skipped.reasons["export packet cut short"] == 1


def test_what_is_no_export_is_not_taken_for_one(tmp_path: Path) -> None:
    for data in (
        b"",
        b"\0\5",
        b"\0\5" * 40,
        b"\0\x0a" + bytes(100),
        b"\0\x09" + b"x" * 60,
        b"hello world " * 9,
    ):
        assert not recognise(data)
    path = tmp_path / "x"
    path.write_bytes(b"\0\5" * 40)
    with pytest.raises(ValueError, match="no export packets"):
        list(records(path, Skipped()))


def test_a_real_byte_stream_is_read_wherever_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from andon.observe.netflow import files

    monkeypatch.setattr(files, "_CHUNK", 1 << 17)
    path = tmp_path / "exports.bin"
    path.write_bytes(b"".join(v5([record5(packets=n + 1)] * 30, 30 * n) for n in range(400)))
    skipped = Skipped()
    found = rows(records(path, skipped))
    assert len(found) == 12_000 and sum(r["packets_out"] for r in found) == 30 * 400 * 401 // 2
    assert not skipped.reasons


# The other side: softflowd sends, nfcapd and tshark read too.


def exported(capture: Path, version: int, *extra: str) -> list[bytes]:
    """What softflowd sends for a capture."""
    if shutil.which("softflowd") is None:
        pytest.skip("softflowd is not installed (apt-get install softflowd)")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(0.5)
        to = f"127.0.0.1:{listener.getsockname()[1]}"
        command = ["softflowd", "-D", "-a", "-r", str(capture), "-n", to, "-v", str(version), *extra]
        try:
            subprocess.run(
                command, check=True, timeout=20, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            pytest.skip(f"softflowd does not read captures here ({type(error).__name__})")
        found = []
        while True:
            try:
                found.append(listener.recv(65_535))
            except TimeoutError:
                return found


NAMES = {"6": "tcp", "17": "udp", "1": "icmp", "58": "ipv6-icmp"}
CAPTURES = ("ndpi/facebook.pcap", "ndpi/quic_sh.pcap", "ndpi/bittorrent_utp.pcap", "ndpi/teamspeak3.pcap")


@pytest.mark.parametrize("version", [5, 9, 10])
@pytest.mark.parametrize("capture", CAPTURES)
def test_nfdump_reads_the_same_flows(andon_data: Path, tmp_path: Path, capture: str, version: int) -> None:
    packets = exported(andon_data / "livenet/tls" / capture, version)
    if shutil.which("nfcapd") is None or shutil.which("nfdump") is None:
        pytest.skip("nfdump is not installed (apt-get install nfdump)")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen(
            ["nfcapd", "-b", "127.0.0.1", "-p", str(port), "-w", str(tmp_path)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            end = time.monotonic() + 60
            while f":{port:04X} " not in Path("/proc/net/udp").read_text() and time.monotonic() < end:
                time.sleep(0.05)
            for one in packets:
                sender.sendto(one, ("127.0.0.1", port))
            time.sleep(0.5)
        finally:
            process.terminate()
            process.wait(timeout=20)
    form = "fmt:%sa|%da|%sp|%dp|%pr|%byt|%pkt"
    out = subprocess.run(
        ["nfdump", "-R", str(tmp_path), "-q", "-N", "-6", "-o", form], capture_output=True, check=True
    ).stdout.decode()
    theirs: Told = Counter()
    for line in out.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) == 7:
            sent, asked = (int(part) for part in parts[2:4])
            theirs[(*parts[:2], sent, asked, NAMES[parts[4]], int(parts[5]), int(parts[6]))] += 1
    ours = told(decoded(packets))
    assert theirs == Counter({_portless(key): count for key, count in ours.items()}) and theirs.total() >= 1


def _portless(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """nfdump shows ports of 0 where there are none."""
    return (*key[:2], *(max(port, 0) for port in key[2:4]), *key[4:])


# Not version 9: softflowd's heads count fewer records than there are, and tshark stops there.
@pytest.mark.parametrize("version", [5, 10])
def test_tshark_dissects_the_same_fields(andon_data: Path, tmp_path: Path, version: int) -> None:
    packets = exported(andon_data / "livenet/tls/ndpi/facebook.pcap", version)
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    capture = tmp_path / "exports.pcap"
    capture.write_bytes(_wire(packets, 2055))
    fields = ("srcaddr", "dstaddr", "srcport", "dstport", "octets", "packets")
    out = subprocess.run(
        ["tshark", "-r", str(capture), "-d", "udp.port==2055,cflow", "-T", "fields", "-E", "occurrence=a",
         *(part for field in fields for part in ("-e", f"cflow.{field}"))],
        capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    theirs: Counter[tuple[str, ...]] = Counter()
    for line in out.splitlines():
        columns = [column.split(",") for column in line.split("\t")]
        theirs.update(zip(*columns, strict=True))
    ours = Counter(
        (
            r["src"],
            r["dst"],
            str(r["src_port"]),
            str(r["dst_port"]),
            str(r["bytes_out"]),
            str(r["packets_out"]),
        )
        for r in decoded(packets)
    )
    assert ours == theirs and ours.total() == 4


def _wire(packets: list[bytes], port: int) -> bytes:
    """A capture with each in a UDP datagram."""
    made = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101)
    for payload in packets:
        udp = struct.pack(">HHHH", 40_000, port, 8 + len(payload), 0) + payload
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + bytes([127, 0, 0, 1] * 2)
        made += struct.pack("<IIII", 1_700_000_000, 0, len(ip + udp), len(ip + udp)) + ip + udp
    return made


def test_flows_of_a_capture_hold_its_packets(andon_data: Path) -> None:
    """Sums over a capture, counted by our reader of packets: sent, exported and decoded, nothing is lost."""
    from andon.observe import read

    capture = andon_data / "livenet/tls/ndpi/facebook.pcap"
    there = sum(batch.num_rows for batch in read(str(capture), columns=("ts",)))
    found = decoded(exported(capture, 10), Decoder())
    assert sum(r["packets_out"] for r in found) == there == 60
