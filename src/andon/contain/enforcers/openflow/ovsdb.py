"""What Open vSwitch's own database says of a bridge: its fail mode and its controllers (RFC 7047, 4.1.3 and 5.2.2).

One question over a local socket or TCP, within a second and a megabyte.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from andon.contain.contract import Unreachable
from andon.contain.enforcers.openflow.dial import dial
from andon.contain.enforcers.openflow.settings import Endpoint, Settings

_MOST: Final = 1 << 20


@dataclass(frozen=True)
class Bridge:
    """``fail_mode``: "secure" or "standalone" (also where none is set: that is the default). ``controllers``: where
    the bridge calls."""

    fail_mode: str
    controllers: tuple[str, ...]


def ask_bridge(endpoint: Endpoint, name: str, settings: Settings, seconds: float = 1.0) -> Bridge:
    """Raises Unreachable: no answer, no such bridge, or an answer that is none."""
    operations = [
        {
            "op": "select",
            "table": "Bridge",
            "where": [["name", "==", name]],
            "columns": ["fail_mode", "controller"],
        },
        {"op": "select", "table": "Controller", "where": [], "columns": ["_uuid", "target"]},
    ]
    answer = _ask(endpoint, ["Open_vSwitch", *operations], settings, seconds)
    try:
        bridges, controllers = answer["result"][0]["rows"], answer["result"][1]["rows"]
        if not bridges:
            raise Unreachable(f"{endpoint} knows no bridge {name}")
        mode = bridges[0]["fail_mode"]
        mine = bridges[0]["controller"]
        mine = mine[1] if mine[0] == "set" else [mine]
        wanted = {one[1] for one in mine}
        targets = tuple(sorted(str(row["target"])[:100] for row in controllers if row["_uuid"][1] in wanted))
    except (KeyError, IndexError, TypeError) as error:
        raise Unreachable(f"{endpoint}: an answer that is none of OVSDB") from error
    return Bridge("secure" if mode == "secure" else "standalone", targets)


def _ask(endpoint: Endpoint, parameters: list[Any], settings: Settings, seconds: float) -> dict[str, Any]:
    end = monotonic() + seconds
    sock = dial(endpoint, settings, seconds)
    decoder = json.JSONDecoder()
    try:
        sock.sendall(json.dumps({"method": "transact", "params": parameters, "id": 1}).encode())
        octets = b""
        while True:
            left = end - monotonic()
            if left <= 0 or len(octets) > _MOST:
                raise Unreachable(f"{endpoint} does not answer")
            sock.settimeout(left)
            more = sock.recv(1 << 16)
            if not more:
                raise Unreachable(f"{endpoint} closed the connection")
            octets += more
            text = octets.decode("utf-8", "replace").lstrip()
            while text:
                try:
                    found, at = decoder.raw_decode(text)
                except ValueError:
                    break  # not whole yet
                # The server asks whether we live ("echo"); we are gone before it minds.
                if isinstance(found, dict) and found.get("id") == 1 and found.get("method") is None:
                    return found
                text = text[at:].lstrip()
            octets = text.encode()
    except (OSError, RecursionError) as error:
        raise Unreachable(f"{endpoint}: {error}") from error
    finally:
        sock.close()
