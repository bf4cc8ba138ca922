"""What the owner of the address should look for, in a sentence or two."""

from __future__ import annotations

from collections.abc import Mapping

from andon.detect.darknet.daedalus import state
from andon.detect.darknet.daedalus.judge import BROADCASTS, SERVERS, TCP, UDP

# By the beginning of the tool's name.
_TOOLS: Mapping[str, str] = {
    "mirai": "Look for a router, camera, recorder or other small device with Telnet or a weak password: take it off "
    "the network, install the maker's newest firmware, set a new password, then restart it (Mirai lives in memory "
    "only and comes back within minutes if the hole stays).",
    "hajime": "Look for a router, camera or recorder with Telnet or the Android debug port open: update its firmware, "
    "change the password and restart it.",
    "mozi": "Look for a home router or recorder: update the firmware or replace it, close Telnet and remote "
    "management, change the password and restart it.",
    "masscan": "Masscan runs on a computer, not on a small device: look for that program, for logins by SSH that "
    "nobody can explain, and ask whether somebody at your place scans on purpose.",
    "zmap": "ZMap runs on a computer: look for that program and for logins that nobody can explain, and ask whether "
    "somebody at your place scans on purpose (research, inventory).",
    "nmap": "Nmap is mostly run by hand: ask who uses it; if nobody, look for logins that nobody can explain.",
    "unicornscan": "Look for the program unicornscan and for logins that nobody can explain.",
}
# By what it was looking for.
_PORTS: Mapping[tuple[int, int], str] = {
    (TCP, 23): "Look for a router, camera, recorder or other small device with Telnet or a weak password.",
    (TCP, 2323): "Look for a router, camera, recorder or other small device with Telnet or a weak password.",
    (TCP, 5555): "Look for an Android device (television box, phone) with the debug port open.",
    (
        TCP,
        22,
    ): "Look for a computer or device with SSH whose password was guessed: unknown logins, keys and processes.",
    (TCP, 445): "Look for a Windows computer without current updates: a worm looks for file sharing.",
    (TCP, 139): "Look for a Windows computer without current updates: a worm looks for file sharing.",
    (TCP, 3389): "Look for a Windows computer whose remote desktop was broken into.",
    (TCP, 6379): "Look for a server with Redis or a container service open to everybody, and for miners.",
    (TCP, 2375): "Look for a server with a container service open to everybody, and for miners.",
    (TCP, 1433): "Look for a Windows server with a database whose password was guessed.",
    (TCP, 8291): "Look for a MikroTik router with old firmware.",
    (TCP, 37215): "Look for a home router with old firmware.",
    (TCP, 52869): "Look for a router or recorder with old firmware (UPnP).",
    (TCP, 7547): "Look for a home router whose remote management is open.",
}
_SCAN = "Find the device (times and source ports below match your firewall or NAT log) and look for malware on it."


def advice(kind: int, port: tuple[int, int], tools: list[str]) -> str:
    """``kind``: state.INTERNAL_SCAN ...; ``port``: (protocol, port); ``tools``: names, best known first."""
    if kind == state.BACKSCATTER:
        return (
            "Nothing need be wrong with the device: somebody sends it packets with forged senders and it answers. "
            "Check whether the service is overloaded (SYN cookies, filtering at your provider), and if it is a UDP "
            "service such as DNS or NTP, that it does not answer strangers."
        )
    if kind == state.MISCONFIGURATION:
        if port in BROADCASTS:
            return (
                f"{BROADCASTS[port]} belongs on the local network only: check netmask and tunnels of the device, and "
                "keep this traffic from leaving at your border."
            )
        what = SERVERS.get(port)
        if what:
            return (
                f"Check the address of the {what} server in the device's settings: mistyped or out of date."
            )
        return "A program asks an address where nothing is, again and again: check the addresses in its settings."
    if kind == state.SPOOFED:
        return (
            "Nothing need be wrong at your place: somebody else writes your addresses into packets as their sender. "
            "Make sure that your border lets out no packets with foreign senders (BCP 38), so that it is not you."
        )
    if kind == state.MANY:
        return (
            "Many of your addresses: look for a common cause first (a gateway, one kind of device, a worm)."
        )
    for tool in tools:
        for name, text in _TOOLS.items():
            if tool.lower().startswith(name):
                return text
    if any(tool.startswith("fp-") for tool in tools):
        return "A program that is on no list yet, seen at other addresses too. " + _PORTS.get(port, _SCAN)
    if port[0] == UDP and port in SERVERS:
        return f"Look for a program that searches for {SERVERS[port]} servers, or check the address in the settings."
    return _PORTS.get(port, _SCAN)
