"""deploy/prometheus: its configuration is valid; its alerts fire when they should, and are explained.

When they fire and when not is in deploy/prometheus/tests, for promtool.
"""

import re
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = ROOT / "deploy/prometheus"
CONFIG = DIRECTORY / "prometheus.yml"
RULES = DIRECTORY / "reeve-alerts.yml"
LIMIT_S = 100
ALERT = re.compile(r"^ +- alert: (\w+)$", re.MULTILINE)


def promtool(*arguments):
    return subprocess.run(
        ["promtool", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


class Alerts(unittest.TestCase):
    def setUp(self):
        self.text = RULES.read_text()
        self.alerts = ALERT.findall(self.text)
        self.assertIn("ReeveQueueBacklog", self.alerts)

    def test_the_rules_are_valid(self):
        done = promtool("check", "rules", RULES)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_they_fire_and_are_quiet(self):
        files = sorted((DIRECTORY / "tests").glob("*.yml"))
        self.assertGreaterEqual(len(files), 3)
        done = promtool("test", "rules", *files)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_each_is_seen_firing_and_quiet(self):
        tests = "".join(path.read_text() for path in (DIRECTORY / "tests").glob("*.yml"))
        for alert in self.alerts:
            self.assertIn(f"alertname: {alert}, eval_time", tests, "never seen quiet")
            self.assertIn(f"runbook_url: docs/operations.md#{alert.lower()}", tests, "never seen firing")

    def test_each_has_a_section_and_each_section_an_alert(self):
        document = (ROOT / "docs/operations.md").read_text()
        sections = re.findall(r"^### (Reeve\w+)$", document, re.MULTILINE)
        self.assertCountEqual(sections, self.alerts)
        anchors = re.findall(r"runbook_url: docs/operations\.md#(\w+)$", self.text, re.MULTILINE)
        self.assertEqual(anchors, [alert.lower() for alert in self.alerts])

    def test_every_metric_is_one_of_the_broker_or_the_worker(self):
        sources = ("broker/http/exposition.c", "worker/metrics.c")
        served = "".join((ROOT / source).read_text() for source in sources)
        used = set(re.findall(r"\b(?:task|reeve)_[a-z_]+(?=[ {>\[)<])", self.text))
        self.assertGreaterEqual(len(used), 7)
        for name in used:
            self.assertIn(f'"{re.sub("_count$", "", name)}"', served)


class Configuration(unittest.TestCase):
    def test_prometheus_takes_it_with_the_rules(self):
        done = promtool("check", "config", CONFIG)
        self.assertEqual(done.returncode, 0, done.stdout)
        rules = len(ALERT.findall(RULES.read_text()))
        self.assertIn(f"Checking {RULES}\n  SUCCESS: {rules} rules found", done.stdout)

    def test_the_jobs_that_alerts_name_are_scraped(self):
        jobs = re.findall(r"^  - job_name: (\S+)$", CONFIG.read_text(), re.MULTILINE)
        named = set(re.findall(r'job="(\w+)"', RULES.read_text()))
        self.assertIn("reeve", named)
        self.assertLessEqual(named, set(jobs))


unittest.main()
