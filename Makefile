# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo-results
RESULTS := results
# Empty is off: where it is set, each of the hundreds of programs that the tests start would compile our sources anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup check test demo board docs clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

check: setup  ## format, lint, types, layers and size budget
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py tests/test_budget.py

test: check  ## everything; skips are counted at the end; check has run those two files
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal --ignore=tests/test_layers.py --ignore=tests/test_budget.py

demo: setup  ## score the reference submissions on the embedded suite, show the tables
	$(BIN)/hallmark run --suite embedded --results $(DEMO) $(patsubst %/submission.toml,%,$(wildcard submissions/*/submission.toml))
	$(BIN)/hallmark show --results $(DEMO)
	@echo "Open the board on these records: make board RESULTS=$(DEMO). Your own runs go to results: make board"

board: setup  ## open the leaderboard in the browser, on the records under results or RESULTS=DIR
	$(BIN)/hallmark board --results $(RESULTS)

docs: setup  ## write the generated parts of the documentation
	$(BIN)/python -m suite.document
	$(BIN)/python -m tasks.own.document

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
