# Two commands: `make demo` and `make test`. Both build .venv first, from locked versions with hashes.
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Engines run side by side, one thread each: numerical libraries must not start threads of their own.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: help demo test lint types contracts check bench lock clean clean-cache nightly-tools nightly-fingerprint nightly-purpose nightly-scale nightly-kills nightly-live-day nightly-live-week nightly-coordination nightly-properties nightly-joint nightly-organisation nightly-casebook nightly-triage lab nightly-lab nightly-contain nightly-cluster nightly-bus nightly-spark
help:
	@echo "make demo       environment, then an hour on a simulated telescope, analysed"
	@echo "make test       environment with test extras, then all tests"
	@echo "make check      test, lint, types, import contracts (what CI runs)"
	@echo "make lab        containment on a real switch, firewall, proxy and resolver in private namespaces (root)"
	@echo "make bench      the figures of docs/benchmarks.md that take minutes"
	@echo "make nightly-*  the long ones: tools, fingerprint, purpose, scale, kills, live-day, live-week, coordination, properties, joint, organisation, casebook, triage, contain, cluster, bus, spark, lab"
	@echo "make lock       renew requirements/*.txt (needs uv)"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Andon needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.stamp-run: $(BIN)/python requirements/run.txt pyproject.toml
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.stamp-test: $(BIN)/python requirements/test.txt pyproject.toml
	$(PIP) install --require-hashes -r requirements/test.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.stamp-run

# numba renews a cached kernel when its own file changes, not when a function it calls does: so any change renews all.
$(VENV)/.stamp-kernels: $(shell find src -name '*.py') | $(BIN)/python
	@find src -name '*.nb[ic]' -delete
	@touch $@

demo: $(VENV)/.stamp-run $(VENV)/.stamp-kernels
	$(BIN)/andon demo

# Many tests wait for servers and clocks: two processes, a file of tests at a time.
test: $(VENV)/.stamp-test $(VENV)/.stamp-kernels .venv-spark/.stamp
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile
	.venv-spark/bin/python -m pytest tests/cluster_spark tests/cluster/test_cluster_contract.py -k "spark or cluster_spark"

# Spark's client brings pandas, which other libraries import wherever it is: it has an environment beside the other.
.venv-spark/.stamp: $(VENV)/.stamp-test requirements/spark.txt scripts/spark.sh
	scripts/spark.sh
	@touch $@

lint: $(VENV)/.stamp-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.stamp-test
	$(BIN)/mypy

contracts: $(VENV)/.stamp-test
	$(BIN)/lint-imports

check: test lint types contracts

# The figures of docs/benchmarks.md. `bench` takes minutes; a nightly slice at most an hour.
bench: $(VENV)/.stamp-test
	$(BIN)/python benchmarks/parse/run.py
	$(BIN)/python benchmarks/simulate/run.py
	$(BIN)/python benchmarks/scale/run.py --packets 11000000

nightly-scale: $(VENV)/.stamp-test
	$(BIN)/python benchmarks/scale/run.py --packets 100000000

nightly-tools: $(VENV)/.stamp-test
	$(BIN)/python benchmarks/tools/run.py

nightly-fingerprint: $(VENV)/.stamp-test
	$(BIN)/python benchmarks/fingerprint/run.py --slice-minutes 50

nightly-purpose: $(VENV)/.stamp-test
	$(BIN)/python benchmarks/purpose/run.py

# At most 50 minutes; it goes on where it was. Remove the folder to begin anew.
nightly-kills: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	ANDON_KILLS=200 ANDON_KILLS_STATE=$${ANDON_KILLS_STATE:-/var/tmp/andon-kills} \
	  $(BIN)/python -m pytest tests/live/test_live_kills.py -s
	ANDON_KILLS=12 ANDON_ALERT_KILLS=5 $(BIN)/python -m pytest tests/live/test_live_cases.py tests/alerts/test_alert_kills.py

# Planted wake-ups, stops and worms against every engine; it goes on where it was.
nightly-coordination: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	$(BIN)/python benchmarks/coordination/run.py --slice-minutes 50

# A slice a night: it goes on where it was. Remove the folder to begin anew.
nightly-live-day: $(VENV)/.stamp-test
	$(BIN)/python benchmarks/live/day.py --store $${ANDON_DAY:-/var/tmp/andon-day}

nightly-live-week: $(VENV)/.stamp-test
	$(BIN)/python benchmarks/live/day.py --store $${ANDON_WEEK:-/var/tmp/andon-week} --days 7 --rate 300 --slice 24 --every ""

lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --no-annotate requirements/run.in -o requirements/run.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --no-annotate requirements/test.in -o requirements/test.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --no-annotate --constraints requirements/test.txt requirements/spark.in -o requirements/spark.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --no-annotate --constraints requirements/test.txt requirements/spark-apache.in -o requirements/spark-apache.txt

clean-cache:
	find src tests benchmarks -name '*.nb[ic]' -delete

clean:
	rm -rf $(VENV) .venv-spark .venv-spark-apache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The properties with random seeds instead of the one that `make test` uses; a failure prints how to see it again.
nightly-properties: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	ANDON_HYPOTHESIS=explore $(BIN)/python -m pytest -k "$$(grep -lr 'from hypothesis' tests | xargs -n1 basename -s .py | paste -sd' ' | sed 's/ / or /g')"

# Scenarios whose links are known, null runs among them; it goes on where it was. Give --label when engines change.
nightly-joint: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	$(BIN)/python benchmarks/joint/run.py --slice-minutes 50

nightly-organisation: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	$(BIN)/python benchmarks/livenet/organisation.py --slice-minutes 50

# A million alerts on SQLite; with ANDON_POSTGRES=postgresql://... on PostgreSQL too. It fails if a bar is missed.
nightly-casebook: $(VENV)/.stamp-test
	$(BIN)/python benchmarks/triage/casebook.py --alerts 10000000 --folder /var/tmp --bar
	ANDON_KILLS=200 $(BIN)/python -m pytest tests/casebook/test_book_writers.py -q
	if [ -n "$$ANDON_POSTGRES" ]; then $(BIN)/python benchmarks/triage/casebook.py --alerts 1000000 --bar --url "$$ANDON_POSTGRES"; fi

# The whole benchmark of screening, verification on twelve seeds, learning against errors and one hostile analyst.
nightly-triage: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	$(BIN)/python benchmarks/triage/screening.py
	$(BIN)/python benchmarks/triage/verification.py seeds 101-112
	$(BIN)/python benchmarks/triage/learning.py --seeds 3
	$(BIN)/python benchmarks/triage/line.py --seeds 3,4,5

# Open vSwitch, nftables, Squid, Unbound in private namespaces; installs what is missing (Debian, as root).
lab: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	scripts/lab.sh

# Every failure of docs/lab.md, and what was measured there.
nightly-lab: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	scripts/lab.sh --nightly
	$(BIN)/python benchmarks/contain/lab.py --tries 100

# The guard against its oracle, kills of the controller, latency and scale of the enforcers.
nightly-contain: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	$(BIN)/python benchmarks/contain/guard.py --cases 1000000 --seed $$(date +%j)
	ANDON_KILLS=200 $(BIN)/python -m pytest tests/contain_spine/test_spine_kills.py -q
	$(BIN)/python benchmarks/contain/openflow.py
	$(BIN)/python benchmarks/contain/nft.py

# An analyser of a group that stands still and goes on, besides everything else about the bus.
nightly-bus: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	ANDON_KILLS=20 $(BIN)/python -m pytest tests/bus -q
	$(BIN)/python benchmarks/bus/throughput.py

# Jobs on Apache Spark itself (Java 17).
nightly-spark: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	scripts/spark-nightly.sh

# Workers and schedulers of Dask killed in job after job; findings and tables compared to the bit.
nightly-cluster: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	$(BIN)/python benchmarks/cluster/kills.py --rounds 60 --kills 5 --seed $$(date +%j)
