# Each target sets up what it needs, in .venv, on a machine with Python and make.
# PYTHON picks the interpreter (3.11 or newer) that .venv is made from.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=

MINUTES ?= 120
# To count which lines run slows Python, and so jax's tracing, by two fifths.
COUNTED := $(if $(COVERAGE),--cov --cov-report=term-missing:skip-covered --cov-fail-under=90)

.PHONY: help setup train test test-browser fuzz soak lint types bench growth start disk lock clean

help:
	@echo "make setup    install everything into .venv"
	@echo "make train    train and evaluate; ARGS=\"--prior uniform\" adds flags"
	@echo "make test     run the tests; COVERAGE=yes counts the lines that they run"
	@echo "make test-browser    run those of the page for browsers; needs Chromium"
	@echo "make soak     kill and damage trainings, then watch one for hours; MINUTES=120 for each"
	@echo "make lint     check style; make types checks types"
	@echo "make bench    time a step against PyTorch"
	@echo "make start    time from a command to its first steps"
	@echo "make disk     train on more images than the memory is given"
	@echo "make fuzz     read malformed files; ARGS=\"--minutes 10\" says how long"
	@echo "make growth   speed and memory over sizes"
	@echo "make lock     pin the newest packages that pyproject.toml allows"

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
	  { echo "Python 3.11 or newer is needed; type: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	@echo "installing into $(VENV); some minutes"
	$(PYTHON) -m venv $(VENV)
	@# no-deps: the lock is whole, and some pips look for newer builds of what extras ask for.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@# compat: by a path, found before a clone named aae_jax in the folder of a script.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  --config-settings editable_mode=compat -e .
	@touch $(READY)

train: $(READY)
	$(BIN)/python train.py --prior normal --z-dim 2 $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(COUNTED) $(ARGS)

test-browser: $(READY)
	$(BIN)/python -m pytest -n 2 tests/browser $(ARGS)

soak: $(READY)
	$(BIN)/python tests/soak_flips.py
	$(BIN)/python tests/soak_kills.py --minutes $(MINUTES)
	$(BIN)/python tests/soak_memory.py --minutes $(MINUTES)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/pyrefly check

start: $(READY)
	$(BIN)/python benchmarks/start.py $(ARGS)

fuzz: $(READY)
	$(BIN)/python benchmarks/fuzz.py $(ARGS)

disk: $(READY)
	$(BIN)/python benchmarks/disk.py $(ARGS)

growth: $(READY)
	$(BIN)/python benchmarks/growth.py

bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 pythae==0.1.2
	$(BIN)/python benchmarks/step.py $(ARGS)

lock:
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	printf 'setuptools>=77\n' | $(VENV)/lock/bin/uv pip compile pyproject.toml - --extra test --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --upgrade --quiet --output-file requirements.lock

clean:
	rm -rf $(VENV) .coverage .pytest_cache .ruff_cache *.egg-info
