"""UDP services whose answers are used for amplification: the data behind "an unsolicited UDP answer".

A datagram from one of these ports to another port is what a reflector sends to the address that was forged, or
what an attacked server sends to forged addresses. The port alone proves nothing (scanners also send *from* port
53); it only decides which datagrams are counted as answers, the rules of ``episodes`` and ``targets`` decide.

Sources: A = US-CERT alert TA14-017A "UDP-based amplification attacks" (2014, revised 2018); R = Rossow,
"Amplification hell", NDSS 2014; B = Nawrocki et al., "QUICsand", IMC 2021; I = IANA service names, named as
attack vectors in vendors' reports that were not read here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Service(NamedTuple):
    port: int
    name: str
    source: str


SERVICES = (
    Service(7, "echo", "I"),
    Service(17, "QOTD", "A, R"),
    Service(19, "CharGEN", "A, R"),
    Service(53, "DNS", "A, R"),
    Service(69, "TFTP", "A"),
    Service(111, "portmap", "A"),
    Service(123, "NTP", "A, R"),
    Service(137, "NetBIOS", "A, R"),
    Service(161, "SNMP", "A, R"),
    Service(177, "XDMCP", "I"),
    Service(389, "CLDAP", "A"),
    Service(427, "SLP", "I"),
    Service(443, "QUIC", "B"),
    Service(500, "IKE", "I"),
    Service(520, "RIPv1", "A"),
    Service(623, "IPMI", "I"),
    Service(1194, "OpenVPN", "I"),
    Service(1434, "MS-SQL resolution", "I"),
    Service(1604, "Citrix ICA", "I"),
    Service(1701, "L2TP", "I"),
    Service(1900, "SSDP", "A, R"),
    Service(3283, "Apple remote management", "I"),
    Service(3389, "RDP", "I"),
    Service(3478, "STUN", "I"),
    Service(3702, "WS-Discovery", "I"),
    Service(4500, "IKE (NAT traversal)", "I"),
    Service(5060, "SIP", "I"),
    Service(5093, "Sentinel licence", "I"),
    Service(5351, "NAT-PMP", "I"),
    Service(5353, "mDNS", "A"),
    Service(5683, "CoAP", "I"),
    Service(6881, "BitTorrent", "A, R"),
    Service(10001, "Ubiquiti discovery", "I"),
    Service(10074, "TP-240", "I"),
    Service(11211, "memcached", "A"),
    Service(17185, "VxWorks debug", "I"),
    Service(27015, "Steam", "A, R"),
    Service(27960, "Quake", "A, R"),
    Service(32414, "Plex", "I"),
    Service(37810, "DVR DHCPDiscover", "I"),
    Service(47808, "BACnet", "I"),
)

NAMES = {service.port: service.name for service in SERVICES}


def service_ports() -> np.ndarray:
    """bool[65536]: whether a UDP source port is in the table."""
    known = np.zeros(65536, np.bool_)
    known[[service.port for service in SERVICES]] = True
    return known
