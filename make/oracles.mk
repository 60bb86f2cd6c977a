##@ Oracles (need Python 3.11)
ORACLE := model/onnx/testdata
DRIFT  := telemetry/drift/testdata

.venv/oracle: $(ORACLE)/requirements.txt

.PHONY: oracle
oracle: .venv/oracle ## Record again what trainers, ONNX's reference and ONNX Runtime answer, and the drift that NumPy and SciPy compute
	.venv/oracle/bin/python $(ORACLE)/oracle.py
	.venv/oracle/bin/python $(DRIFT)/psi.py

.PHONY: oracle-check
oracle-check: .venv/oracle ## See that they still answer as recorded
	.venv/oracle/bin/python $(ORACLE)/oracle.py --check
	.venv/oracle/bin/python $(DRIFT)/psi.py --check

.venv/openmetrics: telemetry/testdata/requirements.txt

.PHONY: openmetrics-check
openmetrics-check: build .venv/openmetrics ## See that the strict parser of Prometheus's client for Python reads /metrics
	.venv/openmetrics/bin/python telemetry/testdata/openmetrics.py bin/tepal

.venv/w3c: telemetry/w3ctest/requirements.txt

.PHONY: test-w3c
test-w3c: ## Run the W3C's Trace Context harness, of which HARNESS is a checkout
	@test -f '$(HARNESS)/test/test.py' || \
		{ echo 'test-w3c: HARNESS=DIR must name a checkout of https://github.com/w3c/trace-context' >&2; exit 1; }
	$(MAKE) .venv/w3c
	CGO_ENABLED=0 go build -trimpath -o bin/w3ctest ./telemetry/w3ctest
	scripts/w3c.sh bin/w3ctest .venv/w3c/bin/python '$(HARNESS)'
