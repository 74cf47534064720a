# make demo, make test: the two commands of a newcomer. Everything lives in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Versions are pinned for us, also those that build the package; the package itself takes ranges.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint workflow-test benchmark methods toys performance clean

demo: $(VENV)/.base
	$(BIN)/cellflow demo --force

test: $(VENV)/.dev
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

# Each workflow end to end, on its small test configuration.
workflow-test: $(VENV)/.dev
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --snakefile workflows/images/workflow/Snakefile \
		--directory workflows/images/.test --cores 2 --forceall

# The tables of docs/benchmark.md and docs/methods.md, for hours, and docs/toys.md. The first two need
# CELLFLOW_DATA, the first also TorchCFM; they go on where they were stopped.
benchmark: $(VENV)/.base
	$(BIN)/pip install --quiet --editable ".[torchcfm]"
	$(BIN)/cellflow benchmark benchmarks/results.yaml --output results/benchmark

methods: $(VENV)/.base
	$(BIN)/cellflow benchmark benchmarks/methods.yaml --output results/methods

toys: $(VENV)/.base
	$(BIN)/python scripts/measure_toys.py results/toys docs/images

# The ratios of docs/performance.md; the first needs CELLFLOW_DATA.
performance: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.exact_w1
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.many_fits
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.step

clean:
	rm -rf $(VENV) cellflow-demo build dist

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cellflow needs Python 3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/pip install --quiet --editable ".[dev]"
	@touch $@
