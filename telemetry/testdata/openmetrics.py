"""Reads /metrics by the parsers of Prometheus's client for Python, of which that for OpenMetrics is strict.

Usage: openmetrics.py BINARY. It starts the server, asks what is answered in several ways, scrapes, and stops it.
"""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

ROW = b'{"sepal_length":6.0,"sepal_width":2.7,"petal_length":5.1,"petal_width":1.6}'


def ask(url, data=None, **headers):
    """Returns the answer's body, whatever its status."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as response:
            return response.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def addresses(server):
    """Returns the addresses in the log, once the server is ready."""
    http = ops = None
    for line in server.stdout:
        event = json.loads(line)
        http, ops = event.get("http_addr", http), event.get("ops_addr", ops)
        if event["message"] == "ready":
            return f"http://{http}", f"http://{ops}"
    sys.exit("the server ended before it was ready")


def main():
    server = subprocess.Popen(
        [sys.argv[1], "serve", "--http-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--drain-delay", "0s"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        http, ops = addresses(server)
        for url, body in [("/predict", ROW), ("/predict", b"{}"), ("/models", None), ("/nothing", None)]:
            ask(http + url, body, **{"Content-Type": "application/json", "traceparent": f"00-{1:032x}-{1:016x}-01"})
        families = list(openmetrics(ask(ops + "/metrics", Accept="application/openmetrics-text; version=1.0.0")))
        classic = list(text(ask(ops + "/metrics", Accept="text/plain")))
    finally:
        server.terminate()
        server.communicate()
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family stands twice"
    assert sum(re.match("tepal_", name) is not None for name in names) > 10, names
    print(f"OpenMetrics: {len(families)} families, text: {len(classic)} families, all read by the strict parser")


main()
