"""The rules of a Suricata and of a Wazuh, as far as they fire here, and the systems that there are.

Titles follow the habits of public rule sets in form; they are written for this simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SURICATA, WAZUH = "suricata", "wazuh"


@dataclass(frozen=True)
class Rule:
    """``severity``: Suricata's priority (1 high .. 3 low) or Wazuh's level (0..15). ``exploits``: software that it says
    is attacked, as ``Kind.software`` has it."""

    product: str
    number: str
    title: str
    category: str
    severity: int
    attack: str = ""
    cve: str = ""
    exploits: str = ""


def _exploit(number: int, title: str, software: str, cve: str, priority: int = 1) -> Rule:
    return Rule(
        SURICATA,
        str(number),
        title,
        "Attempted Administrator Privilege Gain",
        priority,
        "T1190",
        cve,
        software,
    )


EXPLOITS: Final = (
    _exploit(2900001, "EXPLOIT Log4j JNDI lookup in request", "java", "CVE-2021-44228"),
    _exploit(2900002, "EXPLOIT Apache Struts OGNL injection", "struts", "CVE-2017-5638"),
    _exploit(2900003, "EXPLOIT Atlassian Confluence template injection", "confluence", "CVE-2023-22527"),
    _exploit(
        2900004, "WEB_SPECIFIC_APPS WordPress plugin arbitrary file upload", "wordpress", "CVE-2020-25213"
    ),
    _exploit(
        2900005, "EXPLOIT Microsoft Exchange autodiscover SSRF (ProxyShell)", "exchange", "CVE-2021-34473"
    ),
    _exploit(2900006, "EXPLOIT Citrix NetScaler path traversal", "citrix", "CVE-2019-19781"),
    _exploit(2900007, "EXPLOIT FortiOS SSL VPN pre-auth request", "fortinet", "CVE-2022-42475"),
    _exploit(2900008, "EXPLOIT PHP CGI argument injection", "php", "CVE-2024-4577"),
    _exploit(2900009, "EXPLOIT Microsoft IIS HTTP.sys overflow", "iis", "CVE-2015-1635"),
    _exploit(2900010, "EXPLOIT Apache Tomcat JSP upload by PUT", "tomcat", "CVE-2017-12617"),
    _exploit(2900011, "EXPLOIT GitLab image parser command execution", "gitlab", "CVE-2021-22205"),
    _exploit(2900012, "EXPLOIT Jenkins CLI argument file read", "jenkins", "CVE-2024-23897"),
    _exploit(2900013, "EXPLOIT Netgear router command injection", "router", "", 2),
    _exploit(2900014, "EXPLOIT D-Link camera command injection (Mirai)", "router", "", 2),
    _exploit(2900015, "EXPLOIT Drupal form API injection", "drupal", "CVE-2018-7600"),
    _exploit(2900016, "EXPLOIT SSDP overflow in UDP service", "udp-agent", "", 1),
)
INSIDE_EXPLOITS: Final = (
    _exploit(2900021, "EXPLOIT Windows SMBv1 transaction overflow (EternalBlue)", "windows", "CVE-2017-0144"),
    _exploit(2900022, "EXPLOIT Redis unauthenticated module load", "redis", ""),
)
SCAN: Final = Rule(SURICATA, "2900031", "SCAN many ports asked for", "Attempted Information Leak", 2, "T1046")
SSH_SCAN: Final = Rule(
    SURICATA, "2900032", "SCAN potential SSH brute force", "Attempted Information Leak", 2, "T1110"
)
BEACON: Final = Rule(
    SURICATA,
    "2900041",
    "MALWARE command and control beacon",
    "Malware Command and Control Activity Detected",
    1,
    "T1071.001",
)
DNS_C2: Final = Rule(
    SURICATA, "2900042", "MALWARE long encoded DNS query", "A Network Trojan was detected", 1, "T1071.004"
)
UPDATE: Final = tuple(
    Rule(SURICATA, str(2900050 + n), title, "A Network Trojan was detected", 1, "T1071.001")
    for n, title in enumerate(("MALWARE suspicious user agent (updater)", "MALWARE possible loader file name in URI",
                               "MALWARE binary downloaded without referer"))
)  # fmt: skip
ODD_SITE: Final = tuple(
    Rule(SURICATA, str(2900060 + n), title, "Potentially Bad Traffic", 2)
    for n, title in enumerate(("PHISHING generic form with password field", "HUNTING request to young domain",
                               "INFO file shared by anonymous host"))
)  # fmt: skip
PHISHING: Final = Rule(
    SURICATA, "2900060", "PHISHING generic form with password field", "Potentially Bad Traffic", 2
)
PSEXEC: Final = Rule(
    SURICATA,
    "2900071",
    "POLICY PsExec service created",
    "Potential Corporate Privacy Violation",
    2,
    "T1021.002",
)
UPLOAD: Final = Rule(
    SURICATA,
    "2900072",
    "POLICY large upload to unknown host",
    "Potential Corporate Privacy Violation",
    2,
    "T1567",
)
WEBSHELL: Final = Rule(
    SURICATA, "2900073", "WEB_SERVER command in parameter of script", "Web Application Attack", 1, "T1505.003"
)
RESPONSE: Final = Rule(
    SURICATA, "2900074", "ATTACK_RESPONSE output of id command", "Potentially Bad Traffic", 1
)
LOGIN_FAILED: Final = Rule(
    WAZUH, "5760", "sshd: authentication failed.", "syslog,sshd,authentication_failed", 5, "T1110.001"
)
MANY_FAILED: Final = Rule(WAZUH, "5763", "sshd: brute force trying to get access to the system. Authentication failed.",
                          "syslog,sshd,authentication_failures", 10, "T1110")  # fmt: skip
LOGIN: Final = Rule(
    WAZUH, "5715", "sshd: authentication success.", "syslog,sshd,authentication_success", 3, "T1078"
)
WINDOWS_FAILED: Final = Rule(
    WAZUH, "60204", "Multiple Windows logon failures.", "windows,authentication_failures", 10, "T1110"
)
WINDOWS_LOGIN: Final = Rule(
    WAZUH, "60106", "Windows logon success.", "windows,authentication_success", 3, "T1078"
)
SERVICE: Final = Rule(
    WAZUH, "92650", "New Windows service created from network share", "windows,sysmon", 9, "T1543.003"
)
NEW_FILE: Final = Rule(WAZUH, "554", "File added to the web root", "ossec,syscheck", 7, "T1505.003")
BULK: Final = (
    Rule(SURICATA, "2900081", "INFO TLS to content network", "Misc activity", 3),
    Rule(SURICATA, "2900082", "STREAM packet out of window", "Generic Protocol Command Decode", 3),
    Rule(SURICATA, "2900083", "POLICY software update over HTTP", "Not Suspicious Traffic", 3),
    Rule(SURICATA, "2900084", "INFO DNS over TLS observed", "Misc activity", 3),
    Rule(SURICATA, "2900085", "POLICY remote meeting traffic", "Misc activity", 3),
    LOGIN,
    WINDOWS_LOGIN,
    Rule(WAZUH, "5501", "PAM: Login session opened.", "pam,syslog,authentication_success", 3),
    Rule(WAZUH, "19007", "System audit: password policy not set.", "sca", 3),
    Rule(WAZUH, "2902", "New package installed.", "syslog,dpkg", 4),
)


@dataclass(frozen=True)
class Kind:
    """A kind of server. ``ports``: (port, transport, service as Zeek names it); ``exposed``: those that the
    Internet may ask; ``software``: what exploits it takes, if it is not patched; ``many``: how common."""

    name: str
    system: str
    product: str
    version: str
    ports: tuple[tuple[int, str, str], ...]
    exposed: tuple[int, ...]
    software: tuple[str, ...]
    many: int = 1


_WEB: Final = ((80, "tcp", "http"), (443, "tcp", "ssl"))
_SSH: Final = ((22, "tcp", "ssh"),)
_MS: Final = ((445, "tcp", "smb"), (3389, "tcp", "rdp"))
OUTER: Final = (
    Kind("www", "Ubuntu 22.04", "nginx", "1.18", _WEB + _SSH, (80, 443, 22), (), 3),
    Kind(
        "blog",
        "Debian 12",
        "WordPress on Apache HTTP Server",
        "6.4",
        _WEB + _SSH,
        (80, 443),
        ("wordpress", "php"),
        2,
    ),
    Kind("shop", "Debian 12", "PHP on Apache HTTP Server", "8.2", _WEB + _SSH, (80, 443, 22), ("php",), 2),
    Kind(
        "portal", "Windows Server 2019", "Microsoft IIS", "10.0", _WEB + _MS, (80, 443), ("iis", "windows"), 2
    ),
    Kind(
        "app",
        "Ubuntu 22.04",
        "Apache Tomcat",
        "9.0",
        ((8080, "tcp", "http"), *_SSH),
        (8080,),
        ("tomcat", "java"),
        2,
    ),
    Kind(
        "wiki",
        "Ubuntu 20.04",
        "Atlassian Confluence",
        "8.5",
        ((443, "tcp", "ssl"), *_SSH),
        (443,),
        ("confluence", "java"),
    ),
    Kind(
        "owa",
        "Windows Server 2016",
        "Microsoft Exchange",
        "15.1",
        ((443, "tcp", "ssl"), (25, "tcp", "smtp"), *_MS),
        (443, 25),
        ("exchange", "windows"),
    ),
    Kind(
        "mx",
        "Debian 12",
        "Postfix",
        "3.7",
        ((25, "tcp", "smtp"), (993, "tcp", "ssl"), *_SSH),
        (25, 993, 22),
        (),
        2,
    ),
    Kind("ns", "Debian 12", "ISC BIND", "9.18", ((53, "udp", "dns"), *_SSH), (53,), (), 2),
    Kind("vpn", "FortiOS", "Fortinet FortiGate", "7.0", ((443, "tcp", "ssl"),), (443,), ("fortinet",)),
    Kind("git", "Ubuntu 22.04", "GitLab", "16.1", ((443, "tcp", "ssl"), *_SSH), (443, 22), ("gitlab",)),
    Kind("sftp", "Ubuntu 22.04", "OpenSSH", "8.9", _SSH, (22,), (), 2),
    Kind("mon", "Debian 11", "SNMP agent", "5.9", ((1900, "udp", "-"), *_SSH), (1900, 22), ("udp-agent",)),
)
INNER: Final = (
    Kind("ci", "Ubuntu 22.04", "Jenkins", "2.426", ((8080, "tcp", "http"), *_SSH), (), ("jenkins", "java")),
    Kind("db", "Debian 12", "PostgreSQL", "15", ((5432, "tcp", "-"), *_SSH), (), (), 3),
    Kind(
        "sql",
        "Windows Server 2019",
        "Microsoft SQL Server",
        "2019",
        ((1433, "tcp", "-"), *_MS),
        (),
        ("windows",),
        2,
    ),
    Kind("cache", "Debian 12", "Redis", "7.0", ((6379, "tcp", "-"), *_SSH), (), ("redis",)),
    Kind("files", "Windows Server 2019", "Microsoft File Services", "2019", _MS, (), ("windows",), 4),
    Kind("search", "Ubuntu 22.04", "Elasticsearch", "8.11", ((9200, "tcp", "http"), *_SSH), (), ("java",)),
    Kind("build", "Ubuntu 22.04", "OpenSSH", "8.9", _SSH, (), (), 3),
)
