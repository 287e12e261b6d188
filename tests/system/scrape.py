"""What a Prometheus server would read from one of the programs, for tests.

    page = scrape(url)
    page.value("task_queue_length", queue="email")
"""

import json
import re
import subprocess
import urllib.request
from pathlib import Path

from mdp_harness import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([-+.\dA-Za-z]+)')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)', re.DOTALL)
ESCAPED = re.compile(r"\\(.)")


def unescape(text):
    return ESCAPED.sub(lambda match: {"n": "\n"}.get(match[1], match[1]), text)


def read_labels(text):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        if match is None or match[1] in labels:
            raise AssertionError(f"no labels: {text}")
        labels[match[1]] = unescape(match[2])
        at = match.end()
    return labels


class Page:
    """One answer, taken apart. Each sample is (name, labels, value); a series may be there once."""

    def __init__(self, text, content_type=""):
        self.text = text
        self.content_type = content_type
        self.types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
        self.samples = []
        for line in text.split("\n")[:-1]:
            if not line.startswith("#"):
                self.samples.append(self.read(line))
        series = [(name, *sorted(labels.items())) for name, labels, _ in self.samples]
        if len(set(series)) != len(series):
            raise AssertionError(f"a series is there twice:\n{text}")

    @staticmethod
    def read(line):
        match = SAMPLE.fullmatch(line)
        if match is None:
            raise AssertionError(f"no sample: {line}")
        return match[1], read_labels(match[2] or ""), float(match[3])

    def all(self, metric, **labels):
        """The samples of this name that have these labels, as (labels, value)."""
        return [
            (found, value)
            for name, found, value in self.samples
            if name == metric and labels.items() <= found.items()
        ]

    def value(self, metric, **labels):
        """Of the one sample with exactly these labels; None when it is not there."""
        for found, value in self.all(metric, **labels):
            if found == labels:
                return value
        return None

    def by(self, label, metric, **labels):
        """{value of the label: value of the sample}"""
        return {found[label]: value for found, value in self.all(metric, **labels)}

    def buckets(self, metric, **labels):
        """[(le as text, count)] of a histogram, in the order of the page."""
        return [(f["le"], v) for f, v in self.all(f"{metric}_bucket", **labels)]


def fetch(url, accept=None):
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        return Page(response.read().decode(), response.headers["Content-Type"])


def assert_histograms_add_up(test, page):
    """Of each histogram: bounds ascend, counts are cumulative, and the last one is the count."""
    names = [name for name, kind in page.types.items() if kind == "histogram"]
    test.assertGreaterEqual(len(names), 1)
    for name in names:
        for labels, count in page.all(f"{name}_count"):
            counts = [v for _, v in page.buckets(name, **labels)]
            test.assertEqual(counts, sorted(counts), (name, labels))
            test.assertEqual(counts[-1], count, (name, labels))
            bounds = [float(le) for le, _ in page.buckets(name, **labels)]
            test.assertEqual(bounds, sorted(set(bounds)), (name, labels))
            test.assertEqual(bounds[-1], float("inf"), (name, labels))
            test.assertIsNotNone(page.value(f"{name}_sum", **labels))


def assert_in_manual(test, page, title):
    """This section of docs/operations.md has the metrics of the page, their types and their labels."""
    manual = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    section = manual.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    told = {}
    for names, kind, labels in re.findall(r"^\| (`.*?`) \| (\w+) \| (.*?) ?\|", section, re.M):
        for name in re.findall(r"`(\w+)`", names):
            told[name] = (kind, set(re.findall(r"`(\w+)`", labels)))
    test.assertEqual({name: kind for name, (kind, _) in told.items()}, page.types)
    for name, (kind, labels) in told.items():
        sample = f"{name}_sum" if kind == "histogram" else name
        test.assertIn(labels, [set(of) for of, _ in page.all(sample)], name)


def assert_on_dashboard(test, page, job):
    """The dashboard asks of what this job scrapes for the metrics of the page, all and no others."""
    dashboard = json.loads((ROOT / "deploy/grafana/reeve.json").read_text(encoding="utf-8"))
    shown = set()
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            shown.update(re.findall(rf'\b(\w+){{job="{job}"', target["expr"]))
    bases = {re.sub("_(bucket|sum|count)$", "", name) for name in shown - {"up"}}
    test.assertEqual(sorted(bases), sorted(page.types))


def promtool(*arguments, stdin=None):
    """Runs promtool; returns what it complained about, "" for nothing."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr or f"{done.returncode}"
