# Reads /metrics in both formats with the parsers of Prometheus' client for Python, which are strict; prints what families there are.
# python3 openmetrics.py URL
import sys
import urllib.request
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics


def read(accept, parse, media):
    answer = urllib.request.urlopen(urllib.request.Request(sys.argv[1], headers={"Accept": accept}), timeout=10)
    assert answer.headers["Content-Type"].startswith(media), answer.headers["Content-Type"]
    families = list(parse(answer.read().decode()))
    for family in families:
        series = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
        assert series and len(series) == len(set(series)), f"{family.name}: a series is there twice, or none is"
    return {(family.name, family.type) for family in families}


text = read("text/plain;version=0.0.4", parser.text_string_to_metric_families, "text/plain;")
told = read(
    "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    openmetrics.text_string_to_metric_families,
    "application/openmetrics-text; version=1.0.0",
)
# The text knows no type for target_info.
assert told - {("target", "info")} == text - {("target_info", "gauge")}, told ^ text
print(*sorted(name for name, _ in told))
