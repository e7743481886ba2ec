# make demo    the main job, on repositories and a log made for it
# make test    everything: lint, unit tests, scripts, suites against real servers
# make build   bin/trustomize
# make schema  docs/policy.schema.json, after a change of policy's types

GO ?= go
VERSION ?= v0.0.0-dev
LDFLAGS := -s -w -X github.com/trustomize/trustomize.Version=$(VERSION)
# The race detector needs a C compiler.
RACE := $(shell command -v gcc >/dev/null 2>&1 && echo -race)

.PHONY: build schema demo test lint unit suite fuzz bench

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/trustomize ./cmd/trustomize

schema:
	$(GO) test ./policy -run '^TestSchema$$' -update
	$(GO) test ./internal/apidefaults -run '^TestDocument$$' -update

demo: build
	$(GO) -C test/peers/rekor build -o ../../../bin/rekor-server github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix
	$(GO) -C test/suite build -o ../../bin/rekorkey ./rekorkey
	sh examples/demo/demo.sh

test: lint unit suite

lint:
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo 'not gofmt-ed' >&2; exit 1; }
	@test -z "$$(git ls-files -z | xargs -0 sh -c 'find "$$@" -maxdepth 0 -size +1024k' find | tee /dev/stderr)" || { echo 'no source: larger than 1 MiB' >&2; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags kms_aws,kms_azure,kms_gcp,kms_hashivault ./signer
	$(GO) -C test/suite vet ./...
	$(GO) -C test/urls vet ./...
	$(GO) -C test/schema vet ./...
	$(GO) -C test/argocd vet ./...
	$(GO) -C test/deploy vet ./...
	$(GO) -C test/deploy/verifier vet ./...
	$(GO) -C test/peers/manifest vet ./...
	$(GO) -C test/lint build -o ../../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck ./...

unit:
	$(GO) test $(RACE) ./...

# Peers and servers are built from their modules; the first time takes minutes.
suite:
	$(GO) -C test/urls test ./...
	$(GO) -C test/schema test -count=1 ./...
	$(GO) -C test/deploy test -count=1 -timeout 30m ./...
	$(GO) -C test/argocd test -count=1 -timeout 30m ./...
	cd test/suite && TRUSTOMIZE_RACE=$(RACE) $(GO) test $(RACE) -count=1 -timeout 30m ./...

FUZZTIME ?= 30s
fuzz:
	@grep -rlE '^func Fuzz' --include=*_test.go . | while read -r file; do \
		for f in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\).*/\1/p' $$file); do \
			echo "$$f in $$(dirname $$file)"; \
			(cd $$(dirname $$file) && $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) .) || exit 1; \
		done; done

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...
	$(GO) -C test/argocd test -run '^$$' -bench . -benchtime 1x ./...
