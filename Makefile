# make demo    set up what is missing, index the sample documents, answer questions about them
# make test    set up what is missing, run all tests
# make check   R CMD check on the built package
# make quality QA=FILE.jsonl [OPEN=1]   score the reader on a file of questions
# make retrieval DIR=FOLDER [MORE=FILE.jsonl] [LANGUAGE=english] [KEEP=FOLDER]
#                                       score the search on a BEIR folder, among more texts
# make beir QA=FILE DIR=FOLDER [DOCUMENTS=FOLDER]
#                                       make such a folder out of questions with known answers
# make bench [ONLY="embedding asking"]  time it, beside others; bench/README.md tells of the parts
# make document                         help pages from the comments in R/
# make lint                             ruff and mypy on the engine

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := demo
.PHONY: demo test check quality retrieval beir document lint clean

# Everything that set-up makes is under .setup/, but for the models, which stay in the user's cache.
export R_LIBS_USER := $(CURDIR)/.setup/library
export RETICULATE_VIRTUALENV_ROOT := $(CURDIR)/.setup/virtualenvs
export WORKON_HOME := $(RETICULATE_VIRTUALENV_ROOT)
export PYTHONPATH := $(CURDIR)/inst/python
export PYTHONDONTWRITEBYTECODE := 1
# The environment that set-up makes is the one to use, whatever the caller's shell prefers.
unexport RETICULATE_PYTHON VIRTUAL_ENV

PYTHON := $(RETICULATE_VIRTUALENV_ROOT)/r-tanya/bin/python
SOURCES := DESCRIPTION NAMESPACE $(shell find R inst man -type f -not -path '*/__pycache__/*')

.setup/system: tools/setup.sh
	tools/setup.sh system
	@touch $@

.setup/package: .setup/system $(SOURCES)
	mkdir -p $(R_LIBS_USER)
	R CMD INSTALL --no-docs --no-test-load --library=$(R_LIBS_USER) . > .setup/install.log 2>&1 || { cat .setup/install.log; exit 1; }
	@touch $@

.setup/engine: inst/python/requirements.txt | .setup/package
	Rscript -e 'tanya::rag_install()'
	@touch $@

.setup/tests: inst/python/pyproject.toml tests/requirements.txt | .setup/engine
	$(PYTHON) -m pip install --quiet --requirement tests/requirements.txt
	@touch $@

demo: .setup/package .setup/engine
	Rscript tools/demo.R

test: .setup/package .setup/tests
	$(PYTHON) -m pytest -c inst/python/pyproject.toml -p no:cacheprovider tests/python
	Rscript tools/test.R

check: .setup/package .setup/engine
	tools/check.sh

quality: .setup/tests
	@$(PYTHON) tools/quality.py $(if $(OPEN),--open) "$(QA)"

retrieval: .setup/tests
	@$(PYTHON) tools/retrieval.py "$(DIR)" $(if $(MORE),--more "$(MORE)") \
	  $(if $(LANGUAGE),--language $(LANGUAGE)) $(if $(KEEP),--keep "$(KEEP)")

beir: .setup/tests
	@$(PYTHON) tools/beir.py "$(QA)" "$(DIR)" $(if $(DOCUMENTS),"$(DOCUMENTS)")

bench: .setup/package .setup/tests
	$(PYTHON) -m pip install --quiet matplotlib
	@$(PYTHON) bench/run.py $(ONLY)

document: .setup/package
	Rscript -e 'roxygen2::roxygenise()'

lint: .setup/tests
	$(PYTHON) -m ruff check inst/python tests/python tools bench
	$(PYTHON) -m ruff format --check inst/python tests/python tools bench
	cd inst/python && $(PYTHON) -m mypy -p tanya

clean:
	rm -rf .setup tanya_*.tar.gz tanya.Rcheck
