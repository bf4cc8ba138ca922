#!/usr/bin/env bash
# Jobs on Apache Spark: a Connect server on this machine (Java 17, two cores, three minutes), its tests and figures.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v java >/dev/null || { echo "Java 17 is not installed (Debian: openjdk-17-jre-headless)" >&2; exit 1; }
scripts/spark.sh
scripts/spark.sh --apache

work=$(mktemp -d)
port=${ANDON_SPARK_PORT:-15112}
server=
finish() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
  rm -rf "$work"
}
trap finish EXIT

SPARK_HOME=$(.venv-spark-apache/bin/python -c 'import importlib.util as u; print(u.find_spec("pyspark").submodule_search_locations[0])')
SPARK_CONNECT_AUTHENTICATE_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export SPARK_HOME SPARK_CONNECT_AUTHENTICATE_TOKEN
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# A task is tried four times; workers find the tests' tasks.
PYSPARK_PYTHON="$PWD/.venv-spark-apache/bin/python" PYTHONPATH="$PWD/tests/cluster_spark" \
  SPARK_LOCAL_IP=127.0.0.1 SPARK_LOCAL_DIRS="$work/local" \
  "$SPARK_HOME/bin/spark-submit" --class org.apache.spark.sql.connect.service.SparkConnectServer \
  --master "${ANDON_SPARK_MASTER:-local[2,4]}" --driver-memory 1g \
  --conf spark.ui.enabled=false --conf spark.driver.host=127.0.0.1 \
  --conf spark.connect.grpc.binding.address=127.0.0.1 --conf "spark.connect.grpc.binding.port=$port" \
  --conf "spark.sql.warehouse.dir=$work/warehouse" spark-internal >"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 120); do
  (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
  kill -0 "$server" 2>/dev/null || { tail -20 "$work/server.log" >&2; exit 1; }
  sleep 1
done

ANDON_SPARK="sc://127.0.0.1:$port" .venv-spark/bin/python -m pytest tests/cluster_spark/test_spark_apache.py -q
ANDON_SPARK_SERVER_PID=$server .venv-spark/bin/python benchmarks/cluster/spark.py --cluster "sc://127.0.0.1:$port" "$@"
