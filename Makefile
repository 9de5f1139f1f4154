# Two commands for a fresh clone: `make demo` and `make test`. Both set themselves up first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

LOWEST := .venv-lowest
# torch 2.11 uses parts of its own that it calls deprecated.
LOWEST_WARNS := -W 'ignore:`torch.jit.script:DeprecationWarning'

CORE := .venv-core
CORE_TESTS := tests/mixing tests/hooks tests/geometry --ignore tests/geometry/test_profile_memory.py

.PHONY: demo test lint test-core slow lowest coverage clean

demo: $(VENV)/lab.stamp
	$(BIN)/layermix compare --data digits --out runs/digits

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n 2 --dist loadfile

slow: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m slow

# The core alone, after a setup without the libraries that experiments and examples need.
test-core: $(CORE)/stamp
	$(CORE)/bin/python -m pytest -n 2 --dist loadfile --core $(CORE_TESTS)

coverage: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term --cov-report=xml

# The core alone, with the lowest versions that it supports.
lowest: $(LOWEST)/stamp
	$(LOWEST)/bin/python -m pytest -n 2 --dist loadfile $(LOWEST_WARNS) $(CORE_TESTS)

lint: $(VENV)/test.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/pyright

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "layermix needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/lab.stamp: $(BIN)/python pyproject.toml constraints.txt
	@echo "Setting up: this takes some minutes once."
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[lab]'
	@touch $@

$(VENV)/test.stamp: $(BIN)/python pyproject.toml constraints.txt
	@echo "Setting up: this takes some minutes once."
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/lab.stamp

$(CORE)/stamp: pyproject.toml constraints.txt
	@echo "Setting up the core: this takes some minutes once."
	$(PYTHON) -m venv $(CORE)
	$(CORE)/bin/python -m pip install --quiet -c constraints.txt -e '.[test-core]'
	@touch $@

$(LOWEST)/stamp: pyproject.toml constraints-lowest.txt
	@echo "Setting up the lowest versions: this takes some minutes once."
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet -c constraints-lowest.txt -e . \
		datasets hypothesis matplotlib pandas pytest pytest-xdist scikit-learn scipy timm torchmetrics \
		torchvision transformers
	@touch $@

clean:
	rm -rf $(VENV) $(CORE) $(LOWEST) .pytest_cache .ruff_cache .hypothesis
