# `make lab` opens the notebooks, `make test` runs every check; both do all the set-up that they need.
PYTHON ?= python3
VENV   ?= .venv
PORT   ?= 8888

# Where it is set, each of the tests' hundred processes would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

BIN   := $(VENV)/bin
# Python's venv writes its activate script last of all, so a half-made environment has none.
MADE  := $(BIN)/activate
# Stamps, touched when pip has finished: an interrupted install is done again, a new pyproject.toml too.
READY  := $(VENV)/.ready
TESTED := $(VENV)/.ready-test
SITED  := $(VENV)/.ready-site

.PHONY: help lab site test check lint browser pictures rooms benchmark experiments clean
.NOTPARALLEL:

help:           ## show this list
	@echo "make TARGET [VARIABLE=value]"
	@sed -nE 's/^([a-z]+):[^#]*## +/  \1|/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-12s %s\n", $$1, $$2}'

lab: $(READY)   ## open the notebooks in JupyterLab (PORT=9000, ARGS=--no-browser, ARGS=--present)
	@$(BIN)/python -m resnet_explore lab --port $(PORT) $(ARGS)

site: $(SITED)  ## write a static site into ./site, which needs no Python (ARGS="--only skips")
	@$(BIN)/python -m resnet_explore site site $(ARGS)

test: $(TESTED) browser lint  ## run every check: style, types, tests, browser (ARGS="-k capture")
	@$(BIN)/python -m pytest -n 3 $(ARGS)  # one of them drives the browser, and waits for it

lint: $(TESTED) ## check style and types only
	@$(BIN)/python -m ruff check --quiet .
	@$(BIN)/python -m ruff format --check --quiet .
	@$(BIN)/python -m mypy
	@$(BIN)/oxlint --quiet resnet_explore/widgets/browser resnet_explore/pages/browser resnet_explore/jupyter

browser: $(TESTED)  ## make sure that there is a Chromium for the browser tests
	@$(BIN)/python tests/install_browser.py

check: lint     ## for the inner loop: style, types and the tests that are quick, neither browser nor training
	@$(BIN)/python -m pytest -n 2 -q -m "not browser and not training and not slow" $(ARGS)

pictures: $(TESTED) browser  ## take the README's pictures anew from the running notebooks
	@$(BIN)/python -m tests.browser.pictures

rooms: $(TESTED)  ## draw docs/rooms.svg, who imports whom, from the code
	@$(BIN)/python docs/rooms.py

benchmark: $(TESTED)  ## measure the speed ratios that the README quotes
	@$(BIN)/python -m benchmarks

# Every recorded experiment, resumable: the same command goes on after any stop. The data are downloaded unless
# CIFAR10 and IMAGENETTE name folders of images laid out as train/<class>/<image>.
SWEEP  := $(BIN)/resnet-explore sweep
RECORD := $(BIN)/resnet-explore record
CIFAR_RECIPE := cifar10 --epochs 10 --width 16 --batch-size 128 --lr 0.1 --weight-decay 5e-4 --augment crop \
	--precision bf16 $(if $(CIFAR10),--root $(CIFAR10))
PHOTO_RECIPE := imagenette --family imagenet --depths 18 --epochs 20 --width 32 --batch-size 64 --lr 0.1 \
	--weight-decay 5e-4 --label-smoothing 0.1 --augment zoom --precision bf16 --size 128 \
	$(if $(IMAGENETTE),--root $(IMAGENETTE))

experiments: $(READY)  ## run all recorded experiments again (hours) and record them in data/
	$(SWEEP) digits --seeds 0,1,2,3,4 --out runs/digits-seeds
	$(RECORD) runs/digits-seeds data/digits
	$(SWEEP) digits --depths 56 --seeds 0,1,2,3,4 --skip-scale 0,0.25,0.5,0.75,1,1-then-0-after-4,0-then-1-after-4,1-to-0-by-8,1-to-0-by-4 --out runs/digits-skips
	$(BIN)/resnet-explore collect runs/digits-skips data/digits/skips/history.csv
	$(BIN)/resnet-explore collect --layers runs/digits-skips data/digits/skips/layers.parquet
	$(SWEEP) digits --depths 56 --seeds 0,1,2 --epochs 16 --skip-scale 1,1-then-0-after-8,0-then-1-after-8,1-to-0-by-16,1-then-0-after-4 --out runs/digits-skips-16
	$(BIN)/resnet-explore collect runs/digits-skips-16 data/digits/skips/16-epochs/history.csv
	$(SWEEP) $(CIFAR_RECIPE) --depths 20,56 --seeds 0,1,2 --keep-steps 0,10 --out runs/cifar10-seeds
	$(SWEEP) $(CIFAR_RECIPE) --depths 8,14,32,44 --out runs/cifar10-depths
	$(RECORD) runs/cifar10-seeds runs/cifar10-depths data/cifar10 $(if $(CIFAR10),--root $(CIFAR10))
	$(SWEEP) $(PHOTO_RECIPE) --out runs/imagenette
	$(RECORD) runs/imagenette data/imagenette $(if $(IMAGENETTE),--root $(IMAGENETTE))
	$(BIN)/resnet-explore judge imagenette --images 100 $(if $(IMAGENETTE),--root $(IMAGENETTE))
	mkdir -p data/imagenette/verdicts && cp runs/judged-imagenette/* data/imagenette/verdicts/
	$(BIN)/resnet-explore lesions digits --out data/skips/digits
	$(BIN)/resnet-explore lesions cifar10 --depths 20,56 --seeds 3 --recalibrate 256 --out data/skips/cifar10 \
		$(if $(CIFAR10),--root $(CIFAR10))
	$(BIN)/resnet-explore probes digits --runs runs/digits-seeds --out data/probes/digits
	$(BIN)/resnet-explore probes cifar10 --depths 20,56 --out data/probes/cifar10 $(if $(CIFAR10),--root $(CIFAR10))
	$(BIN)/resnet-explore probes imagenette --out data/probes/imagenette $(if $(IMAGENETTE),--root $(IMAGENETTE))
	$(BIN)/resnet-explore landscapes digits --trained 20,56 --runs runs/digits-seeds
	$(BIN)/resnet-explore landscapes cifar10 --depths 20,56 --images 128 --size 17 \
		--further 13 --curvature 7 --steps 20 $(if $(CIFAR10),--root $(CIFAR10))
	for data in digits cifar10; do cp runs/landscapes-$$data/*.* data/landscapes/$$data; done

clean:          ## remove the environment and the tools' caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# In Python that even old versions can read, so that they can say that they are too old.
define CHECK_PYTHON
import sys
name = "Python %d.%d (%s)" % (sys.version_info[0], sys.version_info[1], sys.executable)
if sys.version_info < (3, 11):
    sys.exit(name + " is too old: install Python 3.11 or newer and name it, as in `make lab PYTHON=python3.12`.")
try:
    import ensurepip, venv
except ImportError:
    sys.exit(name + " can't make environments: install its venv module first, on Debian or Ubuntu with "
             "`apt install python3-venv`.")
endef
export CHECK_PYTHON

$(MADE):
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON) here: install Python 3.11 or newer, or name yours, as in \`make lab PYTHON=python3.12\`." >&2; exit 1; }
	@"$(PYTHON)" -c "$$CHECK_PYTHON"
	@"$(PYTHON)" -m venv --clear $(VENV)

$(READY): pyproject.toml | $(MADE)
	@echo "Installing into $(VENV) (several minutes the first time: PyTorch is large)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(TESTED): pyproject.toml | $(MADE)
	@echo "Installing into $(VENV), with the tools for testing (several minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(READY)

$(SITED): pyproject.toml | $(MADE)
	@echo "Installing into $(VENV), with what the site needs (several minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[site]'
	@touch $@ $(READY)
