# `make help` lists what there is. Every target sets up the virtual environment itself when that is needed.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
EXPERIMENT ?= quadratic mnist
OUTPUT ?= runs/reproduce
LAUNCHER ?=
GPU ?= $(wildcard $(VENV)/.installed-gpu)
KIND := $(if $(GPU),-gpu)
INSTALLED := $(VENV)/.installed$(KIND)
OTHER := $(wildcard $(filter-out $(INSTALLED),$(VENV)/.installed $(VENV)/.installed-gpu))

.DEFAULT_GOAL := help
.PHONY: help setup data test lint reproduce-figures verify reproduce bench tensorboard lock clean clean-runs

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

$(INSTALLED): requirements$(KIND).lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "l2l_tf needs Python 3.11 or newer; say which: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(if $(OTHER),--clear) $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --requirement requirements$(KIND).lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

setup: $(INSTALLED)  ## virtual environment in .venv with the versions of requirements.lock (2 minutes); GPU=1: with CUDA

data: $(INSTALLED)  ## fetches MNIST, CIFAR-10, VGG-16's features and photographs into data/ and verifies them
	$(RUN) -m experiments.data

test: $(INSTALLED)  ## the tests
	$(RUN) -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED)  ## ruff and mypy
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

reproduce-figures: $(INSTALLED)  ## draws the paper's figures and writes the tables from the stored results (20 s)
	@$(RUN) -m experiments.reports

verify: $(INSTALLED)  ## checks that the stored results are what this code makes (needs the data; 10 minutes)
	@$(RUN) -m experiments.verify

reproduce: $(INSTALLED)  ## retrains and re-evaluates from scratch into $(OUTPUT); EXPERIMENT=name for one; resumes; LAUNCHER=joblib, submitit_slurm, ray: side by side
ifeq ($(LAUNCHER),)
	@for name in $(EXPERIMENT); do \
	  $(RUN) -m experiments.train experiment=$$name hydra.run.dir=$(OUTPUT)/trained/$$name stages=$(OUTPUT)/bench/reproduce.csv && \
	  $(RUN) -m experiments.reproduce experiment=$$name results=$(OUTPUT) stages=$(OUTPUT)/bench/reproduce.csv || exit 1; done
else  # a job per training, then a job per panel
	@list() { echo $$* | tr ' ' ,; }; \
	panels=$$(for name in $(EXPERIMENT); do $(RUN) -m experiments.train experiment=$$name --cfg job --package panels | sed -n 's/^- //p'; done); \
	$(RUN) -m experiments.train -m experiment=$$(list $(EXPERIMENT)) hydra.sweep.dir=$(OUTPUT)/trained 'hydra.sweep.subdir=$${name}' hydra/launcher=$(LAUNCHER) && \
	$(RUN) -m experiments.evaluate -m panel=$$(list $$panels) results=$(OUTPUT) reuse=false hydra/launcher=$(LAUNCHER) && \
	$(RUN) -m experiments.reports --results $(OUTPUT)
endif

bench: $(INSTALLED)  ## measures the meta-training engine, side by side, into results/bench/
	$(RUN) -m experiments.bench

tensorboard: $(INSTALLED)  ## shows the logs of the trainings in runs/
	$(VENV)/bin/tensorboard --logdir runs

COMPILE = uv pip compile pyproject.toml --extra experiments --extra dev --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate
lock:  ## renews requirements.lock and requirements-gpu.lock from pyproject.toml (needs uv)
	$(COMPILE) --output-file requirements.lock
	$(COMPILE) --extra gpu --constraint requirements.lock --override <(echo "tensorflow-cpu ; python_version < '3'") --output-file requirements-gpu.lock

clean-runs:  ## removes runs/: what you have trained and evaluated yourself
	rm -rf runs

clean:  ## removes the virtual environment and caches; keeps runs/, data/ and results/
	rm -rf $(VENV) build dist multirun outputs .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
