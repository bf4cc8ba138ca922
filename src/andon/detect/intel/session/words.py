"""Words of a shell: names of BusyBox applets, what looks drawn at random, what a statement does first."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

# Applets of BusyBox 1.36 (its `applets.h`), and the shells and tools that vendors' builds add under the same name.
_APPLETS: Final = """
acpid addgroup adduser adjtimex apt ar arch arp arping ascii ash awk base32 base64 basename bash bb bbconfig bc
beep blkdiscard blkid blockdev bootchartd brctl bunzip2 busybox bzcat bzip2 cal cat catv chat chattr chgrp chmod
chown chpasswd chpst chroot chrt chvt cksum clear cmp comm conspy cp cpio crc32 crond crontab cryptpw cttyhack
curl cut date dc dd deallocvt delgroup deluser depmod devfsd devmem df dhcprelay diff dirname dmesg dnsd
dnsdomainname dos2unix dpkg dpkg-deb du dumpkmap dumpleases echo echoes ed egrep eject enable env envdir
envuidgid ether-wake exit expand expr factor fakeidentd fallocate false fatattr fbset fbsplash fdflush fdformat
fdisk fgconsole fgrep find findfs flash_eraseall flash_lock flash_unlock flashcp flock fold free freeramdisk
fsck fsfreeze fstrim fsync ftpd ftpget ftpput fuser getfattr getopt getty grep groups gunzip gzip halt hd hdparm
head help hexdump hexedit hostid hostname httpd hush hwclock i2cdetect i2cdump i2cget i2cset i2ctransfer id
ifconfig ifdown ifenslave ifplugd ifup import inetd init inotifyd insmod install ionice iostat ip ip6tables
ipaddr ipcalc ipcrm ipcs iplink ipneigh iproute iprule iptables iptunnel kbd_mode kill killall killall5 klogd
last less link linux32 linux64 linuxrc linuxshell ln loadfont loadkmap logger login logname logread losetup lpd
lpq lpr ls lsattr lsmod lsof lspci lsscsi lsusb lzcat lzma lzop lzopcat makedevs makemime man md5sum mdev mesg
microcom mim minips mkdir mkdosfs mke2fs mkfifo mkfs mknod mkpasswd mkswap mktemp modinfo modprobe more mount
mountpoint mpstat mt mv nameif nanddump nandwrite nbd-client nc netcat netstat nice nl nmeter nohup nologin
nproc nsenter nslookup ntpd nuke od openvt partprobe passwd paste patch pgrep pidof ping ping6 pipe_progress
pivot_root pkill pmap popmaildir poweroff powertop printenv printf ps pscan pstree pwd pwdx raidautorun rdate
rdev readahead readlink readprofile realpath reboot reformime remove-shell renice reset resize resume rev rm
rmdir rmmod route rpm rpm2cpio rtcwake run-init run-parts runlevel runsv runsvdir rx script scriptreplay sed
seedrng sendmail seq setarch setconsole setfattr setfont setkeycodes setlogcons setpriv setserial setsid
setuidgid sh sha1sum sha256sum sha3sum sha512sum shasum shell showkey shred shuf slattach sleep smemcap
softlimit sort split ssl_client ssl_server start-stop-daemon stat strings stty su sudo sulogin sum sv svc svlogd
svok swapoff swapon switch_root sync sysctl syslogd system tac tail tar taskset tc tcpsvd tee telnet telnetd
test tftp tftpd time timeout top touch tr traceroute traceroute6 tree true truncate ts tsort tty ttysize tunctl
tune2fs ubiattach ubidetach ubimkvol ubirename ubirmvol ubirsvol ubiupdatevol udhcpc udhcpc6 udhcpd udpsvd
uevent umount uname uncompress unexpand uniq unit unix2dos unlink unlzma unlzop unshare unxz unzip uptime users
usleep uudecode uuencode vconfig vi vlock volname w wall watch watchdog wc wget which who whoami whois xargs xxd
xz xzcat yes zcat zcip
"""
APPLETS: Final = frozenset(_APPLETS.split())
RUN: Final = "RUN"  # a program that is run from where it lies
_RUN: Final = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}", re.I)
_MIDST: Final = re.compile(r"^[a-z]\w*[0-9][a-z]|[A-Z]\w*[0-9]\w*[a-z]")
_SPELLED: Final = re.compile(
    r"[a-z]{6}"
)  # so many small letters in a row are a word, if no digit is within the name
_TURNS: Final = re.compile(r"(?=[a-z][A-Z]|[A-Za-z][0-9]|[0-9][A-Za-z])")


@lru_cache(maxsize=65_536)
def random_name(name: str, in_path: bool) -> bool:
    """Whether a name looks drawn at random: letters and digits in turn, or no vowel to speak of.

    >>> [random_name(name, True) for name in ("oMNUckLhyt", "gweerwe323f", "dvrHelper", "SuSEfirewall2")]
    [True, True, False, False]
    """
    if not 6 <= len(name) <= 64 or not name.isalnum() or name.isdigit() or not name.isascii():
        return False
    stem = name.rstrip("0123456789")
    if stem.isalpha() and _SPELLED.search(stem):
        return False
    turns = len(_TURNS.findall(name))
    upper = sum(char.isupper() for char in name)
    mixed = 0 < upper < len(name)
    if turns >= 3 and (mixed or any(char.isdigit() for char in name)):
        return True
    if mixed and turns >= 2 and len(name) >= 8 and upper >= 3:
        return True
    if in_path and any(c.isdigit() for c in name) and any(c.isalpha() for c in name) and turns >= 2:
        return True
    return in_path and len(name) <= 16 and _RUN.search(name) is not None and name not in APPLETS


@lru_cache(maxsize=65_536)
def random_token(token: str) -> bool:
    """Whether a token may be drawn anew for each session: eight letters and digits, capitals or digits in the midst
    of small letters. Words that are shouted (BOTNET, SATORI), names and words that end in a number (IZ1H9) are not.

    >>> [random_token(token) for token in ("GMCLjrD6", "LfMBiull", "BOTNET", "daddyl33t", "IZ1H9", "Paralyse")]
    [True, True, False, False, False, False]
    """
    if len(token) != 8 or not token.isalnum():
        return False
    small = sum(char.islower() for char in token)
    large = sum(char.isupper() for char in token)
    return bool(small and large >= 2) or bool(small and _MIDST.search(token))


_PATH: Final = re.compile(r"^(?:/[\w.-]+)*/(?=[\w<])")
_ASSIGN: Final = re.compile(r"^\w+=\S*\s+")


@lru_cache(maxsize=65_536)
def verb(statement: str) -> str:
    """The command of a statement: without path, ``sudo``, ``busybox`` and assignments; ``RUN`` for a program run from
    where it lies, ``>`` for a bare redirection.

    >>> [verb(text) for text in ("/bin/busybox wget <URL>", "./dvrHelper x", "sudo rm -rf a", ">.s", "A=1 nproc")]
    ['wget', 'RUN', 'rm', '>', 'nproc']
    """
    text = statement.strip().lstrip("({! ")
    for _ in range(4):
        assigned = _ASSIGN.sub("", text, count=1)
        parts = assigned.split(None, 1)
        if len(parts) == 2 and parts[0].rpartition("/")[2] in (
            "sudo",
            "busybox",
            "nohup",
            "exec",
            "time",
            "command",
        ):
            text = parts[1]
            continue
        text = assigned
        break
    if not text:
        return ""
    first = text.split(None, 1)[0]
    if first.startswith("<TOKEN>"):
        return "TOKEN"
    if first[0] in "<>" and not first.startswith(("<R>", "<HEX>", "<N>", "<ARCH>", "<B64>", "<PW>")):
        return ">"
    if first.startswith(("./", "/tmp/", "/var/", "/dev/", "/root/", "/home/", "~/", "/mnt/")):
        return RUN
    name = _PATH.sub("", first)
    return name[:24]
