"""Findings that can be shown without giving the telescope away.

A masked finding holds no dark address, no check, and no constant that is a dark address or begins like one; its
``id`` and ``series`` are made from the masked subject, since a hash of an address can be reversed by trying all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import numpy as np
import pyarrow as pa

from andon.records.finding import Evidence, Finding

MASKED = "(masked)"
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}|\[\.\]\d{1,3}){3}(?:/\d{1,2})?")  # as it is, or defanged
_NUMBER = re.compile(r"\b0x[0-9a-fA-F]{3,8}\b|\b\d{5,10}\b")
_ADDRESS_COLUMNS = ("src", "dst", "address")


class Mask:
    """Hides the addresses of these networks."""

    def __init__(self, networks: Sequence[IPv4Network]) -> None:
        self.networks = list(networks)
        self._starts = np.array([int(n.network_address) for n in networks], np.int64)
        self._ends = np.array([int(n.broadcast_address) for n in networks], np.int64)
        # A constant may show a prefix in its upper or lower 16 bits (an address half, a shifted address).
        self._halves = {int(n.network_address) >> 16 for n in networks}

    def dark(self, address: int) -> bool:
        return bool(np.any((self._starts <= address) & (address <= self._ends)))

    def finding(self, finding: Finding) -> Finding:
        """The finding without anything that shows where the telescope is."""
        return replace(
            finding,
            title=self.text(finding.title),
            statement=self.text(finding.statement),
            calibration=self.text(finding.calibration),
            subject=(finding.subject[0], self.text(finding.subject[1])),
            entities=tuple(e for e in finding.entities if self.text(e.value) == e.value),
            evidence=tuple(Evidence(self.text(item.statement)) for item in finding.evidence),
            attributes=self._inside(finding.attributes),
        )

    def table(self, name: str, table: pa.Table) -> pa.Table | None:
        """The table without rows about dark addresses; None if it is about nothing else."""
        if name.endswith(":telescope"):
            return None
        for column in _ADDRESS_COLUMNS:
            if column in table.column_names and pa.types.is_integer(table.schema.field(column).type):
                values = table.column(column).to_numpy().astype(np.int64)
                dark = np.zeros(len(values), np.bool_)
                for start, end in zip(self._starts, self._ends, strict=True):
                    dark |= (values >= start) & (values <= end)
                table = table.filter(pa.array(~dark))
        for position, field in enumerate(table.schema):
            if pa.types.is_string(field.type):
                column_text = [
                    None if t is None else self.text(t) for t in table.column(position).to_pylist()
                ]
                table = table.set_column(position, field, pa.array(column_text, field.type))
            elif pa.types.is_list(field.type) and pa.types.is_string(field.type.value_type):
                lists = [
                    None if held is None else [None if t is None else self.text(t) for t in held]
                    for held in table.column(position).to_pylist()
                ]
                table = table.set_column(position, field, pa.array(lists, field.type))
        return table

    def text(self, text: str) -> str:
        """The text with dark addresses, and numbers that show one, replaced."""
        return _NUMBER.sub(self._number, _ADDRESS.sub(self._address, text))

    def _address(self, match: re.Match[str]) -> str:
        try:
            network = IPv4Network(match.group().replace("[.]", "."), strict=False)
        except ValueError:
            return match.group()
        return MASKED if any(network.overlaps(dark) for dark in self.networks) else match.group()

    def _number(self, match: re.Match[str]) -> str:
        value = int(match.group(), 0) if match.group().startswith("0x") else int(match.group())
        hexadecimal = match.group().startswith("0x")
        shown = self.dark(value) or (hexadecimal and bool({value >> 16, value & 0xFFFF} & self._halves))
        return MASKED if shown else match.group()

    def _inside(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._inside(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._inside(item) for item in value]
        if isinstance(value, int) and not isinstance(value, bool) and value > 1 << 24 and self.dark(value):
            return MASKED
        return value


def telescope_networks(tables: Mapping[str, Sequence[pa.Table]], given: Sequence[str]) -> list[IPv4Network]:
    """The prefixes that count as dark: those given, else those the census inferred."""
    texts = list(given)
    if not texts:
        for table in tables.get("darknet.census:telescope", ()):
            texts += table.column("cidr").to_pylist()
    networks: list[IPv4Network] = []
    for text in texts:
        try:
            networks.append(IPv4Network(text, strict=False))
        except ValueError:
            continue
    return networks
