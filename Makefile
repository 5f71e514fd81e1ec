# make demo | test | test-long | lint | bench          PYTHON=python3.12 chooses another interpreter
# make test-torch VERSION=2.8.0            contract and golden tests with another torch
# Everything is installed into .venv, in one resolution, so that torch and torchaudio match.
TORCH ?= 2.11.0
# Named both: pip does not know which belong together. AUDIO=2.11.0 with torch 2.12, 2.11.1 with later
# ones; before, the torchaudio of the same number.
pair = torch==$(1) torchaudio==$(or $(AUDIO),$(1))
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin
LINT = --line-length 100 --target-version py310
# E501 is left to the formatter, which keeps a long word or link whole.
RULES = --select E,F,I,B,UP,W --ignore E501 --config 'lint.isort.known-first-party = ["auricle"]'
EXTRAS = mini,test,export,transformers,timm,media,convert
# Bytecode of the tests is kept: pytest rewrites 3,700 assertions, which takes each worker 9 s.
TEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(RUN)/python -m pytest -q -n 2 --dist loadgroup
CONTRACTS = tests/golden tests/lobes/promises tests/lobes/test_contracts.py
# $(call table,RECIPE,OPTIONS)
table = $(RUN)/auricle table recipes/$(1)/results --readme recipes/$(1)/README.md $(2)
SPEED_OF = --bench tests/bench/
MUSIC = --columns scores,centre_shift_hz,seeds,parameters,epochs,epoch_s,songs_per_s,peak_memory

.PHONY: demo test test-long test-fast test-weights test-extras test-browser test-compile test-export test-torch
.PHONY: fuzz kills breaks lint format bench tables clean

# A stamp per set of extras, so that `make demo` does not wait for what only the tests need.
$(VENV)/.demo: setup.cfg pyproject.toml
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --upgrade pip
	$(RUN)/pip install --quiet -e '.[mini]' $(call pair,$(TORCH))
	touch $@

$(VENV)/.test: setup.cfg pyproject.toml
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --upgrade pip
	$(RUN)/pip install --quiet -e '.[$(EXTRAS)]' $(call pair,$(TORCH))
	touch $@ $(VENV)/.demo

# The extras that `make test` does without, in a venv of their own: trackers, submitit, Ray.
.venv-extras/.extras: VENV = .venv-extras
.venv-extras/.extras: setup.cfg pyproject.toml
	test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --upgrade pip
	$(RUN)/pip install --quiet -e '.[mini,test,export,trackers,dist,browser]' $(call pair,$(TORCH))
	touch $@

demo: $(VENV)/.demo
	$(RUN)/python recipes/speech_commands/train.py hparams/speech_commands.yaml \
		--experiment demo --output_folder results/demo

test: $(VENV)/.test
	$(TEST) -m 'not long'

# Whole products, such as the documents' worked examples and a wheel, and further forms of lobes.
test-long: $(VENV)/.test
	$(TEST) -m long

test-fast: $(VENV)/.test
	$(TEST) -m 'not slow'

# Published weights, converted, against what their authors' code gives. WEIGHTS: their folder; DATA: that
# of the recordings.
test-weights: $(VENV)/.test
	@test -d "$(WEIGHTS)" -a -d "$(DATA)" || { echo "make test-weights WEIGHTS=DIR DATA=DIR"; exit 1; }
	WEIGHTS=$(abspath $(WEIGHTS)) DATA=$(abspath $(DATA)) OMP_NUM_THREADS=1 \
		$(RUN)/python -m pytest -q tests/weights/with_*.py

# In a venv of its own. SpeechBrain asks for torch 2.7.1: 2.6 is installed after it, and pip says so.
test-torch: VENV = .venv-torch-$(VERSION)
test-torch:
	test -n "$(VERSION)"
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --upgrade pip
	$(RUN)/pip install --quiet -e '.[$(EXTRAS)]' $(call pair,$(VERSION:2.6.%=2.7.1))
	$(RUN)/pip install --quiet $(call pair,$(VERSION)) torchvision
	$(RUN)/python --version
	$(RUN)/pip list | grep '^torch'
	$(TEST) $(CONTRACTS) $(OPTIONS)

# Every lobe, compiled, against the plain one, and a training run with --compile. OPTIONS='-k recorded':
# graphs and gradients as recorded (aot_eager), without the C++ that inductor has compiled.
test-compile: $(VENV)/.test
	$(TEST) tests/lobes/promises/compile_every_lobe.py \
		tests/recipes/speech_commands/compile_training.py $(OPTIONS)

# Every lobe as an ONNX file, in onnxruntime: minutes.
test-export: $(VENV)/.test
	$(TEST) tests/lobes/promises/export_every_lobe.py $(OPTIONS)

# Damaged files and command lines, and hostile bundles. N: how many of the former; KIND and SEED: one
# of them again.
N ?= 10000
fuzz: $(VENV)/.test
	OMP_NUM_THREADS=1 $(RUN)/python tests/hostile/fuzz.py --cases $(N) \
		$(if $(KIND),--kind $(KIND)) $(if $(SEED),--seed $(SEED))
	$(if $(KIND),,HOSTILE_BUNDLES=200 $(TEST) tests/hostile/test_bundles.py)

# Trainings of all recipes that are killed, stopped, or go on with other processes. N: how many.
kills: N = 40
kills: $(VENV)/.test
	N=$(N) $(TEST) tests/hostile/kill_runs.py tests/hostile/environments.py

# Faults put into copies of the library, one at a time: does a test fail?
breaks: $(VENV)/.test
	OMP_NUM_THREADS=1 $(RUN)/python tests/breaks/run.py --jobs 2

# Trackers that write to disk; studies on submitit, SLURM's scripts, Ray; auricle's own studies.
test-extras: VENV = .venv-extras
test-extras: .venv-extras/.extras
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(RUN)/python -m pytest -q tests/extras/with_*.py

# A study's report and the page of `auricle demo`, whose runtime npm fetches, in Debian's Chromium.
test-browser: VENV = .venv-extras
test-browser: .venv-extras/.extras
	@command -v chromium-headless-shell chromium > /dev/null || \
		{ echo "test-browser needs Chromium: apt-get install chromium-headless-shell"; exit 1; }
	$(RUN)/python -m pytest -q tests/extras/browser_*.py

lint: $(VENV)/.test
	$(RUN)/ruff check $(RULES) $(LINT) .
	$(RUN)/ruff format --check $(LINT) .
	$(call table,speech_commands,$(SPEED_OF)frontends.json) --check
	$(call table,voxceleb,$(SPEED_OF)speaker_models.json) --check
	$(call table,timit,$(SPEED_OF)frontends.json) --check
	$(call table,music_emotion,$(MUSIC)) --check
	$(call table,own_sounds) --check

format: $(VENV)/.test
	$(RUN)/ruff check --fix $(RULES) $(LINT) .
	$(RUN)/ruff format $(LINT) .

tables: $(VENV)/.test
	$(call table,speech_commands,$(SPEED_OF)frontends.json)
	$(call table,voxceleb,$(SPEED_OF)speaker_models.json)
	$(call table,timit,$(SPEED_OF)frontends.json)
	$(call table,music_emotion,$(MUSIC))
	$(call table,own_sounds)

bench: $(VENV)/.test
	$(RUN)/python tests/bench/frontends.py --report tests/bench/frontends.md
	$(RUN)/python tests/bench/verification.py --report tests/bench/verification.md
	$(RUN)/python tests/bench/speaker_models.py --report tests/bench/speaker_models.md \
		--models recipes/voxceleb/results
	$(RUN)/python tests/bench/phone_recognition.py --report tests/bench/phone_recognition.md
	$(RUN)/python tests/bench/epoch.py --report tests/bench/epoch.md
	$(RUN)/python tests/bench/filterbank.py --report tests/bench/filterbank.md
	$(RUN)/python tests/bench/compiled.py --report tests/bench/compiled.md
	$(RUN)/python tests/bench/streaming.py --report tests/bench/streaming.md

clean:
	rm -rf $(VENV) results build dist
