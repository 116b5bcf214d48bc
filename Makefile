# Belfry. `make` alone lists the targets; CI runs them and nothing else.
#
# Building, running and testing need Go and make. Every other tool is pinned
# here and installed into bin/ from its Go module the first time a target asks
# for it, and again when its version below changes.

GOLANGCI_LINT_VERSION := v2.15.0
GOFUMPT_VERSION       := v0.12.0
STATICCHECK_VERSION   := v0.8.2
GOVULNCHECK_VERSION   := v1.8.0
BUF_VERSION           := v1.73.0
GOTESTSUM_VERSION     := v1.13.0

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := $(CURDIR)/bin

# What there is comes from go.work, never from a list typed here: modules by
# their paths, their folders, and the programs among the services.
MODULES  = $(shell go list -m)
DIRS     = $(shell go list -m -f '{{.Dir}}')
PACKAGES = $(addsuffix /...,$(MODULES))
PROGRAMS = $(shell go list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' $(foreach m,$(MODULES),$(if $(findstring /services/,$m),$m/...)) | sort -u)
# Modules outside the workspace: what they bring along must not choose the versions
# that the programs are built with.
ALONE    = $(filter-out $(DIRS),$(abspath $(dir $(shell git ls-files --cached --others --exclude-standard -- '*go.mod'))))
SOURCES  = $(shell git ls-files --cached --others --exclude-standard -- '*.go' ':!*.pb.go' ':!*.connect.go' | while read -r f; do if [ -f "$$f" ]; then echo "$$f"; fi; done)

# The race detector wherever there is a C compiler to link it.
RACE      = $(shell if [ "$$(go env CGO_ENABLED)" = 1 ] && command -v "$$(go env CC)" >/dev/null; then echo -race; fi)
TESTFLAGS ?=
FUZZTIME  ?= 10s
ROUNDS    ?= 100
ARCH      ?= $(shell go env GOARCH)
IMAGE_NAME ?= belfry
IMAGE_TAG  ?= $(shell git describe --tags --always --dirty)
SEED      ?=
SCHEDULES ?= 5000
FREEZE    ?= 60

##@ Run
.PHONY: help run build
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  \033[36m%-15s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Build, and run everything in one process (ARGS="--help" for its flags)
	@exec $(BIN)/belfry run $(ARGS)

build: ## Build every program into bin/
	go build -trimpath -o $(BIN)/ $(PROGRAMS)

# Some tests read files outside their module, where go test's cache does not
# look; they also read this, so a change of the tree runs them again.
test e2e: export BELFRY_TREE = $(shell { git rev-parse HEAD; git status --porcelain; git diff HEAD; } 2>/dev/null | git hash-object --stdin)

##@ Prove
.PHONY: test e2e chaos bench fuzz slow clients vuln
test: ## Test every module (with the race detector if there is a C compiler)
	go test $(RACE) -timeout 15m $(TESTFLAGS) $(PACKAGES)

e2e: ## Test whole journeys only: one process, and processes on a cluster
	go test $(RACE) -count 1 -timeout 15m $(TESTFLAGS) ./tests/e2e/...

chaos: ## Kill and freeze processes ROUNDS (100) times, and count (SEED=7 repeats the choices); live through a year of the clock
	BELFRY_CHAOS_ROUNDS=$(ROUNDS) BELFRY_CHAOS_SEED=$(SEED) BELFRY_CHAOS_SCHEDULES=$(SCHEDULES) BELFRY_CHAOS_FREEZE=$(FREEZE) \
	  go test $(RACE) -count 1 -timeout 60m -v $(TESTFLAGS) ./tests/chaos
	go test -count 1 -timeout 60m -run 'TestTM1TM4Intervals|TestTM2TM5ClockTimes' $(TESTFLAGS) ./services/scheduler -args -year
	BELFRY_ROLLING_WINDOWS=1000 go test -count 1 -timeout 10m -v -run RollingRestart $(TESTFLAGS) ./tests/e2e

bench: build ## Measure, each figure beside its reference (ARGS="-only fanout -n 5000")
	go run ./tests/load $(ARGS)

fuzz: ## Fuzz every parser of outside bytes for FUZZTIME (10s) each
	@go test -list '^Fuzz' -json $(PACKAGES) \
	  | sed -n 's/.*"Package":"\([^"]*\)","Output":"\(Fuzz[A-Za-z0-9_]*\)\\n".*/\1 \2/p' \
	  | while read -r package fuzz; do \
	      echo "$$package $$fuzz"; \
	      go test -run '^$$' -fuzz "^$$fuzz\$$" -fuzztime $(FUZZTIME) "$$package"; \
	    done

slow: $(BIN)/.gotestsum-$(GOTESTSUM_VERSION) ## Name the slowest tests
	@go test -json -count 1 $(PACKAGES) | $(BIN)/gotestsum tool slowest --threshold 500ms

clients: build ## Test with clients of others, from npm and in a browser, behind nginx (needs all three)
	@if [ -f tests/clients/package.json ]; then \
	  cd tests/clients && npm ci --no-audit --no-fund && npm test; \
	fi

vuln: $(BIN)/.govulncheck-$(GOVULNCHECK_VERSION) ## Look for known vulnerabilities (its database is online)
	@for dir in $(DIRS); do (cd "$$dir" && $(BIN)/govulncheck ./...); done

##@ Ship
.PHONY: image chart
image: ## Write an OCI archive of every program into bin/image/ (IMAGE_TAG=…, ARCH=arm64)
	@mkdir -p $(BIN)/linux $(BIN)/image
	GOOS=linux GOARCH=$(ARCH) CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o $(BIN)/linux/ $(PROGRAMS)
	@for program in $(notdir $(PROGRAMS)); do \
	  GOWORK=off go run -C deploy/image . -program $$program -binary $(BIN)/linux/$$program -arch $(ARCH) -revision "$$(git rev-parse HEAD)" \
	    -ref "$(IMAGE_NAME)/$$program:$(IMAGE_TAG)" -out $(BIN)/image/$$program.tar; \
	done

chart: ## Test the images and the Helm chart: rendered, linted, decoded strictly
	@for dir in $(ALONE); do (cd "$$dir" && GOWORK=off go test -count 1 $(TESTFLAGS) ./...); done

##@ Keep in order
.PHONY: lint fmt generate check-generate tidy check-tidy isolated ci clean
lint: $(BIN)/.golangci-lint-$(GOLANGCI_LINT_VERSION) $(BIN)/.staticcheck-$(STATICCHECK_VERSION) $(BIN)/.gofumpt-$(GOFUMPT_VERSION) $(BIN)/.buf-$(BUF_VERSION) ## Check style, imports, formatting and the protos
	@unformatted=$$($(BIN)/gofumpt -l $(SOURCES)); \
	  if [ -n "$$unformatted" ]; then echo "make fmt would change:"; echo "$$unformatted"; exit 1; fi
	cd proto && $(BIN)/buf lint && $(BIN)/buf format --diff --exit-code
	@cd proto && base=$$(git describe --tags --abbrev=0 2>/dev/null || git rev-parse -q --verify HEAD^ || true); \
	  if [ -n "$$base" ] && git cat-file -e "$$base:proto/buf.yaml" 2>/dev/null; then \
	    echo "buf breaking against $$base"; $(BIN)/buf breaking --against "../.git#ref=$$base,subdir=proto"; \
	  fi
	$(BIN)/golangci-lint run $(addsuffix /...,$(DIRS))
	$(BIN)/staticcheck $(PACKAGES)
	@for dir in $(ALONE); do \
	  echo "lint $${dir#$(CURDIR)/}"; (cd "$$dir" && GOWORK=off $(BIN)/golangci-lint run ./... && GOWORK=off $(BIN)/staticcheck ./...); \
	done

fmt: $(BIN)/.gofumpt-$(GOFUMPT_VERSION) $(BIN)/.buf-$(BUF_VERSION) ## Format Go and protos
	$(BIN)/gofumpt -l -w $(SOURCES)
	cd proto && $(BIN)/buf format -w

generate: $(BIN)/.buf-$(BUF_VERSION) ## Generate Go from the protos
	cd proto && $(BIN)/buf generate

check-generate: ## Fail if the generated code is not what the protos say
	@before=$$(find proto -name '*.go' -exec sha256sum {} + | sort -k 2); \
	  $(MAKE) generate; \
	  after=$$(find proto -name '*.go' -exec sha256sum {} + | sort -k 2); \
	  diff <(echo "$$before") <(echo "$$after") || { echo "generated code was stale: commit what make generate wrote"; exit 1; }

# Our own modules have no published version: they are required as v0.0.0, which
# go mod tidy would not choose by itself, and replaced by their folders.
tidy: ## Tidy every go.mod
	@for dir in $(DIRS) $(ALONE); do \
	  echo "tidy $${dir#$(CURDIR)/}"; \
	  (cd "$$dir" && for module in $$(sed -n 's/^\(replace \)\?\s*\(\S*\) => \.\..*/\2/p' go.mod); do go mod edit -require="$$module@v0.0.0"; done; \
	    GOWORK=off go mod tidy); \
	done

check-tidy: ## Fail if a go.mod is not tidy
	@for dir in $(DIRS) $(ALONE); do (cd "$$dir" && GOWORK=off go mod tidy -diff) || { echo "make tidy would change $${dir#$(CURDIR)/}/go.mod or go.sum"; exit 1; }; done

isolated: ## Build and vet every module alone, as a stranger would get it
	@versions=$$(go list -m -f '{{.GoVersion}}' | sort -u); \
	  if [ "$$(wc -l <<<"$$versions")" != 1 ]; then echo "go lines differ:"; go list -m -f '{{.Path}} {{.GoVersion}}'; exit 1; fi
	@for dir in $(DIRS) $(ALONE); do \
	  echo "isolated $${dir#$(CURDIR)/}"; \
	  (cd "$$dir" && GOWORK=off go build -o /dev/null ./... && GOWORK=off go vet ./...); \
	done

ci: ## Everything CI runs, in its order
	@bash .ci/run

clean: ## Remove what make made
	rm -rf $(BIN) proto/bin tests/clients/node_modules

# A tool is installed when the stamp of its version is missing; installing
# removes the stamps of its other versions.
define tool
$(BIN)/.$(1)-$(2):
	@echo "installing $(1) $(2)"
	@mkdir -p $(BIN) && rm -f $(BIN)/.$(1)-v*
	@cd $(BIN) && GOWORK=off GOBIN=$(BIN) go install $(3)@$(2)
	@touch $$@
endef
$(eval $(call tool,golangci-lint,$(GOLANGCI_LINT_VERSION),github.com/golangci/golangci-lint/v2/cmd/golangci-lint))
$(eval $(call tool,gofumpt,$(GOFUMPT_VERSION),mvdan.cc/gofumpt))
$(eval $(call tool,staticcheck,$(STATICCHECK_VERSION),honnef.co/go/tools/cmd/staticcheck))
$(eval $(call tool,govulncheck,$(GOVULNCHECK_VERSION),golang.org/x/vuln/cmd/govulncheck))
$(eval $(call tool,buf,$(BUF_VERSION),github.com/bufbuild/buf/cmd/buf))
$(eval $(call tool,gotestsum,$(GOTESTSUM_VERSION),gotest.tools/gotestsum))
