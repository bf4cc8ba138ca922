"""What a rule says is attacked, in words that an asset list uses.

Rules name products in their titles ("ET EXPLOIT Apache Struts ..."), their CVEs, their ports. A *family* is a product
with the words that tell it in an asset list (product, version, system, CPE, banners). A title that names no family
attacks something unknown, and nothing is concluded from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

# family: (words of titles, words of asset lists)
FAMILIES: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "Windows": (("windows", "ms17-010", "eternalblue", "smbv1", "netlogon", "zerologon", "bluekeep", "print spooler",
                 "printnightmare", "psexec", "msrpc"), ("windows", "microsoft")),
    "Linux": (("linux", "dirty pipe", "sudo"), ("linux", "ubuntu", "debian", "centos", "red hat", "rhel", "suse")),
    "Apache HTTP Server": (("apache http", "apache httpd", "mod_cgi", "apache path traversal"),
                           ("apache http", "httpd", "apache/2")),
    "nginx": (("nginx",), ("nginx",)),
    "Microsoft IIS": (("iis", "asp.net"), ("iis", "microsoft-httpapi")),
    "Java": (("log4j", "log4shell", "java deserial", "jndi"), ("java", "tomcat", "solr", "elasticsearch", "vcenter",
             "weblogic", "jboss", "wildfly", "jenkins", "confluence", "struts", "jetty", "log4j")),
    "Apache Struts": (("struts",), ("struts",)),
    "Apache Tomcat": (("tomcat", "ghostcat"), ("tomcat",)),
    "Microsoft Exchange": (("exchange", "proxyshell", "proxylogon"), ("exchange", "owa")),
    "WordPress": (("wordpress", "wp-login", "wpscan", "wp-content"), ("wordpress",)),
    "Drupal": (("drupal",), ("drupal",)),
    "PHP": (("php",), ("php", "wordpress", "drupal", "joomla")),
    "Confluence": (("confluence",), ("confluence",)),
    "Jenkins": (("jenkins",), ("jenkins",)),
    "WebLogic": (("weblogic",), ("weblogic",)),
    "GitLab": (("gitlab",), ("gitlab",)),
    "Citrix NetScaler": (("citrix", "netscaler"), ("citrix", "netscaler")),
    "Fortinet": (("forti",), ("fortinet", "fortios", "fortigate")),
    "Pulse Secure": (("pulse secure", "ivanti connect"), ("pulse secure", "ivanti")),
    "F5 BIG-IP": (("big-ip", "f5 "), ("big-ip", "f5 ")),
    "VMware": (("vmware", "vcenter", "esxi"), ("vmware", "vcenter", "esxi")),
    "OpenSSH": (("openssh",), ("openssh", "ssh")),
    "MySQL": (("mysql", "mariadb"), ("mysql", "mariadb")),
    "PostgreSQL": (("postgres",), ("postgres",)),
    "Microsoft SQL Server": (("mssql", "sql server", "xp_cmdshell"), ("sql server", "mssql")),
    "Redis": (("redis",), ("redis",)),
    "MongoDB": (("mongodb",), ("mongodb",)),
    "Elasticsearch": (("elasticsearch",), ("elasticsearch",)),
    "Exim": (("exim",), ("exim",)),
    "Postfix": (("postfix",), ("postfix",)),
    "ISC BIND": (("bind9", "isc bind", "named tkey"), ("bind",)),
    "Samba": (("samba",), ("samba",)),
    "Router or camera": (("netgear", "d-link", "dlink", "tp-link", "zyxel", "mirai", "hikvision", "dahua", "gpon",
                          "realtek sdk", "huawei hg"), ("router", "camera", "dvr", "netgear", "d-link", "tp-link",
                          "zyxel", "hikvision", "dahua", "huawei")),
}  # fmt: skip


@lru_cache(maxsize=4096)
def families(words: str) -> frozenset[str]:
    """Families that a title (lower case) names.

    >>> sorted(families("et exploit apache log4j rce attempt (cve-2021-44228)"))
    ['Java']
    """
    return frozenset(
        name
        for name, (titles, _) in FAMILIES.items()
        if any(re.search(rf"(?<![a-z]){re.escape(word)}", words) for word in titles)
    )


def wanted(words: str, products: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """What is attacked -> words that an asset list has for it. ``products``: of the CVEs, lower case."""
    made = {name: FAMILIES[name][1] for name in sorted(families(words))}
    for product in products:
        known = families(product)
        made |= {name: FAMILIES[name][1] for name in sorted(known)} if known else {product: (product,)}
    return made


def told(asset: Mapping[str, Any]) -> str:
    """Everything that a row of an asset list says of what runs there, lower case."""
    parts = [asset[name] for name in ("vendor", "product", "version", "device", "os", "cpe")]
    for service in asset["services"] or ():
        parts += [service["protocol"] or "", service["banner"] or ""]
    return " ".join(part for part in parts if part).lower()


def runs(text: str, attacked: Mapping[str, Sequence[str]]) -> str:
    """The first family of which the text has a word; ""."""
    return next((name for name, words in attacked.items() if any(word in text for word in words)), "")


def listed_ports(asset: Mapping[str, Any]) -> frozenset[tuple[int, str]]:
    return frozenset((s["port"], s["transport"] or "tcp") for s in asset["services"] or () if s["port"])
