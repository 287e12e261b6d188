"""The shipped alerts from a broker to a webhook, through Prometheus and Alertmanager as they are.

Usage: test_alerting.py BUILD_DIR
"""

import http.server
import json
import queue
import threading

import mdp_harness as harness
from monitoring import MonitoredTest

FAIL = 2
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


class Alerting(MonitoredTest):
    def watched(self, **defaults):
        """A broker that is watched; returns it and the webhook."""
        broker, target = self.served(**defaults)
        webhook = Webhook()
        self.addCleanup(webhook.close)
        alertmanager = self.server(
            *("prometheus-alertmanager", "--web.listen-address=127.0.0.1:0"),
            *("--cluster.listen-address=", f"--storage.path={self.file('alertmanager')}"),
            f"--config.file={self.file('alertmanager.yml', ALERTMANAGER % webhook.url)}",
        )
        self.prometheus(target, alertmanager=alertmanager)
        return broker, webhook

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
        # Not only held: from a worker that says nothing more it would come back to the queue.
        worker.settle(worker.delivery()["token"])
        worker.expect("SETTLED")
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
