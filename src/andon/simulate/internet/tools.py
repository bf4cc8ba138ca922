"""How scanning tools, bots and operating systems fill in a header: one row each.

Read in the tools' public source: Mirai (scanner.c: seq = destination, random id, source port and window drawn
once per process, no options, every tenth packet to 2323), Masscan (id = destination ^ port ^ seq, window 1024,
TTL 255; current versions send a MSS option, older ones none), ZMap (id 54321 before 4.1, random since; window 65535;
the options of Ubuntu since 4.1), Nmap (seq = session mask ^ the number of the try in both halves; TTL 37 to 59;
older versions: window 1024 times 1 to 4 by the TTL), Unicornscan (relation keyed by session, from a public darknet
classifier).

Assumed, from general knowledge, and to be replaced when measured: initial TTL 64 of raw sockets on Linux; source
ports, windows and TTLs not named above (Nmap now: window 1024 and a MSS option; ZMap: TTL 255 before 4.1, the
sending host's since; one source port per Masscan and Nmap run); windows, options and IP-id behaviour of operating
systems (p0f-like values); the Hajime- and Mozi-like families, of which only window 14600 with more than two ports
and the port sets are public.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from . import session as s

DONT_FRAGMENT = 0x4000


@dataclass(frozen=True)
class Tool:
    """Header behaviour. ``window`` None: drawn once per process. ``sport``: None for one port per process drawn
    from ``sport_range``, else the mode in which ports vary over that range."""

    kind: int = s.TCP
    flags: int = 2
    relation: int = s.NO_RELATION
    expression: str = ""  # what all its packets satisfy; "" if no header relation
    ttl: int = 64
    ttl_mode: int = s.FIXED
    window: int | None = 0
    window_mode: int = s.FIXED
    options: str = "none"
    id_mode: int = s.RANDOM
    id_step: int = 1
    seq_mode: int = s.RANDOM
    sport: int | None = s.RANDOM
    sport_range: tuple[int, int] = (32768, 61000)
    retries: int = 0
    wait: float = 1.0  # seconds to the first retransmission
    frag: int = 0
    swap: bool = False
    icmp: tuple[int, int] = (0, 0)
    dst_mode: int = s.UNIFORM
    spoofed: bool = False


NMAP_RELATION = "hi16(tcp.seq) ^ lo16(tcp.seq) == key16"
UNICORN_RELATION = "tcp.seq == ip.dst ^ tcp.srcport ^ (tcp.dstport << 16) ^ key32"
MASSCAN_RELATION = "ip.id == lo16(ip.dst ^ tcp.dstport ^ tcp.seq)"

_MIRAI = Tool(
    relation=s.MIRAI, expression="tcp.seq == ip.dst", window=None, sport=None, sport_range=(1024, 65535)
)
_MASSCAN = Tool(
    relation=s.MASSCAN, expression=MASSCAN_RELATION, ttl=255, window=1024, options="mss", sport=None,
    sport_range=(40000, 60000),
)  # fmt: skip
_NMAP = Tool(
    relation=s.NMAP, expression=NMAP_RELATION, ttl_mode=s.NMAP_TTL, window=1024, options="mss", sport=None,
    sport_range=(33000, 65280), retries=1,
)  # fmt: skip
_ANSWER = Tool(flags=18, swap=True, sport_range=(1024, 65535), frag=DONT_FRAGMENT)
_LINUX = Tool(id_mode=s.PER_CONNECTION, frag=DONT_FRAGMENT, retries=2)
_WINDOWS = Tool(
    ttl=128,
    frag=DONT_FRAGMENT,
    retries=2,
    wait=3.0,
    sport=s.COUNTER,
    sport_range=(49152, 65535),
    id_mode=s.COUNTER,
)

TOOLS: Final[dict[str, Tool]] = {
    "mirai": _MIRAI,
    # A re-written scanner that keeps Mirai's loop but asks the random generator for the sequence number.
    "mirai-random-seq": replace(_MIRAI, relation=s.NO_RELATION, expression=""),
    "hajime": replace(_LINUX, window=14600, options="linux-ws6", retries=0),
    "mozi": Tool(window=None, sport=None, sport_range=(1024, 65535), options="mss1400"),
    "masscan": _MASSCAN,
    "masscan-old": replace(_MASSCAN, options="none"),
    "zmap-old": Tool(relation=s.ZMAP, expression="ip.id == 0xd431", ttl=255, window=65535, dst_mode=s.LISTED),
    "zmap": Tool(window=65535, options="linux-ws7", dst_mode=s.LISTED),
    "unicornscan": Tool(
        relation=s.UNICORNSCAN, expression=UNICORN_RELATION, window=16384, sport_range=(1024, 65535), ttl=128
    ),
    "nmap": _NMAP,
    "nmap-old": replace(_NMAP, window_mode=s.NMAP_TTL),
    # A raw SYN scanner of which nothing is known but the relation that its family names.
    "raw": Tool(window=None, sport_range=(1024, 65535)),
    # A scanner that asks the operating system to connect, and gives up before it retransmits.
    "connect": replace(_LINUX, window=64240, options="linux-ws7", retries=0),
    "udp": Tool(kind=s.UDP, flags=0),
    "echo": Tool(kind=s.ECHO, flags=0, icmp=(8, 0), id_mode=s.COUNTER, id_step=8, dst_mode=s.SWEEP),
    # Victims of floods with spoofed sources, answering addresses of the telescope.
    "synack": replace(_ANSWER, window=29200, options="synack", id_mode=s.FIXED, retries=3),
    "rst": replace(_ANSWER, flags=20, id_mode=s.COUNTER, id_step=4, seq_mode=s.FIXED, ttl=128),
    "unreachable": replace(_ANSWER, kind=s.ICMP_ERROR, flags=0, icmp=(3, 3), frag=0),
    # A flood whose random sources are made up, aimed at an address of the telescope.
    "flood": Tool(window=None, ttl_mode=s.RANDOM, spoofed=True, sport_range=(1024, 65535)),
    # Operating systems.
    "linux-2.4": replace(_LINUX, window=5840, options="linux-ws0"),
    "linux-2.6": replace(_LINUX, window=5840, options="linux-ws2"),
    "linux-3": replace(_LINUX, window=14600, options="linux-ws6"),
    "linux-4": replace(_LINUX, window=29200, options="linux-ws7"),
    "linux-5": replace(_LINUX, window=64240, options="linux-ws7"),
    "windows-xp": replace(_WINDOWS, window=65535, options="windows-old", id_step=20, sport_range=(1025, 5000)),
    "windows-7": replace(_WINDOWS, window=8192, options="windows", id_step=60),
    "windows-10": replace(_WINDOWS, window=64240, options="windows", id_mode=s.PER_DESTINATION),
    "macos": Tool(
        window=65535, options="macos", id_mode=s.FIXED, frag=DONT_FRAGMENT, retries=3, sport_range=(49152, 65535)
    ),
    "embedded": Tool(
        window=5744, options="mss", ttl=255, id_mode=s.COUNTER, id_step=2, sport=s.COUNTER,
        sport_range=(49152, 65535), retries=1, wait=3.0,
    ),
    # Home-made stacks that send one sequence number for ever: a trap for relations that hold trivially.
    "fixed-seq": Tool(
        window=65535, ttl=128, id_mode=s.COUNTER, id_step=3, seq_mode=s.FIXED, sport=None, sport_range=(1024, 65535)
    ),
}  # fmt: skip

# Share of each stack among ordinary hosts that reach a telescope (assumed).
STACKS: Final[dict[str, float]] = {
    "linux-2.4": 0.03, "linux-2.6": 0.12, "linux-3": 0.13, "linux-4": 0.14, "linux-5": 0.14, "windows-xp": 0.06,
    "windows-7": 0.13, "windows-10": 0.13, "macos": 0.04, "embedded": 0.06, "fixed-seq": 0.02,
}  # fmt: skip
