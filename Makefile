# make help: what there is to do. Everything happens in .venv, which the first target that needs it makes.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo docs test test-slow test-cuda test-slurm test-versions bench dist check format clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | \
		while IFS='|' read -r name what; do printf '  make %-13s %s\n' "$$name" "$$what"; done

install: $(INSTALLED) ## install frog and its tools into .venv

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps propulate
	@touch $@

demo: $(INSTALLED) ## train on handwritten digits without backpropagation or a learning rate, and with backpropagation
	$(BIN)/frog train -m gradient=projection,backprop tangents=local learning_rate=curvature overwrite=true

test: $(INSTALLED) ## run the tests that take seconds (those on MNIST need FROG_DATA)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal

test-slow: $(INSTALLED) ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow

test-cuda: $(INSTALLED) ## run the tests of the mathematics on a CUDA device
	$(BIN)/python -m pytest -m cuda

test-slurm: $(INSTALLED) ## run the tests that submit batch jobs to the Slurm of this machine
	$(BIN)/python -m pytest -m slurm

test-versions: ## run the tests with each Python at hand and the oldest and newest torch; gigabytes
	$(PYTHON) -m tests.versions

bench: $(INSTALLED) ## measure what steps cost, and frog against plain loops; about 20 minutes alone on the machine
	$(BIN)/python -m tests.benchmarks

docs: $(INSTALLED) ## build the site into build/site, and stop at any warning
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

dist: $(INSTALLED) ## build the wheel and the source distribution into dist, and check them as an index would
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(BIN)/python -m twine check --strict dist/*

check: $(INSTALLED) ## lint, check the formatting and the types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove .venv and caches; runs and data stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build dist
