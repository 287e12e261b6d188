"""reeve-worker --http: health and metrics of a worker with real commands.

Usage: test_worker_metrics.py BUILD_DIR. The commands are what the task's name says: the worker evaluates
it in a shell.
"""

import json
import signal
import socket
import threading

import mdp_harness as harness
from programs import EX_UNAVAILABLE, EX_USAGE, WORKER, ProgramTest, environment, get
from scrape import (
    OPENMETRICS,
    assert_histograms_add_up,
    assert_in_manual,
    assert_on_dashboard,
    fetch,
    promtool,
)

BY_NAME = ("--", "sh", "-c", 'eval "$REEVE_TASK_NAME"')
HTTP = ("--http", "127.0.0.1:0")
PATIENT = {"liveness": "60s"}  # a worker that a busy machine holds up would lose attempts, and count them
TASKS = "reeve_worker_tasks_total"
FAILURES = "reeve_worker_task_failures_total"
DURATION = "reeve_worker_attempt_duration_seconds"


def url_of(program):
    return f"http://127.0.0.1:{program.log.wait('serving_http')['port']}"


class WorkerMetricsTest(ProgramTest):
    def watched(self, endpoint, queues, *arguments):
        """A worker that serves HTTP; returns it and its URL."""
        worker = self.worker(endpoint, queues, *HTTP, *arguments)
        return worker, url_of(worker)

    def until(self, url, metric, value, **labels):
        """Waits until the sample has this value, for what the loop tells after its turn; the page."""

        def ask():
            page = fetch(f"{url}/metrics")
            return page.value(metric, **labels) == value and page

        return self.eventually(ask, f"{metric} {labels} was never {value}")

    def until_ready(self, url, answer):
        self.eventually(lambda: get(f"{url}/readyz") == answer, f"never {answer}")

    def blocked_task(self, endpoint, name, *options):
        """A task that waits at a gate, once it runs; returns its id and the gate."""
        gate, up = self.gate(name), self.file(f"{name}.up")
        task_id = self.submit(endpoint, f"echo >{up}; read line <{gate}; true", *options)
        self.wait_for_file(up)
        return task_id, gate


class Counts(WorkerMetricsTest):
    def run_all(self, endpoint, tasks):
        """Submits and waits; tasks: (queue, script, how often, options...)."""
        ids = [
            self.submit(endpoint, script, "--queue", queue, *options)
            for queue, script, count, *options in tasks
            for _ in range(count)
        ]
        self.wait_for_end(endpoint, *ids, status=1)

    def test_counts_fit_what_ran_and_what_the_broker_counted(self):
        broker = self.broker({"http": "127.0.0.1:0", **PATIENT}, {"max-retries": 1})
        _, url = self.watched(broker.ipc, "a,b", "--kill-after", "100ms", *BY_NAME)
        self.run_all(
            broker.ipc,
            [
                ("a", "true", 3),
                ("a", "exit 75", 1),
                ("b", "exit 65", 1),
                ("b", "exit 3", 2),
                ("b", "kill -KILL $$", 1),
                ("b", "while :; do sleep 60; done", 1, "--timeout", "100ms", "--max-retries", 0),
            ],
        )
        page = fetch(f"{url}/metrics")
        none = {"released": 0, "revoked": 0}
        self.assertEqual(
            page.by("result", TASKS, queue="a"), {"success": 3, "failure": 2, "rejected": 0, **none}
        )
        self.assertEqual(
            page.by("result", TASKS, queue="b"), {"success": 0, "failure": 7, "rejected": 1, **none}
        )
        self.assertEqual(page.by("reason", FAILURES, queue="a"), {"retry": 2})
        reasons = {"rejected": 1, "exit_3": 4, "signal_KILL": 2, "timeout": 1}
        self.assertEqual(page.by("reason", FAILURES, queue="b"), reasons)
        self.assertEqual(page.by("queue", f"{DURATION}_count"), {"a": 5, "b": 8})
        self.assertGreaterEqual(page.value(f"{DURATION}_sum", queue="b"), 0.1)
        told = fetch(f"{url_of(broker)}/metrics")
        self.assertEqual(told.by("queue", "reeve_attempts_started_total"), {"a": 5, "b": 8})
        durations = told.all("task_process_duration_seconds_count")
        self.assertEqual(sum(value for _, value in durations), 13)
        failures = {}
        for labels, value in told.all("task_failures_total"):
            failures[labels["reason"]] = failures.get(labels["reason"], 0) + value
        self.assertEqual(failures, {"retry": 2, **reasons})
        page = self.until(url, "reeve_worker_settlements_unconfirmed", 0, broker=broker.ipc)
        self.assertEqual(page.value("reeve_worker_deliveries_total", broker=broker.ipc), 13)
        self.assertEqual(page.value("reeve_worker_settlements_refused_total", broker=broker.ipc), 0)

    def test_what_no_command_ran_for_has_a_result_and_no_duration(self):
        broker = self.broker(defaults={"max-retries": 0})
        _, url = self.watched(broker.ipc, "a", "--task", "hello=true")
        _, other = self.watched(broker.ipc, "b", "--", "./no-such-command")
        self.run_all(broker.ipc, [("a", "unheard_of", 2), ("b", "job", 1)])
        page = fetch(f"{url}/metrics")
        self.assertEqual(page.value(TASKS, queue="a", result="rejected"), 2)
        self.assertEqual(page.by("reason", FAILURES, queue="a"), {"no_handler": 2})
        self.assertEqual(page.value(f"{DURATION}_count", queue="a"), 0)
        page = fetch(f"{other}/metrics")
        self.assertEqual(page.value(TASKS, queue="b", result="failure"), 1)
        self.assertEqual(page.by("reason", FAILURES, queue="b"), {"spawn_failed": 1})
        self.assertEqual(page.value(f"{DURATION}_count", queue="b"), 0)

    def test_slots_and_what_is_held(self):
        broker = self.broker()
        _, url = self.watched(broker.ipc, "default", "-c", 1, "--prefetch", 3, *BY_NAME)
        page = fetch(f"{url}/metrics")
        self.assertEqual(page.value("reeve_worker_concurrency"), 1)
        self.assertEqual(page.value("reeve_worker_commands_running"), 0)
        task_id, gate = self.blocked_task(broker.ipc, "gate")
        waiting = self.submit(broker.ipc, "true")
        page = self.until(url, "reeve_worker_tasks_held", 2, broker=broker.ipc)
        self.assertEqual(page.value("reeve_worker_commands_running"), 1)
        self.open_gate(gate)
        self.wait_for_end(broker.ipc, task_id, waiting)
        page = self.until(url, "reeve_worker_tasks_held", 0, broker=broker.ipc)
        self.until(url, "reeve_worker_commands_running", 0)

    def test_a_cancelled_task_was_taken_back(self):
        broker = self.broker()
        worker, url = self.watched(broker.ipc, "default", *BY_NAME)
        task_id, _ = self.blocked_task(broker.ipc, "gate")
        self.reeve(broker.ipc, "cancel", task_id)
        worker.log.wait("task_revoked", task_id=task_id)
        page = self.until(url, "reeve_worker_commands_running", 0)
        self.assertEqual(
            page.by("reason", "reeve_worker_revocations_total"),
            {"cancelled": 1, "lease_lost": 0, "timeout": 0},
        )
        self.assertEqual(page.value(TASKS, queue="default", result="revoked"), 1)
        self.assertEqual(page.value(f"{DURATION}_count", queue="default"), 0)

    def test_a_lease_that_was_lost_while_the_worker_was_frozen(self):
        broker = self.broker({"liveness": "500ms"})
        worker, url = self.watched(broker.ipc, "default", *BY_NAME)
        gate, up = self.gate("gate"), self.file("up")
        task_id = self.submit(
            broker.ipc, f'[ "$REEVE_ATTEMPT" = 2 ] || {{ echo >{up}; read line <{gate}; }}'
        )
        self.wait_for_file(up)
        self.addCleanup(worker.signal, signal.SIGCONT)
        worker.signal(signal.SIGSTOP)
        broker.wait("lease_lost", task_id=task_id)
        worker.signal(signal.SIGCONT)
        self.wait_for_end(broker.ipc, task_id)
        page = self.until(url, TASKS, 1, queue="default", result="revoked")
        self.assertEqual(
            page.by("reason", "reeve_worker_revocations_total"),
            {"cancelled": 0, "lease_lost": 1, "timeout": 0},
        )
        self.assertEqual(page.value(TASKS, queue="default", result="success"), 1)


class Connection(WorkerMetricsTest):
    def test_a_broker_that_goes_and_comes_back(self):
        broker, other = self.broker(), self.broker()
        worker, url = self.watched(broker.ipc, "q", "--broker", other.ipc, *BY_NAME)
        worker.log.wait("connected", broker=other.ipc)
        connected, connects = "reeve_worker_connected", "reeve_worker_connects_total"
        for one in (broker, other):
            page = self.until(url, connected, 1, broker=one.ipc)
        self.assertEqual(page.by("broker", connects), {broker.ipc: 1, other.ipc: 1})
        broker.stop()
        page = self.until(url, connected, 0, broker=broker.ipc)
        self.assertEqual(page.value(connected, broker=other.ipc), 1)
        broker.start()
        page = self.until(url, connected, 1, broker=broker.ipc)
        self.assertEqual(page.by("broker", connects), {broker.ipc: 2, other.ipc: 1})

    def test_heartbeats_go_both_ways(self):
        broker = self.broker()
        _, url = self.watched(broker.ipc, "q", *BY_NAME)

        def ask():
            page = fetch(f"{url}/metrics")
            names = [f"reeve_worker_heartbeats_{way}_total" for way in ("sent", "received")]
            return all(page.value(name, broker=broker.ipc) for name in names)

        self.eventually(ask, "no heartbeats")


class Health(WorkerMetricsTest):
    def test_ready_while_a_broker_is_connected(self):
        broker = self.broker()
        _, url = self.watched(broker.ipc, "q", *BY_NAME)
        self.until_ready(url, (200, "ok"))
        broker.stop()
        self.until_ready(url, (503, "disconnected"))
        self.assertEqual(get(f"{url}/livez"), (200, "ok"))
        broker.start()
        self.until_ready(url, (200, "ok"))

    def test_draining_is_not_ready(self):
        broker = self.broker()
        worker, url = self.watched(broker.ipc, "default", *BY_NAME)
        task_id, gate = self.blocked_task(broker.ipc, "gate")
        worker.signal(signal.SIGTERM)
        self.until_ready(url, (503, "draining"))
        self.assertEqual(get(f"{url}/livez"), (200, "ok"))
        self.open_gate(gate)
        self.assertEqual(worker.end(), 0, worker.log.tail())
        self.assertEqual(self.status(broker.ipc, task_id)["state"], "success")


class Form(WorkerMetricsTest):
    def pages(self):
        """Of a worker that did nothing, and of one that did."""
        broker = self.broker(defaults={"max-retries": 0})
        _, fresh = self.watched(broker.ipc, "fresh", *BY_NAME)
        _, url = self.watched(broker.tcp, 'a "quoted\\ name', *BY_NAME)
        for script, status in (("true", 0), ("exit 9", 1)):
            task_id = self.submit(broker.ipc, script, "--queue", 'a "quoted\\ name')
            self.wait_for_end(broker.ipc, task_id, status=status)
        return fresh, url

    def test_promtool_finds_nothing_to_say(self):
        for url in self.pages():
            page = fetch(f"{url}/metrics")
            self.assertEqual(page.content_type, "text/plain; version=0.0.4; charset=utf-8")
            self.assertEqual(promtool("check", "metrics", stdin=page.text), "")
            assert_histograms_add_up(self, page)
            self.assertGreater(len(page.types), 10)
            for name in page.types:
                self.assertTrue(name.startswith("reeve_worker_"), name)
            self.assertGreaterEqual(page.value("reeve_worker_uptime_seconds"), 0)
            self.assertEqual(page.all("reeve_worker_build_info")[0][1], 1)

    def test_openmetrics_for_who_asks(self):
        for url in self.pages():
            plain, page = fetch(f"{url}/metrics"), fetch(f"{url}/metrics", accept=OPENMETRICS)
            self.assertEqual(page.content_type, f"{OPENMETRICS}; charset=utf-8")
            self.assertTrue(page.text.endswith("\n# EOF\n"))
            self.assertEqual({s[0] for s in page.samples}, {s[0] for s in plain.samples})
            assert_histograms_add_up(self, page)

    def test_every_metric_is_in_the_manual_with_its_type_and_labels(self):
        _, url = self.pages()
        assert_in_manual(self, fetch(f"{url}/metrics"), "Metrics of a worker")

    def test_every_metric_is_on_the_dashboard(self):
        _, url = self.pages()
        assert_on_dashboard(self, fetch(f"{url}/metrics"), "reeve-worker")


class UnderLoad(WorkerMetricsTest):
    def test_scrapes_beside_many_tasks(self):
        broker = self.broker({"log-task-rate": 0, **PATIENT}, {"max-retries": 0})
        _, url = self.watched(broker.ipc, "default", "-c", 4, "--prefetch", 50, *BY_NAME)
        count = 300
        lines = [{"task_name": "true" if i % 3 else "exit 3", "id": f"t{i}"} for i in range(count)]
        tasks = self.file("tasks", "".join(json.dumps(line) + "\n" for line in lines))
        pages, done = [], threading.Event()

        def watch():
            while not done.is_set():
                pages.append(fetch(f"{url}/metrics"))

        watchers = [threading.Thread(target=watch) for _ in range(3)]
        for watcher in watchers:
            watcher.start()
        try:
            self.reeve(broker.ipc, "submit", "--file", tasks)
            self.wait_for_end(broker.ipc, *(line["id"] for line in lines), status=1)
        finally:
            done.set()
            for watcher in watchers:
                watcher.join()
        last = fetch(f"{url}/metrics")
        self.assertEqual(last.value(TASKS, queue="default", result="success"), count * 2 / 3)
        self.assertEqual(last.value(TASKS, queue="default", result="failure"), count / 3)
        self.assertGreater(len(pages), 3)
        for page in pages:
            assert_histograms_add_up(self, page)
            ended = sum(value for _, value in page.all(TASKS))
            self.assertEqual(page.value(f"{DURATION}_count", queue="default"), ended)


class Address(ProgramTest):
    def test_nothing_is_served_unless_it_is_asked_for(self):
        broker = self.broker()
        worker = self.worker(broker.ipc, "q", *BY_NAME)
        worker.stop()
        self.assertIsNone(worker.log.find("serving_http"))

    def program(self, *arguments, **env):
        program = harness.Program(
            *(WORKER, "-b", f"ipc://{self.home}/nobody", "-q", "q", "--log-format", "json"),
            *arguments,
            *BY_NAME,
            env=environment(**env),
        )
        self.addCleanup(self.stop_if_running, program)
        return program

    def test_the_environment_names_it_too_and_the_flag_goes_before_it(self):
        program = self.program(REEVE_WORKER_HTTP="127.0.0.1:0")
        self.assertEqual(get(f"{url_of(program)}/readyz"), (503, "disconnected"))
        program = self.program("--http", "off", REEVE_WORKER_HTTP="127.0.0.1:0")
        program.log.wait("worker_started")
        self.assertIsNone(program.log.find("serving_http"))

    def test_an_address_that_is_none_is_refused(self):
        for value in ("5557", "127.0.0.1:", ":5557", "127.0.0.1:65536", "x:y"):
            line = self.refusal(
                WORKER, "--http", value, "-q", "q", "--", "true", status=EX_USAGE
            )
            self.assertIn(f'--http: "{value}" is not ADDR:PORT or off', line)
        line = self.refusal(
            *(WORKER, "-q", "q", "--", "true"), status=EX_USAGE, env={"REEVE_WORKER_HTTP": "here"}
        )
        self.assertIn('$REEVE_WORKER_HTTP: "here" is not ADDR:PORT or off', line)

    def test_an_address_that_is_taken_keeps_it_from_starting(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            program = self.program("--http", f"127.0.0.1:{taken.getsockname()[1]}")
            self.assertEqual(program.end(), EX_UNAVAILABLE)
        self.assertIn("cannot serve HTTP on", program.log.wait("start_failed")["error"])


if __name__ == "__main__":
    harness.main()
