"""Names of the reasons for which a packet of a capture gives no row.

A kernel counts by number (the position in ``NAMES``); people read the names. The kernels import the numbers
as constants.
"""

from __future__ import annotations

from typing import Final

NAMES: Final = (
    "",
    "short frame",
    "short ip header",
    "bad ihl",
    "bad ip version",
    "unknown link type",
    "arp",
    "rarp",
    "802.3 llc",
    "lldp",
    "slow protocols",
    "pppoe discovery",
    "pppoe, not ip",
    "mpls, not ip",
    "ipx",
    "eapol",
    "macsec",
    "ptp",
    "ethernet loopback",
    "other ethertype",
    "too many tags",
    "loopback, not ip",
    "ppp, not ip",
    "unknown interface",
    "other link-layer protocol",
    "bad ip length",
)
NUMBER: Final = {name: number for number, name in enumerate(NAMES)}

ROW: Final = 0
SHORT_FRAME: Final = NUMBER["short frame"]
SHORT_IP: Final = NUMBER["short ip header"]
BAD_IHL: Final = NUMBER["bad ihl"]
BAD_VERSION: Final = NUMBER["bad ip version"]
UNKNOWN_LINK: Final = NUMBER["unknown link type"]
LLC: Final = NUMBER["802.3 llc"]
PPPOE_DISCOVERY: Final = NUMBER["pppoe discovery"]
PPPOE_OTHER: Final = NUMBER["pppoe, not ip"]
MPLS_OTHER: Final = NUMBER["mpls, not ip"]
OTHER_ETHERTYPE: Final = NUMBER["other ethertype"]
TOO_MANY_TAGS: Final = NUMBER["too many tags"]
LOOPBACK_OTHER: Final = NUMBER["loopback, not ip"]
PPP_OTHER: Final = NUMBER["ppp, not ip"]
UNKNOWN_INTERFACE: Final = NUMBER["unknown interface"]
OTHER_LINK: Final = NUMBER["other link-layer protocol"]
BAD_LENGTH: Final = NUMBER["bad ip length"]
ARP: Final = NUMBER["arp"]
RARP: Final = NUMBER["rarp"]
LLDP: Final = NUMBER["lldp"]
SLOW: Final = NUMBER["slow protocols"]
IPX: Final = NUMBER["ipx"]
EAPOL: Final = NUMBER["eapol"]
MACSEC: Final = NUMBER["macsec"]
PTP: Final = NUMBER["ptp"]
ETHERNET_LOOPBACK: Final = NUMBER["ethernet loopback"]
