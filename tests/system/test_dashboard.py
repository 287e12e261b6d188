"""The dashboard for Grafana shows something: each of its queries, asked of a Prometheus that watches
a broker where everything happens that the dashboard tells of. Usage: test_dashboard.py BUILD_DIR

Variables are replaced as Grafana does it. How the dashboard is laid out is tests/check's.
"""

import json
import math
import re
import threading
import urllib.error
import urllib.parse
import urllib.request

import mdp_harness as harness
from monitoring import DEPLOY, MonitoredTest

import reeve_peer as wire

DASHBOARD = DEPLOY / "grafana/reeve.json"
SUCCEED, FAIL, REJECT = 1, 2, 3
INTERVAL = "10s"  # as long as the ranges of the rules that monitoring.py has
FALLBACK = re.compile(r"\s+or vector\(0\)")  # 0 where there is nothing would hide that
LABEL_VALUES = re.compile(r"label_values\((.*), (\w+)\)")
LEGEND = re.compile(r"{{(\w+)}}")


def quoted(value):
    """As Grafana's data source for Prometheus puts a value into a regular expression in PromQL."""
    return re.sub(r"[$^*{}\[\]'+?.()|]", r"\\\\\g<0>", value.replace("\\", "\\\\\\\\"))


def chosen(values):
    """What the variable is replaced by when these are chosen."""
    return quoted(values[0]) if len(values) == 1 else f"({'|'.join(map(quoted, values))})"


class Prometheus:
    def __init__(self, address):
        self.url = f"http://{address}/api/v1"

    def ask(self, path, **parameters):
        url = f"{self.url}/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=harness.PATIENCE_S) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(f"{parameters}: {error.read().decode()}") from None

    def query(self, expression):
        """The labels of the series that have a value now; not a number is none."""
        data = self.ask("query", query=expression)
        return [s["metric"] for s in data["result"] if not math.isnan(float(s["value"][1]))]


class Work(threading.Thread):
    """Everything that can happen to a task and a message, again and again until the end."""

    def __init__(self, client, worker):
        super().__init__()
        self.client, self.worker = client, worker
        self.stopping = threading.Event()
        self.failure = None

    def run(self):
        try:
            rounds = 0
            while not self.stopping.is_set():
                self.one_round(f"{rounds}")
                rounds += 1
        except Exception as error:  # told by end()
            self.failure = error

    def end(self):
        self.stopping.set()
        self.join(harness.PATIENCE_S)
        if self.failure:
            raise self.failure

    def one_round(self, suffix):
        """One queue has a reeve-worker; the other one's worker is the test's."""
        good, failing, bad = f"good-{suffix}", f"failing-{suffix}", f"bad-{suffix}"
        for ident, name in ((good, "send_email"), (f"rejected-{suffix}", "no_handler")):
            self.client.submit(ident, "email", task_name=name)
            self.outcome(ident)
        self.client.submit(failing, "sms", task_name="send_sms")
        self.settle(FAIL, reason="no_network")
        self.settle()
        self.outcome(failing)
        self.client.submit(bad, "sms", task_name="send_sms")
        self.settle(REJECT, reason="no_number")
        self.outcome(bad)

    def settle(self, verdict=SUCCEED, **outcome):
        self.worker.settle(self.worker.delivery()["token"], verdict, duration_ms=20, **outcome)
        self.worker.expect("SETTLED")

    def outcome(self, ident):
        self.client.send("WAIT", corr=1, id=ident)
        self.client.expect("OUTCOME")


class Dashboard(MonitoredTest):
    def setUp(self):
        super().setUp()
        self.dashboard = json.loads(DASHBOARD.read_text())
        self.targets = [
            (panel, target)
            for panel in self.dashboard["panels"]
            for target in panel.get("targets", [])
        ]
        self.assertGreater(len(self.targets), 50)

    def busy_broker(self):
        """A broker where much goes wrong once, and more for as long as the test runs. Returns its
        address and that of a worker."""
        broker, target = self.served(**{"max-length": 1, "max-retries": 1})
        arguments = ("--http", "127.0.0.1:0", "--task", "send_email=cat")
        program = self.worker(broker.tcp, "email", *arguments)
        doomed, worker, client = (self.peer(broker) for _ in range(3))
        self.die_with_a_task(broker, client, doomed)
        worker.ready("w", "sms")
        self.be_refused(broker, client)
        work = Work(client, worker)
        work.start()
        self.addCleanup(work.end)
        return target, f"127.0.0.1:{program.log.wait('serving_http')['port']}"

    @staticmethod
    def die_with_a_task(broker, client, worker):
        worker.ready("doomed", "sms")
        client.submit("lost", "sms", task_name="send_sms")
        worker.delivery()
        worker.kill()
        broker.wait("lease_lost", task_id="lost")
        client.send("CANCEL", corr=1, id="lost")
        client.expect("DONE")

    def be_refused(self, broker, client):
        """Also leaves a task behind that nobody serves, about which an alert fires."""
        client.submit("one", "fax")
        client.submit("one", "fax")
        task = {"id": "two", "queue": "fax", "task_name": "job", "body": '{"args":[],"kwargs":{}}'}
        client.send("SUBMIT", first=7, task=[task])
        self.assertEqual(client.error(), (wire.QUEUE_FULL, 7))
        client.send("SUBMIT", first=8, task=[{**task, "id": "one", "task_name": "other"}])
        self.assertEqual(client.error(), (wire.CONFLICT, 8))
        client.send_raw(b"neither", b"nor")
        broker.refused("not_a_protocol")

    def replaced(self, expression, **choices):
        for name, text in {**choices, "__rate_interval": INTERVAL}.items():
            expression = expression.replace(f"${name}", text)
        self.assertNotRegex(expression, r"\$\w", "no variable of the dashboard")
        return FALLBACK.sub("", expression)

    def answers(self, prometheus, choices):
        """Waits until each query has an answer; returns (panel, target, the series' labels)."""
        missing = [
            (panel, target, self.replaced(target["expr"], **choices))
            for panel, target in self.targets
        ]
        found = []

        def ask():
            for one in list(missing):
                panel, target, expression = one
                series = prometheus.query(expression)
                if series:
                    missing.remove(one)
                    found.append((panel, target, series))
            return not missing

        try:
            self.eventually(ask, "no data")
        except AssertionError:
            empty = [f"{panel['title']}: {expression}" for panel, _, expression in missing]
            raise AssertionError("no data for\n" + "\n".join(empty)) from None
        return found

    def test_every_query_has_data(self):
        target, worker = self.busy_broker()
        prometheus = Prometheus(self.prometheus(target, [worker]))
        variables = {
            v["name"]: v for v in self.dashboard["templating"]["list"] if v["type"] == "query"
        }
        everything = {name: v["allValue"] for name, v in variables.items()}
        for panel, query, series in self.answers(prometheus, everything):
            for label in self.labels_shown(panel, query):
                for one in series:
                    self.assertIn(label, one, f"{panel['title']}: {query['expr']}")

        offered = {}
        for name, variable in variables.items():
            metric, label = LABEL_VALUES.fullmatch(variable["query"]["query"]).groups()
            match = {"match[]": self.replaced(metric, **everything)}
            offered[name] = prometheus.ask(f"label/{label}/values", **match)
        self.assertEqual(
            offered,
            {
                "instance": [target],
                "worker": [worker],
                "queue": ["email", "fax", "sms"],
                "task": ["no_handler", "send_email", "send_sms"],
            },
        )
        self.answers(prometheus, {name: chosen(values) for name, values in offered.items()})

    @staticmethod
    def labels_shown(panel, target):
        """Labels that the legend of this query shows, or that are columns of a table."""
        labels = LEGEND.findall(target.get("legendFormat", ""))
        if panel["type"] == "table" and target["refId"] == "A":
            (organize,) = (t for t in panel["transformations"] if t["id"] == "organize")
            columns = organize["options"]["renameByName"]
            labels += [name for name in columns if not name.startswith("Value #")]
        return labels


harness.main()
