"""BIND and Unbound on loopback ports, without a way out: BIND has the zone example.test of its own, Unbound asks BIND.

Both load the same response policy zone from a file; neither forwards, and no root servers are known to them.
"""

from __future__ import annotations

import secrets
import socket
import struct
import subprocess
import time
from ipaddress import ip_address
from pathlib import Path

from parts.spaces import run

BIND, UNBOUND = 5301, 5302
_RECORDS = """$TTL 30
@ SOA localhost. root.localhost. 1 60 60 3600 30
@ NS localhost.
good A 192.0.2.10
good AAAA 2001:db8::10
evil A 203.0.113.7
*.evil A 203.0.113.7
other A 203.0.113.7
six AAAA 2001:db8:f::7
near A 203.0.113.99
xn--bcher-kva A 203.0.113.8
"""


def question(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(one)]) + one.encode() for one in name.split("."))
    return struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


def asked(port: int, name: str, kind: str = "A", source: str = "127.0.0.1", tries: int = 10) -> str:
    """The answer's addresses, or its code: "NXDOMAIN", "NODATA", "SERVFAIL", "silence" after so many tries."""
    for _ in range(tries):
        found = _asked(port, name, kind, source)
        if found != "silence":
            return found
    return "silence"


def _asked(port: int, name: str, kind: str, source: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(2)
        asking.bind((source, 0))
        asking.sendto(question(name, {"A": 1, "AAAA": 28}[kind]), ("127.0.0.1", port))
        try:
            data = asking.recv(4096)
        except TimeoutError:
            return "silence"
    _, flags, questions, answers, _, _ = struct.unpack_from("!6H", data)
    if flags & 15:
        return {2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}.get(flags & 15, f"code {flags & 15}")
    place, found = 12, []
    for _ in range(questions):
        place = _after_name(data, place) + 4
    for _ in range(answers):
        place = _after_name(data, place)
        number, _, _, length = struct.unpack_from("!HHIH", data, place)
        if number in (1, 28):
            found.append(str(ip_address(data[place + 10 : place + 10 + length])))
        place += 10 + length
    return " ".join(sorted(found)) or "NODATA"


def _after_name(data: bytes, place: int) -> int:
    while data[place]:
        if data[place] & 0xC0:
            return place + 2
        place += data[place] + 1
    return place + 1


class Servers:
    """``folder``: for everything they write. ``zone``: the policy zone's file, for the enforcer to write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.zone = folder / "andon.rpz"
        run("ip", "link", "set", "lo", "up")
        self.zone.write_text("$TTL 5\n@ SOA localhost. root.localhost. 1 60 60 3600 5\n@ NS localhost.\n")
        (folder / "example.zone").write_text(_RECORDS)
        key = f'key "k" {{ algorithm hmac-sha256; secret "{secrets.token_hex(16)}"; }};\n'
        self.rndc_conf = folder / "rndc.conf"
        self.rndc_conf.write_text(
            key + 'options { default-key "k"; default-server 127.0.0.1; default-port 9953; };\n'
        )
        (folder / "named.conf").write_text(
            key
            + 'controls { inet 127.0.0.1 port 9953 allow { 127.0.0.0/8; } keys { "k"; }; };\n'
            + f'options {{ directory "{folder}"; pid-file "{folder}/named.pid"; listen-on port {BIND} {{ 127.0.0.1; }};'
            " listen-on-v6 { none; }; recursion yes; allow-recursion { any; }; dnssec-validation no;"
            f' session-keyfile "{folder}/session.key"; managed-keys-directory "{folder}";'
            ' response-policy { zone "andon.rpz"; } qname-wait-recurse no min-update-interval 0; };\n'
            'zone "." { type primary; file "empty.zone"; };\n'
            'zone "example.test" { type primary; file "example.zone"; };\n'
            f'zone "andon.rpz" {{ type primary; file "{self.zone}"; allow-query {{ none; }}; }};\n'
        )
        (folder / "empty.zone").write_text(
            "$TTL 5\n@ SOA localhost. root.localhost. 1 60 60 3600 5\n@ NS localhost.\nlocalhost. A 127.0.0.1\n"
        )
        self.unbound_conf = folder / "unbound.conf"
        self.unbound_conf.write_text(
            f'server:\n  directory: "{folder}"\n  chroot: ""\n  username: ""\n  pidfile: "{folder}/unbound.pid"\n'
            f"  interface: 127.0.0.1@{UNBOUND}\n  access-control: 127.0.0.0/8 allow\n  use-syslog: no\n"
            f'  logfile: "{folder}/unbound.log"\n  module-config: "respip iterator"\n  num-threads: 1\n'
            '  do-not-query-localhost: no\n  root-hints: ""\n  local-zone: test. nodefault\n  cache-max-ttl: 0\n'
            f"stub-zone:\n  name: example.test\n  stub-addr: 127.0.0.1@{BIND}\n"
            f'rpz:\n  name: andon.rpz\n  zonefile: "{self.zone}"\n'
            f'remote-control:\n  control-enable: yes\n  control-use-cert: no\n  control-interface: "{folder}/control"\n'
        )
        self.start_bind()
        self.unbound = subprocess.Popen(
            ["unbound", "-d", "-c", str(self.unbound_conf)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait(UNBOUND)

    def start_bind(self) -> None:
        with (self.folder / "named.log").open("ab") as log:
            self.bind = subprocess.Popen(
                ["named", "-g", "-n", "1", "-c", str(self.folder / "named.conf")], stdout=log, stderr=log
            )
        self._wait(BIND)

    def _wait(self, port: int) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if asked(port, "good.example.test", tries=1) == "192.0.2.10":
                    return
            except OSError:
                pass
            time.sleep(0.05)
        log = (self.folder / "named.log").read_text()[-1500:]
        raise RuntimeError(f"the name server on port {port} does not answer: {log}")

    @property
    def control(self) -> dict[str, list[str]]:
        return {
            "bind": ["rndc", "-c", str(self.rndc_conf)],
            "unbound": ["unbound-control", "-c", str(self.unbound_conf)],
        }

    def stop(self) -> None:
        for one in (self.unbound, self.bind):
            one.terminate()
            one.wait(60)
