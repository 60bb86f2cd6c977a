##@ Load
.PHONY: bin/loadtest
bin/loadtest:
	CGO_ENABLED=0 go build -trimpath -o $@ ./cmd/loadtest

LOADTEST_FLAGS ?= --rate 200 --ramp 2s --duration 8s --max-p99 1s --max-errors 0 --min-rate 95%

.PHONY: loadtest
loadtest: build bin/loadtest ##* Load a server of its own with LOADTEST_FLAGS for a short while (needs curl)
	scripts/loadtest.sh bin/tepal bin/loadtest $(LOADTEST_FLAGS)

.venv/locust: loadtest/requirements.txt

HOST       ?= http://localhost:8000
USERS      ?= 1000
SPAWN_RATE ?= 50
HEADLESS   ?=
RUN_TIME   ?=

.PHONY: locust
locust: .venv/locust ## Load HOST by Locust: a web page, or HEADLESS=1 (needs Python 3.11)
	.venv/locust/bin/locust --locustfile loadtest/locustfile.py --host '$(HOST)' --users $(USERS) --spawn-rate $(SPAWN_RATE) \
		$(if $(HEADLESS),--headless) $(if $(RUN_TIME),--run-time $(RUN_TIME))

# Built once, from source, in a minute: Go runs no tool of a module quicker.
bin/k6: tools/k6/go.mod
	CGO_ENABLED=0 go build -modfile=$< -trimpath -ldflags '-s -w' -o $@ go.k6.io/k6

RATE     ?= 100
DURATION ?= 30s

.PHONY: k6
k6: bin/k6 ## Load HOST by k6, with RATE, DURATION and the gates MAX_P95, MAX_P99, MAX_ERRORS, MIN_RATE
	@HOST='$(HOST)' RATE='$(RATE)' DURATION='$(DURATION)' bin/k6 run --no-usage-report loadtest/k6.js

.PHONY: test-loadtests
test-loadtests: bin/k6 .venv/locust ## Load servers that answer rightly and wrongly by k6 and Locust themselves (needs Python 3.11)
	go vet -tags others ./loadtest
	go test -tags others -count=1 -run '^Test(K6|Locust)$$' ./loadtest
