"""What the log tells of tasks, in which form, and how it is kept within bounds. Usage: test_logs.py BUILD_DIR"""

import collections
import json
import os
import signal
import subprocess

import mdp_harness as harness
from mdp_harness import PATIENCE_S
from programs import ProgramTest, environment
from reeve_peer import ReevePeer
from scrape import fetch

SUCCEED, FAIL, REJECT, RELEASE = 1, 2, 3, 4
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACED = {"args": [], "kwargs": {}, "headers": {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}}
TASKS, PREFETCH = 4000, 20
ORDINARY = ("task_enqueued", "task_started", "task_finished")

class LogTest(ProgramTest):
    def peer(self, broker):
        peer = self.enterContext(ReevePeer(broker.tcp))
        peer.hello()
        return peer

    def worker(self, broker, name="w"):
        peer = self.peer(broker)
        peer.ready(name, "q")
        broker.wait("worker_joined", worker_id=name)
        return peer

    def work(self, worker, verdict=SUCCEED, **outcome):
        worker.settle(worker.delivery()["token"], verdict, **outcome)
        worker.expect("SETTLED")

    def about(self, line, *fields):
        """That it is about task a, and what more it tells: these fields."""
        self.assertEqual((line["task_id"], line["task_name"], line["queue"]), ("a", "job", "q"))
        common = {"ts", "level", "event", "task_id", "task_name", "queue"}
        self.assertEqual(set(line) - common, set(fields), line)
        return tuple(line[field] for field in fields)

class Lines(LogTest):
    def test_the_life_of_a_task(self):
        broker = self.broker()
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q", origin="web")
        self.work(worker, duration_ms=1500)
        line = broker.wait("task_enqueued")
        self.assertEqual((line["level"], self.about(line, "origin")), ("info", ("web",)))
        line = broker.wait("task_started")
        self.assertEqual(self.about(line, "worker_id", "attempt"), ("w", 1))
        line = broker.wait("task_finished")
        found = self.about(line, "state", "worker_id", "attempt", "duration_s")
        self.assertEqual(found, ("success", "w", 1, 1.5))

    def test_a_task_that_was_taken_back_unsent_is_not_said_to_have_started(self):
        broker = self.broker({"log-task-rate": 1_000_000, "http": "127.0.0.1:0"})
        tasks = "".join(f'{{"task_name":"job","queue":"q","id":"{i}"}}\n' for i in range(TASKS))
        self.reeve(broker.ipc, "submit", "--file", self.file("tasks", tasks))
        given = self.take(self.peer(broker), "fast", TASKS // 2)  # and is leased some ahead
        given += self.take(self.peer(broker), "rest", TASKS - len(given))
        page = fetch(f"http://127.0.0.1:{broker.wait('serving_http')['port']}/metrics")
        broker.stop()
        started = collections.Counter((line["task_id"], line["attempt"])
                                      for line in broker.log.lines if line["event"] == "task_started")
        self.assertEqual([one for one, lines in started.items() if lines > 1], [])
        self.assertLessEqual(set(given), set(started))
        counted = page.value("reeve_attempts_started_total", queue="q")
        self.assertEqual(counted, len(started), "started by the metric, and by the log")

    def take(self, worker, name, count):
        """Settles so many tasks or a few more and leaves; returns which."""
        worker.ready(name, "q", prefetch=PREFETCH)
        given = []
        while len(given) < count:
            answer, fields = worker.expect("DELIVER", "SETTLED")
            if answer == "SETTLED":
                continue
            given += [(one["task"][0]["id"].decode(), one["attempt"]) for one in fields["delivery"]]
            worker.send("SETTLE", first=1, settlement=[
                {"token": one["token"], "verdict": SUCCEED} for one in fields["delivery"]])
        worker.send("GOODBYE")
        return given

    def test_a_failure_a_retry_and_a_dead_letter(self):
        broker = self.broker(defaults={"max-retries": 1})
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q")
        told = {"reason": "down", "error": "no answer", "traceback": "line 1\nline 2"}
        self.work(worker, FAIL, duration_ms=250, **told)
        self.work(worker, FAIL)
        line = broker.wait("task_failed")
        found = self.about(
            line, "worker_id", "attempt", "duration_s", "reason", "error", "traceback"
        )
        self.assertEqual((line["level"], found), ("warn", ("w", 1, 0.25, *told.values())))
        line = broker.wait("task_retry")
        self.assertEqual(self.about(line, "failures", "run_at_ms")[0], 1)
        line = broker.wait("task_dead_lettered")
        self.assertEqual(self.about(line, "attempts", "failures", "deaths"), (2, 2, 0))

    def test_a_task_that_is_given_back_and_one_whose_worker_died(self):
        broker = self.broker()
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q")
        self.work(worker, RELEASE)
        self.assertEqual(broker.wait("task_released", task_id="a")["level"], "info")
        worker.delivery()
        worker.kill()
        self.assertEqual(broker.wait("worker_lost")["worker_id"], "w")
        line = broker.wait("lease_lost", task_id="a")
        self.assertEqual((line["level"], line["attempt"]), ("warn", 2))
        self.assertEqual(line["reason"], "worker_lost")

    def test_a_stale_report_names_its_task_or_its_number(self):
        broker = self.broker()
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q")
        token = worker.delivery()["token"]
        worker.settle(token)
        worker.expect("SETTLED")
        worker.settle(token, corr=2)
        worker.error()
        line = broker.wait("stale_attempt")
        self.assertEqual((line["level"], line["attempt"]), ("warn", 1))
        self.assertTrue("task_id" in line or "seq" in line, line)

    def test_the_trace_id_of_a_traceparent_is_on_every_line_of_its_task(self):
        broker = self.broker()
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q", body=json.dumps(TRACED))
        client.submit("b", "q")
        self.work(worker, FAIL)
        self.work(worker)
        self.work(worker)
        for ident, trace_id in (("a", TRACE), ("b", None)):
            broker.wait("task_finished", task_id=ident)
            lines = [line for line in broker.log.lines if line.get("task_id") == ident]
            self.assertGreaterEqual(len(lines), 3)
            self.assertEqual({line.get("trace_id") for line in lines}, {trace_id}, lines)

class Bounds(LogTest):
    def run_tasks(self, broker, count, verdict=SUCCEED):
        client, worker = self.peer(broker), self.worker(broker)
        for i in range(count):
            client.submit(f"t{i}", "q")
            self.work(worker, verdict)

    def test_with_log_every_a_task_has_all_its_lines_or_none(self):
        broker = self.broker(defaults={"log-every": 3})
        self.run_tasks(broker, 9)
        broker.stop()
        events = {}
        for line in broker.log.lines:
            if "task_id" in line:
                events.setdefault(line["task_id"], []).append(line["event"])
        self.assertEqual(len(events), 3)
        self.assertEqual({tuple(told) for told in events.values()}, {ORDINARY})

    def test_failures_are_told_whatever_is_left_out(self):
        for defaults, config in (({"log-every": 0}, {}), ({}, {"log-task-rate": 0})):
            with self.subTest(defaults=defaults, config=config):
                broker = self.broker(config, {"max-retries": 0, **defaults})
                self.run_tasks(broker, 5, FAIL)
                broker.stop()
                told = [line["event"] for line in broker.log.lines if "task_id" in line]
                self.assertEqual(told, ["task_failed", "task_dead_lettered"] * 5)

    def test_lines_over_the_rate_are_counted(self):
        broker = self.broker({"log-task-rate": 2})
        client = self.peer(broker)
        task = {"queue": "q", "task_name": "job", "body": "{}"}
        client.send("SUBMIT", first=1, task=[{**task, "id": f"t{i}"} for i in range(500)])
        client.expect("CONFIRM")
        more = iter(range(1_000_000))

        def left_out():
            client.submit(f"more{next(more)}", "q")
            return broker.log.find("task_lines_left_out")

        line = self.eventually(left_out, "nothing was left out")
        self.assertEqual((line["level"], set(line)), ("info", {"ts", "level", "event", "lines"}))
        self.assertGreater(line["lines"], 0)

class Format(LogTest):
    """Of the line of a program that cannot start."""

    BROKER = [harness.BUILD / "broker/reeve-broker", "--db", "/none/reeve.db", "--http", "off"]
    WORKER = [harness.BUILD / "worker/reeve-worker", "-q", "q", "--http", "192.0.2.1:1"]

    def run_in_vain(self, command, stderr):
        done = subprocess.run(command, stderr=stderr, timeout=PATIENCE_S, env=environment(),
                              check=False)
        self.assertNotEqual(done.returncode, 0)

    def ends(self, opened):
        for end in opened:
            self.addCleanup(os.close, end)
        return opened

    def test_json_where_standard_error_is_no_terminal(self):
        ours, theirs = self.ends(os.pipe())
        for command in (self.BROKER, [*self.WORKER, "--", "true"]):
            self.run_in_vain(command, theirs)
            self.assertEqual(json.loads(os.read(ours, 65536))["level"], "error")

    def test_text_on_a_terminal(self):
        ours, theirs = self.ends(os.openpty())
        for command in (self.BROKER, [*self.WORKER, "--", "true"]):
            self.run_in_vain(command, theirs)
            self.assertRegex(os.read(ours, 65536), b"^ts=.* event=")

    def test_json_in_a_file_unless_text_is_asked_for(self):
        _, terminal = self.ends(os.openpty())
        for flags, begin in ([], "{"), (["--log-format", "text"], "ts="):
            path = self.file(f"log.{len(flags)}")
            self.run_in_vain([*self.BROKER, "--log-to", path, *flags], terminal)
            self.assertTrue(path.read_text().startswith(begin))

class File(LogTest):
    def setUp(self):
        super().setUp()
        self.folder = self.home / "log"
        self.folder.mkdir()
        self.path = self.folder / "broker.log"
        config = self.file(
            "broker.conf",
            f'broker\n    bind = "ipc://{self.home}/b"\n    db = "{self.home}/reeve.db"\n'
            "    http = off\n    log-format = json\n",
        )
        self.program = harness.Program(
            harness.BUILD / "broker/reeve-broker", "--config", config, "--log-to", self.path
        )
        self.addCleanup(self.stop_if_running, self.program)
        self.wait(self.path, "ready")

    def events(self, path):
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)["event"] for line in lines]

    def wait(self, path, event):
        self.eventually(lambda: event in self.events(path), f"{path} was never told {event}")

    def test_a_log_file_is_opened_again_on_sighup(self):
        rotated = self.file("broker.log.1")
        self.path.rename(rotated)
        self.program.signal(signal.SIGHUP)
        self.wait(self.path, "reloaded")
        self.assertEqual(self.events(self.path), ["reloaded"])
        self.assertNotIn("reloaded", self.events(rotated))
        self.program.stop()
        self.assertEqual(self.events(self.path)[-1], "stopped")
        self.assertEqual(self.program.log.lines, [])

    def test_a_log_file_that_cannot_be_opened_again_goes_on_and_says_so(self):
        rotated = self.home / "log.1"
        self.folder.rename(rotated)
        self.program.signal(signal.SIGHUP)
        self.wait(rotated / "broker.log", "reloaded")
        line = json.loads((rotated / "broker.log").read_text().splitlines()[-2])
        self.assertEqual((line["level"], line["event"]), ("warn", "log_not_reopened"))
        self.assertEqual(line["error"], f"{self.path}: No such file or directory")

class UnreadPipe(LogTest):
    """Nobody reads the broker's stderr after its start. The pipe has room for some 64 KiB, the broker's
    memory for a megabyte, and as much again may be on its way: these are some three."""

    TASKS, BATCH = 20_000, 500

    def setUp(self):
        super().setUp()
        config = self.file(
            "broker.conf",
            f'broker\n    bind = "ipc://{self.home}/b"\n    db = "{self.home}/reeve.db"\n'
            "    http = off\n    log-format = json\n    log-task-rate = 1000000\n",
        )
        command = [harness.BUILD / "broker/reeve-broker", "--config", config]
        self.broker = subprocess.Popen(command, stderr=subprocess.PIPE)
        self.addCleanup(self.broker.stderr.close)
        self.addCleanup(self.broker.wait)
        self.addCleanup(self.broker.kill)
        while json.loads(self.broker.stderr.readline())["event"] != "ready":
            pass

    def submit_all(self):
        client = self.enterContext(ReevePeer(f"ipc://{self.home}/b"))
        client.hello()
        for first in range(0, self.TASKS, self.BATCH):
            names = [f"t{number}" for number in range(first, first + self.BATCH)]
            task = {"queue": "q", "task_name": "job", "body": "{}"}
            client.send("SUBMIT", first=first + 1, task=[{**task, "id": name} for name in names])
            client.expect("CONFIRM")

    def test_the_broker_answers_and_tells_how_many_lines_it_dropped(self):
        self.submit_all()
        told = dropped = 0
        while told + dropped < self.TASKS:
            line = json.loads(self.broker.stderr.readline())
            told += line["event"] == "task_enqueued"
            dropped += line.get("lines", 0) if line["event"] == "log_lines_dropped" else 0
        self.assertGreater(dropped, 0)
        self.broker.terminate()
        self.assertEqual(self.broker.wait(PATIENCE_S), 0)

    def test_the_broker_ends(self):
        self.submit_all()
        self.broker.terminate()
        self.assertEqual(self.broker.wait(PATIENCE_S), 0)

harness.main()
