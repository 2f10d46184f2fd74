PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# A CPU build of torch; users take any version in the range of pyproject.toml.
TORCH ?= torch==2.13.0

.PHONY: demo test test-all lint train clean

demo: $(VENV)/.base
	$(BIN)/kinetag demo --out demo_out

test: $(VENV)/.test lint
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: $(VENV)/.test lint
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

train: $(VENV)/.test
	$(BIN)/python -m kinetag.training --seconds 600 --seed 2 --per-class 450 --out training_run

$(VENV)/.base: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test,bench]"
	touch $@

clean:
	rm -rf $(VENV) demo_out build dist
