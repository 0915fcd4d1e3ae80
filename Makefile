# Socket Lab: the commands. `make` lists them.
# Everything is done by programs in setup/ and socketlab/; a recipe is a line or two.

PYTHON ?= python3
SETUP := $(PYTHON) -m setup
# Its hints are then commands of make (socketlab/hints.py).
RUN := SOCKETLAB_STARTED_BY=make .venv/bin/socketlab
STAGES := .venv/bin/python -m tests.stages
# Its tests and its bench are in its folder, and parts of the packages `tests` and `bench`.
OF_NETEM := PYTHONPATH=services/netem
MADE := build socketlab.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis \
	$(addprefix services/netem/,build netem_impairment.egg-info .pytest_cache .hypothesis) # not what is for keeping

# What the experiments take: COUNT=100 becomes --count '100', whatever is in it. What a variable is given make
# would read once more, and run the $(shell ...) in it: hence $(value ...). A newline would end the recipe's line.
define newline


endef
given = $(subst $(newline), ,$(value $(1)))
quoted = '$(subst ','\'',$(given))'
option = $(if $(given),--$(2) $(quoted))
each = $(foreach one,$(given),'$(subst ','\'',$(one))')
EXPERIMENT = $(call option,COUNT,count) $(call option,SIZE,size) $(call option,RATE,rate) \
	$(call option,LOSS,loss) $(call option,DELAY,delay) $(call option,JITTER,jitter) \
	$(call option,REORDER,reorder) $(call option,DUPLICATE,duplicate) $(call option,CORRUPT,corrupt) \
	$(call option,SEED,seed) $(call option,DIRECTION,direction) $(call option,ENGINE,engine) \
	$(call option,NETEM,netem) $(call option,PROGRAM,program) $(call option,JSON,json)
# Where figures go: into a file of one's own, or into docs/data, from which docs/reliability.md is made.
RECORDED = $(call option,JSON,json) $(if $(value RECORD),--record)

# make ignores a variable that nobody reads, and LOS=30 would pass for 30 % of loss. Only the command line is
# checked: the environment holds variables of others.
GIVEN := $(strip $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name))))
ifneq ($(filter-out PYTHON,$(GIVEN)),)
REFUSAL := $(shell $(SETUP) variables $(addprefix --target=,$(MAKECMDGOALS)) -- \
	$(foreach name,$(GIVEN),'$(subst ','\'',$(name))'))
$(if $(REFUSAL),$(error $(REFUSAL)))
endif

.DEFAULT_GOAL := help
.PHONY: help up down client-udp client-tcp lecture capture claims report logs doctor \
	lossy-udp lossy-tcp compare netem-image \
	test test-fast test-kernel faults fuzz load lint audit lock bench bench-netem clean distclean ready venv

help: ## This list
	@awk -F ':.*## ' '/^## / { print "\n" substr($$0, 4) } \
		/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## The lecture

up: ready ## Start client and server on hosts of their own, and show a conversation: SERVER=concurrent
	@$(RUN) up $(call option,SERVER,server)

client-udp: ready ## Type to the server over UDP (Ctrl-D ends)
	@$(RUN) client udp

client-tcp: ready ## Type to the server over TCP (Ctrl-D ends)
	@$(RUN) client tcp

lecture: ready ## The lecture's claims one by one, on hosts of their own, with the evidence: ONLY="U7 T4" SEED=1
	@$(RUN) lecture $(call each,ONLY) $(call option,SEED,seed) $(call option,ENGINE,engine) $(call option,JSON,json)

capture: ready ## Two conversations packet by packet, and a file for Wireshark: PROTOCOL=tcp BOTH=1 LOSS=30 SEED=1
	@$(RUN) capture $(call option,PROTOCOL,protocol) $(call option,BOTH,both) $(call option,LOSS,loss) \
		$(call option,DELAY,delay) $(call option,SEED,seed) $(call option,ENGINE,engine) $(call option,FILE,file)

claims: venv ## What the lecture says, claim by claim, and what would show it
	@$(RUN) claims

report: $(if $(value FROM),venv,ready) ## The same as one page with pictures, results/report.html; FROM=lecture.json draws an older run again
	@$(RUN) report $(call option,FROM,from) $(call option,SEED,seed) $(call option,ENGINE,engine) $(call option,OUTPUT,output)

logs: venv ## What all hosts have logged, in order of time
	@$(RUN) logs

down: venv ## Stop: remove the hosts and their network
	@$(RUN) down

## The network breaks, on purpose

lossy-udp: ready ## Datagrams through a bad network, each one drawn: LOSS=10 DELAY=25 REORDER=25 SEED=1
	@$(RUN) lossy-udp $(EXPERIMENT) $(call option,TIMELINE,timeline)

lossy-tcp: ready ## The same messages over TCP: all arrive, in order, and what that costs
	@$(RUN) lossy-tcp $(EXPERIMENT) $(call option,TIMELINE,timeline)

compare: ready ## UDP and TCP through the same network, side by side
	@$(RUN) compare $(EXPERIMENT)

netem-image: ready ## The sidecar's image as socketlab/netem, for projects of your own
	@$(RUN) netem-image

## This machine

doctor: ## What this machine can do, and how to mend what it cannot
	@$(SETUP) doctor

clean: venv ## Remove what this checkout has made, but for results, captures and the base image
	@.venv/bin/python -m tests.leftovers; $(RUN) clean; code=$$?; $(SETUP) remove-venv && \
		for made in $(wildcard $(MADE)); do rm -rf $$made && echo "removed $$made"; done; exit $$code

distclean: clean ## Remove the base image too
	@$(SETUP) remove-base-image
	@$(SETUP) remove-lab-name

## Working on it

test: ready ## Every check and test, with the time of each stage
	@$(STAGES)

test-fast: venv ## What needs no Docker: lint, types, unit and socket tests
	@$(STAGES) lint types unit socket

test-kernel: ## A kernel that has netem, beside the model and with its engine: ONLY=jitter JSON=results/kernel.json
	@$(SETUP) ensure netem-kernel
	@$(OF_NETEM) $(PYTHON) -m tests.kernel $(call option,ONLY,only) $(call option,JSON,json)

fuzz: venv ## Inputs that nobody would type, guided by coverage: ONLY="spec capture" EXECUTIONS=100000 SECONDS=60 RECORD=1
	@.venv/bin/python -m campaigns fuzz $(call option,ONLY,only) $(call option,EXECUTIONS,executions) \
		$(call option,SECONDS,seconds) $(call option,SEED,seed) $(RECORDED)

load: ready ## The server under attack: floods, 10,000 connections, a soak: ONLY=flood,soak SOAK=90 RECORD=1
	@.venv/bin/python -m campaigns load $(call option,ONLY,only) $(call option,SOAK,soak) $(RECORDED)

faults: ready ## What is broken on purpose in traffic, and what holds all the same: ONLY=sidecar RECORD=1
	@.venv/bin/python -m campaigns faults $(call option,ONLY,only) $(RECORDED)

lint: venv ## Style and types alone
	@$(STAGES) lint types

audit: ## Whether a package that we install has a known hole: asks the internet, and says so when it cannot
	@$(SETUP) audit

lock: ## What is installed, made anew from pyproject.toml: requirements/; UPGRADE=1 takes the newest versions
	@$(SETUP) lock $(if $(value UPGRADE),--upgrade)

bench: venv ## Our servers beside others, in one run: ROUNDS=5 ONLY=udp,tcp-kept JSON=results/bench.json
	@.venv/bin/python -m bench $(call option,ROUNDS,rounds) $(call option,ONLY,only) $(call option,JSON,json)

bench-netem: venv ## The impairment without a kernel's netem, beside the bare network: ROUNDS=3 ONLY=delay JSON=...
	@$(OF_NETEM) .venv/bin/python -m bench.netem $(call option,ROUNDS,rounds) $(call option,ONLY,only) $(call option,JSON,json)

# What a target needs beside the lab itself.
lecture capture: WITH := lecture
report: WITH := report
test: WITH := dev browser fuzz test-tools
test-fast: WITH := dev browser fuzz
lint: WITH := dev browser
fuzz: WITH := dev fuzz report
bench: WITH := dev bench
faults load bench-netem: WITH := dev

ready:
	@$(SETUP) ensure engine compose base-image lab-name venv $(WITH)

venv:
	@$(SETUP) ensure venv $(WITH)
