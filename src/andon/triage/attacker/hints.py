"""Raw observations -> ATT&CK techniques, so that cases whose products give no tags have techniques too.

A small table of rules of ours: what a command line, a registry key, a file or a user agent says by itself, with how
sure it is. Every rule names the source it rests on: ``attack`` is the "Procedure Examples" and "Detection" parts of
the technique's own page (attack.mitre.org/techniques/NUMBER, ATT&CK v18), ``ms`` Microsoft's documentation of the
program or key, ``lolbas`` the LOLBAS project's page of the binary, ``man`` the manual page of the Unix program. A
rule says that this was done, never why: an administrator's ``schtasks`` is T1053.005 as well.

Patterns have no nested repetition and texts are cut at ``LONGEST`` characters, so that a hostile text costs linear time.
"""

# ruff: noqa: E501  one rule a line

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from andon.records.case import Observation

_RUNS: Final = ("command", "text")
LONGEST: Final = 2048  # characters of a value that rules read
MOST: Final = 100  # values of each kind of a case that they read
_FILES: Final = ("file-name", "path")
_KEYS: Final = ("registry", "command")


@dataclass(frozen=True)
class Hint:
    """One rule. ``kinds`` of observation that it reads; ``pattern`` of text in lower case; ``confidence`` that what matches is the technique;
    ``tactics`` as ATT&CK has them, for the stage of a case where there is no knowledge base."""

    technique: str
    kinds: tuple[str, ...]
    pattern: re.Pattern[str]
    confidence: float
    why: str
    source: str
    tactics: tuple[str, ...]


def _hint(
    technique: str,
    kinds: tuple[str, ...],
    pattern: str,
    confidence: float,
    why: str,
    source: str,
    tactics: str,
) -> Hint:
    return Hint(technique, kinds, re.compile(pattern), confidence, why, source, tuple(tactics.split()))


_PERSIST: Final = "persistence privilege-escalation"
HINTS: Final[tuple[Hint, ...]] = (
    # Impact
    _hint("T1490", _RUNS, r"vssadmin(?:\.exe)?\W{1,3}delete\s+shadows|shadowcopy\s+delete|win32_shadowcopy|wbadmin(?:\.exe)?\W{1,3}delete|resize\s+shadowstorage", 0.95, "copies for recovery are deleted", "attack ms", "impact"),
    _hint("T1490", _RUNS, r"bcdedit(?:\.exe)?\b.{0,80}(?:recoveryenabled\W{1,3}no|ignoreallfailures)", 0.95, "recovery at boot is switched off", "attack ms", "impact"),
    _hint("T1486", _FILES, r"(?:readme|recover|restore|decrypt|how[_-]?to)[\w.! -]{0,40}(?:decrypt|files|recover|restore|instructions?|note)[\w.! -]{0,20}\.(?:txt|html?|hta)$|ransom[\w -]{0,12}\.(?:txt|html?)$", 0.8, "a file is named like a ransom note", "attack", "impact"),
    _hint("T1486", ("text", "title"), r"ransomware|your files (?:have been|are|were) encrypted|files encrypted", 0.7, "it is told that files were encrypted", "attack", "impact"),
    _hint("T1489", _RUNS, r"\b(?:net1?|sc)(?:\.exe)?\W{1,3}(?:stop|config\b.{1,60}start=\s*disabled)|taskkill(?:\.exe)?\b.{0,60}(?:sql|exchange|oracle|veeam|backup)|stop-service\b", 0.75, "services are stopped", "attack ms", "impact"),
    _hint("T1491.002", ("text", "title"), r"deface|hacked\s+by\b|owned\s+by\s+\w+\s+(?:team|crew)", 0.85, "a page says that it was taken over", "attack", "impact"),
    _hint("T1498", ("text", "title"), r"\b(?:ddos|dos)\b.{0,40}\b(?:outbound|flood|attack|tool)|\b(?:syn|udp|icmp)\s+flood", 0.7, "a network is flooded", "attack", "impact"),
    _hint("T1499.002", ("text", "title", "user-agent", "command"), r"slowloris|http[\s-]?flood|\b(?:r\.?u\.?d\.?y|torshammer|goldeneye|hulk)\b.{0,20}(?:dos|tool|attack|flood)", 0.8, "a service is exhausted", "attack", "impact"),
    _hint("T1561.002", _RUNS, r"\\\\\.\\physicaldrive\d.{0,60}(?:write|wipe|overwrite)|dd\s+if=/dev/(?:zero|u?random)\s+of=/dev/[shv]d", 0.85, "a disk's structure is overwritten", "attack man", "impact"),
    _hint("T1485", _RUNS, r"\bcipher(?:\.exe)?\s+/w|sdelete|rm\s+-rf\s+--no-preserve-root|shred\s+-\w*[uz]", 0.6, "data are destroyed", "attack ms", "impact"),
    _hint("T1496", ("command", "text", "title", "domain", "url"), r"xmrig|stratum\+(?:tcp|ssl)|coinhive|cryptonight|minexmr|coin[\s-]?miner|cryptomin", 0.85, "coins are mined", "attack", "impact"),
    # Hiding
    _hint("T1070.001", _RUNS, r"wevtutil(?:\.exe)?\W{1,3}(?:cl|clear-log)\b|clear-eventlog|remove-eventlog", 0.95, "event logs are cleared", "attack ms", "defense-evasion"),
    _hint("T1070.004", _RUNS, r"fsutil(?:\.exe)?\s+usn\s+deletejournal|/c\s+(?:ping|timeout|choice)\b.{0,60}&\s*(?:del|erase)\b", 0.8, "traces on the disk are deleted", "attack ms", "defense-evasion"),
    _hint("T1070.003", _RUNS, r"history\s+-c\b|histfile=/dev/null|unset\s+histfile|clear-history", 0.85, "the history of commands is cleared", "attack man", "defense-evasion"),
    _hint("T1562.001", _RUNS, r"set-mppreference\b.{0,80}disable|(?:sc|net1?)(?:\.exe)?\W{1,3}stop\W{1,3}(?:windefend|sense|mssense|sophos|mcshield|avp)|add-mppreference\b.{0,40}exclusion", 0.9, "protection is switched off", "attack ms", "defense-evasion"),
    _hint("T1562.001", _KEYS, r"windows defender\\.{0,60}disable(?:antispyware|realtimemonitoring|antivirus)", 0.9, "protection is switched off in the registry", "attack ms", "defense-evasion"),
    _hint("T1562.004", _RUNS, r"netsh(?:\.exe)?\s+(?:adv)?firewall\b|iptables\s+-f|ufw\s+disable", 0.7, "the firewall is changed", "attack ms man", "defense-evasion"),
    _hint("T1027.010", _RUNS, r"powershell(?:\.exe)?\b.{0,200}\s-e(?:n|nc|nco|ncod|ncode|ncoded|ncodedcommand)?\s+[a-z0-9+/=]{16}|frombase64string", 0.9, "a command is encoded", "attack ms", "defense-evasion"),
    _hint("T1140", _RUNS, r"certutil(?:\.exe)?\b.{0,40}-decode|frombase64string|base64\s+(?:-d|--decode)", 0.85, "something is decoded on the spot", "attack lolbas", "defense-evasion"),
    _hint("T1218.011", _RUNS, r"rundll32(?:\.exe)?\W{1,3}\S", 0.7, "rundll32 runs something", "attack lolbas", "defense-evasion"),
    _hint("T1218.010", _RUNS, r"regsvr32(?:\.exe)?\b.{0,80}(?:/i:|/s\b|scrobj)", 0.85, "regsvr32 runs something", "attack lolbas", "defense-evasion"),
    _hint("T1218.005", _RUNS, r"mshta(?:\.exe)?\W{1,3}\S", 0.85, "mshta runs something", "attack lolbas", "defense-evasion"),
    _hint("T1218.007", _RUNS, r"msiexec(?:\.exe)?\b.{0,60}https?://", 0.85, "msiexec installs from the network", "attack lolbas", "defense-evasion"),
    _hint("T1548.002", _RUNS, r"fodhelper|eventvwr(?:\.exe)?\b.{0,40}mscfile|computerdefaults|ms-settings\\shell\\open\\command|cmluautil", 0.8, "user account control is passed by", "attack lolbas", "privilege-escalation defense-evasion"),
    _hint("T1112", _RUNS, r"\breg(?:\.exe)?\s+(?:add|delete)\b|set-itemproperty\b.{0,40}hk(?:lm|cu):", 0.8, "the registry is changed", "attack ms", "defense-evasion"),
    _hint("T1564.001", _RUNS, r"attrib(?:\.exe)?\s+(?:\+s\s+)?\+h\b", 0.85, "files are hidden", "attack ms", "defense-evasion"),
    _hint("T1222.001", _RUNS, r"icacls(?:\.exe)?\b.{0,80}/grant|takeown(?:\.exe)?\s+/f", 0.75, "rights on files are changed", "attack ms", "defense-evasion"),
    # Execution
    _hint("T1059.001", _RUNS, r"\b(?:powershell|pwsh)(?:\.exe)?\b", 0.8, "PowerShell runs", "attack ms", "execution"),
    _hint("T1059.003", _RUNS, r"\bcmd(?:\.exe)?\s+/[ckq]\b|\.bat\b", 0.7, "the Windows command shell runs", "attack ms", "execution"),
    _hint("T1059.004", _RUNS, r"(?:^|[\s/;|])(?:ba|z|k|da)?sh\s+-[ci]\b|/dev/tcp/\d", 0.75, "a Unix shell runs", "attack man", "execution"),
    _hint("T1059.005", _RUNS, r"\b[wc]script(?:\.exe)?\b.{0,200}\.vb[se]\b", 0.85, "Visual Basic runs", "attack ms", "execution"),
    _hint("T1059.007", _RUNS, r"\b[wc]script(?:\.exe)?\b.{0,200}\.jse?\b", 0.85, "JScript runs", "attack ms", "execution"),
    _hint("T1047", _RUNS, r"\bwmic(?:\.exe)?\b.{0,120}(?:process\s+call\s+create|/node:)|invoke-wmimethod", 0.85, "WMI runs something", "attack lolbas", "execution"),
    _hint("T1053.005", _RUNS, r"schtasks(?:\.exe)?\b.{0,80}/(?:create|change|run)|register-scheduledtask", 0.9, "a task is scheduled", "attack ms", "execution " + _PERSIST),
    _hint("T1053.003", (*_RUNS, *_FILES), r"crontab\s+-|/etc/cron(?:\.d|tab|\.daily)|/var/spool/cron", 0.8, "a cron job is made", "attack man", "execution " + _PERSIST),
    _hint("T1569.002", _RUNS, r"psexe(?:c|svc)|\bsc(?:\.exe)?\s+(?:\\\\\S{1,80}\s+)?start\b", 0.7, "a service is used to run something", "attack ms", "execution"),
    # Staying
    _hint("T1547.001", _KEYS, r"\\currentversion\\(?:run|runonce|runservices|policies\\explorer\\run)(?:\\|\b)", 0.9, "it starts with the system by a Run key", "attack ms", _PERSIST),
    _hint("T1547.001", _FILES, r"start menu\\programs\\startup\\", 0.9, "it starts with the system by the start-up folder", "attack ms", _PERSIST),
    _hint("T1547.004", _KEYS, r"\\currentversion\\winlogon\\?(?:.{0,10})(?:userinit|shell|notify)", 0.85, "it starts with the log-on", "attack ms", _PERSIST),
    _hint("T1543.003", _RUNS, r"\bsc(?:\.exe)?\s+(?:\\\\\S{1,80}\s+)?create\b|new-service\b", 0.9, "a Windows service is made", "attack ms", _PERSIST),
    _hint("T1543.003", ("registry",), r"\\currentcontrolset\\services\\[^\\]{1,80}", 0.6, "a Windows service is set", "attack ms", _PERSIST),
    _hint("T1543.002", (*_RUNS, *_FILES), r"/etc/systemd/system/|systemctl\s+enable", 0.8, "a systemd service is made", "attack man", _PERSIST),
    _hint("T1546.012", _KEYS, r"image file execution options\\.{1,80}(?:debugger|globalflag)", 0.9, "a debugger entry starts it", "attack ms", _PERSIST),
    _hint("T1136.001", _RUNS, r"\bnet1?(?:\.exe)?\s+user\s+\S+\s+\S+.{0,40}/add|\buseradd\b|new-localuser", 0.9, "an account is made", "attack ms man", "persistence"),
    _hint("T1098.004", (*_RUNS, *_FILES), r"authorized_keys", 0.7, "keys for SSH are added", "attack man", _PERSIST),
    _hint("T1505.003", (*_RUNS, *_FILES), r"web\s?shell|(?:inetpub|wwwroot|htdocs|webapps|/var/www)\S{0,120}(?:cmd|shell|c99|r57|wso|b374k|aspxspy|chopper)\S{0,20}\.(?:php|jspx?|aspx?)", 0.8, "a web shell", "attack", "persistence"),
    # Credentials
    _hint("T1003.001", (*_RUNS, *_FILES), r"comsvcs(?:\.dll)?\W{1,6}(?:minidump|#?24)|procdump\S{0,8}\s.{0,40}lsass|lsass\S{0,20}\.dmp|sekurlsa|mimikatz", 0.95, "passwords are taken from LSASS", "attack lolbas", "credential-access"),
    _hint("T1003.002", _RUNS, r"\breg(?:\.exe)?\s+save\s+(?:hklm|hkey_local_machine)\\(?:sam|security|system)\b", 0.95, "the SAM is copied", "attack ms", "credential-access"),
    _hint("T1003.003", (*_RUNS, *_FILES), r"ntdsutil\b.{0,80}ifm|ntds\.dit", 0.9, "the directory's database is copied", "attack ms", "credential-access"),
    _hint("T1003.008", (*_RUNS, *_FILES), r"(?:cat|cp|less|scp)\s+/etc/shadow", 0.9, "Unix password hashes are read", "attack man", "credential-access"),
    _hint("T1555.003", (*_RUNS, *_FILES), r"\\google\\chrome\\user data\\.{0,40}login data|logins\.json|key[34]\.db|signons\.sqlite", 0.85, "passwords of browsers are read", "attack", "credential-access"),
    _hint("T1110", ("text", "title"), r"brute[\s-]?force|password spray|(?:multiple|many|too many)\s+(?:authentication\s+failures|failed\s+log[io])", 0.75, "passwords are guessed", "attack", "credential-access"),
    _hint("T1558.003", _RUNS, r"kerberoast|\bsetspn(?:\.exe)?\s+-[tq]", 0.85, "tickets of services are collected", "attack ms", "credential-access"),
    # Looking round
    _hint("T1082", _RUNS, r"\bsysteminfo\b|uname\s+-a\b|/etc/\*?release", 0.8, "the system is looked at", "attack ms man", "discovery"),
    _hint("T1016", _RUNS, r"\bipconfig(?:\.exe)?\b|\bifconfig\b|\bnetsh\s+interface\b|\broute\s+print|\barp\s+-a|\bip\s+a(?:ddr)?(?:\s+show)?\s*$", 0.8, "the network settings are looked at", "attack ms man", "discovery"),
    _hint("T1033", _RUNS, r"\bwhoami\b|\bquser\b|\bquery\s+user\b", 0.85, "who is logged on is asked", "attack ms", "discovery"),
    _hint("T1049", _RUNS, r"\bnetstat\b|\bnet1?(?:\.exe)?\s+(?:use|session)\b", 0.8, "connections are listed", "attack ms", "discovery"),
    _hint("T1057", _RUNS, r"\btasklist\b|\bget-process\b|\bps\s+(?:aux|-ef)", 0.85, "processes are listed", "attack ms man", "discovery"),
    _hint("T1018", _RUNS, r"\bnet1?(?:\.exe)?\s+view\b|\bnltest\b.{0,40}/dclist|\bdsquery\s+computer|\badfind\b", 0.8, "other systems are listed", "attack ms", "discovery"),
    _hint("T1087.002", _RUNS, r"\bnet1?(?:\.exe)?\s+(?:user|group)\b.{0,60}/do(?:main)?\b|\bget-aduser\b", 0.9, "accounts of the domain are listed", "attack ms", "discovery"),
    _hint("T1069.001", _RUNS, r"\bnet1?(?:\.exe)?\s+localgroup\b", 0.8, "local groups are listed", "attack ms", "discovery"),
    _hint("T1482", _RUNS, r"nltest(?:\.exe)?\b.{0,40}/(?:domain_trusts|trusted_domains)|get-adtrust", 0.95, "trusts between domains are listed", "attack ms", "discovery"),
    _hint("T1007", _RUNS, r"\bnet1?(?:\.exe)?\s+start\s*$|\bsc(?:\.exe)?\s+query\b|tasklist\s+/svc", 0.85, "services are listed", "attack ms", "discovery"),
    _hint("T1135", _RUNS, r"\bnet1?(?:\.exe)?\s+(?:share|view\s+\\\\)|invoke-sharefinder|get-smbshare", 0.85, "shares are listed", "attack ms", "discovery"),
    _hint("T1614.001", (*_RUNS, "registry"), r"\\control\\nls\\language|getkeyboardlayout|getuserdefault(?:ui)?lang", 0.85, "the language of the system is asked", "attack ms", "discovery"),
    _hint("T1046", ("text", "title", "command"), r"\b(?:nmap|masscan|zmap|port\s?scan|service\s?scan|network\s?scan)", 0.75, "services are scanned for", "attack man", "discovery"),
    _hint("T1595.002", ("user-agent", "title", "text"), r"\b(?:nikto|sqlmap|wpscan|nuclei|acunetix|nessus|openvas|dirb(?:uster)?|gobuster|feroxbuster|zgrab)\b|web\s?(?:server\s)?scan", 0.85, "it is scanned for weak points", "attack", "reconnaissance"),
    # Getting in, moving on, taking out
    _hint("T1190", ("title", "text", "url"), r"\$\{jndi:|log4shell|\b(?:sql\s?i(?:njection)?|remote code execution|rce|path traversal|command injection)\b.{0,30}(?:attempt|attack|exploit)|union\s+(?:all\s+)?select\b", 0.75, "a public service is attacked", "attack", "initial-access"),
    _hint("T1566.001", ("title", "text"), r"phish.{0,40}attach|malicious (?:attachment|document|macro)", 0.7, "a mail brings a file", "attack", "initial-access"),
    _hint("T1566.002", ("title", "text"), r"phish.{0,40}(?:link|url|page|site|landing)", 0.7, "a mail brings a link", "attack", "initial-access"),
    _hint("T1021.002", _RUNS, r"\\\\[\w.-]{1,80}\\(?:admin|c|ipc)\$", 0.8, "administrative shares are used", "attack ms", "lateral-movement"),
    _hint("T1021.001", (*_RUNS, "registry"), r"\bmstsc(?:\.exe)?\b|fdenytsconnections|terminal server\\winstations", 0.75, "remote desktop is used", "attack ms", "lateral-movement"),
    _hint("T1105", _RUNS, r"certutil(?:\.exe)?\b.{0,60}-urlcache|bitsadmin\b.{0,60}/transfer|downloadfile\(|downloadstring\(|invoke-webrequest|\biwr\s+http|\b(?:wget|curl)\b.{0,120}https?://", 0.85, "a tool is fetched", "attack lolbas", "command-and-control"),
    _hint("T1090.003", ("domain", "url", "title", "text"), r"\.onion\b|\btor\s+(?:exit|relay|node|traffic)", 0.8, "Tor is used", "attack", "command-and-control"),
    _hint("T1071.001", ("title",), r"\b(?:c2|c&c|cnc|command and control)\b.{0,40}\b(?:http|beacon|checkin|check-in)|\bcnc\s+(?:activity|checkin|beacon)", 0.7, "a controller is asked over HTTP", "attack", "command-and-control"),
    _hint("T1071.004", ("title", "text"), r"dns\s?(?:tunnel|steal|exfil)|dnscat|iodine", 0.8, "DNS carries other things", "attack", "command-and-control"),
    _hint("T1048.003", ("title", "text"), r"dns\s?(?:steal|exfil)|exfiltrat\w*\s+(?:over|via)\s+(?:dns|ftp|http|icmp)", 0.75, "data leave by another protocol", "attack", "exfiltration"),
    _hint("T1567.002", (*_RUNS, "domain", "url"), r"\brclone(?:\.exe)?\s+(?:copy|sync|config)|mega(?:sync|cmd|\.nz|\.io)\b|\bpcloud\b", 0.8, "data go to cloud storage", "attack", "exfiltration"),
    _hint("T1560.001", _RUNS, r"\b(?:rar|winrar|7za?)(?:\.exe)?\s+a\b|\bmakecab\b|tar\s+-?c\w*f\b", 0.8, "data are packed", "attack ms man", "collection"),
)  # fmt: skip
_READ: Final = frozenset(kind for hint in HINTS for kind in hint.kinds)
TACTICS: Final = {hint.technique: hint.tactics for hint in HINTS}


@lru_cache(maxsize=2048)
def techniques(kind: str, value: str) -> tuple[Hint, ...]:
    """The rules that something seen meets, each technique once with its surest rule.

    >>> [hint.technique for hint in techniques("command", "vssadmin.exe Delete Shadows /All /Quiet")]
    ['T1490']
    """
    text = value[:LONGEST].lower()
    best: dict[str, Hint] = {}
    for hint in HINTS:
        if kind in hint.kinds and hint.pattern.search(text):
            held = best.get(hint.technique)
            if held is None or hint.confidence > held.confidence:
                best[hint.technique] = hint
    return tuple(best[number] for number in sorted(best))


def found_in(seen: Iterable[Observation]) -> tuple[list[tuple[Observation, Hint]], int]:
    """(what the raw observations of a case hint at, how many values were left unread). Of each kind the first MOST values
    by text are read, whatever the order they come in."""
    kinds: dict[str, list[Observation]] = {}
    for item in sorted(
        (item for item in seen if item.kind in _READ), key=lambda each: (each.kind, each.value)
    ):
        kinds.setdefault(item.kind, []).append(item)
    pairs = [
        (item, hint)
        for held in kinds.values()
        for item in held[:MOST]
        for hint in techniques(item.kind, item.value)
    ]
    return pairs, sum(max(len(held) - MOST, 0) for held in kinds.values())
