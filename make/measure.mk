##@ Measure (needs Linux; ARGS for more flags)
# Runs a suite of bin/bench, into its section of the page.
measure = CGO_ENABLED=0 go build -trimpath -o bin/bench ./bench && bin/bench $(1) --commit '$(VERSION)' --write docs/performance.md

.PHONY: bench-telemetry
bench-telemetry: ## Measure what telemetry costs, into docs/performance.md
	$(call measure,telemetry) --rounds 9 $(ARGS)

.PHONY: bench-peers
bench-peers: build bin/models .venv/peer ## Measure Tepal, a bare handler and a service in Python, into docs/performance.md (needs Python 3.11)
	$(call measure,peers) --duration 4s $(ARGS)

.PHONY: bench-scale
bench-scale: build bin/models ## Measure trees, features, rows and processors, into docs/performance.md (needs Python 3.11)
	$(call measure,scale) $(ARGS)

.PHONY: bench-gc
bench-gc: build bin/models ## Measure paces of the garbage collector, into docs/performance.md (needs Python 3.11)
	$(call measure,gc) --rounds 9 $(ARGS)

.venv/peer: bench/peer/requirements.txt

bin/models: bench/peer/train.py | .venv/oracle
	.venv/oracle/bin/python $< $@
	touch $@

.PHONY: bench-compare
bench-compare: ## Compare the benchmarks that match BENCH with those of BASE, a commit or tag, by benchstat
	scripts/bench-compare.sh '$(BASE)' '$(BENCH)' $(call tool,benchstat)
