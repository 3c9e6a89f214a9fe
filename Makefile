# On a fresh machine `make demo` and `make test` do all the set-up they need.

# The first Python that works and is supported; or say PYTHON=/path/to/python3.12
SUPPORTED := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c "$(SUPPORTED)" 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test faults check bench calibrate simulate up down lock audit clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## make .venv and install everything, pinned

$(READY): pyproject.toml requirements/all.txt
	@test -n "$(PYTHON)" && $(PYTHON) -c "$(SUPPORTED)" || \
	  { echo "Interlayer needs Python 3.11 to 3.13 with venv. Say: make PYTHON=/path/to/python3.12 …"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[all]" -c requirements/all.txt
	@touch $@

demo: setup ## train small networks on handwritten digits, analyse every layer over HTTP, write demo/<study>/report.*
	$(BIN)/python -m examples.digits

test: setup ## the whole test suite
	$(BIN)/python -m pytest -n auto --dist loadfile

faults: setup ## kill, freeze, starve and wipe real processes of both profiles, and check every promise (some minutes)
	$(BIN)/python -m tests.faults --form short

check: setup ## style, types, architecture, container files, file lengths
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	@echo "Python files longer than 300 lines (split by noun past this):"
	@git ls-files '*.py' | xargs wc -l | awk '$$2 != "total" && $$1 > 300 {print "  " $$1, $$2; n++} END {if (!n) print "  none"}'

bench: setup ## ratios to the limit of the machine and to other tools; writes bench/results/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[bench]" -c requirements/all.txt
	$(BIN)/python -m bench

calibrate: setup ## simulate the tests' error rates; writes docs/calibration.md
	$(BIN)/python -m calibration

simulate: setup ## simulate an analysis on 1 to 1,000 workers from measured costs; writes docs/scaling.md
	$(BIN)/python -m simulation

up: setup ## the whole service on this machine, in the background; data in interlayer-data/
	@mkdir -p interlayer-data
	@nohup $(BIN)/interlayer up --data interlayer-data >interlayer-data/up.json 2>interlayer-data/up.log & echo $$! >interlayer-data/up.pid
	@until test -s interlayer-data/up.json || ! kill -0 $$(cat interlayer-data/up.pid) 2>/dev/null; do sleep 0.2; done
	@cat interlayer-data/up.json; test -s interlayer-data/up.json || { tail interlayer-data/up.log; exit 1; }

down: ## stop what `make up` started
	@test -f interlayer-data/up.pid && kill $$(cat interlayer-data/up.pid) && rm interlayer-data/up.pid || echo "nothing is up"

audit: setup ## known vulnerabilities and licences of what the images install; writes docs/licences.md
	$(BIN)/python requirements/licences.py >docs/licences.md
	$(BIN)/python requirements/audit.py

lock: setup ## pin every dependency anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --extra all --extra bench pyproject.toml -o requirements/all.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --generate-hashes -c requirements/all.txt --extra service --extra s3 --extra static pyproject.toml -o requirements/service.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --generate-hashes -c requirements/all.txt --extra worker --extra models --extra s3 --excludes requirements/cuda.txt --no-emit-package torch pyproject.toml -o requirements/worker.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --generate-hashes -c requirements/all.txt --extra worker --extra models --extra s3 pyproject.toml -o requirements/worker-cuda.txt

clean: ## remove what was made here, the virtual environment too
	rm -rf $(VENV) demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
