"""Classes of devices under one set of names: those of Recog (``identifiers/device.txt`` there).

Owners write what they like (ネットワークカメラ, webcam, NVR); nmap, OCSF and runZero have lists of their own. A word
that is in no table stays as it is written: a class nobody knows is still what the owner calls it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_NAMES: Final = {
    "Router": ("router ルーター ルータ ネットワーク機器 gateway ゲートウェイ vpnルーター ルーター(router)"),
    "Broadband Router": (
        "broadbandrouter homerouter homegateway cpe residentialgateway ont gpon onu "
        "ブロードバンドルーター ブロードバンドルータ ホームルーター ホームゲートウェイ "
        "家庭用ルーター 光回線終端装置 wifirouter wirelessrouter 無線ルーター"
    ),
    "IP Camera": (
        "ipcamera camera networkcamera ipcam webcam surveillancecamera securitycamera cctv "
        "ネットワークカメラ 監視カメラ 防犯カメラ ipカメラ カメラ webカメラ videocamera"
    ),
    "DVR": (
        "dvr nvr xvr networkvideorecorder digitalvideorecorder videorecorder mediadevice "
        "録画装置 録画機 レコーダー デジタルビデオレコーダー ネットワークビデオレコーダー "
        "監視レコーダー"
    ),
    "NAS": (
        "nas networkattachedstorage storagemisc ストレージ ネットワークストレージ fileserver "
        "ファイルサーバー ファイルサーバ"
    ),
    "WAP": (
        "wap accesspoint wirelessaccesspoint wifi wifiap 無線ap 無線アクセスポイント "
        "アクセスポイント 無線lan 無線lanアクセスポイント wlanap"
    ),
    "Printer": "printer プリンター プリンタ ネットワークプリンター printserver",
    "Multifunction Device": "multifunctiondevice mfp multifunctionprinter 複合機 複写機 デジタル複合機",
    "Switch": "switch スイッチ l2スイッチ l3スイッチ ハブ スイッチングハブ hub",
    "Firewall": ("firewall utm ファイアウォール ファイアーウォール ファイヤーウォール securityappliance"),
    "VoIP": "voip voipphone ipphone voipadapter ata ip電話 ip電話機 電話機 voipアダプター phone",
    "Server": ("server サーバー サーバ windowsserver linuxserver virtualmachine vm 仮想マシン 仮想サーバー"),
    "Desktop": (
        "desktop pc personalcomputer workstation デスクトップ パソコン 端末 クライアント "
        "業務端末 クライアントpc generalpurpose"
    ),
    "Laptop": "laptop notebook ノートpc ノートパソコン",
    "Tablet": "tablet タブレット",
    "Mobile Phone": "mobile mobilephone smartphone スマートフォン スマホ 携帯電話",
    "Smart TV": "smarttv tv テレビ スマートテレビ",
    "Media Player": "mediaplayer settopbox stb セットトップボックス ゲーム機 gameconsole",
    "Video Conferencing": (
        "videoconferencing videoconference テレビ会議 テレビ会議システム ビデオ会議 web会議システム"
    ),
    "PLC": "plc プログラマブルコントローラ シーケンサ programmablelogiccontroller",
    "Industrial Control": "ics scada industrialcontrol 制御装置 産業用制御装置",
    "UPS": "ups 無停電電源装置 無停電電源 powerdevice",
    "VPN": "vpn vpn装置 vpnappliance sslvpn",
    "Load Balancer": "loadbalancer ロードバランサー ロードバランサ 負荷分散装置",
    "Hypervisor": "hypervisor 仮想化基盤",
    "DSL Modem": "dslmodem adslmodem モデム modem",
    "Cable Modem": "cablemodem ケーブルモデム",
    "Sensor": "sensor センサー",
    "Access Control": "accesscontrol 入退室管理 入退室管理装置",
    "Building Automation": "buildingautomation ビル管理 ビル管理システム bas",
    "Point of Sale": "pos pointofsale posレジ レジ",
}
_WORDS: Final = {word: name for name, words in _NAMES.items() for word in words.split()}
_SAYS_NOTHING: Final = frozenset(
    {
        "",
        "unknown",
        "other",
        "others",
        "iot",
        "不明",
        "その他",
        "-",
        "device",
        "generalpurpose",
        "specialized",
        "terminal",
    }
)


def device_class(text: str) -> str:
    """Recog's name of a class, the text itself if it has none, "" for words that say nothing.

    >>> device_class("ネットワークカメラ"), device_class("broadband router"), device_class("Kiosk"), device_class("IOT")
    ('IP Camera', 'Broadband Router', 'Kiosk', '')
    """
    shown = " ".join(unicodedata.normalize("NFKC", text).split())
    word = re.sub(r"[\s_\-/・.]+", "", shown).lower()
    if word in _SAYS_NOTHING:
        return ""
    return _WORDS.get(word, shown)
