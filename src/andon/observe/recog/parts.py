"""A banner taken apart into the texts that Recog's databases are written for.

Recog wants the value of ``Server``, not the response around it; the SSH version without ``SSH-2.0-``; FTP, SMTP and POP
greetings without their codes (README and comments of its XML files). Lists carry all of these, so a banner is looked
at for what it is rather than for what the list calls it.
"""

from __future__ import annotations

import html
import re
from typing import Final

_HEADER: Final = re.compile(
    r"(?im)^[ \t]*(server|www-authenticate|set-cookie|x-powered-by|user-agent):[ \t]*([^\r\n]{1,1024})"
)
_TITLE: Final = re.compile(r"(?is)<title[^>]{0,100}>([^<]{1,512})<")
_SSH: Final = re.compile(r"SSH-\d{1,2}\.\d{1,2}-([^\r\n]{1,255})")
_GREETING: Final = re.compile(r"(?m)^(?:220|230)[ -]([^\r\n]{1,512})")
_POP: Final = re.compile(r"(?m)^\+OK ?([^\r\n]{1,512})")
_IMAP: Final = re.compile(r"(?mi)^\* OK ?(?:\[[^\]]{0,300}\] ?)?([^\r\n]{1,512})")
_HEADERS: Final = {
    "http": {
        "server": "http_header.server",
        "www-authenticate": "http_header.wwwauth",
        "set-cookie": "http_header.cookie",
        "x-powered-by": "http_header.x-powered-by",
    },
    "rtsp": {"server": "rtsp_header.server", "www-authenticate": "http_header.wwwauth"},
    "sip": {"server": "sip_header.server", "user-agent": "sip_header.user_agent"},
}
# As lists call them -> as the databases do.
_ALIASES: Final = {
    "https": "http", "http-alt": "http", "http-proxy": "http", "ssl/http": "http", "http-simple-new": "http",
    "https-simple-new": "http", "upnp": "http", "cwmp": "http", "ftps": "ftp", "smtps": "smtp", "pop3s": "pop",
    "pop3": "pop", "imaps": "imap", "sips": "sip", "rtsps": "rtsp", "snmp": "snmp", "microsoft-ds": "smb",
}  # fmt: skip
_WHOLE: Final = {
    "telnet": "telnet_banners", "snmp": "snmp.sys_description", "mysql": "mysql.banners", "nntp": "nntp.banner",
    "ntp": "ntp.readvar", "x11": "x11.vendor", "rsh": "rsh_resp", "pjl": "hp_pjl_id", "h.323": "h323_callresp",
    "smb": "smb.native_os", "dns": "dns.versionbind", "dhcp": "dhcp_vendor_class", "ldap": "ldap.search_result",
}  # fmt: skip


def parts(protocol: str, banner: str) -> list[tuple[str, str]]:
    """(key of a database, text) of a banner, the most telling first.

    >>> parts("http", "HTTP/1.1 401 X\\r\\nServer: mini\\r\\n\\r\\n<title>DVR</title>")
    [('http_header.server', 'mini'), ('html_title', 'DVR')]
    """
    protocol = _ALIASES.get(protocol, protocol)
    found = _SSH.match(banner.lstrip())
    if found:
        return [("ssh.banner", found[1].strip())]
    if protocol == "ssh":
        return [("ssh.banner", banner.strip())]
    if protocol in _WHOLE:
        return [(_WHOLE[protocol], banner.strip())]
    if protocol == "ftp":
        return _greeted(_GREETING, "ftp.banner", banner)
    if protocol == "smtp":
        return _greeted(_GREETING, "smtp.banner", banner)
    if protocol == "pop":
        return _greeted(_POP, "pop3.banner", banner)
    if protocol == "imap":
        return _greeted(_IMAP, "imap4.banner", banner)
    keys = _HEADERS.get(protocol)
    if keys is None and (protocol in ("", "unknown", "tcpwrapped") or banner.startswith("HTTP/")):
        keys = _HEADERS["http"]
    if keys is None:
        return []
    headers = [
        (keys[name], value.strip())
        for header in _HEADER.finditer(banner)
        for name, value in [(header[1].lower(), header[2])]
        if name in keys
    ]
    title = _TITLE.search(banner)
    if title and keys is _HEADERS["http"]:
        headers.append(("html_title", html.unescape(title[1]).strip()))
    order = list(keys.values())
    return sorted(headers, key=lambda item: order.index(item[0]) if item[0] in order else len(order))


def _greeted(pattern: re.Pattern[str], key: str, banner: str) -> list[tuple[str, str]]:
    found = pattern.search(banner)
    return [(key, (found[1] if found else banner).strip())]
