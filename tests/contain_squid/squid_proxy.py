"""Squid on a loopback port, with an origin on loopback too; names come from a hosts file, nothing is asked outside."""

from __future__ import annotations

import http.server
import pwd
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

from parts.spaces import run

PORT = 3128
HOSTS = {
    "good.example.test": "127.0.0.80", "evil.example.test": "127.0.0.81", "a.evil.example.test": "127.0.0.81",
    "same.example.test": "127.0.0.81", "other.example.test": "127.0.0.82",
}  # fmt: skip


class _Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


class Proxy:
    def __init__(self, folder: Path) -> None:
        run("ip", "link", "set", "lo", "up")
        self.folder = folder
        self.lists = folder / "andon"
        self.lists.mkdir()
        (self.lists / "andon.conf").touch()  # Squid does not start without it
        self.log = folder / "cache.log"
        (folder / "hosts").write_text("".join(f"{value} {name}\n" for name, value in HOSTS.items()))
        self.conf = folder / "squid.conf"
        self.conf.write_text(
            f"http_port 127.0.0.1:{PORT}\nvisible_hostname proxy.test\npid_filename {folder}/pid\n"
            f"include {self.lists}/andon.conf\n"
            f"hosts_file {folder}/hosts\ndns_nameservers 127.0.0.1\ndns_timeout 1 second\n"
            f"cache deny all\naccess_log none\ncache_log {self.log}\ncoredump_dir {folder}\npinger_enable off\n"
            "shutdown_lifetime 0 seconds\nlogfile_rotate 0\n"
            "acl lo src 127.0.0.0/8\nhttp_access allow lo\nhttp_access deny all\n"
        )
        owner = pwd.getpwnam("proxy")
        self.log.touch()
        for path in (folder, self.log):
            shutil.chown(path, owner.pw_uid, owner.pw_gid)
        for parent in (folder, *folder.parents):
            if parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
        self.origin = http.server.ThreadingHTTPServer(("0.0.0.0", 80), _Origin)
        self.origin.daemon_threads = True
        threading.Thread(target=self.origin.serve_forever, daemon=True).start()
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["squid", "-N", "-f", str(self.conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 60
        while self.asked("http://good.example.test/") != 200:
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError(self.log.read_text()[-2000:])
            time.sleep(0.05)

    @property
    def reconfigure(self) -> list[str]:
        return ["squid", "-k", "reconfigure", "-f", str(self.conf)]

    @property
    def check(self) -> list[str]:
        return ["squid", "-k", "parse", "-f", str(self.conf)]

    @property
    def reconfigured(self) -> int:
        return self.log.read_text().count("Reconfiguring Squid Cache")

    def asked(self, url: str, source: str = "127.0.0.1") -> int:
        """The status of the answer; 0: none. While it reads its files again it does not listen."""
        for _ in range(40):
            head = self.head(url, source)
            if head.startswith("HTTP/1"):
                return int(head.split(" ")[1])
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        return 0

    def head(self, url: str, source: str = "127.0.0.1") -> str:
        host = url.partition("://")[2].partition("/")[0]
        with socket.socket() as asking:
            asking.settimeout(20)
            try:
                asking.bind((source, 0))
                asking.connect(("127.0.0.1", PORT))
                asking.sendall(f"GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                return asking.recv(65536).decode(errors="replace")
            except OSError:
                return ""

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(60)
        self.origin.shutdown()
