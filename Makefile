# Everything here installs what it needs first (.venv and .tools in this folder, nothing system-wide but Debian's
# python3-venv where it is missing); what is already there costs nothing.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install demo test quick fuzz check format bench pictures dataset lock clean distclean

# A machine that forbids bytecode makes every start import everything from source (TensorFlow: 7.5 s in place of 2.4 s).
unexport PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH
BIN := .venv/bin
# Half of the time tests wait, for real sandboxes, loads and the demo: other workers compute meanwhile.
WORKERS := --numprocesses 3 --dist loadfile --no-loadscope-reorder

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

install: ## .venv with the pinned packages and all extras; Prometheus and kubectl in .tools where they are missing
	@bash scripts/install.sh

demo: install ## MOrA end to end on this machine: shop, load, metrics, models, recommendations, proof (about 5 minutes)
	@$(BIN)/mora demo

test: install ## every test, with doctests, real fits and the real sandbox
	@$(BIN)/python -m pytest $(WORKERS)

quick: install ## every test except the slow ones (the real sandbox, long fits); a few minutes
	@$(BIN)/python -m pytest -m "not slow" $(WORKERS)

fuzz: install ## hostile input at every door: a hundred times as many examples as in a test run, other ones each time
	@MORA_FUZZ=$${MORA_FUZZ:-100} $(BIN)/python -m pytest -q tests/fuzz

check: install ## formatting, lint, types, layers
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## rewrite the code as `make check` wants it
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: install ## the benchmarks, each figure beside its reference (experiments/benchmarks)
	@$(BIN)/python -m experiments.benchmarks

pictures: install ## the pictures of docs/pictures again, of real pages in Debian's chromium
	@$(BIN)/python -m experiments.pictures

dataset: install ## collect the committed dataset again from the sandbox (about 46 minutes); resumes where it stopped
	@# The committed files are of a run that is over. Without an unfinished run to resume, they are replaced.
	@[ -d data/.runs ] || rm -rf data/*/
	@$(BIN)/mora collect --plan standard --target sandbox --resume

lock: ## pin the packages of pyproject.toml again, with all extras (needs uv)
	uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-annotate --group dev --all-extras pyproject.toml -o requirements.lock

clean: ## remove caches and build folders
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find mora tests experiments -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## also remove what `make install` made
	rm -rf .venv .tools
