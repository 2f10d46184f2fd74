PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# A CPU build of torch; users take any version in the range of pyproject.toml.
TORCH ?= torch==2.13.0
# `make train CAPTURED=FILE` trains with motion capture too: a .npz file of UI-PRMD.
CAPTURED ?=

.PHONY: demo test test-all lint train clean

demo: $(VENV)/.base
	$(BIN)/kinetag demo --out demo_out

test: $(VENV)/.test lint
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: $(VENV)/.test lint
	$(BIN)/python -m pytest -n 2 --hypothesis-profile=random

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

# Twenty minutes of recording and forty of training on two cores that compute in bf16, else twice as long; stopped, it goes
# on where it was.
train: $(VENV)/.test
	$(BIN)/python -m kinetag.exercises.recording --out training_run/recorded.npz --per-class 12 --seed 7 --passers 0.2
	$(BIN)/python -m kinetag.training --steps 26000 --seed 2 --per-class 600 \
		--recordings training_run/recorded.npz $(if $(CAPTURED),--captured $(CAPTURED)) --out training_run

$(VENV)/.base: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.test: pyproject.toml tests/constraints.txt $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test,bench]" -c tests/constraints.txt
	touch $@

clean:
	rm -rf $(VENV) demo_out build dist
