# Every target sets up .venv first, once; see .ci/bootstrap. All paths are relative: the checkout's own may have spaces.
# More arguments for pytest: make test ARGS="-k bridge"

PYTHON := .venv/bin/python
# Two processes with one thread of linear algebra each: more threads would wait for each other.
PYTEST := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist loadfile
ARGS :=

.PHONY: help bootstrap demo test test-deep test-fast lint format bench clean distclean

help:
	@echo "make demo       set up, fit a model to real data, say where the report is"
	@echo "make test       set up, check style and types, run the tests"
	@echo "make test-deep  set up, run the tests that take long: repetitions over seeds, large models"
	@echo "make test-fast  set up, run the tests that take no more than a few seconds each"
	@echo "make lint       style and types only"
	@echo "make format     let ruff put the code in order"
	@echo "make bench      set up, compare speed with the tools that one would use instead"
	@echo "make clean      remove caches and build output (make distclean: .venv too); runs/ stays"

bootstrap:
	@bash .ci/bootstrap

demo: bootstrap
	@$(PYTHON) -m workbench demo

test: lint
	$(PYTEST) -m "not deep" $(ARGS)

test-deep: bootstrap
	$(PYTEST) -m deep $(ARGS)

test-fast: bootstrap
	$(PYTEST) -m "not slow and not deep" $(ARGS)

lint: bootstrap
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy workbench

format: bootstrap
	$(PYTHON) -m ruff check --fix
	$(PYTHON) -m ruff format

bench: bootstrap
	$(PYTHON) -m benchmarks $(ARGS)

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name .venv -prune -o -name runs -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv
