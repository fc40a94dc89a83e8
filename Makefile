# Each target is one job. A fresh machine needs make and Python 3.10 or newer; everything else goes into .venv.
#
#   make chat                     talk to the built-in model        make chat PROMPT="What is a KV cache?"
#   make serve                    serve it to OpenAI's SDK           make serve MODEL=./model.gguf
#   make test                     the tests                          make check     style, types, layers, docs
#   make test-all                 those with torch, other clients    make bench     measure
#   make guide                    make the built-in model again      make docs      write the generated pages
#   make web                      build the chat page again (needs node and npm; everything else does not)

MODEL ?=
ARGS ?=
# The first Python that is new enough; PYTHON=... overrides.
FIND := for p in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1 && echo $$p && exit; done
NO_PYTHON := penjing needs Python 3.10 or newer. / penjing 需要 Python 3.10 或更新版本。 \
	Debian, Ubuntu: sudo apt install python3 python3-venv    macOS: brew install python3
NO_VENV := Python cannot make an environment here. / Python 无法创建虚拟环境。 \
	Debian, Ubuntu: sudo apt install python3-venv

.PHONY: chat serve test test-all check format docs bench soak guide web constraints clean
.DEFAULT_GOAL := chat

# $(1): environment, $(2): what to install, $(3): stamp, $(4): the file of exact versions
define install
	@python=$$($(FIND)); test -n "$$python" || { echo "error: $(NO_PYTHON)" >&2; exit 1; }; \
	test -x $(1)/bin/python || { echo "Setting up $(1), once ... / 正在准备 $(1)（仅一次）……" >&2; \
		"$$python" -m venv $(1) || { rm -rf $(1); echo "error: $(NO_VENV)" >&2; exit 1; }; }
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check -c $(4) -e "$(2)" >&2
	@touch $(1)/$(3)
endef

.venv/.light: pyproject.toml constraints.txt
	$(call install,.venv,.,.light,constraints.txt)

.venv/.dev: pyproject.toml constraints.txt
	$(call install,.venv,.[test$(comma)check],.dev,constraints.txt)
	@touch .venv/.light

.venv-all/.dev: pyproject.toml constraints.txt
	$(call install,.venv-all,.[test$(comma)check$(comma)extras-test],.dev,constraints.txt)

.venv-exports/.dev: pyproject.toml constraints-exports.txt
	$(call install,.venv-exports,.[exports-test],.dev,constraints-exports.txt)

.venv-clients/.dev: pyproject.toml constraints-clients.txt
	$(call install,.venv-clients,.[test$(comma)clients-test],.dev,constraints-clients.txt)

comma := ,

chat: .venv/.light
	@PENJING_PROMPT="$$PROMPT" .venv/bin/penjing chat $(MODEL) $(ARGS)

serve: .venv/.light
	@.venv/bin/penjing serve $(MODEL) $(ARGS)

# A test that hangs ends its process (pyproject.toml): a new one would begin with the same test.
TWO := -n 2 --dist loadfile --max-worker-restart 0

test: .venv/.dev
	.venv/bin/python -m pytest -m "not extras and not exports and not clients" -q $(TWO) $(ARGS)

# no:anyio: the LiteRT converter holds anyio at a release whose plugin this pytest does not take; nothing here uses it.
test-all: .venv-all/.dev .venv-exports/.dev .venv-clients/.dev
	.venv-all/bin/python -m pytest -m extras -q $(TWO) $(ARGS)
	.venv-exports/bin/python -m pytest tests/export -m exports -q -p no:anyio $(ARGS)
	.venv-clients/bin/python -m pytest -m clients -q $(ARGS)

check: .venv/.dev
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/python -m pytest -m "not extras and not exports and not clients" -q tests/test_layering.py tests/docs

format: .venv/.dev
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

docs: .venv/.dev
	.venv/bin/python -m penjing.cli.reference docs

bench: .venv/.dev
	.venv/bin/python bench/start.py
	.venv/bin/python bench/serve.py $(ARGS)

soak: .venv/.dev
	.venv/bin/python bench/soak.py $(ARGS)

guide: .venv-all/.dev
	.venv-all/bin/python -m recipes.guide $(ARGS)

web:
	cd web && npm ci --no-audit --no-fund && npm run --silent build

constraints:
	python3 .ci/constraints.py python3.10 python3.11

clean:
	rm -rf .venv .venv-all .venv-clients build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
