"""What the columns of an asset list are called, in English and Japanese."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

FIELDS: Final = {
    "asset": (
        "asset assetid id assettag assetnumber inventorynumber serial serialnumber uid "
        "資産番号 資産id 管理番号 機器番号 機器id 資産管理番号 シリアル番号 no"
    ),
    "address": (
        "address addresses ip ips ipaddress ipaddresses ipaddr ipv4 ipv4address ipv6 "
        "ipv6address hostip addr network cidr prefix iprange range subnet ipアドレス アドレス "
        "ipv4アドレス ipv6アドレス ipアドレス範囲 グローバルip グローバルipアドレス "
        "プライベートip 固定ip 割当ip ネットワークアドレス アドレス範囲 ipaddressv4"
    ),
    "address_first": (
        "startip firstip ipstart ipfrom rangestart startaddress 開始ip 開始ipアドレス "
        "開始アドレス 先頭ipアドレス"
    ),
    "address_last": (
        "endip lastip ipend ipto rangeend endaddress 終了ip 終了ipアドレス 終了アドレス 末尾ipアドレス"
    ),
    "lease_start": (
        "leasestart leasestarted leasebegin leasefrom assignedat assignedfrom 貸出開始 "
        "リース開始 割当開始 リース開始日時 割当開始日時 貸出日時"
    ),
    "lease_end": (
        "leaseend leaseexpires leaseexpirytime leaseexpiration leaseexpiry leaseto assignedto "
        "assigneduntil expiry expires 貸出終了 リース終了 割当終了 リース期限 リース終了日時 "
        "割当終了日時 有効期限"
    ),
    "valid_from": (
        "validfrom from start since installed installdate created 設置日 導入日 登録日 "
        "利用開始日 開始日 使用開始日 購入日"
    ),
    "valid_to": (
        "validto to end until retired decommissioned 撤去日 廃止日 廃棄日 利用終了日 終了日 使用終了日"
    ),
    "seen": (
        "lastseen scanned scandate scantime lastscan lastscanned observed observedat "
        "timestamp 最終確認日 最終確認日時 確認日 スキャン日時 調査日 最終検出日時"
    ),
    "hostname": (
        "hostname host name fqdn dnsname computername devicename machinename ホスト名 "
        "コンピュータ名 コンピューター名 機器名 機器名称 端末名 名称 fqdn名"
    ),
    "mac": (
        "mac macaddress macaddr hwaddr hwaddress physicaladdress ethernet clientid macアドレス 物理アドレス"
    ),
    "vendor": (
        "vendor manufacturer make maker brand hwvendor メーカー メーカ メーカー名 製造元 "
        "製造者 ベンダー ベンダ ベンダー名"
    ),
    "product": (
        "product model modelname modelnumber hwproduct productname 型番 型式 製品 製品名 機種 "
        "機種名 モデル モデル名 品名 品番"
    ),
    "version": (
        "version firmware firmwareversion fw swversion ファームウェア "
        "ファームウェアバージョン バージョン 版数"
    ),
    "device": (
        "device devicetype devicecategory deviceclass type category class assettype role "
        "systemtype 機器種別 種別 機器分類 分類 機器区分 区分 カテゴリ カテゴリー 用途 "
        "デバイス種別 機器タイプ"
    ),
    "os": "os operatingsystem osname platform システム オペレーティングシステム 基本ソフト os名",
    "cpe": "cpe cpe23 cpename cpeuri",
    "owner": (
        "owner organisation organization company customer tenant org 組織 組織名 会社名 "
        "所有者 所有組織 顧客 顧客名 契約者 団体名"
    ),
    "contact": (
        "contact email mail responsible admin administrator department team 連絡先 メール "
        "メールアドレス 管理者 担当者 担当部署 管理部署 所管部署 部署 管理責任者 担当"
    ),
    "port": "port portnumber ポート ポート番号",
    "transport": "transport proto ipprotocol トランスポート",
    "protocol": "service protocol servicename application サービス プロトコル サービス名",
    "banner": "banner response data バナー 応答",
}
_NAMES: Final = {word: name for name, words in FIELDS.items() for word in words.split()}
_ADDRESSES: Final = frozenset({"address", "address_first"})
# With one of these beside the addresses it is a list of systems; "name" or "type" alone may be anything.
_TELLING: Final = frozenset(
    {"asset", "device", "vendor", "product", "mac", "os", "cpe", "lease_start", "lease_end", "hostname"}
)
_LOG: Final = re.compile(r"^(?:src|dst|source|dest|destination|remote|local)", re.IGNORECASE)


def normal(heading: str) -> str:
    """A heading without what differs by taste: case, width, blanks, marks, remarks in brackets.

    >>> normal("ＩＰアドレス（IPv4）"), normal("Lease-Start (UTC)")
    ('ipアドレス', 'leasestart')
    """
    text = unicodedata.normalize("NFKC", heading).lower()
    text = re.sub(r"\([^)]{0,80}\)|\[[^\]]{0,80}\]|【[^】]{0,80}】", "", text)
    return re.sub(r"[\s_\-.:/・#*\"'﻿]+", "", text)


def fields(headings: Sequence[str], mapping: Mapping[str, str]) -> dict[str, list[int]]:
    """Field -> numbers of its columns. ``mapping`` (heading or column number from 1 -> field) goes before the table;
    a field may have several columns of addresses, of anything else the first counts."""
    found: dict[str, list[int]] = {}
    wanted = {normal(key): value for key, value in mapping.items()}
    for number, heading in enumerate(headings):
        word = normal(heading)
        name = wanted.get(word) or mapping.get(str(number + 1)) or _NAMES.get(word, "")
        if name in ("", "-"):
            continue
        columns = found.setdefault(name, [])
        if not columns or name == "address":
            columns.append(number)
    return found


def is_list(found: Mapping[str, list[int]], headings: Sequence[str]) -> bool:
    """Whether such columns are those of an asset list, and not of a log or a list of prefixes."""
    if not _ADDRESSES & found.keys() or not _TELLING & found.keys():
        return False
    return not any(_LOG.match(heading.strip()) for heading in headings)
