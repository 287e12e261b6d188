"""reeve-worker and the commands it runs. Usage: test_worker_program.py BUILD_DIR

Most commands here are what the task's name says: the worker evaluates it in a shell.
"""

import json
import resource
import signal

import mdp_harness as harness
from programs import EX_CANTCREAT, EX_OSERR, EX_USAGE, REEVE, WORKER, ProgramTest, run
from reeve_peer import ReevePeer

BY_NAME = ("--", "sh", "-c", 'eval "$REEVE_TASK_NAME"')
MAX_OUTPUT = 100


class WorkerTest(ProgramTest):
    settings = None  # of its broker

    def setUp(self):
        super().setUp()
        self.started = self.broker(self.settings)
        self.endpoint = self.started.ipc

    def outcome(self, script, *options):
        """Submits a task that is this script; returns what `reeve wait` tells."""
        task_id = self.submit(self.endpoint, script, *options)
        done = run(REEVE, "--broker", self.endpoint, "--json", "wait", task_id)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return self.objects(done.stdout)[0]

    def running_task(self, name, *options):
        """Submits a task that waits at a gate, and waits until it runs; returns id and gate."""
        gate, up = self.gate(name), self.file(f"{name}.up")
        script = f"echo $$ >{up}; read line <{gate}; echo $line"
        task_id = self.submit(self.endpoint, script, *options)
        self.wait_for_file(up)
        return task_id, gate


class Command(WorkerTest):
    def test_the_document_is_on_stdin_and_its_key_members_in_the_environment(self):
        document, variables = self.file("document"), self.file("environment")
        self.worker(
            *(self.endpoint, "email", "--", "sh", "-c"),
            f"cat >{document}; env | grep ^REEVE_ | sort >{variables}",
        )
        task_id = self.submit(
            *(self.endpoint, "welcome", "--queue", "email", "--args", "[1, 2]"),
            *("--kwargs", '{"to": "x"}', "--max-retries", 7, "--origin", "web", "--priority", 3),
        )
        self.wait_for_end(self.endpoint, task_id)
        text = document.read_text()
        self.assertEqual(text.count("\n"), 1)
        task = json.loads(text)
        self.assertEqual(
            {k: task[k] for k in ("id", "task_name", "queue", "args", "kwargs", "origin")},
            {
                **{"id": task_id, "task_name": "welcome", "queue": "email", "args": [1, 2]},
                **{"kwargs": {"to": "x"}, "origin": "web"},
            },
        )
        self.assertEqual((task["max_retries"], task["retry_count"]), (7, 0))
        self.assertRegex(task["created_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(
            variables.read_text().splitlines(),
            [
                "REEVE_ATTEMPT=1",
                "REEVE_MAX_RETRIES=7",
                "REEVE_QUEUE=email",
                f"REEVE_TASK_ID={task_id}",
                "REEVE_TASK_NAME=welcome",
            ],
        )

    def test_a_command_need_not_read_the_document(self):
        self.worker(self.endpoint, "default", "--", "true")
        task_id = self.submit(self.endpoint, "big", "--args", json.dumps(["x" * 100_000]))
        self.assertEqual(self.wait_for_end(self.endpoint, task_id)[task_id]["state"], "success")

    def test_stdout_is_the_result_as_json_where_it_is_json_else_as_text(self):
        self.worker(self.endpoint, "default", *BY_NAME)
        for script, kind, result in (
            ("echo 42", "json", 42),
            ("echo '{\"a\": [1, null]}'", "json", {"a": [1, None]}),
            ("echo '\"quoted\"'", "json", "quoted"),
            ("echo hello, world", "text", "hello, world"),
            ("printf 'two\\nlines\\n'", "text", "two\nlines"),
            ("echo '{\"a\": '", "text", '{"a": '),
        ):
            with self.subTest(script=script):
                end = self.outcome(script)
                self.assertEqual((end["result_kind"], end.get("result")), (kind, result))
        end = self.outcome("true")
        self.assertEqual((end["result_kind"], end.get("result")), ("none", None))

    def test_the_exit_status_is_the_verdict(self):
        self.worker(self.endpoint, "default", *BY_NAME)
        for script, retries, state, reason, attempts in (
            ("exit 0", 1, "success", None, 1),
            ("exit 75", 1, "failed", "retry", 2),
            ("exit 65", 1, "failed", "rejected", 1),
            ("exit 1", 1, "failed", "exit_1", 2),
            ("exit 255", 0, "failed", "exit_255", 1),
            ("kill -KILL $$", 1, "failed", "signal_KILL", 2),
            ("kill -SEGV $$", 0, "failed", "signal_SEGV", 1),
        ):
            with self.subTest(script=script):
                end = self.outcome(script, "--max-retries", retries)
                self.assertEqual(
                    (end["state"], end.get("reason"), end["attempts"]), (state, reason, attempts)
                )

    def test_a_retry_is_a_further_attempt_and_may_succeed(self):
        self.worker(self.endpoint, "default", *BY_NAME)
        script = '[ "$REEVE_ATTEMPT" = 3 ] || exit 75; cat'
        end = self.outcome(script, "--max-retries", 2)
        self.assertEqual((end["state"], end["attempts"]), ("success", 3))
        self.assertEqual(end["result"]["retry_count"], 2)

    def test_the_tail_of_stderr_is_the_traceback_and_its_last_line_the_error(self):
        self.worker(self.endpoint, "default", *BY_NAME)
        script = "echo at line 1 >&2; printf 'E: bad\\n\\n' >&2; exit 1"
        end = self.outcome(script, "--max-retries", 0)
        self.assertEqual((end["error"], end["traceback"]), ("E: bad", "at line 1\nE: bad\n\n"))

    def test_of_a_long_stderr_the_end_is_kept(self):
        self.worker(self.endpoint, "default", *BY_NAME)
        script = "yes first | head -n 20000 >&2; echo the end >&2; exit 1"
        end = self.outcome(script, "--max-retries", 0)
        self.assertEqual(end["error"], "the end")
        self.assertTrue(end["traceback"].endswith("first\nthe end\n"))
        self.assertLessEqual(len(end["traceback"]), 64 << 10)
        self.assertGreater(len(end["traceback"]), 60 << 10)

    def test_output_beyond_the_limit_is_cut_and_says_so(self):
        self.worker(self.endpoint, "default", "--max-output", MAX_OUTPUT, *BY_NAME)
        digits = "1" * MAX_OUTPUT
        end = self.outcome(f"printf {digits}")
        self.assertEqual((end["result_kind"], end["result"]), ("json", int(digits)))
        end = self.outcome(f"printf {digits}1")
        self.assertEqual(end["result_kind"], "text")
        self.assertEqual(end["result"].splitlines(), [digits, f"[cut at {MAX_OUTPUT} bytes]"])

    def test_a_command_that_is_not_there_is_a_failure_that_names_it(self):
        self.worker(self.endpoint, "default", "--", "./no-such-command")
        end = self.outcome("job", "--max-retries", 0)
        self.assertEqual(end["reason"], "spawn_failed")
        self.assertIn("no-such-command", end["error"])

    def test_a_command_that_there_is_no_room_for_runs_later_uncounted(self):
        worker = self.worker(self.endpoint, "default", *BY_NAME)
        pid, kind = worker.process.pid, resource.RLIMIT_NOFILE
        # No further descriptor is allowed, but poll(2) still takes so many.
        before = resource.prlimit(pid, kind, (8, resource.getrlimit(kind)[1]))
        task_id = self.submit(self.endpoint, "true", "--max-retries", 0)
        worker.log.wait("paused", error="Too many open files", running=0)
        resource.prlimit(pid, kind, before)
        end = self.wait_for_end(self.endpoint, task_id)[task_id]
        self.assertEqual(end["state"], "success")
        document = self.status(self.endpoint, task_id)
        self.assertEqual((document["task"]["retry_count"], document["deaths"]), (0, 0))

    def test_the_log_has_a_line_for_the_start_and_the_end_of_each_attempt(self):
        worker = self.worker(self.endpoint, "default", *BY_NAME)
        good = self.submit(self.endpoint, "true")
        bad = self.submit(self.endpoint, "echo oh >&2; exit 1", "--max-retries", 0)
        self.reeve(self.endpoint, "wait", good, bad, status=1)
        worker.log.wait("task_started", task_id=good, queue="default", attempt=1)
        self.assertGreaterEqual(worker.log.wait("task_finished", task_id=good)["duration_s"], 0)
        line = worker.log.wait("task_failed", task_id=bad, reason="exit_1", error="oh")
        self.assertEqual(line["traceback"], "oh\n")


class Routing(WorkerTest):
    def test_a_task_goes_to_the_command_for_its_name(self):
        self.worker(
            *(self.endpoint, "default", "--task", "hello=echo one", "--task", "bye=echo two; echo"),
            *("--", "echo", "other"),
        )
        for name, result in (("hello", "one"), ("bye", "two\n"), ("hell", "other")):
            self.assertEqual(self.outcome(name)["result"], result)

    def test_without_a_command_for_it_a_task_is_rejected(self):
        self.worker(self.endpoint, "default", "--task", "hello=echo one")
        end = self.outcome("unheard_of", "--max-retries", 5)
        self.assertEqual((end["reason"], end["attempts"]), ("no_handler", 1))

    def test_several_queues_and_the_worker_is_listed_with_them(self):
        name = "hercules"
        self.worker(self.endpoint, "a,b", "--queue", "c", "--name", name, *BY_NAME)
        for queue in ("a", "b", "c"):
            self.assertEqual(self.outcome('echo "$REEVE_QUEUE"', "--queue", queue)["result"], queue)
        (listed,) = self.reeve_json(self.endpoint, "workers")
        self.assertEqual((listed["worker"], sorted(listed["queues"])), (name, ["a", "b", "c"]))

    def test_several_brokers_share_one_worker(self):
        other = self.broker()
        worker = self.worker(self.endpoint, "default", "--broker", other.tcp, *BY_NAME)
        worker.log.wait("connected", broker=other.tcp)
        for endpoint in (self.endpoint, other.ipc):
            task_id = self.submit(endpoint, "true")
            self.wait_for_end(endpoint, task_id)

    def test_so_many_commands_run_at_once_as_concurrency_says(self):
        self.worker(self.endpoint, "default", "--concurrency", 2, "--prefetch", 3, *BY_NAME)
        first, first_gate = self.running_task("first")
        second, second_gate = self.running_task("second")
        third_up = self.file("third.up")
        third = self.submit(self.endpoint, f"echo up >{third_up}")
        self.wait_until(self.endpoint, third, state="processing")
        self.assertFalse(third_up.exists())
        self.open_gate(first_gate)
        self.wait_for_file(third_up)
        self.open_gate(second_gate)
        self.wait_for_end(self.endpoint, first, second, third)

    def test_descriptors_are_allowed_as_concurrency_needs(self):
        for concurrency, limit in ((1, 256), (300, 1316)):
            with self.subTest(concurrency=concurrency):
                worker = self.worker(
                    *(self.endpoint, "default", "--concurrency", concurrency, *BY_NAME),
                    prefix=("prlimit", "--nofile=256:8192"),
                )
                self.assertEqual(self.outcome("ulimit -n")["result"], limit)
                worker.stop()

    def test_a_concurrency_that_the_hard_limit_has_no_descriptors_for_is_refused(self):
        worker = harness.Program(
            *("prlimit", "--nofile=256:1024", WORKER, "--broker", self.endpoint, "-q", "q"),
            *("--log-format", "json", "--concurrency", 300, "--", "true"),
        )
        self.assertEqual(worker.end(), EX_OSERR, worker.log.tail())
        self.assertEqual(
            worker.log.find("start_failed")["error"],
            "--concurrency 300 needs 1316 descriptors, and the hard limit is 1024",
        )


class Time(WorkerTest):
    def test_past_the_timeout_the_whole_group_is_terminated_then_killed(self):
        self.worker(self.endpoint, "default", "--kill-after", "100ms", *BY_NAME)
        # Whoever of the group lives holds the FIFO open: its end is theirs.
        heard = self.ear("heard")
        script = self.file(
            "stubborn",
            f"exec 3>{heard.path}; (trap 'echo child told >&3' TERM; while :; do sleep 60; done) & "
            "trap 'echo told >&3' TERM; while :; do wait; done",
        )
        limits = ("--timeout", "300ms", "--max-retries", 0)
        task_id = self.submit(self.endpoint, f". {script}", *limits)
        self.assertIn("told", heard.rest().splitlines())
        document = self.wait_until(self.endpoint, task_id, state="failed")
        self.assertEqual(document["reason"], "timeout")

    def test_the_leader_s_end_takes_no_time_from_the_rest_of_its_group(self):
        self.worker(self.endpoint, "default", "--kill-after", "1h", *BY_NAME)
        heard, gate = self.ear("heard"), self.gate("gate")
        graceful = self.file(
            "graceful",
            f"exec 3>{heard.path} >/dev/null 2>&1; "
            f"trap 'echo told >&3; read line <{gate}; echo cleaned up >&3; exit' TERM; "
            "while :; do sleep 0.01; done",
        )
        limits = ("--timeout", "300ms", "--max-retries", 0)
        task_id = self.submit(self.endpoint, f"sh {graceful} >/dev/null 2>&1; true", *limits)
        self.assertEqual(heard.read(), "told\n")
        self.open_gate(gate)
        self.assertEqual(heard.rest(), "cleaned up\n")
        document = self.wait_until(self.endpoint, task_id, state="failed")
        self.assertEqual(document["reason"], "timeout")

    def test_a_command_that_ends_when_told_is_a_timeout_all_the_same(self):
        self.worker(self.endpoint, "default", *BY_NAME)
        end = self.outcome(
            "trap 'exit 0' TERM; while :; do sleep 0.01; done",
            *("--timeout", "200ms", "--max-retries", 0),
        )
        self.assertEqual((end["state"], end["reason"]), ("failed", "timeout"))

    def test_a_cancelled_task_s_command_is_terminated(self):
        worker = self.worker(self.endpoint, "default", *BY_NAME)
        heard, up = self.ear("heard"), self.file("up")
        script = (
            f"exec 3>{heard.path}; trap 'echo told >&3; exit' TERM; "
            f"echo >{up}; while :; do sleep 0.01; done"
        )
        task_id = self.submit(self.endpoint, f". {self.file('obedient', script)}")
        self.wait_for_file(up)
        self.reeve(self.endpoint, "cancel", task_id)
        self.assertEqual(heard.rest(), "told\n")
        worker.log.wait("task_revoked", task_id=task_id)
        self.assertEqual(self.status(self.endpoint, task_id)["state"], "cancelled")


class Lease(ProgramTest):
    def test_a_task_may_run_for_longer_than_the_liveness(self):
        broker = self.broker({"heartbeat": "100ms", "liveness": "500ms"})
        self.worker(broker.ipc, "default", *BY_NAME)
        gate, up = self.gate("gate"), self.file("up")
        task_id = self.submit(broker.ipc, f"echo >{up}; read line <{gate}; true")
        self.wait_for_file(up)
        # Two silent workers, one after the other, tell that the liveness is over twice.
        for name in ("silent", "quiet"):
            with ReevePeer(broker.tcp) as peer:
                peer.hello()
                peer.ready(name, "elsewhere")
                broker.wait("worker_lost", worker_id=name)
        self.open_gate(gate)
        end = self.wait_for_end(broker.ipc, task_id)[task_id]
        self.assertEqual((end["state"], end["attempts"]), ("success", 1))


    def test_what_was_done_by_a_worker_that_had_been_given_up_is_not_done_again(self):
        broker = self.broker({"liveness": "1s", "grace": "0s"})
        ran = self.file("ran")
        worker = self.worker(
            *(broker.ipc, "default", "--", "sh", "-c"),
            f"echo $REEVE_ATTEMPT >>{ran}; kill -STOP $PPID; echo '[1]'",
        )
        task_id = self.submit(broker.ipc, "stop-my-worker")
        broker.wait("lease_lost", task_id=task_id)
        worker.signal(signal.SIGCONT)
        worker.log.wait("task_done_before", task_id=task_id)
        end = self.wait_for_end(broker.ipc, task_id)[task_id]
        self.assertEqual((end["state"], end["result"]), ("success", [1]))
        self.assertEqual(ran.read_text(), "1\n")


class Stop(WorkerTest):
    def test_sigterm_finishes_what_runs_and_gives_the_rest_back_uncounted(self):
        worker = self.worker(self.endpoint, "default", "-c", 1, "--prefetch", 2, *BY_NAME)
        running, gate = self.running_task("running")
        held = self.submit(self.endpoint, "true", "--max-retries", 0)
        self.wait_until(self.endpoint, held, state="processing")
        worker.signal(signal.SIGTERM)
        worker.log.wait("draining", running=1)
        document = self.wait_until(self.endpoint, held, state="queued")
        self.assertEqual((document["task"]["retry_count"], document["deaths"]), (0, 0))
        self.open_gate(gate)
        self.assertEqual(worker.end(), 0, worker.log.tail())
        self.assertEqual(self.status(self.endpoint, running)["state"], "success")
        self.worker(self.endpoint, "default", *BY_NAME)
        self.assertEqual(self.wait_for_end(self.endpoint, held)[held]["state"], "success")

    def test_what_still_runs_after_the_drain_timeout_is_given_back_uncounted(self):
        worker = self.worker(self.endpoint, "default", "--drain-timeout", "100ms", *BY_NAME)
        task_id, _gate = self.running_task("running", "--max-retries", 0)
        worker.signal(signal.SIGTERM)
        self.assertEqual(worker.end(), 0, worker.log.tail())
        document = self.wait_until(self.endpoint, task_id, state="queued")
        self.assertEqual((document["task"]["retry_count"], document["deaths"]), (0, 0))
        worker.log.wait("task_released", task_id=task_id)

    def test_a_second_signal_kills_the_commands_and_ends_it_at_once(self):
        worker = self.worker(self.endpoint, "default", *BY_NAME)
        heard = self.ear("heard")
        task_id = self.submit(
            self.endpoint, f"exec 3>{heard.path}; trap '' TERM; echo up >&3; while :; do sleep 60; done"
        )
        self.assertEqual(heard.read(), "up\n")
        worker.signal(signal.SIGTERM)
        worker.log.wait("draining")
        worker.signal(signal.SIGINT)
        self.assertEqual(worker.end(), 128 + signal.SIGINT)
        self.assertEqual(heard.rest(), "")
        document = self.wait_until(self.endpoint, task_id, state="queued")
        self.assertEqual((document["task"]["retry_count"], document["deaths"]), (0, 0))

    def test_a_signal_that_it_was_started_to_ignore_is_ignored(self):
        worker = self.worker(self.endpoint, "default", *BY_NAME, prefix=("nohup",))
        task_id, gate = self.running_task("running")
        worker.signal(signal.SIGHUP)
        worker.signal(signal.SIGTERM)  # a second one, would the first be heard
        worker.log.wait("draining")
        self.open_gate(gate)
        self.assertEqual(worker.end(), 0, worker.log.tail())
        self.assertEqual(self.status(self.endpoint, task_id)["state"], "success")

    def test_a_worker_without_a_broker_stops_when_told(self):
        worker = harness.Program(
            *(WORKER, "--broker", f"ipc://{self.home}/nobody", "-q", "q"),
            *("--log-format", "json", "--", "true"),
        )
        worker.log.wait("worker_started")
        worker.signal(signal.SIGTERM)
        self.assertEqual(worker.end(), 0)


class Log(ProgramTest):
    def start(self, *options):
        worker = harness.Program(
            *(WORKER, "--broker", f"ipc://{self.home}/nobody", "-q", "q"),
            *("--log-format", "json", *options, "--", "true"),
        )
        self.addCleanup(self.stop_if_running, worker)
        return worker

    def test_a_log_file_is_opened_again_on_sighup(self):
        path, rotated = self.file("worker.log"), self.file("worker.log.1")
        worker = self.start("--log-to", path)
        self.assertIn("worker_started", self.wait_for_file(path))
        path.rename(rotated)
        worker.signal(signal.SIGHUP)
        self.eventually(path.exists, "the file was not opened again")
        worker.signal(signal.SIGTERM)
        self.assertEqual(worker.end(), 0)
        self.assertIn("draining", path.read_text())
        self.assertNotIn("draining", rotated.read_text())
        self.assertEqual(worker.log.lines, [])

    def test_sighup_drains_where_there_is_no_log_file(self):
        worker = self.start()
        worker.log.wait("worker_started")
        worker.signal(signal.SIGHUP)
        worker.log.wait("draining")
        self.assertEqual(worker.end(), 0)

    def test_a_log_that_cannot_be_written_is_named(self):
        worker = self.start("--log-to", self.home / "missing/worker.log")
        self.assertEqual(worker.end(), EX_CANTCREAT)
        line = worker.log.find("start_failed")
        self.assertEqual(line["error"], f"{self.home}/missing/worker.log: No such file or directory")


class Reconnection(WorkerTest):
    settings = {"grace": "1m"}  # however slowly a worker comes back

    def test_a_result_that_was_ready_while_the_broker_was_away_is_delivered(self):
        for tcp in (False, True):
            with self.subTest(tcp=tcp):
                endpoint = self.started.tcp if tcp else self.started.ipc
                worker = self.worker(endpoint, "default", *BY_NAME)
                task_id, gate = self.running_task(f"running{tcp}")
                self.started.kill()
                self.open_gate(gate, "kept\n")
                worker.log.wait("task_finished", task_id=task_id)
                self.started.start()
                end = self.wait_for_end(self.endpoint, task_id)[task_id]
                self.assertEqual(
                    (end["state"], end["attempts"], end["result"]), ("success", 1, "kept")
                )
                worker.stop()

    def test_it_waits_for_a_broker_that_is_not_there_yet(self):
        self.started.stop()
        worker = harness.Program(
            *(WORKER, "--broker", self.endpoint, "-q", "default", "--log-format", "json"), *BY_NAME
        )
        self.addCleanup(self.stop_if_running, worker)
        worker.log.wait("worker_started")
        self.started.start()
        worker.log.wait("connected")
        self.assertEqual(self.outcome("true")["state"], "success")


class CommandLine(ProgramTest):
    def test_help_names_every_option(self):
        done = run(WORKER, "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for option in ("broker", "queue", "task", "concurrency", "prefetch", "max-output"):
            self.assertIn(f"--{option}", done.stdout)
        for option in ("kill-after", "drain-timeout", "name", "http", "log-format", "log-level", "version"):
            self.assertIn(f"--{option}", done.stdout)

    def test_version_is_one_line(self):
        done = run(WORKER, "--version")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^reeve-worker \d+\.\d+\.\d+\n$")

    def test_a_bad_argument_is_named(self):
        good = ["-q", "q", "--", "true"]
        for arguments, named in (
            ([], "--queue is missing"),
            (["-q", "q"], "no COMMAND and no --task"),
            (["--bogus", *good], "--bogus is not an option"),
            (["-x", *good], "-x is not an option"),
            (["-q"], "-q needs a value"),
            (["-q", "a,,b", "--", "true"], 'queue: "" is not a queue name'),
            (["-q", "a,a", "--", "true"], '"a" is given twice'),
            (["-b", "somewhere", *good], '--broker: "somewhere" is not tcp://'),
            (["-b", "ipc://a", "-b", "ipc://a", *good], '--broker: "ipc://a" is given twice'),
            (["-c", "0", *good], '--concurrency: "0" is not a number from 1 to 1000'),
            (["--prefetch", "many", *good], '--prefetch: "many"'),
            (["--task", "hello", *good], '"hello" is not of the form NAME=COMMAND'),
            (["--task", "a=b", "--task", "a=c", *good], '"a" is given twice'),
            (["--max-output", "5M", *good], '--max-output: "5M" is not a size from 1 to 4M'),
            (["--kill-after", "5", *good], '--kill-after: "5" is not a duration'),
            (["--drain-timeout", "x", *good], '--drain-timeout: "x" is not a duration'),
            (["--name", "", *good], '--name: "" is not a worker name'),
            (["--log-format", "xml", *good], '--log-format: "xml" is not auto, text or json'),
            (["--log-level", "loud", *good], '--log-level: "loud" is not debug, info'),
        ):
            with self.subTest(arguments=arguments):
                line = self.refusal(WORKER, *arguments, status=EX_USAGE)
                self.assertTrue(line.startswith("reeve-worker: "), line)
                self.assertIn(named, line)
        line = self.refusal(WORKER, *good, status=EX_USAGE, env={"REEVE_BROKER": "somewhere"})
        self.assertIn('$REEVE_BROKER: "somewhere"', line)


if __name__ == "__main__":
    harness.main()
