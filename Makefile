# Socket Lab: the commands. `make` lists them.
# Everything is done by programs in setup/ and socketlab/; a recipe is a line or two.

PYTHON ?= python3
SETUP := $(PYTHON) -m setup
RUN := .venv/bin/socketlab
STAGES := .venv/bin/python -m tests.stages
MADE := build results socketlab.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

.DEFAULT_GOAL := help
.PHONY: help up down client-udp client-tcp lecture-udp lecture-tcp logs doctor \
	test test-fast lint bench bench-netem clean distclean ready venv

help: ## This list
	@awk -F ':.*## ' '/^## / { print "\n" substr($$0, 4) } \
		/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## The lecture

up: ready ## Start client and server on hosts of their own, and show a conversation
	@$(RUN) up

client-udp: ready ## Type to the server over UDP (Ctrl-D ends)
	@$(RUN) client udp

client-tcp: ready ## Type to the server over TCP (Ctrl-D ends)
	@$(RUN) client tcp

lecture-udp: ready ## The same as up, with the lecture's own UDP server
	@$(RUN) up --server udp_server

lecture-tcp: ready ## The same as up, with the lecture's own TCP server: one client at a time
	@$(RUN) up --server tcp_server

logs: venv ## What all hosts have logged, in order of time
	@$(RUN) logs

down: venv ## Stop: remove the hosts and their network
	@$(RUN) down

## This machine

doctor: ## What this machine can do, and how to mend what it cannot
	@$(SETUP) doctor

clean: venv ## Remove all of ours but the base image and the engine
	@$(RUN) clean; code=$$?; $(SETUP) remove-venv && rm -rf $(MADE) && exit $$code

distclean: clean ## Remove the base image too
	@$(SETUP) remove-base-image

## Working on it

test: ready ## Every check and test, with the time of each stage
	@$(STAGES)

test-fast: venv ## What needs no Docker: lint, types, unit and socket tests
	@$(STAGES) lint types fast

lint: venv ## Style and types alone
	@$(STAGES) lint types

bench: venv ## Our servers beside others, in one run: ROUNDS=5 ONLY=udp,tcp-kept JSON=results/bench.json
	@$(SETUP) ensure bench
	@.venv/bin/python -m bench $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ONLY),--only $(ONLY)) $(if $(JSON),--json $(JSON))

bench-netem: venv ## The impairment without a kernel's netem, beside the bare network: ROUNDS=3 ONLY=delay JSON=...
	@.venv/bin/python -m bench.netem $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ONLY),--only $(ONLY)) $(if $(JSON),--json $(JSON))

ready:
	@$(SETUP) ensure

venv:
	@$(SETUP) ensure venv
