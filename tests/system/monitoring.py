"""A Prometheus of the test's own that watches a broker, with the rules that are shipped, for tests.

The rules are as they are shipped, but for their times, which are scaled down in a copy.
"""

import json
import re
import subprocess
from pathlib import Path

import mdp_harness as harness
from programs import ProgramTest
from reeve_peer import ReevePeer

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus/reeve-alerts.yml"
SCALED = {r"for: \d+m": "for: 1s", r"\[\d+m\]": "[10s]"}
PROMETHEUS = """
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [rules.yml]
scrape_configs:
- {job_name: reeve, static_configs: [{targets: ["%s"]}]}
- {job_name: reeve-worker, static_configs: [{targets: %s}]}
"""
ALERTING = """
alerting: {alertmanagers: [{static_configs: [{targets: ["%s"]}]}]}
"""


class MonitoredTest(ProgramTest):
    def server(self, *command):
        """Starts one that tells its address in its log; returns the address."""
        log = self.file(f"{command[0]}.log", "")
        with log.open("w") as stream:
            process = subprocess.Popen(
                list(map(str, command)), stderr=stream, stdout=subprocess.DEVNULL
            )
        self.addCleanup(self.end, process)
        listening = self.eventually(
            lambda: re.search(r'msg="Listening on" address=(\S+)', log.read_text()),
            f"{command[0]} does not listen",
        )
        return listening[1]

    @staticmethod
    def end(process):
        process.terminate()
        try:
            process.wait(harness.PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def served(self, **defaults):
        """A broker with an HTTP address; returns both."""
        broker = self.broker({"http": "127.0.0.1:0"}, defaults)
        return broker, f"127.0.0.1:{broker.wait('serving_http')['port']}"

    def prometheus(self, target, workers=(), alertmanager=None):
        """Starts one that scrapes a broker and workers; returns its address."""
        rules = RULES.read_text()
        for pattern, replacement in SCALED.items():
            rules, count = re.subn(pattern, replacement, rules)
            self.assertGreater(count, 0, pattern)
        self.file("rules.yml", rules)
        config = PROMETHEUS % (target, json.dumps(workers)) + (ALERTING % alertmanager if alertmanager else "")
        address = self.server(
            *("prometheus", "--web.listen-address=127.0.0.1:0"),
            f"--storage.tsdb.path={self.file('prometheus')}",
            f"--config.file={self.file('prometheus.yml', config)}",
        )
        log = self.file("prometheus.log")
        self.eventually(lambda: "Server is ready" in log.read_text(), "Prometheus is not ready")
        return address

    def peer(self, broker):
        peer = self.enterContext(ReevePeer(broker.tcp))
        peer.hello()
        return peer
