# Two commands: `make demo` and `make test`. Another Python: make PYTHON=/path/to/python3 demo

PYTHON ?= python3
BIN := .venv/bin
SNAKEMAKE := $(BIN)/python -m snakemake

.PHONY: demo test test-long site benchmark benchmark-heads benchmark-overhead gpu lint install install-test mini docs lock clean

demo: install
	$(SNAKEMAKE) --cores all --configfile config/demo/config.yaml

test: install-test lint
	$(BIN)/python -m pytest -n auto --dist loadgroup --no-loadscope-reorder

# What takes longer, some half an hour: the same question asked in several ways, kills at many moments, comparisons.
# One process more than there are cores, because those of a cluster mostly wait.
test-long: install-test
	$(BIN)/python -m pytest -n $$($(BIN)/python -c 'import os; print(1 + os.cpu_count())') --dist loadgroup --no-loadscope-reorder -m long

# How fast this machine is with LucaFlow, on its processor.
benchmark: install-test
	OMP_WAIT_POLICY=passive $(BIN)/python tests/benchmarks/speed.py

# Is this machine's GPU right, and how fast is it? Writes one page. Needs no installation: torch, h5py and numpy are enough.
# Uses .venv if that is there, and no other Python is named.
gpu:
	$(if $(and $(filter file,$(origin PYTHON)),$(wildcard $(BIN)/python)),$(BIN)/python,"$(PYTHON)") tests/gpu/gpu_page.py --out "$(or $(OUT),gpu.md)" --parts "$(PARTS)"

# What the machinery around the computing costs; with FULL=/path/with/7/GB also how fast the full network is loaded.
benchmark-overhead: install-test
	$(BIN)/python tests/benchmarks/overhead.py $(if $(FULL),--folder "$(FULL)")

# How fast downstream models predict from stored embeddings.
benchmark-heads: install-test
	OMP_WAIT_POLICY=passive $(BIN)/python tests/benchmarks/heads.py

# The manual as pages for a browser, build/site/README.html. They need no connection. A link that leads nowhere is an error.
site: install-test
	$(BIN)/python -m sphinx -q -W --keep-going -c tools/site -d build/site-trees . build/site

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(SNAKEMAKE) --lint --configfile config/demo/config.yaml

install: .venv/installed
install-test: .venv/installed-test

.venv/installed: envs/lock.txt
	@sh envs/check_python.sh "$(PYTHON)"
	"$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/lock.txt
	@touch $@

.venv/installed-test: .venv/installed envs/lock-test.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/lock-test.txt
	@touch $@

# Trains the packaged networks anew, and the downstream models, and measures them: an hour or two on two cores for each.
NETWORKS := mini-1 mini-esm2
mini: install
	OMP_WAIT_POLICY=passive PYTHONPATH=scripts $(BIN)/python tools/make_mini.py $(NETWORKS)

# config/README.md, from the schemas, and the figures of docs/windows.md and docs/design.md.
docs: install
	PYTHONPATH=scripts $(BIN)/python tools/document_config.py
	PYTHONPATH=scripts $(BIN)/python tools/document_windows.py
	$(BIN)/python tools/document_design.py

# The newest versions that pyproject.toml allows, as exact pins.
lock:
	@sh envs/check_python.sh "$(PYTHON)"
	sh envs/lock.sh "$(PYTHON)"

# The environment, caches and what the demonstration made; never results of your own.
clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis build scripts/lucaflow.egg-info
	rm -rf $(foreach name,demo_proteins demo_dna demo_rna demo_locations demo_pairs,results/$(name) logs/*/$(name) logs/*/$(name).* benchmarks/*/$(name) benchmarks/*/$(name).*)
	rm -rf resources/checkpoints/mini-1-packaged-* resources/checkpoints/head-Mini*-packaged-*
