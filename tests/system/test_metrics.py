"""GET /metrics of a running broker: names, labels and values. Usage: test_metrics.py BUILD_DIR

Peers that the test drives message by message do the work, so that every number is known. The names of
the first three metrics and their labels are a promise; nothing here is to be renamed with the code.
"""

import http.client
import threading

import mdp_harness as harness
import reeve_peer as wire
from programs import ProgramTest
from reeve_peer import ReevePeer
from scrape import (
    OPENMETRICS,
    assert_histograms_add_up,
    assert_in_manual,
    assert_on_dashboard,
    fetch,
    promtool,
)

SUCCEED, FAIL, REJECT, RELEASE = 1, 2, 3, 4
AWKWARD = 'the "quick"\\n br\\own fuchs für 5 €'
TASK_NAMES, QUEUES, REASONS = 500, 1000, 32
JOB = {"queue": "q", "task_name": "job", "body": '{"args":[],"kwargs":{}}'}


class MetricsTest(ProgramTest):
    def serving(self, config=None, defaults=None):
        """A broker that serves HTTP; returns it and its URL."""
        broker = self.broker({"http": "127.0.0.1:0", **(config or {})}, defaults)
        self.port = broker.wait("serving_http")["port"]
        return broker, f"http://127.0.0.1:{self.port}"

    def peer(self, broker):
        peer = self.enterContext(ReevePeer(broker.tcp))
        peer.hello()
        return peer

    def worker(self, broker, *queues, name="w", prefetch=1):
        peer = self.peer(broker)
        peer.ready(name, *queues, prefetch=prefetch)
        broker.wait("worker_joined", worker_id=name)
        return peer

    def work(self, worker, verdict=SUCCEED, **outcome):
        """Takes the next delivery and settles it; what it did is durable when this returns."""
        delivery = worker.delivery()
        worker.settle(delivery["token"], verdict, **outcome)
        worker.expect("SETTLED")
        return delivery

    def confirmed(self, client, count):
        """Waits until so many submissions are confirmed."""
        while count > 0:
            count -= sum(r["count"] for r in client.expect("CONFIRM")["range"])

    def finish_all(self, worker, count, **outcome):
        """Finishes so many tasks."""
        while count > 0:
            name, fields = worker.expect("DELIVER", "SETTLED")
            if name == "DELIVER":
                done = [{"token": d["token"], "verdict": SUCCEED} for d in fields["delivery"]]
                worker.send("SETTLE", first=1, settlement=[{**one, **outcome} for one in done])
            else:
                count -= sum(r["count"] for r in fields["range"])


class Contract(MetricsTest):
    def test_queue_length_counts_what_waits_and_is_due(self):
        broker, url = self.serving()
        client = self.peer(broker)
        for i in range(3):
            client.submit(f"e{i}", "email")
        client.submit("s", "sms")
        client.submit("later", "email", delay_ms=3_600_000)
        page = fetch(f"{url}/metrics")
        self.assertEqual(page.types["task_queue_length"], "gauge")
        self.assertEqual(page.all("task_queue_length"), [({"queue": "email"}, 3), ({"queue": "sms"}, 1)])
        self.assertEqual(page.by("queue", "reeve_tasks_scheduled"), {"email": 1, "sms": 0})
        self.worker(broker, "email").delivery()
        page = fetch(f"{url}/metrics")
        self.assertEqual(page.by("queue", "task_queue_length"), {"email": 2, "sms": 1})
        self.assertEqual(page.by("queue", "reeve_tasks_in_flight"), {"email": 1, "sms": 0})

    def test_durations_are_a_histogram_by_task_name(self):
        broker, url = self.serving(defaults={"max-retries": 0})
        client, worker = self.peer(broker), self.worker(broker, "q")
        known = (("a", 1, SUCCEED), ("b", 5, SUCCEED), ("c", 6, FAIL), ("d", 90_000, SUCCEED))
        for ident, duration_ms, verdict in known:
            client.submit(ident, "q", task_name="send_email_async")
            self.work(worker, verdict, duration_ms=duration_ms)
        client.submit("e", "q", task_name="other_task")
        self.work(worker, duration_ms=3_700_000)
        page = fetch(f"{url}/metrics")
        name = "task_process_duration_seconds"
        self.assertEqual(page.types[name], "histogram")
        self.assertEqual(set(page.by("task", f"{name}_count")), {"send_email_async", "other_task"})
        labels = {"task": "send_email_async"}
        self.assertEqual(page.value(f"{name}_count", **labels), 4)
        self.assertAlmostEqual(page.value(f"{name}_sum", **labels), 90.012)
        expected = [("0.005", 2), ("0.01", 3), ("0.025", 3), ("0.05", 3), ("0.1", 3), ("0.25", 3)]
        expected += [("0.5", 3), ("1.0", 3), ("2.5", 3), ("5.0", 3), ("10.0", 3), ("30.0", 3)]
        expected += [("60.0", 3), ("300.0", 4), ("900.0", 4), ("3600.0", 4), ("+Inf", 4)]
        self.assertEqual(page.buckets(name, **labels), expected)
        self.assertEqual(page.buckets(name, task="other_task")[-2:], [("3600.0", 0), ("+Inf", 1)])

    def test_failures_are_counted_by_task_and_reason(self):
        broker, url = self.serving(defaults={"max-retries": 1})
        client, worker = self.peer(broker), self.worker(broker, "q")
        client.submit("a", "q", task_name="send_sms")
        self.work(worker, FAIL, reason="rate_limited")
        self.work(worker, FAIL, reason="rate_limited")
        client.submit("b", "q", task_name="send_sms")
        self.work(worker, REJECT, reason="no_number")
        client.submit("c", "q", task_name="send_fax")
        self.work(worker, FAIL)
        self.work(worker)
        client.submit("d", "q", task_name="send_fax")
        self.work(worker, RELEASE)
        self.work(worker)
        page = fetch(f"{url}/metrics")
        self.assertEqual(page.types["task_failures_total"], "counter")
        self.assertCountEqual(
            page.all("task_failures_total"),
            [
                ({"task": "send_sms", "reason": "rate_limited"}, 2),
                ({"task": "send_sms", "reason": "no_number"}, 1),
                ({"task": "send_fax", "reason": "unknown"}, 1),
            ],
        )
        self.assertEqual(
            page.by("reason", "reeve_task_retries_total", queue="q"),
            {"rate_limited": 1, "unknown": 1},
        )
        self.assertEqual(page.by("queue", "reeve_dead_letters"), {"q": 2})
        self.assertEqual(
            page.by("state", "reeve_tasks_finished_total", queue="q"),
            {"success": 2, "failed": 2, "cancelled": 0, "expired": 0},
        )
        self.assertEqual(page.value("reeve_tasks_submitted_total", queue="q"), 4)
        self.assertEqual(page.value("reeve_attempts_started_total", queue="q"), 7)

    def test_names_with_quotes_backslashes_and_other_scripts(self):
        broker, url = self.serving(defaults={"max-retries": 0})
        client, worker = self.peer(broker), self.worker(broker, AWKWARD)
        client.submit("a", AWKWARD, task_name=AWKWARD)
        reason = 'two\nlines, "quoted"\\'
        self.work(worker, FAIL, reason=reason)
        page = fetch(f"{url}/metrics")
        self.assertEqual(page.value("task_queue_length", queue=AWKWARD), 0)
        self.assertEqual(page.value("task_failures_total", task=AWKWARD, reason=reason), 1)
        self.assertEqual(page.value("task_process_duration_seconds_count", task=AWKWARD), 1)
        self.assertEqual(promtool("check", "metrics", stdin=page.text), "")

    def test_a_reason_with_a_zero_byte_makes_no_second_series_of_the_same_name(self):
        broker, url = self.serving(defaults={"max-retries": 0})
        client, worker = self.peer(broker), self.worker(broker, "q")
        for i, reason in enumerate(("down", "down\0a", "down\0a", "\0")):
            client.submit(f"t{i}", "q")
            self.work(worker, FAIL, reason=reason)
        page = fetch(f"{url}/metrics")
        self.assertEqual(page.by("reason", "task_failures_total"), {"down": 3, "unknown": 1})


class Broker(MetricsTest):
    def test_workers_slots_and_tasks_in_flight(self):
        broker, url = self.serving()
        client = self.peer(broker)
        for i in range(3):
            client.submit(f"t{i}", "q")
        one = self.worker(broker, "q", "p", name="one", prefetch=2)
        self.assertEqual(len(one.expect("DELIVER")["delivery"]), 2)
        two = self.worker(broker, "q", name="two", prefetch=5)
        self.assertEqual(len(two.expect("DELIVER")["delivery"]), 1)
        page = fetch(f"{url}/metrics")
        self.assertEqual(
            page.by("protocol", "reeve_workers"), {"reeve": 2, "mdp01": 0, "mdp02": 0}
        )
        self.assertEqual(
            page.by("state", "reeve_worker_slots", protocol="reeve"), {"busy": 3, "idle": 4}
        )
        self.assertEqual(page.by("queue", "reeve_queue_workers"), {"q": 2, "p": 1})
        self.assertEqual(page.value("reeve_tasks_in_flight", queue="q"), 3)
        self.assertEqual(page.value("reeve_connections"), 3)

    def test_who_said_goodbye_is_not_remembered(self):
        broker, url = self.serving()
        for _ in range(3):
            self.peer(broker).send("GOODBYE")
        self.eventually(
            lambda: fetch(f"{url}/metrics").value("reeve_connections") == 0, "they are remembered"
        )

    def test_a_client_that_has_ended_is_not_remembered(self):
        broker, url = self.serving()
        self.reeve(broker.tcp, "queues")
        self.eventually(
            lambda: fetch(f"{url}/metrics").value("reeve_connections") == 0, "it is remembered"
        )

    def test_the_oldest_waiting_task_is_as_old_as_it_says(self):
        broker, url = self.serving()
        client = self.peer(broker)
        hour_ago = wire.mdp.time.time() * 1000 - 3_600_000
        client.submit("old", "q", created_at_ms=int(hour_ago))
        client.submit("new", "q")
        client.submit("only", "p")
        age = fetch(f"{url}/metrics").by("queue", "reeve_oldest_waiting_seconds")
        self.assertGreaterEqual(age["q"], 3600)
        self.assertLess(age["q"], 3600 + harness.PATIENCE_S)
        self.assertLess(age["p"], harness.PATIENCE_S)
        worker = self.worker(broker, "p")
        self.work(worker)
        self.assertEqual(fetch(f"{url}/metrics").value("reeve_oldest_waiting_seconds", queue="p"), 0)

    def test_what_is_refused_repeated_or_too_late_is_counted(self):
        broker, url = self.serving(defaults={"max-length": 1})
        client, worker = self.peer(broker), self.worker(broker, "work", "tail")
        client.submit("a", "q")
        client.submit("a", "q")
        for fields, code in (
            ({**JOB, "id": "a", "body": '{"args":[1]}'}, wire.CONFLICT),
            ({**JOB, "id": "b"}, wire.QUEUE_FULL),
            ({**JOB, "id": "c"}, wire.QUEUE_FULL),
            ({**JOB, "id": "no good", "queue": "p"}, wire.BAD_ID),
        ):
            client.send("SUBMIT", first=7, task=[fields])
            self.assertEqual(client.error(), (code, 7))
        client.submit("w", "work")
        token = self.work(worker)["token"]
        worker.settle(token, corr=9)
        self.assertEqual(worker.error(), (wire.STALE_ATTEMPT, 9))
        client.send_raw(b"neither", b"nor")
        broker.refused("not_a_protocol")
        page = fetch(f"{url}/metrics")
        self.assertEqual(page.value("reeve_duplicate_submissions_total"), 1)
        self.assertEqual(page.value("reeve_conflicting_submissions_total"), 1)
        self.assertEqual(page.value("reeve_stale_acks_total"), 1)
        self.assertEqual(
            page.by("error", "reeve_refusals_total"),
            {"conflict": 1, "queue_full": 2, "bad_id": 1, "stale_attempt": 1},
        )
        self.assertEqual(page.value("reeve_peers_refused_total", reason="not_a_protocol"), 1)

    def test_a_worker_that_dies_with_a_task(self):
        broker, url = self.serving()
        client = self.peer(broker)
        doomed = self.worker(broker, "q", name="doomed")
        client.submit("a", "q", task_name="t")
        doomed.delivery()
        doomed.kill()
        broker.wait("lease_lost", task_id="a")
        page = fetch(f"{url}/metrics")
        self.assertEqual(page.value("reeve_leases_lost_total"), 1)
        self.assertEqual(page.value("task_failures_total", task="t", reason="worker_lost"), 1)
        self.assertEqual(page.value("task_process_duration_seconds_count", task="t"), 0)
        self.assertEqual(page.value("reeve_tasks_in_flight", queue="q"), 0)
        self.assertEqual(page.value("reeve_task_retries_total", queue="q", reason="worker_lost"), 1)

    def test_commits_and_their_changes(self):
        broker, url = self.serving()
        client = self.peer(broker)
        for i in range(3):
            client.submit(f"t{i}", "q")
        page = fetch(f"{url}/metrics")
        self.assertEqual(page.value("reeve_commit_seconds_count"), 3)
        self.assertEqual(page.value("reeve_commit_changes_sum"), 3)
        self.assertEqual(page.value("reeve_commit_changes_bucket", le="1.0"), 3)
        self.assertGreater(page.value("reeve_commit_seconds_sum"), 0)
        client.send("SUBMIT", first=1, task=[{"id": f"b{i}", **JOB} for i in range(100)])
        self.confirmed(client, 100)
        page = fetch(f"{url}/metrics")
        self.assertEqual(page.value("reeve_commit_changes_sum"), 103)

    def test_the_database_and_its_disk(self):
        _, url = self.serving({"disk-reserve": "3M"})
        page = fetch(f"{url}/metrics")
        self.assertGreater(page.value("reeve_store_database_bytes"), 0)
        self.assertGreater(page.value("reeve_disk_free_bytes"), 0)
        self.assertEqual(page.value("reeve_disk_reserve_bytes"), 3 << 20)

    def test_build_info_and_uptime(self):
        _, url = self.serving()
        page = fetch(f"{url}/metrics")
        ((labels, one),) = page.all("reeve_build_info")
        self.assertEqual((set(labels), one), ({"version"}, 1))
        self.assertRegex(labels["version"], r"^\d+\.\d+\.\d+$")
        self.assertGreaterEqual(page.value("reeve_uptime_seconds"), 0)


class Bounds(MetricsTest):
    """Names come from peers: what is beyond a bound is summed up, and told."""

    def test_more_task_names_than_have_series(self):
        broker, url = self.serving({"log-task-rate": 0})
        client = self.peer(broker)
        count = TASK_NAMES + 20
        for i in range(count):
            client.submit(f"t{i}", "q", task_name=f"name{i}")
        self.finish_all(self.worker(broker, "q", prefetch=1000), count)
        page = fetch(f"{url}/metrics")
        counts = page.by("task", "task_process_duration_seconds_count")
        self.assertEqual(len(counts), TASK_NAMES + 1)
        self.assertEqual(counts.pop("other"), 20)
        self.assertEqual(set(counts.values()), {1})
        self.assertEqual(page.value("reeve_metric_label_overflow", label="task"), 20)
        self.assertEqual(promtool("check", "metrics", stdin=page.text), "")

    def test_more_reasons_than_have_series(self):
        broker, url = self.serving(defaults={"max-retries": 0})
        client, worker = self.peer(broker), self.worker(broker, "q")
        for i in range(REASONS + 3):
            client.submit(f"t{i}", "q")
            self.work(worker, FAIL, reason=f"reason{i}")
        page = fetch(f"{url}/metrics")
        counts = page.by("reason", "task_failures_total", task="job")
        self.assertEqual((len(counts), counts["other"]), (REASONS + 1, 3))
        self.assertEqual(page.value("reeve_metric_label_overflow", label="reason"), 3)

    def test_more_queues_than_have_series(self):
        broker, url = self.serving({"log-task-rate": 0})
        client = self.peer(broker)
        count = QUEUES + 5
        tasks = [{**JOB, "id": f"t{i}", "queue": f"queue{i}"} for i in range(count)]
        client.send("SUBMIT", first=1, task=tasks)
        self.confirmed(client, count)
        page = fetch(f"{url}/metrics")
        lengths = page.by("queue", "task_queue_length")
        self.assertEqual((len(lengths), sum(lengths.values())), (QUEUES + 1, count))
        self.assertEqual(lengths["other"], 5)
        self.assertEqual(page.value("reeve_queues"), count)
        self.assertEqual(page.value("reeve_metric_label_overflow", label="queue"), 5)

    def test_no_task_id_is_a_label(self):
        broker, url = self.serving(defaults={"max-retries": 0})
        client, worker = self.peer(broker), self.worker(broker, "q")
        client.submit("unmistakable-id", "q")
        self.work(worker, FAIL)
        self.assertNotIn("unmistakable-id", fetch(f"{url}/metrics").text)


class Form(MetricsTest):
    def busy(self):
        broker, url = self.serving()
        client, worker = self.peer(broker), self.worker(broker, "q")
        for i, outcome in enumerate((SUCCEED, FAIL, REJECT)):
            client.submit(f"t{i}", "q")
            self.work(worker, outcome)
        return broker, url

    def test_promtool_finds_nothing_to_say(self):
        _, fresh = self.serving()
        _, busy = self.busy()
        for url in (fresh, busy):
            page = fetch(f"{url}/metrics")
            self.assertEqual(page.content_type, "text/plain; version=0.0.4; charset=utf-8")
            self.assertEqual(promtool("check", "metrics", stdin=page.text), "")

    def test_every_metric_has_a_type_and_a_help_before_its_samples(self):
        _, url = self.busy()
        page = fetch(f"{url}/metrics")
        told = set()
        for line in page.text.splitlines():
            if line.startswith("# HELP "):
                told.add(line.split(" ")[2])
                continue
            name = line.split(" ")[2] if line.startswith("# TYPE ") else page.read(line)[0]
            family = name if name in told else name.rpartition("_")[0]
            self.assertIn(family, told, line)

    def test_histograms_add_up(self):
        _, url = self.busy()
        assert_histograms_add_up(self, fetch(f"{url}/metrics"))

    def test_openmetrics_for_who_asks(self):
        _, url = self.busy()
        plain = fetch(f"{url}/metrics")
        page = fetch(f"{url}/metrics", accept=f"{OPENMETRICS},text/plain;q=0.5")
        self.assertEqual(page.content_type, f"{OPENMETRICS}; charset=utf-8")
        self.assertTrue(page.text.endswith("\n# EOF\n"))
        self.assertNotIn("# EOF", plain.text)
        counters = {name for name, kind in plain.types.items() if kind == "counter"}
        self.assertIn("task_failures_total", counters)
        for name in counters:
            self.assertNotIn(name, page.types)
            self.assertEqual(page.types[name.removesuffix("_total")], "counter")
        self.assertEqual({s[0] for s in page.samples}, {s[0] for s in plain.samples})
        assert_histograms_add_up(self, page)

    def test_head_other_pages_and_other_methods(self):
        _, url = self.serving()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, harness.PATIENCE_S)
        self.addCleanup(connection.close)

        def ask(method, path):
            connection.request(method, path)
            answer = connection.getresponse()
            return answer, answer.read()

        answer, body = ask("HEAD", "/metrics")
        self.assertEqual((answer.status, body), (200, b""))
        self.assertGreater(int(answer.headers["Content-Length"]), 1000)
        answer, body = ask("GET", "/nothing")
        self.assertEqual(answer.status, 404)
        self.assertIn(b"/metrics", body)
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            answer, _ = ask(method, "/metrics")
            self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD"))
        self.assertEqual(fetch(f"{url}/metrics").value("task_queue_length", queue="q"), None)


class Documents(MetricsTest):
    """What is served, what the manual tells of, and what the dashboard shows are the same."""

    def setUp(self):
        super().setUp()
        broker, url = self.serving({"log-task-rate": 0}, {"max-retries": 1})
        client, worker = self.peer(broker), self.worker(broker, "q")
        client.submit("a", "q")
        self.work(worker, FAIL)
        self.work(worker)
        client.send("SUBMIT", first=7, task=[{**JOB, "id": "no good"}])
        client.error()
        client.send_raw(b"neither", b"nor")
        broker.refused("not_a_protocol")
        self.page = fetch(f"{url}/metrics")

    def test_every_metric_is_in_the_manual_with_its_type_and_labels(self):
        assert_in_manual(self, self.page, "Metrics")

    def test_every_metric_is_on_the_dashboard(self):
        assert_on_dashboard(self, self.page, "reeve")


class UnderLoad(MetricsTest):
    def test_scrapes_beside_thousands_of_tasks(self):
        broker, url = self.serving({"log-task-rate": 0})
        count, parts = 4000, 40
        worker = self.worker(broker, "q", prefetch=500)
        pages, done = [], threading.Event()

        def watch():
            while not done.is_set() or not pages:
                pages.append(fetch(f"{url}/metrics"))

        watchers = [threading.Thread(target=watch) for _ in range(3)]
        for watcher in watchers:
            watcher.start()
        try:
            client = self.peer(broker)
            for part in range(parts):
                ids = [f"t{part}-{i}" for i in range(count // parts)]
                tasks = [{**JOB, "id": i} for i in ids]
                client.send("SUBMIT", first=part * 1000, task=tasks)
            self.finish_all(worker, count, duration_ms=1)
        finally:
            done.set()
            for watcher in watchers:
                watcher.join()
        series = (("reeve_tasks_finished_total", {"queue": "q", "state": "success"}),
                  ("task_process_duration_seconds_count", {"task": "job"}))
        last = fetch(f"{url}/metrics")
        for name, labels in series:
            self.assertEqual(last.value(name, **labels), count)
        self.assertEqual(last.value("task_queue_length", queue="q"), 0)
        self.assertGreater(len(pages), 3)
        for page in pages:
            assert_histograms_add_up(self, page)
            self.assertLessEqual(page.value(series[0][0], **series[0][1]) or 0, count)


harness.main()
