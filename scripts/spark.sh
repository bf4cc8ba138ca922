#!/usr/bin/env bash
# The environments of Spark Connect, beside .venv, which they see and do not change.
#   scripts/spark.sh           .venv-spark: Spark's client and Sail
#   scripts/spark.sh --apache  .venv-spark-apache: Apache Spark (needs Java 17 to run; 490 MB)
set -euo pipefail
cd "$(dirname "$0")/.."

folder=.venv-spark locked=requirements/spark.txt
if [ "${1:-}" = --apache ]; then
  folder=.venv-spark-apache locked=requirements/spark-apache.txt
fi
[ -x .venv/bin/python ] || { echo "there is no .venv: run make test first" >&2; exit 1; }
[ -x "$folder/bin/python" ] || .venv/bin/python -m venv "$folder"
seen=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
own=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf 'import site; site.addsitedir(%s)\n' "'$seen'" >"$own/andon-tests.pth"
# What .venv has is there already, in the versions that both are locked to; the rest is installed here.
"$folder/bin/python" -m pip --disable-pip-version-check --quiet install --require-hashes -r "$locked"
