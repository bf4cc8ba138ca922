# Two commands: `make demo` and `make test`. Both build .venv first, from locked versions with hashes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Engines run side by side, one thread each: numerical libraries must not start threads of their own.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: help demo test lint types contracts check bench lock clean clean-cache nightly-tools nightly-fingerprint nightly-purpose nightly-scale nightly-kills nightly-live-day nightly-live-week nightly-coordination nightly-properties nightly-joint nightly-organisation
help:
	@echo "make demo       environment, then an hour on a simulated telescope, analysed"
	@echo "make test       environment with test extras, then all tests"
	@echo "make check      test, lint, types, import contracts (what CI runs)"
	@echo "make bench      the figures of docs/benchmarks.md that take minutes"
	@echo "make nightly-*  the long ones: tools, fingerprint, purpose, scale, kills, live-day, live-week, coordination, properties, joint, organisation"
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

test: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	$(BIN)/python -m pytest

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

clean-cache:
	find src tests benchmarks -name '*.nb[ic]' -delete

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The properties with random seeds instead of the one that `make test` uses; a failure prints how to see it again.
nightly-properties: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	ANDON_HYPOTHESIS=explore $(BIN)/python -m pytest -k "$$(grep -lr 'from hypothesis' tests | xargs -n1 basename -s .py | paste -sd' ' | sed 's/ / or /g')"

# Scenarios whose links are known, null runs among them; it goes on where it was. Give --label when engines change.
nightly-joint: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	$(BIN)/python benchmarks/joint/run.py --slice-minutes 50

nightly-organisation: $(VENV)/.stamp-test $(VENV)/.stamp-kernels
	$(BIN)/python benchmarks/livenet/organisation.py --slice-minutes 50
