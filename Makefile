# `make run` and `make test` are all a fresh machine needs: Python 3.11 or newer with pip, and make.
PYTHON ?= python3
RUNS ?= runs
READY := .venv/.ready
export PYTHONDONTWRITEBYTECODE =  # where it is set, each process compiles all that it imports, which takes seconds

run: $(READY)
	.venv/bin/python -m sad_lightning

test: $(READY)
	.venv/bin/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

bench: $(READY)  # every benchmark in a small form
	.venv/bin/python benchmarks/quick.py

# The tables in results/ from the finished cells below RUNS, and the pages that are made from them.
results: $(READY)
	.venv/bin/python docs/evidence.py tables $(RUNS)
	.venv/bin/python docs/evidence.py pages

docs: $(READY)
	.venv/bin/python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html

$(READY): requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	sed -n '/^uv==/,/[^\\]$$/p' requirements.txt > .venv/uv.txt  # uv itself, pinned and hashed like all the rest
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	.venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements.txt
	.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	touch $(READY)

lock: $(READY)
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--upgrade --extra dev pyproject.toml --output-file requirements.txt

.PHONY: run test bench results docs lock
