"""Makers of devices and their products in plain text: ``vendor`` and ``device`` mentions.

A device is a maker's name with a model behind it ("DrayTek Vigor2960", DrayTek製のVigor2960) or a model that only one
maker has ("Vigor2960"). A maker alone is a vendor mention, unless it speaks as an author ("Cisco Talos").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from andon.observe.reports.found import Found
from andon.records import report as R

VENDORS: Final[dict[str, tuple[str, ...]]] = {
    "DrayTek": ("Draytek", "DRAYTEK"),
    "TP-Link": ("TP-LINK", "TPLink", "TP Link", "Tp-Link"),
    "D-Link": ("D-LINK", "DLink", "Dlink"),
    "Dasan": ("DASAN", "DZS", "Dasan Zhone"),
    "Hikvision": ("HIKVISION", "HikVision", "ハイクビジョン"),
    "Dahua": ("DAHUA",),
    "TBK": ("TBK Vision",),
    "Netgear": ("NETGEAR", "NetGear", "ネットギア"),
    "Huawei": ("HUAWEI", "ファーウェイ", "華為"),
    "ZTE": (),
    "Zyxel": ("ZyXEL", "ZYXEL"),
    "ASUS": ("Asus", "ASUSTeK"),
    "MikroTik": ("Mikrotik", "MIKROTIK"),
    "Ubiquiti": ("UBIQUITI",),
    "Realtek": ("REALTEK",),
    "Linksys": ("LINKSYS",),
    "Tenda": (),
    "TOTOLINK": ("Totolink", "TotoLink", "ToToLink"),
    "QNAP": (),
    "Synology": (),
    "Cisco": ("CISCO",),
    "Juniper": ("Juniper Networks",),
    "Fortinet": (),
    "F5": (),
    "Citrix": (),
    "Vacron": ("VACRON",),
    "MVPower": ("MVPOWER",),
    "AVTECH": ("Avtech", "AVTech"),
    "Xiongmai": ("XiongMai", "XMeye"),
    "HiSilicon": ("Hisilicon",),
    "Comtrend": (),
    "Arcadyan": (),
    "Four-Faith": ("Four Faith",),
    "Edimax": ("EDIMAX",),
    "Billion": (),
    "Sierra Wireless": (),
    "Ruckus": (),
    "LILIN": ("Lilin",),
    "NUUO": (),
    "KGUARD": ("KGuard",),
    "Axis": ("Axis Communications",),
    "Foscam": (),
    "Wansview": (),
    "Hitron": (),
    "Sagemcom": (),
    "Technicolor": (),
    "Eir": (),
    "Netis": (),
    "Netcore": (),
    "Tenvis": (),
    "GoAhead": (),
    "Raisecom": (),
    "Teltonika": (),
    "Digiever": ("DigiEver", "DIGIEVER"),
    "GeoVision": ("Geovision",),
    "Provision-ISR": (),
    "Milesight": (),
    "Advantech": (),
    "Moxa": ("MOXA",),
    "Trendnet": ("TRENDnet", "TRENDNET"),
    "Belkin": (),
    "Buffalo": ("BUFFALO", "バッファロー"),
    "I-O DATA": ("IO DATA", "IODATA", "アイ・オー・データ", "アイオーデータ"),
    "ELECOM": ("Elecom", "エレコム"),
    "Logitec": ("ロジテック",),
    "NEC": (),
    "Yamaha": ("YAMAHA", "ヤマハ"),
    "Panasonic": ("パナソニック",),
    "Sony": ("ソニー",),
    "Ricoh": ("リコー",),
    "Planex": ("PLANEX", "プラネックス"),
    "CONTEC": ("Contec", "コンテック"),
    "Seiko Solutions": ("セイコーソリューションズ",),
    "Xiaomi": (),
    "Ruijie": (),
    "H3C": (),
    "Netlink": (),
    "FiberHome": ("Fiberhome",),
    "Nokia": (),
    "Alcatel": (),
    "Thomson": (),
    "Aruba": (),
    "SonicWall": ("SonicWALL",),
    "Sophos": (),
    "WatchGuard": (),
    "Barracuda": (),
    "Ivanti": (),
    "Palo Alto Networks": (),
    "Western Digital": ("WD",),
    "Seagate": (),
    "LaCie": (),
    "Motorola": (),
    "Amcrest": (),
    "Lorex": (),
    "Swann": (),
    "Reolink": (),
    "Uniview": (),
    "CP Plus": (),
    "Vivotek": ("VIVOTEK",),
    "ZeroShell": ("Zeroshell",),
    "Linear eMerge": ("Nortek",),
    "JAWS": (),
    "EnGenius": (),
    "Wavlink": ("WAVLINK",),
    "Cambium": (),
    "Peplink": (),
    "Optilink": ("OptiLink",),
    "Multilaser": (),
    "Intelbras": (),
    "Cudy": (),
    "Mercury": (),
    "Phicomm": (),
    "Gargoyle": (),
    "OpenWrt": (),
}
_WORDS: Final = frozenset(
    [
        "Billion", "Axis", "Eir", "Mercury", "Gargoyle", "Nokia", "Swann", "Aruba", "Sophos", "WD", "F5",
        "Seagate", "Motorola", "JAWS", "NEC", "Sony",
    ]
)  # fmt: skip
_CANONICAL: Final = {name: vendor for vendor, names in VENDORS.items() for name in (vendor, *names)}
_VENDOR: Final = "|".join(re.escape(name) for name in sorted(_CANONICAL, key=lambda n: (-len(n), n)))
_PART = r"[A-Z0-9][A-Za-z0-9+]{0,15}(?:[-/.][A-Za-z0-9+]{1,12}){0,3}"
_MAKER = re.compile(
    rf"(?<![A-Za-z0-9_/.-])(?P<vendor>{_VENDOR})(?![A-Za-z0-9])"
    r"(?P<between>(?:社製|社|製)?(?:の)?(?:ルーター?|カメラ|NAS|DVR|機器)?|'s|’s)?[\s「]{0,2}"
    rf"(?P<model>{_PART}(?:[ -]{_PART}){{0,3}})?"
)
_AUTHOR = re.compile(
    r"\s?(?:Talos|Labs?\b|Threat|Research|FortiGuard|Unit\s?42|Security\b|Umbrella|Secure\b|X-Ops|Intelligence|PSIRT|"
    r"advisory|researchers|said|reported)",
    re.IGNORECASE,
)
_THING = re.compile(
    r"router|camera|\bNAS\b|\bDVR|\bNVR|modem|gateway|device|firmware|access point|firewall|switch|ルータ|"
    r"カメラ|機器|製品|"
    r"ファームウェア|録画",
    re.IGNORECASE,
)
# Behind a maker's name, capitalised, and no model.
_NO_MODEL: Final = frozenset(
    [
        "A", "AND", "ARE", "AS", "AT", "BOTNET", "BY", "BUG", "CVE", "CVSS", "CWE", "DEVICE", "DEVICES", "DVRS",
        "EDR", "ETC", "FIRMWARE", "FOR", "FROM", "GATEWAY", "GATEWAYS", "HAS", "HAVE", "HTTP", "HTTPS", "IN",
        "IOT", "IP", "IS", "MODELS", "MODEM", "MODEMS", "NVRS", "OF", "ON", "OR", "ORDER", "OS", "OTHER", "OUR",
        "POC", "PRODUCTS", "RCE", "ROUTER", "ROUTERS", "RTSP", "SECURITY", "SINCE", "SSH", "SWITCH",
        "SWITCHES", "SYSTEMS", "TCP", "TELNET", "THE", "THEIR", "THESE", "THIS", "TO", "UDP", "UPNP", "URL",
        "USERS", "VIA", "VPN", "WAS", "WE", "WEB", "WHICH", "WHILE", "WITH", "XSS", "0-DAY", "INC", "INC.",
        "CORP", "LTD", "CO", "CAMERA", "CAMERAS", "TECHNOLOGY", "TECHNOLOGIES", "VULNERABILITY", "MIRAI",
    ]
)  # fmt: skip
_BARE: Final = (
    ("DrayTek", re.compile(r"(?<![A-Za-z0-9])Vigor\s?\d{3,4}[A-Za-z]{0,3}", re.ASCII)),
    ("TP-Link", re.compile(r"(?<![A-Za-z0-9])Archer\s(?:AX|C|A|AXE)\d{1,4}[A-Za-z]?", re.ASCII)),
    ("D-Link", re.compile(r"(?<![A-Za-z0-9-])(?:DIR|DSL|DNS|DAP|DCS)-\d{3,4}[A-Z]{0,3}", re.ASCII)),
    ("Huawei", re.compile(r"(?<![A-Za-z0-9])HG\d{3}[a-z]?(?![A-Za-z0-9])", re.ASCII)),
    ("Hikvision", re.compile(r"(?<![A-Za-z0-9])DS-2CD\d{0,4}[A-Z0-9-]{0,10}", re.ASCII)),
    ("Netgear", re.compile(r"(?<![A-Za-z0-9])DGN\d{3,4}(?![A-Za-z0-9])", re.ASCII)),
    ("TBK", re.compile(r"(?<![A-Za-z0-9])DVR-?4(?:104|216)(?![A-Za-z0-9])", re.ASCII)),
    ("Zyxel", re.compile(r"(?<![A-Za-z0-9])P660HN(?:-T1A)?(?![A-Za-z0-9])", re.ASCII)),
    ("Four-Faith", re.compile(r"(?<![A-Za-z0-9])F3x[23]4(?![A-Za-z0-9])", re.ASCII)),
    ("Cisco", re.compile(r"(?<![A-Za-z0-9])RV(?:32\d|34\d|1\d\dW)(?![A-Za-z0-9])", re.ASCII)),
)


def is_vendor(name: str) -> bool:
    return name in _CANONICAL


def devices(text: str) -> Iterator[Found]:
    """Vendors and devices, each place once."""
    covered: list[tuple[int, int]] = []
    for match in _MAKER.finditer(text):
        vendor, start, end = _CANONICAL[match.group("vendor")], match.start(), match.end("vendor")
        if _AUTHOR.match(text, end):
            continue
        model, model_end = _model(match)
        if model:
            yield Found(R.DEVICE, f"{vendor} {model}", start, model_end)
            covered.append((start, model_end))
        elif match.group("vendor") in _WORDS and not (
            _THING.search(text[max(start - 30, 0) : start]) or _THING.search(text[end : end + 30])
        ):
            continue
        yield Found(R.VENDOR, vendor, start, end)
    for vendor, pattern in _BARE:
        for match in pattern.finditer(text):
            if not any(a <= match.start() < b for a, b in covered[:2000]):
                yield Found(R.DEVICE, f"{vendor} {' '.join(match.group().split())}", *match.span())


def _model(match: re.Match[str]) -> tuple[str, int]:
    """The model behind a maker's name and where it ends; ("", 0) if none stands there."""
    text = match.group("model")
    if not text or (match.group("vendor") in _WORDS and not any(c.isdigit() for c in text)):
        return "", 0
    kept: list[str] = []
    end = 0
    for part in re.finditer(r"\S+", text):
        word = part.group()
        if word.upper().rstrip(".") in _NO_MODEL or word.upper().startswith("CVE-") or word in _CANONICAL:
            break
        kept.append(word)
        end = part.end()
    while kept and not _is_model(kept[-1]):
        kept.pop()
    if not kept or not any(
        any(c.isdigit() for c in word) or (len(word) >= 2 and word.isupper()) for word in kept
    ):
        return "", 0
    shown = " ".join(kept)
    end = text.find(kept[-1], end - len(kept[-1]) - 24 if end > len(kept[-1]) + 24 else 0) + len(kept[-1])
    return shown.rstrip("."), match.start("model") + len(text[:end].rstrip("."))


def _is_model(word: str) -> bool:
    """The last part of a model: with a digit, or in capitals ("GPON ONT")."""
    return any(c.isdigit() for c in word) or (len(word) >= 2 and word.isupper() and len(word) <= 8)
