# Every target sets up what it needs itself. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

GO       ?= go
BIN      := .bin
FUZZTIME ?= 1m
DURATION ?= 10m
PEOPLE   ?= 500
FRONT    ?= nginx
TIMEOUT  ?= 20m
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# The tools are pinned in tools/go.mod, a module of their own.
TOOLS := gofumpt staticcheck golangci-lint govulncheck

# The files whose every check is dropped once by `make mutate`.
VALIDATORS := vipps/idtoken.go forwardauth/returnto.go forwardauth/identity.go forwardauth/original.go forwardauth/callback.go

# What must be among the tests that ran, as testsummary reads it: NAME=REGEXP over "package.Test".
MUSTS := \
	-must 'real nginx=(^|/)integration.*\..*Nginx' \
	-must 'real HAProxy=(^|/)integration.*\..*HAProxy' \
	-must 'real Apache=(^|/)integration.*\..*Apache' \
	-must 'real Caddy=(^|/)integration.*\..*Caddy' \
	-must 'Chromium=(^|/)integration.*\..*(Chromium|Browser|Demo)'

# The numbered checks, of which each must be in a test's name, and the pages that say what came of them.
CHECKS := -checks docs/security-checks.tsv -page docs/security-tests.md -modules docs/conformance.tsv -modules-page docs/conformance.md

.PHONY: help
help: ## list the targets
	@echo "vippsauth: log in with Vipps in front of any app. Targets:"
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

.PHONY: build
build: ## build both commands, vippsauth and caddy, into .bin/
	@mkdir -p $(BIN)
	@echo "building .bin/vippsauth and .bin/caddy (Caddy takes some minutes the first time)"
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN)/ ./cmd/vippsauth ./cmd/caddy

.PHONY: test
test: $(BIN)/testsummary ## install what the tests need (Debian), run all of them, write docs/security-tests.md; a test that cannot run fails
	@scripts/install-test-deps.sh
	CGO_ENABLED=0 $(GO) vet ./...
	VIPPSAUTH_TEST_ALL=1 $(BIN)/testsummary -strict $(MUSTS) $(CHECKS) \
		-- $(GO) test -json -race -shuffle=on -count=1 -timeout=$(TIMEOUT) ./... \
		-- $(GO) -C tools test -json -count=1 -timeout=5m ./...

.PHONY: race
race: $(BIN)/testsummary ## run the tests five times with the race detector; those that lack a program are skipped
	$(BIN)/testsummary -- $(GO) test -json -race -shuffle=on -count=5 -timeout=60m ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (1m)
	@GO=$(GO) scripts/fuzz.sh $(FUZZTIME)

.PHONY: mutate
mutate: ## drop each check of the validators once; a test must notice (a quarter of an hour)
	@mkdir -p $(BIN)
	@$(GO) -C tools build -o ../$(BIN)/mutate ./mutate
	$(BIN)/mutate -known tools/mutate/equivalent.tsv $(VALIDATORS)

.PHONY: soak
soak: ## let PEOPLE (500) log in for DURATION (10m) at FRONT (nginx, haproxy, sidecar, caddy) while things go wrong
	$(GO) run ./integration/soak -duration $(DURATION) -people $(PEOPLE) -front $(FRONT)

.PHONY: bench
bench: ## run the benchmarks, then the ratios against a bare handler, alone and behind proxies
	$(GO) test -run='^$$' -bench=. -benchmem ./vipps/... ./session/... ./forwardauth/... ./caddymodule/... ./merchant ./webhook ./outbox
	$(GO) run ./integration/ratio

.PHONY: lint
lint: $(TOOLS:%=$(BIN)/%) ## gofumpt, go vet, staticcheck, golangci-lint, go mod tidy -diff, govulncheck
	@unformatted=$$($(BIN)/gofumpt -l .); if [ -n "$$unformatted" ]; then \
		echo "not formatted (make fmt mends it):"; echo "$$unformatted"; exit 1; fi
	CGO_ENABLED=0 $(GO) vet ./...
	CGO_ENABLED=0 $(BIN)/staticcheck ./...
	$(BIN)/golangci-lint run
	$(GO) mod tidy -diff
	$(GO) -C tools mod tidy -diff
	@$(BIN)/govulncheck ./... || { status=$$?; if [ $$status -eq 3 ]; then exit 3; fi; \
		echo "govulncheck could not ask its database, which is online: skipped"; }

.PHONY: fmt
fmt: $(BIN)/gofumpt ## format the Go files
	$(BIN)/gofumpt -w .

.PHONY: demo
demo: ## the whole login on this machine, with nothing to configure
	@echo "building the demo (the first time takes up to a minute)"
	@mkdir -p $(BIN)
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN)/ ./cmd/vippsauth
	@exec $(BIN)/vippsauth demo

.PHONY: docker
docker: ## build both images, vippsauth and vippsauth-caddy
	@if ! docker info >/dev/null 2>&1; then \
		echo "no Docker engine answers here (docker info fails); start one, or use podman build with the same Dockerfile" >&2; exit 1; fi
	docker build --target vippsauth --build-arg VERSION=$(VERSION) -t vippsauth:$(VERSION) .
	docker build --target caddy --build-arg VERSION=$(VERSION) -t vippsauth-caddy:$(VERSION) .

# The tools are compiled once per pin. Compiled and not run by `go tool`, so that they judge this module and not theirs.
$(TOOLS:%=$(BIN)/%): $(BIN)/%: tools/go.mod tools/go.sum
	@mkdir -p $(BIN)
	@echo "building $* as pinned in tools/go.mod"
	@$(GO) -C tools build -o ../$@ $$($(GO) -C tools list -f '{{.ImportPath}}' tool | grep '/$*$$')

$(BIN)/testsummary: $(wildcard tools/testsummary/*.go) tools/go.mod
	@mkdir -p $(BIN)
	@$(GO) -C tools build -o ../$@ ./testsummary
