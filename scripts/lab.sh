#!/usr/bin/env bash
# The containment lab: installs what is missing (Debian, as root), then runs tests/lab. `scripts/lab.sh --nightly` runs
# the failures too; further words go to pytest. Nothing outside private namespaces is touched but by apt-get.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --install ]; then
  shift
  only_install=yes
elif [ "${1:-}" = --nightly ]; then
  shift
  export ANDON_LAB_NIGHTLY=1
fi

declare -A package=(
  [ovs-vswitchd]=openvswitch-switch [nft]=nftables [squid]=squid [unbound]=unbound [unbound-control]=unbound
  [tcpdump]=tcpdump [ethtool]=ethtool [ip]=iproute2 [unshare]=util-linux
)
export PATH="$PATH:/usr/sbin:/sbin"
missing=()
for tool in "${!package[@]}"; do
  command -v "$tool" >/dev/null || missing+=("${package[$tool]}")
done
ldconfig -p | grep -q libnftables.so.1 || missing+=(libnftables1)
if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]} (install them, or run this as root on Debian)" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  # The packages' own services are not wanted: a lab starts its own, in namespaces.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  apt-get update -qq
  mapfile -t wanted < <(printf '%s\n' "${missing[@]}" | sort -u)
  apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
fi
[ -z "${only_install:-}" ] || exit 0

.venv/bin/python -m pytest tests/lab "$@"
