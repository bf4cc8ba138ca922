"""How things seen in a case are written, so that the same thing has one name: techniques, names, artefacts.

Reports and products write ``HKLM\\Software`` or ``HKEY_LOCAL_MACHINE\\SOFTWARE``, "Cobalt Strike" or "CobaltStrike".
Here are also the two lists of what tells nothing: tools that every kind of attacker uses, and names that every system
has."""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 4096  # characters of a value that are looked at
_TECHNIQUE: Final = re.compile(r"T\d{4}(?:\.\d{3})?", re.ASCII)

# Bought, leaked or open tools: found with pranksters, criminals and services alike, so they are evidence for none and
# likeness to no group (research note, section 3: false flags and shared tools).
SHARED: Final = frozenset(
    re.split(
        r"\s+",
        """cobaltstrike mimikatz psexec metasploit meterpreter empire powershellempire sliver bruteratel bruteratelc4
    havoc mythic covenant poshc2 koadic silenttrinity impacket crackmapexec netexec responder bloodhound sharphound
    rubeus certify certipy kerbrute hashcat johntheripper lazagne pwdump gsecdump wce windowscredentialeditor procdump
    nbtscan adfind advancedipscanner angryipscanner nmap masscan zmap netcat ncat socat plink putty winscp rclone
    megasync mega anydesk teamviewer atera screenconnect connectwise splashtop rustdesk ngrok chisel frp
    fastreverseproxy ligolo ligolong tor sdelete winrar 7zip 7z curl wget certutil bitsadmin wmic net netsh ping
    ipconfig ifconfig arp route systeminfo tasklist schtasks reg at ftp nslookup dsquery esentutl forfiles ruler xcmd
    pupy quasarrat asyncrat remcos njrat nanocore netwire darkcomet warzonerat revengerat imminentmonitor agenttesla
    amadey donut invokepsimage chinachopper regeorg neoregeorg sqlmap nikto hydra acunetix burpsuite godzilla behinder
    antsword processhacker gmer pchunter fscan earthworm termite htran stowaway suo5 dnscat2 iodine merlin nltest cmd
    powershell""",
    )
)

# Files of operating systems and of common software: a name like these does not point to a family.
_SYSTEM_FILES: Final = frozenset(
    re.split(
        r"\s+",
        """cmd.exe rundll32.exe svchost.exe explorer.exe regsvr32.exe wmic.exe msiexec.exe vssadmin.exe mshta.exe
    lsass.exe iexplore.exe net.exe net1.exe msbuild.exe fodhelper.exe powershell.exe pwsh.exe installutil.exe
    schtasks.exe wscript.exe cscript.exe taskmgr.exe taskkill.exe tasklist.exe services.exe winlogon.exe userinit.exe
    spoolsv.exe dllhost.exe certutil.exe bitsadmin.exe reg.exe regedit.exe regasm.exe regsvcs.exe cmstp.exe
    odbcconf.exe sc.exe wevtutil.exe bcdedit.exe wbadmin.exe whoami.exe ipconfig.exe systeminfo.exe netsh.exe
    nltest.exe ping.exe arp.exe conhost.exe csrss.exe smss.exe wininit.exe taskhost.exe taskhostw.exe notepad.exe
    calc.exe mspaint.exe werfault.exe wermgr.exe wuauclt.exe mavinject.exe waitfor.exe consent.exe sysprep.exe
    eventvwr.exe computerdefaults.exe control.exe msdt.exe hh.exe at.exe attrib.exe icacls.exe cacls.exe ftp.exe
    curl.exe tar.exe expand.exe makecab.exe winword.exe excel.exe powerpnt.exe outlook.exe chrome.exe firefox.exe
    msedge.exe opera.exe acrord32.exe rar.exe winrar.exe 7z.exe 7za.exe java.exe javaw.exe python.exe node.exe
    mysqld.exe sqlservr.exe w3wp.exe kernel32.dll user32.dll ntdll.dll advapi32.dll shell32.dll ws2_32.dll wininet.dll
    urlmon.dll comsvcs.dll amsi.dll samlib.dll vaultcli.dll crypt32.dll gdi32.dll ole32.dll msvcrt.dll dbghelp.dll
    version.dll wer.dll autorun.inf desktop.ini setup.exe update.exe install.exe test.exe temp.exe readme.txt
    index.php index.html config.xml settings.xml web.config wallet.dat login.keychain cookies.sqlite key3.db key4.db
    logins.json places.sqlite ntds.dit sam system.ini win.ini hosts resolv.conf passwd shadow crontab sshd bash sh zsh
    systemd launchd authorized_keys known_hosts""",
    )
)
_HIVES: Final = {
    "hkey_local_machine": "hklm",
    "hkey_current_user": "hkcu",
    "hkey_users": "hku",
    "hkey_classes_root": "hkcr",
    "hkey_current_config": "hkcc",
}
# Keys that many programs write to: what is told by their last part alone.
_COMMON_KEYS: Final = (
    r"\currentversion\run", r"\currentversion\runonce", r"\currentversion\runservices", r"\currentcontrolset\services",
    r"\currentversion\winlogon", r"\currentversion\windows", r"\windows\load", r"\currentversion\policies\system",
    r"\currentversion\explorer", r"\currentversion\internet settings", r"\control\lsa", r"\currentversion\uninstall",
    r"\image file execution options", r"\currentversion\policies\explorer", r"\shell folders", r"\explorer\advanced",
)  # fmt: skip

# Names of kinds in files of others -> kinds of Observation.
KINDS: Final = {
    "file": "file-name", "file-name": "file-name", "filename": "file-name", "files": "file-name",
    "path": "path", "paths": "path", "reg": "registry", "registry": "registry", "mutex": "mutex", "mutexes": "mutex",
    "port": "port", "ports": "port", "ua": "user-agent", "user-agent": "user-agent", "user_agent": "user-agent",
    "cmd": "command", "command": "command", "commands": "command", "domain": "domain", "domains": "domain",
    "url": "url", "urls": "url", "hash": "hash", "hashes": "hash", "digest": "hash", "text": "text", "note": "text",
    "title": "title", "actor": "actor", "actors": "actor", "process": "file-name", "service": "service",
}  # fmt: skip


def technique(text: str) -> str:
    """The number of an ATT&CK technique, or "" if it is none.

    >>> technique(" t1059.001 "), technique("TA0002")
    ('T1059.001', '')
    """
    upper = text.strip()[:16].upper()
    return upper if _TECHNIQUE.fullmatch(upper) else ""


def parent(number: str) -> str:
    """The technique that a sub-technique belongs to; itself if it is none.

    >>> parent("T1059.001")
    'T1059'
    """
    return number.partition(".")[0]


def folded(name: str) -> str:
    """A name as it is compared: letters and digits alone, lower case.

    >>> folded("Cobalt Strike") == folded("cobalt-strike")
    True
    """
    return "".join(c for c in name[:LONGEST].casefold() if c.isalnum())


def is_shared(name: str) -> bool:
    """Whether everybody uses this tool, so that it tells nothing of who does."""
    return folded(name) in SHARED


def written(kind: str, value: str) -> str:
    """An artefact as it is compared.

    >>> written("registry", "HKEY_CURRENT_USER\\\\\\\\Software\\\\\\\\X")
    'hkcu\\\\software\\\\x'
    """
    text = " ".join(value[:LONGEST].casefold().split())
    if kind in ("registry", "path", "file-name"):
        text = re.sub(r"\\+", r"\\", text).strip("\"' ").rstrip("\\")
    if kind == "registry":
        hive, _, rest = text.partition("\\")
        text = "\\".join((_HIVES.get(hive.rstrip(":"), hive.rstrip(":")), rest)) if rest else hive
    return text


def telling(kind: str, text: str) -> bool:
    """Whether an artefact (as ``written``) is particular enough to point to one family of software."""
    if kind == "file-name":
        name = text.rsplit("\\", 1)[-1].rsplit("/", 1)[-1]
        return (
            len(name) >= 7 and "." in name and name not in _SYSTEM_FILES and not name.startswith((".", "*"))
        )
    if kind == "path":
        name = re.split(r"[\\/]", text)[-1]
        return len(text) >= 14 and "." in name and name not in _SYSTEM_FILES
    if kind == "registry":
        return text.count("\\") >= 3 and not text.endswith(_COMMON_KEYS)
    if kind == "mutex":
        return len(text) >= 7 and any(not c.isalpha() for c in text)
    if kind == "user-agent":
        return len(text) >= 12 and not text.startswith("mozilla/")
    return kind == "hash" and len(text) >= 32
