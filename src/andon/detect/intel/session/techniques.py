"""ATT&CK techniques of statements, by a table of what the statement does (Enterprise matrix, version 15)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

TABLE: Final[tuple[tuple[str, str], ...]] = (
    ("T1105", r"\b(?:wget|curl|tftp|ftpget|lwp-download|scp -t|rsync)\b|<BIN>"),
    ("T1059.004", r"^(?:sudo |nohup |exec )?(?:\./|/(?:tmp|var|dev|root|home|mnt)/)\S+|^(?:ba|da)?sh\s+\S|"
     r"\bnohup\b|^(?:perl|python\d?|php)\s+\S"),
    ("T1222.002", r"\bchmod\b|\bchattr\b"),
    ("T1053.003", r"\bcrontab\b(?!\s+-l)|/etc/cron|/var/spool/cron"),
    ("T1037.004", r"/etc/rc\.local|/etc/rc\.d|/etc/init\.d/\S+\s*<|/etc/inittab|\bupdate-rc\.d\b|\bchkconfig\b"),
    ("T1543.002", r"\bsystemctl\s+enable\b|/etc/systemd/system"),
    ("T1098.004", r"authorized_keys|<KEY>"),
    ("T1098", r"\b(?:ch)?passwd\b(?!\s*\|)|\busermod\b|\bset\w*passw"),
    ("T1136.001", r"\b(?:useradd|adduser)\b"),
    ("T1082", r"\buname\b|/proc/(?:cpuinfo|version|meminfo)|\blscpu\b|\bnproc\b|\bfree\b|\bnvidia-smi\b|"
     r"/etc/(?:issue|os-release)|\blspci\b|\bdmidecode\b|\bhostnamectl\b"),
    ("T1083", r"^(?:sudo )?(?:ls|find|locate|which|whereis)\b|/proc/mounts|^df\b|^mount$"),
    ("T1057", r"\b(?:ps|top|pgrep|pidof)\b"),
    ("T1033", r"^(?:w|who|whoami|id|last|lastlog|users)\b"),
    ("T1016", r"\b(?:ifconfig|ip addr|ip a|ipconfig|route|arp)\b|/ip cloud|/proc/net"),
    ("T1049", r"\b(?:netstat|ss -\w+|lsof -i)\b"),
    ("T1087.001", r"/etc/passwd"),
    ("T1003.008", r"/etc/shadow"),
    ("T1518", r"\b(?:dpkg -l|rpm -qa)\b"),
    ("T1070.003", r"HISTFILE|HISTSIZE|HISTSAVE|\bhistory\s+-[cnr]|bash_history|set \+o history"),
    ("T1070.002", r"/var/log|/var/run/utmp|\blastlog\b|wtmp"),
    ("T1070.004", r"\brm\b"),
    ("T1562.004", r"\biptables\b|\bufw\b|SuSEfirewall|\bfirewalld?\b|\bfirewall-cmd\b"),
    ("T1562.001", r"\bsetenforce\b|selinux|apparmor|\baliyun|\bquartz_uninstall|\bcloudmonitor"),
    ("T1489", r"\b(?:pkill|killall|kill)\b|\bservice\s+\S+\s+stop\b|\bsystemctl\s+(?:stop|disable)\b"),
    ("T1496", r"xmrig|minerd|stratum\+|cpuminer|cnrig|kinsing|nicehash|--donate-level"),
    ("T1529", r"^(?:sudo )?(?:reboot|halt|poweroff|shutdown)\b"),
    ("T1561.001", r"\bdd\b[^|]*\bof=/dev/(?:[shv]d|mtd|mmcblk|root)|>\s*/dev/(?:[shv]d|mtd|mmcblk)"),
    ("T1485", r"\brm\s+-\w*r\w*\s+(?:--no-preserve-root\s+)?/\*?(?:\s|$)"),
    ("T1499", r"\bd\(\)\s*\{|:\(\)\s*\{"),
    ("T1027", r"\bbase64\b|<B64>"),
    ("T1140", r"\bbase64\s+(?:-d|--decode)|\bopenssl\b.*-d"),
    ("T1046", r"\b(?:nmap|masscan|zmap|zgrab)\b"),
    ("T1021.004", r"^ssh\b"),
    ("T1090", r"\b(?:socat|3proxy|squid|microsocks)\b"),
    ("T1565.001", r"/etc/hosts|resolv\.conf"),
)  # fmt: skip
_PATTERNS: Final = tuple((technique, re.compile(pattern)) for technique, pattern in TABLE)
OF_STEP: Final = {  # what a session does besides typing
    "scan": "T1595.001", "login": "T1078", "download": "T1105", "execution": "T1059.004",
    "command-and-control": "T1071",
}  # fmt: skip
BRUTE_FORCE: Final = "T1110.001"
EXPLOITATION: Final = "T1190"
PROXY: Final = "T1090.002"


def techniques(statements: Iterable[str]) -> tuple[str, ...]:
    """Techniques of statements, each once, in the order in which they first appear.

    >>> techniques(("uname -a", "wget <URL>", "iptables -F"))
    ('T1082', 'T1105', 'T1562.004')
    """
    found = (
        technique for one in statements for technique, pattern in _PATTERNS if pattern.search(one[:2048])
    )
    return tuple(dict.fromkeys(found))
