"""``dhcpd.leases``: who had which address when, as ISC's DHCP server keeps it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from .people import CAMERA, People
from .scenario import DAY, Scenario


def write_leases(scenario: Scenario, who: People, out: Path) -> None:
    """Every lease of the scenario; nothing where addresses do not change."""
    if not scenario.lease_days:
        return
    with out.open("w") as file:
        for day in range(0, scenario.days, scenario.lease_days):
            begin = scenario.begin + day * DAY
            end = scenario.begin + min(day + scenario.lease_days, scenario.days) * DAY
            for i, address in enumerate(who.addresses(day)):
                if who.role[i] == CAMERA:
                    continue
                mac = f"02:00:{i >> 24 & 255:02x}:{i >> 16 & 255:02x}:{i >> 8 & 255:02x}:{i & 255:02x}"
                file.write(
                    f"lease {address} {{\n  starts {_when(begin)};\n  ends {_when(end)};\n  binding state active;\n"
                    f'  hardware ethernet {mac};\n  client-hostname "{who.device(i)}";\n}}\n'
                )


def _when(ms: int) -> str:
    """``1 2026/04/06 00:00:00``: day of the week (0 is Sunday), date and time in UTC."""
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return f"{at.isoweekday() % 7} {at:%Y/%m/%d %H:%M:%S}"
