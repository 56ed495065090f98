# FastK: `make help` lists the targets. Needed: Python 3.11 or newer, git and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-for-
# A worker for each core. Files stay whole, for fixtures that serve a file; the benchmark's plugin warns beside workers.
TESTS = $(BIN)/python -m pytest -n auto --dist loadfile -p no:benchmark

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test lint check torture format bench guard docs release-check clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'
	@echo
	@echo "Everything is installed into $(VENV). Another Python: make clean, then PYTHON=python3.12 make test"

demo: $(READY)demo ## store and read real market data, and show how fast (CSV=path.csv takes your own bars)
	@$(BIN)/fastk demo $(if $(CSV),--csv "$$CSV")

test: $(READY)dev ## run the whole test suite
	$(TESTS)

torture: $(READY)dev ## the proofs of reliability in their long form (tens of minutes); writes their figures into docs/reliability.md
	FASTK_TORTURE=1 $(BIN)/python -m tests.support.reliability

lint: $(READY)dev ## lint, formatting and strict types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint ## the same, structure and the fast tests
	$(TESTS) -m "not slow"

format: $(READY)dev ## let ruff format the code and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)dev ## time the kernels, then all workloads beside raw .npy files and the stores that are installed
	$(BIN)/python -m pytest bench/test_kernels.py --quiet --benchmark-only --benchmark-sort=name --benchmark-columns=min,median,rounds
	$(BIN)/python -m bench
	$(BIN)/python -m bench.floors
	@echo "To show these figures in the documentation: $(BIN)/python -m bench.docs"

guard: $(READY)dev ## compare the ratios to raw .npy files, measured now, with the kept ones; no times
	$(BIN)/python -m pytest bench/test_regression.py --quiet --benchmark-disable-gc --benchmark-columns=median

docs: $(READY)dev ## build the documentation as a site, every warning an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "It begins at build/site/index.html"

release-check: $(READY)dev ## build what is published into dist/, and try it in a bare environment of each Python that is found
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	FASTK_DIST=dist $(BIN)/python -m pytest tests/release tests/test_packaging.py

clean: ## remove all that these targets made, .venv included
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	find fastk kernels tests bench -name __pycache__ -prune -exec rm -rf {} +

# The dev extra contains the demo extra, so its stamp stands for both.
$(READY)demo: pyproject.toml
	$(call install,demo)

$(READY)dev: pyproject.toml
	$(call install,dev)
	@touch $(READY)demo

define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "FastK needs Python 3.11 or newer, and \`$(PYTHON)\` is missing or older. Name another: PYTHON=python3.12 make ..." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "Making $(VENV) ..."; $(PYTHON) -m venv --clear $(VENV); }
	@echo "Installing FastK for $(1) into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --editable '.[$(1)]'
	@touch $@
endef
