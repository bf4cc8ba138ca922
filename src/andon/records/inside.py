"""What is inside where the operator names no prefixes (``Site.inside``)."""

from __future__ import annotations

from typing import Final

# Private, shared by a provider's customers, link-local and loopback addresses.
PRIVATE: Final = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8", "fc00::/7",
    "fe80::/10", "::1/128",
)  # fmt: skip
