"""The shipped alerts from a broker to a webhook, through Prometheus and Alertmanager as they are.

Usage: test_alerting.py BUILD_DIR. The rules are those that are shipped, but for their times, which are
scaled down in a copy.
"""

import http.server
import json
import queue
import re
import subprocess
import threading
from pathlib import Path

import mdp_harness as harness
from programs import ProgramTest
from reeve_peer import ReevePeer

RULES = Path(__file__).resolve().parents[2] / "deploy/prometheus/reeve-alerts.yml"
SCALED = {r"for: \d+m": "for: 1s", r"\[\d+m\]": "[10s]"}
FAIL = 2
PROMETHEUS = """
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [rules.yml]
scrape_configs: [{job_name: reeve, static_configs: [{targets: ["%s"]}]}]
alerting: {alertmanagers: [{static_configs: [{targets: ["%s"]}]}]}
"""
ALERTMANAGER = """
route: {receiver: test, group_by: [...], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers: [{name: test, webhook_configs: [{url: "%s", send_resolved: true}]}]
"""


class Webhook:
    """Receives what Alertmanager sends."""

    def __init__(self):
        received = self.received = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()
                for alert in body["alerts"]:
                    received.put(alert)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def wait(self, name, status):
        """The next alert of this name with this status; others are passed over."""
        while True:
            try:
                alert = self.received.get(timeout=2 * harness.PATIENCE_S)
            except queue.Empty:
                raise AssertionError(f"{name} was never {status}") from None
            if (alert["labels"]["alertname"], alert["status"]) == (name, status):
                return alert


class Alerting(ProgramTest):
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

    def watched(self, **defaults):
        """A broker that is watched; returns it and the webhook."""
        broker = self.broker({"http": "127.0.0.1:0"}, defaults)
        port = broker.wait("serving_http")["port"]
        webhook = Webhook()
        self.addCleanup(webhook.close)
        rules = RULES.read_text()
        for pattern, replacement in SCALED.items():
            rules, count = re.subn(pattern, replacement, rules)
            self.assertGreater(count, 0, pattern)
        self.file("rules.yml", rules)
        alertmanager = self.server(
            *("prometheus-alertmanager", "--web.listen-address=127.0.0.1:0"),
            *("--cluster.listen-address=", f"--storage.path={self.file('alertmanager')}"),
            f"--config.file={self.file('alertmanager.yml', ALERTMANAGER % webhook.url)}",
        )
        config = PROMETHEUS % (f"127.0.0.1:{port}", alertmanager)
        self.server(
            *("prometheus", "--web.listen-address=127.0.0.1:0"),
            f"--storage.tsdb.path={self.file('prometheus')}",
            f"--config.file={self.file('prometheus.yml', config)}",
        )
        return broker, webhook

    def peer(self, broker):
        peer = self.enterContext(ReevePeer(broker.tcp))
        peer.hello()
        return peer

    def test_a_backlog_fires_and_resolves(self):
        broker, webhook = self.watched()
        client = self.peer(broker)
        for i in range(101):
            client.submit(f"t{i}", "email")
        alert = webhook.wait("ReeveQueueBacklog", "firing")
        self.assertEqual(alert["annotations"]["summary"], "101 tasks wait in the queue email.")
        self.assertEqual(alert["labels"]["queue"], "email")
        worker = self.peer(broker)
        worker.ready("w", "email")
        worker.delivery()
        webhook.wait("ReeveQueueBacklog", "resolved")

    def test_failing_attempts_fire_and_resolve(self):
        broker, webhook = self.watched(**{"max-retries": 1_000_000, "backoff-max": "10ms"})
        client, worker = self.peer(broker), self.peer(broker)
        worker.ready("w", "sms")
        client.submit("a", "sms", task_name="send_sms")
        stop = threading.Event()
        self.addCleanup(stop.set)

        def fail():
            while not stop.is_set():
                delivery = worker.delivery()
                worker.settle(delivery["token"], FAIL, reason="no_network")
                worker.expect("SETTLED")
            worker.send("GOODBYE")

        failing = threading.Thread(target=fail)
        failing.start()
        try:
            alert = webhook.wait("ReeveTaskFailureRate", "firing")
        finally:
            stop.set()
            failing.join(harness.PATIENCE_S)
        self.assertEqual(alert["annotations"]["summary"], "100% of the attempts at send_sms fail.")
        webhook.wait("ReeveTaskFailureRate", "resolved")

    def test_a_broker_that_is_gone(self):
        broker, webhook = self.watched()
        broker.kill()
        webhook.wait("ReeveBrokerDown", "firing")
        self.addCleanup(setattr, broker, "stop", lambda: None)


harness.main()
