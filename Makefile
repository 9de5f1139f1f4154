# Two commands for a fresh clone: `make demo` and `make test`. Both set themselves up first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test slow lint clean

demo: $(VENV)/lab.stamp
	$(BIN)/layermix compare --data digits --out runs/digits

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

slow: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/test.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
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

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
