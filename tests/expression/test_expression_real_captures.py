"""Known relations on real captures: our predicate, tcpdump with our filter, and the counts of tshark agree."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from frames import columns_of, read_pcap, tcpdump_selects, write_pcap

from andon.records.expression import compile_program, evaluate, parse, to_bpf

SYN = "tcp.flags & 0x3f == 2"
RELATIONS = {
    "fp_mirai": f"tcp.seq == ip.dst and {SYN}",
    "fp_zmap": f"ip.id == 54321 and {SYN}",
    "fp_masscan": f"ip.id == (ip.dst ^ tcp.dstport ^ tcp.seq) & 0xffff and {SYN}",
}
CAPTURES = (
    "masscan_tcp_0_1000_vlan.pcap",
    "zmap_syn80_10k.pcap",
    "nmap_synscan_2010.pcap",
    "iot_malware_telnet_scan.pcap",
    "backscatter_synack_reflection.pcap",
    "synflood_spoofed.pcap",
)


@pytest.mark.real_data
@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
@pytest.mark.parametrize("name", CAPTURES)
def test_predicate_tcpdump_and_tshark_agree(andon_data, tmp_path, name):
    folder = andon_data / "darknet-data"
    packets = read_pcap(folder / "captures" / name)
    # The same packets with their number for a timestamp, so that a selection can be compared packet by packet.
    numbered = tmp_path / name
    write_pcap(numbered, [(data + bytes(wire - len(data)), len(data)) for data, wire in packets])
    columns = columns_of([data for data, _ in packets], tags=1)
    truth = next(v for k, v in json.loads((folder / "expected.json").read_text()).items() if k.endswith(name))
    for key, text in RELATIONS.items():
        expr = parse(text)
        selected = np.flatnonzero(evaluate(compile_program(expr), columns)).tolist()
        assert tcpdump_selects(numbered, to_bpf(expr, vlan=True)) == selected
        assert len(selected) == truth[key], key
