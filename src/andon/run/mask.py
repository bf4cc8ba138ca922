"""Findings and tables that can be shown without giving the telescope away: ``records.mask``, and tables besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network

import numpy as np
import pyarrow as pa

from andon.records.mask import MASKED
from andon.records.mask import Mask as Texts

__all__ = ["MASKED", "Mask", "telescope_networks"]

_ADDRESS_COLUMNS = ("src", "dst", "address")


class Mask(Texts):
    """Hides the addresses of these networks."""

    def table(self, name: str, table: pa.Table) -> pa.Table | None:
        """The table without rows about dark addresses; None if it is about nothing else."""
        if name.endswith(":telescope"):
            return None
        for column in _ADDRESS_COLUMNS:
            if column in table.column_names and pa.types.is_integer(table.schema.field(column).type):
                values = table.column(column).to_numpy().astype(np.int64)
                dark = np.zeros(len(values), np.bool_)
                for start, end in zip(self._begins, self._stops, strict=True):
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
