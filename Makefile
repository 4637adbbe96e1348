# Every target makes what it needs: a machine with Python >= 3.11, git and make is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Olive brings transformers, pandas and Optuna along: it has an environment of its own.
OLIVE := .venv-olive
# A machine with an NVIDIA driver gets the CUDA build of ONNX Runtime, another the CPU build.
ORT ?= $(if $(shell command -v nvidia-smi),gpu,cpu)
JOBS ?= auto
WEB := tests/deploy/web
QUIET := --quiet --disable-pip-version-check
AUDIT := build/audit
LOCK := build/lock
PACKAGING := build/packaging
DOCS := build/docs-venv

# ONNX Runtime tells its vendor of what it runs, unless it is told not to.
export ORT_DISABLE_TELEMETRY ?= 1
# Tests start the program many hundred times, and each would compile it again: a quarter of their time.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test check audit lock faults fuzz fuzz-networks fuzz-files format bench bench-speed reproduce recovery ranks bench-peers olive dist docs web vega strace gpu-check clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# Each file is held against its hash. Of torch there is none: its build depends on the machine and the
# index; what it needs beside is there by then, but for CUDA's packages.
$(VENV)/.stamp: pyproject.toml constraints.txt requirements/base.txt requirements/$(ORT).txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(QUIET) --require-hashes --no-deps \
	    --requirement requirements/base.txt --requirement requirements/$(ORT).txt
	$(BIN)/pip install $(QUIET) --constraint constraints.txt torch
	$(BIN)/pip install $(QUIET) --no-deps --no-build-isolation --editable .
	$(BIN)/pip check
	touch $@

$(OLIVE)/.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(OLIVE)
	$(OLIVE)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(OLIVE)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	    --editable '.[$(ORT),metrics,olive]'
	touch $@

olive: $(OLIVE)/.stamp  ## make .venv-olive (70 s, 2 GB), in which the test of the pass runs Olive

$(PACKAGING)/.stamp: requirements/dist.txt
	$(PYTHON) -m venv $(PACKAGING)
	$(PACKAGING)/bin/pip install $(QUIET) --require-hashes --no-deps --requirement requirements/dist.txt
	touch $@

# The wheel is built from the sdist, so that nothing that lies about here gets into it; its files have
# the time of the commit, so that another build has the same bytes.
dist: $(PACKAGING)/.stamp  ## build the sdist, and the wheel from it, into build/dist
	rm -rf build/dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
	    $(PACKAGING)/bin/python -m build --quiet --no-isolation --outdir build/dist
	ls -l build/dist

# The packages that build the site read the code and import none of it.
$(DOCS)/.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DOCS)
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"], sep="\n")' > $(DOCS)/asked.txt
	$(DOCS)/bin/pip install $(QUIET) --constraint constraints.txt --requirement $(DOCS)/asked.txt
	touch $@

docs: $(DOCS)/.stamp  ## make the site of docs/ in build/site; any warning is an error
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict

demo: $(VENV)/.stamp  ## prune the committed saliency net by 60 % and print before and after
	$(BIN)/wrg-onnx prune models/tiny_unet.onnx --ratio 0.6 --output build/tiny_unet.pruned.onnx --force

test: $(VENV)/.stamp  ## run the tests
	$(BIN)/pytest --numprocesses $(JOBS) --dist worksteal

check: $(VENV)/.stamp  ## formatting, lint, types, layers, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

$(WEB)/node_modules/.stamp: $(WEB)/package.json $(WEB)/package-lock.json
	npm ci --prefix $(WEB) --ignore-scripts --no-audit --no-fund --silent
	touch $@

web:  ## install what tests in a browser need: Chromium (by apt, as root) and npm packages
	{ command -v chromium && command -v npm; } >/dev/null || { apt-get update --quiet=2 && \
	    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \
	    chromium $$(command -v npm >/dev/null || echo nodejs npm); }
	$(MAKE) $(WEB)/node_modules/.stamp

vega:  ## make the script that draws charts in pages, and its notices, anew from tools/vega/package-lock.json (needs npm)
	$(PYTHON) tools/vega/build.py

strace:  ## install what the test of sockets and files needs: strace (by apt, as root)
	command -v strace >/dev/null || { apt-get update --quiet=2 && \
	    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends strace; }

faults: $(VENV)/.stamp  ## kill KILLS (100) runs at random moments, and hold what is left against what is promised
	$(BIN)/python tools/faults.py --kills $(or $(KILLS),100)

fuzz: fuzz-networks fuzz-files  ## both of these, one after the other

fuzz-networks: $(VENV)/.stamp  ## prune random networks for MINUTES (60)
	$(BIN)/python tools/fuzz/networks.py --minutes $(or $(MINUTES),60)

fuzz-files: $(VENV)/.stamp  ## give changed models, data and kept files to every command, for MINUTES (60)
	$(BIN)/python tools/fuzz/files.py --minutes $(or $(MINUTES),60)

# A package that the service does not tell of fails it, as one with an advisory does.
audit:  ## hold the versions that are used against published advisories (needs pypi.org)
	test -e $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && \
	    $(AUDIT)/bin/pip install $(QUIET) pip-audit==2.10.1; }
	$(AUDIT)/bin/pip-audit --strict --progress-spinner off --no-deps --disable-pip \
	    --requirement constraints.txt || { echo "audit: not passed: a package has an advisory, or" \
	    "the service did not answer for one (above)" >&2; exit 1; }

lock:  ## write requirements/, versions with their hashes, anew from constraints.txt (6 min)
	test -e $(LOCK)/bin/pip-compile || { $(PYTHON) -m venv $(LOCK) && \
	    $(LOCK)/bin/pip install $(QUIET) pip-tools==7.6.2; }
	$(LOCK)/bin/python tools/lock.py

format: $(VENV)/.stamp  ## format the code and sort imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.stamp  ## measure what the documentation claims
	$(BIN)/python tools/bench/bench_prune.py
	$(BIN)/python tools/bench/bench_large.py
	$(BIN)/python tools/bench/bench_twin.py
	$(BIN)/python tools/bench/bench_recover.py
	$(BIN)/python tools/bench/bench_calibration.py
	$(BIN)/python tools/bench/bench_gradients.py
	$(BIN)/python tools/bench/bench_factors.py
	$(BIN)/python tools/bench/bench_ranks.py
	$(BIN)/python tools/bench/bench_ranks.py --less --images 2
	$(BIN)/python tools/bench/bench_default.py

reproduce: $(VENV)/.stamp  ## prune VGG16-SOD with every criterion; PROFILE is quick, wide or full (a GPU)
	$(BIN)/python tools/experiments/reproduce_wrgpruner.py --profile $(or $(PROFILE),quick)

recovery: $(VENV)/.stamp  ## judge what each recovery buys, on images and models that are not part of this
	$(BIN)/python tools/experiments/recovery_table.py saliency
	$(BIN)/python tools/experiments/recovery_table.py outputs

ranks: $(VENV)/.stamp  ## compare measures of rank, on images and models that are not part of this
	$(BIN)/python tools/experiments/rank_table.py

bench-speed: $(VENV)/.stamp  ## hold what cuts gain in speed against MACs, beside Torch-Pruning (30 min, nothing else running)
	$(BIN)/python tools/bench/bench_speed.py --output build/speed.md

bench-peers: $(VENV)/.stamp  ## prune the same models with wrg-onnx, onnxsim and Torch-Pruning
	$(BIN)/python tools/bench/bench_peers.py --output build/peers.md

gpu-check: $(VENV)/.stamp  ## measure what needs a GPU, in ten minutes; without one it says what it would do
	$(BIN)/python tools/gpu_check.py

clean:  ## remove what the targets made
	rm -rf $(VENV) $(OLIVE) build
