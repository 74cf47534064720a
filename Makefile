# make demo, make test: the two commands of a newcomer. Everything lives in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Versions are pinned for us, also those that build the package; the package itself takes ranges.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-slow lint docs workflow-test test-highest test-lowest-direct cpu-torch release-check fuzz kills signals \
	mutants tutorials gallery figures licences audit benchmark methods toys fates peers semidiscrete sctimebench performance gpu gpu-rehearsal \
	gpu-pack clean

demo: $(VENV)/.base
	$(BIN)/cellflow demo --force

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow"

# What `make test` leaves out: pages, notebooks, processes and trainings of more than five seconds each.
test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file scripts/mypy.ini
	$(BIN)/lint-imports
	$(BIN)/codespell

# The site, docs/_build/html, without a network; warnings are errors. Notebooks are shown as they are kept.
docs: $(VENV)/.docs
	rm -rf docs/api/generated
	$(BIN)/python -m sphinx -W -n --keep-going -b html docs docs/_build/html

# Each workflow end to end, on its small test configuration.
WORKFLOWS = images benchmark trajectory
workflow-test: $(VENV)/.dev
	for name in $(WORKFLOWS); do \
		PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --snakefile workflows/$$name/workflow/Snakefile \
			--directory workflows/$$name/.test --cores 2 --forceall || exit 1; \
	done

# The suite with the highest and the lowest versions that pyproject.toml allows, each in a venv of its own.
test-highest test-lowest-direct: test-%: $(VENV)/.uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-$*
	$(BIN)/uv pip install --quiet --python .venv-$* --resolution $* --build-constraint constraints.txt \
		--editable ".[test]"
	.venv-$*/bin/python -m pytest

# The pinned torch for CPUs, on Linux a tenth of the one with CUDA; before all else where there is no GPU.
cpu-torch: $(VENV)/.uv
	$(BIN)/uv pip install --quiet --python $(VENV) --torch-backend cpu --constraint constraints.txt torch

# sdist and wheel, as they are published, each installed in a new venv and tried from another folder.
release-check: $(BIN)/python
	$(BIN)/pip install --quiet build twine
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/python scripts/check_release.py dist

# Longer than `make test` has time for: damaged files by the ten thousand, which are read, and those of
# cells embedded and fitted to; and fits killed fifty times.
fuzz: $(VENV)/.dev
	CELLFLOW_FUZZ=400 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/test_fuzz.py \
		tests/test_fuzz_cells.py --hypothesis-show-statistics

# Run the notebooks of docs/tutorials and keep what they show, in half an hour: NOTEBOOK="fates growth" names
# some. clones.ipynb needs CELLFLOW_DATA and is run when it is named.
tutorials: $(VENV)/.docs $(VENV)/.dev
	$(BIN)/python scripts/run_notebooks.py $(NOTEBOOK)

# docs/gallery.md and its figures, in four minutes.
gallery: $(VENV)/.base
	OMP_NUM_THREADS=1 $(BIN)/python scripts/draw_gallery.py

# The other figures of the documentation that are made of data that come with the package, in ten minutes. The
# pages with those of docs/images/benchmark.png, fates.png and comparison-*.png name the commands of these.
figures: $(VENV)/.base
	OMP_NUM_THREADS=1 $(BIN)/python scripts/draw_readme_figure.py
	OMP_NUM_THREADS=1 $(BIN)/python scripts/draw_getting_started.py
	OMP_NUM_THREADS=1 $(BIN)/python scripts/measure_compare.py figure
	OMP_NUM_THREADS=1 $(BIN)/python scripts/measure_toys.py --figure docs/images

kills: $(VENV)/.dev
	$(BIN)/python tests/benchmarks/kill_fits.py --kills 50
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tests/benchmarks/kill_jobs.py

# Two hundred signals at random moments of every long command, in half an hour.
signals: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/signal_verbs.py --signals 200

# Small faults put into a package, one at a time: how many its tests find. PACKAGE=couplings or another of
# [tool.mutants] in pyproject.toml, else all; SAMPLE=150 tries so many of each; AGAIN=1 the last survivors.
PACKAGE = couplings transport marginals metrics scoring paths objectives integrate
mutants: $(VENV)/.dev
	for package in $(PACKAGE); do \
		OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.mutants $$package \
			$(if $(SAMPLE),--sample $(SAMPLE)) $(if $(AGAIN),--again) || exit 1; \
	done

# Licences of all that is installed, and known holes in it; the second asks a service on the network.
licences: $(VENV)/.dev
	$(BIN)/python scripts/list_licences.py docs/licences.md

audit: $(BIN)/python
	@if ! $(BIN)/pip install --quiet pip-audit; then echo "skipped: no pip-audit to be had"; exit 0; fi; \
	if $(BIN)/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip >.audit.log 2>&1; \
	then cat .audit.log; rm .audit.log; \
	elif grep -qiE "connection|timed out|resolve|could not be audited" .audit.log; \
	then tail -n 1 .audit.log; rm .audit.log; echo "skipped: the list of known holes cannot be asked"; \
	else cat .audit.log; rm .audit.log; exit 1; fi

# The tables of docs/benchmarks/accuracy.md and docs/benchmarks/methods.md, for hours, and docs/benchmarks/toys.md. The first two need
# CELLFLOW_DATA, the first also TorchCFM; they go on where they were stopped.
benchmark: $(VENV)/.base
	$(BIN)/pip install --quiet --editable ".[torchcfm]"
	$(BIN)/cellflow benchmark benchmarks/results.yaml --output results/benchmark

methods: $(VENV)/.base
	$(BIN)/cellflow benchmark benchmarks/methods.yaml --output results/methods

toys: $(VENV)/.base
	$(BIN)/python scripts/measure_toys.py results/toys docs/images
	$(BIN)/python scripts/measure_mean_flows.py results/mean-flows

# Fates of docs/benchmarks/trust.md; the second needs CELLFLOW_DATA. With PEERS=/path/to/python, beside moscot and
# CellRank in an environment of benchmarks/peers/requirements-moscot.txt.
fates: $(VENV)/.base
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fates/simulated.py results/fates $(if $(PEERS),--peers $(PEERS))
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fates/larry.py results/larry $(if $(PEERS),--peers $(PEERS))

# The tables of docs/benchmarks/sctimebench.md, which need CELLFLOW_DATA. Everything runs in an environment of
# benchmarks/sctimebench/requirements.txt with cellflow beside it: .venv-sctimebench, or that of
# PEERS=/path/to/python. REFRESH=cellflow runs the methods of this folder again.
sctimebench: $(if $(PEERS),,.venv-sctimebench/.ready)
	OMP_NUM_THREADS=1 $(or $(PEERS),.venv-sctimebench/bin/python) benchmarks/sctimebench/compare.py \
		results/sctimebench $(if $(REFRESH),--refresh $(REFRESH))

.venv-sctimebench/.ready: $(VENV)/.uv benchmarks/sctimebench/requirements.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-sctimebench
	$(BIN)/uv pip install --quiet --python .venv-sctimebench --build-constraint constraints.txt \
		--requirement benchmarks/sctimebench/requirements.txt --editable .
	@touch $@

# cellflow beside moscot, CellRank, WOT and TorchCFM on the same cells, for docs/benchmarks/performance.md.
peers: $(VENV)/.base .venv-moscot/.ready .venv-wot/.ready .venv-torchcfm/.ready
	$(BIN)/python benchmarks/peers/compare.py results/peers --moscot .venv-moscot/bin/python \
		--wot .venv-wot/bin/python --torchcfm .venv-torchcfm/bin/python

# Semidiscrete potentials beside those of OTT-JAX, for docs/methods/sd-fm.md.
semidiscrete: $(VENV)/.base .venv-moscot/.ready
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/semidiscrete/compare.py results/semidiscrete --ott .venv-moscot/bin/python

.venv-moscot/.ready .venv-wot/.ready .venv-torchcfm/.ready: .venv-%/.ready: \
		$(VENV)/.uv benchmarks/peers/requirements-%.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-$*
	$(BIN)/uv pip install --quiet --python .venv-$* --torch-backend cpu \
		--requirement benchmarks/peers/requirements-$*.txt
	@touch $@

# The ratios of docs/benchmarks/performance.md; the first needs CELLFLOW_DATA.
performance: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.exact_w1
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.step

# What wants a GPU (docs/benchmarks/performance.md), within ten minutes; run again, it goes on. Installs nothing: with
# GPU_PYTHON=/path/to/python by that one. CELLFLOW_IMAGES, CELLFLOW_INCEPTION and CELLFLOW_DATA name the data;
# GPU="--seconds 300" or other options.
gpu:
	$(or $(GPU_PYTHON),$(BIN)/python) -m tests.benchmarks.gpu results/gpu $(GPU)

gpu-rehearsal: $(VENV)/.dev
	rm -rf results/gpu-rehearsal
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.gpu results/gpu-rehearsal --rehearse

# What `make gpu` takes, with its variables, in pieces for a machine without a network (docs/benchmarks/performance.md);
# PACK="--python 3.12 --has torch torchvision" or other options.
gpu-pack: $(VENV)/.uv
	rm -rf results/gpu-pack
	$(BIN)/python -m tests.benchmarks.gpu.pack results/gpu-pack $(PACK)

clean:
	rm -rf $(VENV) $(VENV)-* cellflow-demo build dist docs/_build docs/api/generated

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cellflow needs Python 3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.uv: $(BIN)/python constraints.txt
	$(BIN)/pip install --quiet uv
	@touch $@

$(VENV)/.base: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/pip install --quiet --editable ".[dev]"
	@touch $@

$(VENV)/.docs: $(VENV)/.base
	$(BIN)/pip install --quiet --editable ".[docs]"
	@touch $@
