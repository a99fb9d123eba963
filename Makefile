# Each target is one line; what does not fit lives in the script it calls.
# The tools are pinned in tools/go.mod, the linters are listed in .golangci.yml.
.PHONY: test race lint sim fuzz bench cover tools

# Every test.
test: ; go test ./... && go -C store/etcd test ./... && go -C docs/plot test ./...

# Every test under the race detector.
race: ; go test -race -timeout 1h ./... && go -C store/etcd test -race -timeout 1h ./... && go -C docs/plot test -race ./...

# Format, vet, determinism, style, tidy go.mod, generated files, known vulnerabilities.
lint: ; lint/run.sh

# Every scenario over some hundreds of seeds, then every known bug put back and found.
sim: ; go run ./cmd/simrun run && go run ./cmd/simrun mutants

# Fresh seeds until the time is up: make fuzz FOR=5h
fuzz: ; go run ./cmd/simrun fuzz --for $(or $(FOR),60s)

# Every benchmark, with allocations.
bench: ; go test -run '^$$' -bench . -benchmem ./...

# Coverage by function; bin/cover.html shows it by line.
cover: ; mkdir -p bin && go test -coverpkg ./... -coverprofile bin/cover.out ./... && go tool cover -html bin/cover.out -o bin/cover.html && go tool cover -func bin/cover.out

# Downloads and builds the pinned tools, so that the first lint does not.
tools: ; go -C tools build -o /dev/null tool
