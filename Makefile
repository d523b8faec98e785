# Every target sets up what it needs and may be repeated. Variables:
#   PYTHON        the Python to make the environment with, 3.11 or later
#   PIP_FLAGS     for pip, such as --extra-index-url https://download.pytorch.org/whl/cpu
#   PYTEST_FLAGS  for pytest, such as -n 4 or -k weights; two processes unless told otherwise
#   OUT           where the demo writes

PYTHON ?= python3
PIP_FLAGS ?=
PYTEST_FLAGS ?= -n 2
OUT ?= out/demo
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test check format weights results-small page clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    a dialogue about a real CT, results in $(OUT)"
	@echo "make test    the tests"
	@echo "make check   all that CI checks: lint, format, types, imports, tests"
	@echo "make format  lint fixes and formatting"
	@echo "make weights fetch weights and samples"
	@echo "make results-small  build, train, evaluate, compare and report, all small"
	@echo "make page    rebuild the web page from frontend/ (needs Node 20.19 or later)"
	@echo "make clean   remove the environment and caches (not the fetched weights)"

demo: weights
	$(BIN)/mediround demo --out $(OUT)

test: weights
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

check: weights
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# No stamp: the files live outside this folder, and the command does nothing when they are ready.
weights: $(STAMP)
	$(BIN)/mediround weights pull smollm2-135m-instruct lite-medsam sample-ct sample-dicom sample-brain

# Real images where MEDIROUND_SHARED names some, else painted phantoms.
results-small: $(STAMP)
	$(BIN)/python -m benchmarks.results_small --out out/small --again

# The built page is committed; only who changes frontend/ needs Node.
page:
	cd frontend && npm ci --no-audit --no-fund && npm run build

# The stamp lies inside the environment, so that removing one removes the other.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: found Python %d.%d, expected 3.11 or later; run: make PYTHON=python3.11" % sys.version_info[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
