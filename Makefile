# Each target is the command you would type. `make help` lists them.

GO ?= go

# Nothing here needs C: programs are static, start on any release, and are the same wherever they are built.
export CGO_ENABLED = 0
RELEASE = -trimpath -ldflags '-s -w -buildid='

# The e2e tests and their packages; what else those test, make test does.
E2E = $(shell grep -rl --include='*_test.go' '^//go:build e2e' .)
E2ETESTS = $(shell grep -ho '^func Test[A-Za-z0-9_]*' $(E2E) | cut -d ' ' -f 2 | paste -s -d '|')

.PHONY: help build writers test lint race e2e full full-status demo dist bench fuzz tools vm

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

build: writers ## build ./groundhog, with the device's half of flash in it
	$(GO) build $(RELEASE) -o groundhog ./cmd/groundhog

writers: ## compile groundhog-writer for the devices' architectures, to be embedded
	$(GO) run ./cmd/internal/writers/build cmd/groundhog/writers

test: ## what needs neither root nor network beyond Go modules; of each long list of cases a few, e2e has all
	$(GO) test -p 6 -parallel 4 -timeout 30m ./...

# Left out are deprecated names (SA1019: dropbear's formats have DSA, whatever we think of it) and capitals in
# errors (ST1005: options of ssh_config have them).
lint: ## go vet and staticcheck, as the module's own tool, of everything
	$(GO) vet -tags e2e,full,man ./...
	$(GO) tool staticcheck -checks inherit,-SA1019,-ST1005 -tags e2e,full,man ./...

race: export CGO_ENABLED = 1
race: ## all tests but those that measure memory under the race detector; needs gcc
	$(GO) test -race -timeout 60m ./...

tools: ## install, with apt and as root, what e2e and demo need
	$(GO) run ./fixtures/vm install

e2e: writers tools ## real targets from Debian's packages, patched, read by Debian's tools, booted in QEMU; all cases of long lists
	GROUNDHOG_REQUIRE_TOOLS=1 $(GO) test -tags e2e -timeout 60m -parallel 3 -p 2 \
		-run '^($(E2ETESTS))$$' $(sort $(dir $(E2E)))

full: writers tools ## every test there is, and ten minutes of each fuzz target; goes on where it stopped; ONLY=REGEXP
	$(GO) run ./fixtures/full -run '$(ONLY)'

full-status: ## list what has not passed at this commit, and since which one
	@$(GO) run ./fixtures/full -status

demo: ## the main job on a small real target: patch it, look at it, boot it, log in
	sh fixtures/demo.sh

dist: ## tarballs and Debian packages for amd64 and arm64 in ./dist, the same bytes of the same commit anywhere
	$(GO) run ./cmd/internal/release dist

bench: ## time and memory against the tools one would use instead, in one run
	$(GO) run ./fixtures/bench
	$(GO) test -run '^$$' -bench Diff ./manifest/diff
	$(GO) run ./fixtures/bench/flash
	$(GO) run ./fixtures/bench/cm3

fuzz: ## each fuzz target for 20 seconds
	sh fixtures/fuzz.sh 20s

vm: ## boot a device in QEMU from its own disk; prints how to log in and what to try
	sh fixtures/boot.sh
