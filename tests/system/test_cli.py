"""The command `reeve`, verb by verb, as its manual describes it. Usage: test_cli.py BUILD_DIR"""

import json
import re
import signal
from pathlib import Path

import mdp_harness as harness
from programs import (
    EX_DATAERR,
    EX_IOERR,
    EX_NOINPUT,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    EX_USAGE,
    REEVE,
    ProgramTest,
    run,
)
from reeve_peer import ReevePeer

ENDED_BADLY, REFUSED, INTERRUPTED = 1, 2, 130
BY_NAME = ("--", "sh", "-c", 'eval "$REEVE_TASK_NAME"')
VERBS = ("submit", "status", "explain", "wait", "result", "cancel", "queues", "workers", "dead")


class CommandLine(ProgramTest):
    def test_help_lists_the_verbs_and_each_has_its_own(self):
        for arguments in (["help"], ["--help"]):
            done = run(REEVE, *arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for verb in VERBS:
                self.assertIn(f"\n  {verb} ", done.stdout)
        for verb in VERBS:
            done = run(REEVE, verb, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertTrue(done.stdout.startswith(f"Usage: reeve {verb}"), done.stdout)
            self.assertEqual(run(REEVE, "help", verb).stdout, done.stdout)

    def test_help_has_a_short_form(self):
        for verb in ([], *([v] for v in (*VERBS, "check", "top", "bench", "selftest"))):
            done = run(REEVE, *verb, "-h")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(done.stdout, run(REEVE, *verb, "--help").stdout)

    def test_version_is_one_line_and_the_same_behind_every_verb(self):
        told = run(REEVE, "--version").stdout
        self.assertRegex(told, r"^reeve \d+\.\d+\.\d+\n$")
        for verb in (*VERBS, "check", "top", "bench", "selftest"):
            done = run(REEVE, verb, "--version")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, told, ""))

    def test_the_self_test_is_of_no_broker_that_is_there(self):
        self.assertNotIn("--connect-timeout", run(REEVE, "selftest", "--help").stdout)

    def test_a_wrong_command_line_is_told_with_the_word_that_is_wrong(self):
        for arguments, named in (
            ([], "Usage: reeve"),
            (["sumbit", "x"], "did you mean 'submit'"),
            (["frobnicate"], "there is no verb 'frobnicate'"),
            (["--bogus", "queues"], "--bogus"),
            (["queues", "--bogus"], "--bogus"),
            (["--broker", "somewhere", "queues"], "somewhere"),
            (["--connect-timeout", "5", "queues"], "'5'"),
            (["submit"], "TASK_NAME is missing"),
            (["submit", "a", "b"], "'b' is one operand too many"),
            (["submit", "a", "--priority", "10"], "--priority: '10' is not in 0..9"),
            (["submit", "a", "--timeout", "10"], "--timeout: '10' is not a duration"),
            (["submit", "a", "--delay", "4000d"], "1h30m, up to 3660d"),
            (["submit", "a", "--run-at", "noon"], "--run-at: 'noon' is not a time"),
            (["submit", "a", "--wait-timeout", "1s"], "--wait-timeout is for --wait"),
            (["submit", "a", "--delay", "1s", "--run-at", "2999-01-01T00:00:00Z"], "either"),
            (["submit", "a", "--batch", "b"], "--batch is for --file"),
            (["submit", "a", "--file", "f"], "--file goes with no other"),
            (["status"], "ID is missing"),
            (["wait"], "ID is missing"),
            (["result"], "ID is missing"),
            (["cancel"], "ID is missing"),
            (["dead"], "one of list, show, retry, purge is missing"),
            (["dead", "bury"], "'bury' is not one of"),
            (["dead", "show"], "ID is missing"),
            (["dead", "retry"], "give either ID, --queue or --all"),
            (["dead", "purge", "--all"], "--yes is needed"),
            (["selftest", "--broker", "tcp://127.0.0.1:9"], "--broker: it starts a broker of its own"),
        ):
            with self.subTest(arguments=arguments):
                done = run(REEVE, *arguments)
                self.assertEqual((done.returncode, done.stdout), (EX_USAGE, ""), done.stderr)
                self.assertIn(named, done.stderr)


class CliTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.started = self.broker()
        self.endpoint = self.started.ipc

    def run_reeve(self, *arguments, status=0, stdin=None):
        done = run(REEVE, "--broker", self.endpoint, *arguments, stdin=stdin)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def fail_task(self, *options):
        """A task that is a dead letter; returns its id."""
        task_id = self.submit(self.endpoint, "echo oh >&2; exit 3", "--max-retries", 0, *options)
        self.wait_for_end(self.endpoint, task_id, status=ENDED_BADLY)
        return task_id


class Submit(CliTest):
    def test_it_prints_the_id_when_the_broker_has_the_task(self):
        done = self.run_reeve("submit", "job", "--queue", "email", "--id", "my-1")
        self.assertEqual((done.stdout, done.stderr), ("my-1\n", ""))
        made = self.run_reeve("submit", "job").stdout.strip()
        self.assertRegex(made, r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$")
        (confirmed,) = self.reeve_json(self.endpoint, "submit", "job", "--id", "my-2")
        self.assertEqual(confirmed, {"id": "my-2", "duplicate": False, "durability": "fsync"})

    def test_the_same_again_is_confirmed_and_other_content_is_a_conflict(self):
        task = ("submit", "job", "--id", "once", "--args", "[1]")
        self.run_reeve(*task)
        (confirmed,) = self.reeve_json(self.endpoint, *task)
        self.assertTrue(confirmed["duplicate"])
        done = self.run_reeve("submit", "job", "--id", "once", "--args", "[2]", status=REFUSED)
        self.assertIn("once: ", done.stderr)
        self.assertIn("(conflict)", done.stderr)
        self.assertEqual(self.queues(self.endpoint)["default"]["waiting"], 1)

    def test_that_an_id_of_ones_own_was_known_is_noted(self):
        task = ("submit", "job", "--id", "known")
        self.assertEqual(self.run_reeve(*task).stderr, "")
        self.run_reeve("cancel", "known")
        again = self.run_reeve(*task)
        self.assertEqual(again.stdout, "known\n")
        self.assertEqual(again.stderr, "reeve: known: was known already, and is not run anew;"
                                       " 'reeve status known' tells its state\n")
        self.assertEqual(self.run_reeve("--json", *task).stderr, "")

    def test_what_the_options_say_is_in_the_task(self):
        self.run_reeve(
            *("submit", "job", "--id", "a", "--queue", "q", "--args", "[1]", "--kwargs", '{"b": 2}'),
            *("--headers", '{"h": "v"}', "--max-retries", 5, "--timeout", "10s", "--priority", 4),
            *("--backoff", "2s", "--origin", "web", "--expires-at", "2999-01-01T00:00:00Z"),
        )
        task = self.status(self.endpoint, "a")["task"]
        self.assertEqual(
            {k: task[k] for k in ("args", "kwargs", "headers", "max_retries", "priority", "origin")},
            {
                **{"args": [1], "kwargs": {"b": 2}, "headers": {"h": "v"}, "max_retries": 5},
                **{"priority": 4, "origin": "web"},
            },
        )
        self.assertEqual((task["queue"], task["expires_at"]), ("q", "2999-01-01T00:00:00.000Z"))

    def test_bad_data_is_told(self):
        for arguments, named in (
            (["job", "--args", "{}"], "args: must be an array (bad_json)"),
            (["job", "--args", "[]}"], "args: not valid JSON, or nested deeper than 64 (bad_json)"),
            (["job", "--args", "[1]", "--kwargs", "[1"], "kwargs: not valid JSON, or nested"),
            (["job", "--kwargs", '{"a":1,"a":2}'], 'kwargs: "a" is given twice (bad_json)'),
            (["job", "--headers", '{"a":1}'], 'headers: "a" must be a string (bad_json)'),
            (["job", "--id", "a b"], "id: must be 1 to 128 printable ASCII characters, no spaces (bad_id)"),
            (["job", "--queue", "a\nb"], "queue: must be 1 to 128 bytes, without control"),
            (["job", "--origin", "x" * 129], "origin: must be 1 to 128 bytes, without control"),
            (["a\nb"], "task_name: must be 1 to 128 bytes, without control"),
            (["a\udcff"], "task_name: not UTF-8 (bad_name)"),
            ([""], "task_name: must be 1 to 128 bytes, without control"),
        ):
            with self.subTest(arguments=arguments):
                done = self.run_reeve("submit", *arguments, status=EX_DATAERR)
                self.assertIn(named, done.stderr)

    def test_wait_prints_the_result_or_tells_the_failure(self):
        self.worker(self.endpoint, "default", *BY_NAME)
        done = self.run_reeve("submit", "echo '[1]'", "--wait")
        self.assertEqual((done.stdout, done.stderr), ("[1]\n", ""))
        done = self.run_reeve(
            *("submit", "echo why >&2; exit 65", "--wait", "--wait-timeout", "1h"), status=1
        )
        self.assertEqual(done.stdout, "")
        self.assertIn("rejected", done.stderr)
        self.assertIn("why", done.stderr)
        (end,) = self.reeve_json(self.endpoint, "submit", "echo 7", "--wait")
        self.assertEqual((end["state"], end["result"], end["attempts"]), ("success", 7, 1))

    def test_the_end_of_the_waiting_leaves_the_task_alone(self):
        arguments = ("submit", "job", "--id", "slow", "--wait", "--wait-timeout", "200ms")
        done = self.run_reeve(*arguments, status=EX_TEMPFAIL)
        self.assertIn("slow: not ended yet", done.stderr)
        self.assertEqual(self.status(self.endpoint, "slow")["state"], "queued")

    def test_a_delayed_task_is_scheduled_and_runs_when_it_is_due(self):
        self.run_reeve("submit", "true", "--id", "far", "--delay", "1h")
        self.run_reeve("submit", "true", "--id", "near", "--delay", "300ms")
        self.worker(self.endpoint, "default", *BY_NAME)
        self.wait_for_end(self.endpoint, "near")
        self.assertEqual(self.status(self.endpoint, "far")["state"], "scheduled")
        self.assertEqual(self.queues(self.endpoint)["default"]["scheduled"], 1)

    def test_higher_priorities_run_first(self):
        for priority in (0, 9, 5, 9):
            self.run_reeve("submit", "job", "--priority", priority, "--args", f"[{priority}]")
        log = self.file("log", "")
        script = f"""grep -o '"args":[^]]*' >>{log}"""
        self.worker(self.endpoint, "default", "-c", 1, "--", "sh", "-c", script)
        self.eventually(lambda: len(log.read_text().splitlines()) == 4, "not all were run")
        self.assertEqual([line[-1] for line in log.read_text().splitlines()], list("9950"))


class SubmitFile(CliTest):
    def test_refused_lines_are_listed_and_the_others_are_submitted(self):
        path = self.file(
            "tasks",
            '{"id": "a", "task_name": "job"}\n\nnot json\n{"task_name": 1}\n'
            '{"task_name": "job", "colour": "red"}\n{"id": "b", "task_name": "job"}',
        )
        done = self.run_reeve("submit", "--file", path, status=ENDED_BADLY)
        told = done.stderr.splitlines()
        self.assertEqual([line.split(": ")[0] for line in told], [f"{path}:{n}" for n in (3, 4, 5)])
        self.assertIn("colour", told[2])
        self.assertRegex(done.stdout, r"^2 confirmed \(0 of them known before\), 3 refused in ")
        objects = self.objects(
            self.run_reeve("--json", "submit", "--file", path, status=ENDED_BADLY).stdout
        )
        self.assertEqual(
            objects.pop(), {"confirmed": 2, "duplicates": 2, "refused": 3, "unconfirmed": 0}
        )
        self.assertEqual({o["line"]: o.get("id") for o in objects if "id" in o}, {1: "a", 6: "b"})
        self.assertEqual(sorted(o["line"] for o in objects if "error" in o), [3, 4, 5])

    def test_standard_input_is_a_file_too(self):
        text = "".join(json.dumps({"task_name": "job", "id": f"t{i}"}) + "\n" for i in range(5000))
        done = self.run_reeve("submit", "--file", "-", stdin=text)
        self.assertRegex(done.stdout, "^5000 confirmed")
        self.assertEqual(self.queues(self.endpoint)["default"]["waiting"], 5000)

    def test_a_batch_makes_ids_that_are_the_same_when_it_is_run_again(self):
        path = self.file("tasks", '{"task_name": "a"}\n{"task_name": "a"}\n')
        self.run_reeve("submit", "--file", path, "--batch", "monday")
        again = self.run_reeve("submit", "--file", path, "--batch", "monday")
        self.assertRegex(again.stdout, r"^2 confirmed \(2 of them known before\)")
        other = self.run_reeve("submit", "--file", path, "--batch", "tuesday")
        self.assertRegex(other.stdout, r"^2 confirmed \(0 of them known before\)")

    def test_a_file_that_is_not_there(self):
        path = self.file("none")
        done = self.run_reeve("submit", "--file", path, status=EX_NOINPUT)
        self.assertIn(f"{path}: No such file or directory", done.stderr)


class Ends(CliTest):
    def test_status_shows_the_task_and_its_attempts(self):
        self.worker(self.endpoint, "default", "--name", "w", *BY_NAME)
        task_id = self.fail_task("--origin", "web")
        document = self.status(self.endpoint, task_id)
        self.assertEqual(
            (document["state"], document["reason"], document["error"], document["traceback"]),
            ("failed", "exit_3", "oh", "oh\n"),
        )
        self.assertEqual([h["worker"] for h in document["history"]], ["w"])
        text = self.run_reeve("status", task_id).stdout
        for part in (task_id, "failed", "exit_3", "oh", "web"):
            self.assertIn(part, text)

    def test_what_users_wrote_is_shown_digit_for_digit(self):
        written = r'[12345678901234567890,1.10,1e400,"\u0000 after",%s]' % ("7" * 70)
        self.worker(self.endpoint, "default", "--", "sh", "-c", f"printf %s '{written}'")
        headers = r'{"h":"\/"}'
        self.run_reeve(*("submit", "job", "--id", "a", "--args", written, "--kwargs", f'{{"k":{written}}}'),
                       *("--headers", headers, "--wait"))
        shown = self.run_reeve("status", "a").stdout
        for line in (f"args:        {written}", f'kwargs:      {{"k":{written}}}',
                     f"headers:     {headers}", f"result:      {written}"):
            self.assertIn(line + "\n", shown)

    def test_status_counts_the_retries_that_were_made(self):
        self.worker(self.endpoint, "default", *BY_NAME)
        for script, retries, told in (("exit 3", 0, "1 (0 of 0 retries used)"),
                                      ("exit 3", 2, "3 (2 of 2 retries used)"),
                                      ("exit 65", 2, "1 (0 of 2 retries used)"),
                                      ("[ $REEVE_ATTEMPT = 2 ]", 2, "2 (1 of 2 retries used)")):
            with self.subTest(told):
                task_id = self.submit(self.endpoint, script, "--max-retries", retries,
                                      "--backoff", "1ms")
                run(REEVE, "--broker", self.endpoint, "wait", task_id)
                self.assertIn(f"attempts:    {told}\n", self.run_reeve("status", task_id).stdout)

    def test_wait_tells_each_task_and_exits_with_the_worst(self):
        self.worker(self.endpoint, "default", *BY_NAME)
        good, bad = self.submit(self.endpoint, "true"), self.fail_task()
        done = self.run_reeve("wait", good, bad, status=ENDED_BADLY)
        states = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()}
        self.assertEqual(states, {good: "success", bad: "failed"})
        done = self.run_reeve("wait", good, "unheard-of", bad, status=REFUSED)
        self.assertIn("unheard-of: ", done.stderr)
        waiting = self.submit(self.endpoint, "job", "--queue", "nobody")
        self.run_reeve("wait", "--timeout", "100ms", waiting, status=EX_TEMPFAIL)

    def test_no_time_is_enough_for_what_has_ended(self):
        self.worker(self.endpoint, "default", *BY_NAME)
        good = self.submit(self.endpoint, "echo 1")
        self.wait_for_end(self.endpoint, good)
        self.assertIn("success", self.run_reeve("wait", "--timeout", "0s", good).stdout)
        waiting = self.submit(self.endpoint, "job", "--queue", "nobody")
        done = self.run_reeve(
            *("wait", "--timeout", "0s", waiting, good, "unheard-of"), status=EX_TEMPFAIL
        )
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()], [good])
        told = sorted(done.stderr.splitlines())
        self.assertEqual(len(told), 2, told)
        self.assertEqual(told[0], f"reeve: {waiting}: not ended yet: queued")
        self.assertIn("unheard-of: ", told[1])
        again = ("submit", "echo 1", "--id", good, "--wait", "--wait-timeout", "0s")
        self.assertEqual(self.run_reeve(*again).stdout, "1\n")

    def test_output_that_cannot_be_written_is_told_with_the_reason(self):
        self.worker(self.endpoint, "default", *BY_NAME)
        good = self.submit(self.endpoint, "true")
        self.wait_for_end(self.endpoint, good)
        for verb in (["wait", good, "unheard-of"], ["status", good], ["top", "--batch"]):
            with open("/dev/full", "w", encoding="utf-8") as full:
                client = self.client(self.endpoint, *verb, stdout=full)
                told = self.finish(client, EX_IOERR)[1]
                self.assertIn("reeve: writing: No space left on device\n", told)

    def test_result_is_the_bytes_or_the_failure(self):
        self.worker(self.endpoint, "default", *BY_NAME)
        good = self.submit(self.endpoint, "printf '{\"a\":   1}'")
        self.wait_for_end(self.endpoint, good)
        self.assertEqual(self.run_reeve("result", good).stdout, '{"a":   1}\n')
        done = self.run_reeve("result", self.fail_task(), status=ENDED_BADLY)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"^reeve: \S+: failed: exit_3\noh\noh\n\Z")
        waiting = self.submit(self.endpoint, "job", "--queue", "nobody")
        done = self.run_reeve("result", waiting, status=EX_TEMPFAIL)
        self.assertIn("not ended yet: queued", done.stderr)

    def test_cancel_ends_a_waiting_task_once(self):
        task_id = self.submit(self.endpoint, "job")
        (cancelled,) = self.reeve_json(self.endpoint, "cancel", task_id)
        self.assertEqual(cancelled, {"id": task_id, "state": "cancelled", "was": "queued"})
        self.assertEqual(self.status(self.endpoint, task_id)["state"], "cancelled")
        done = self.run_reeve("cancel", task_id, status=REFUSED)
        self.assertIn("(wrong_state)", done.stderr)

    def test_an_unknown_task_is_unknown_to_every_verb(self):
        for verb in (["status"], ["result"], ["wait"], ["cancel"], ["dead", "show"]):
            done = self.run_reeve(*verb, "unheard-of", status=REFUSED)
            self.assertIn("unheard-of: ", done.stderr)
            self.assertIn("(unknown_task)", done.stderr)


class Lists(CliTest):
    def test_queues_and_workers(self):
        for _ in range(3):
            self.submit(self.endpoint, "job", "--queue", "email")
        self.submit(self.endpoint, "job", "--queue", "email", "--delay", "1h")
        self.worker(self.endpoint, "sms", "--name", "w", "--prefetch", 7, *BY_NAME)
        email = self.queues(self.endpoint)["email"]
        self.assertEqual(
            [email[k] for k in ("waiting", "scheduled", "processing", "dead", "workers")],
            [3, 1, 0, 0, 0],
        )
        self.assertGreaterEqual(email["oldest_age_s"], 0)
        head, *rows = self.run_reeve("queues").stdout.splitlines()
        self.assertEqual(head.split()[:3], ["QUEUE", "WAITING", "SCHEDULED"])
        self.assertIn(["email", "3", "1"], [row.split()[:3] for row in rows])
        (worker,) = self.reeve_json(self.endpoint, "workers")
        self.assertEqual((worker["worker"], worker["prefetch"]), ("w", 7))
        self.assertIn("sms", self.run_reeve("workers").stdout)


class Dead(CliTest):
    def setUp(self):
        super().setUp()
        worker = self.worker(self.endpoint, "default,other", *BY_NAME)
        self.ids = [self.fail_task("--queue", q) for q in ("default", "other", "other")]
        worker.stop()

    def listed(self, *options):
        return [d["id"] for d in self.reeve_json(self.endpoint, "dead", "list", *options)]

    def test_list_and_show(self):
        self.assertEqual(sorted(self.listed()), sorted(self.ids))
        self.assertEqual(sorted(self.listed("--queue", "other")), sorted(self.ids[1:]))
        self.assertEqual(len(self.listed("--limit", 1)), 1)
        self.assertIn("there are more", self.run_reeve("dead", "list", "--limit", 1).stderr)
        self.assertIn(self.ids[0], self.run_reeve("dead", "list").stdout)
        (shown,) = self.reeve_json(self.endpoint, "dead", "show", self.ids[0])
        self.assertEqual((shown["state"], shown["reason"]), ("failed", "exit_3"))

    def test_retry_puts_back_one_a_queue_or_all(self):
        self.assertEqual(self.run_reeve("dead", "retry", self.ids[1]).stdout, "1 retried\n")
        self.assertEqual(self.status(self.endpoint, self.ids[1])["state"], "queued")
        done = self.run_reeve("dead", "retry", self.ids[1], status=REFUSED)
        self.assertIn("(wrong_state)", done.stderr)
        (done,) = self.reeve_json(self.endpoint, "dead", "retry", "--queue", "other")
        self.assertEqual(done, {"retried": 1})
        self.assertEqual(self.run_reeve("dead", "retry", "--all").stdout, "1 retried\n")
        self.assertEqual(self.listed(), [])

    def test_an_unknown_queue_is_refused_as_an_unknown_task_is(self):
        for action in (["list"], ["retry"], ["purge", "--yes"]):
            done = self.run_reeve("dead", *action, "--queue", "unheard-of", status=REFUSED)
            self.assertEqual(done.stderr, "reeve: unheard-of: no such queue (bad_queue)\n")
            done = self.run_reeve("dead", *action, "--queue", "a\nb", status=EX_DATAERR)
            self.assertIn("(bad_queue)", done.stderr)

    def test_purge_removes_for_good_and_wants_a_yes(self):
        self.run_reeve("dead", "purge", "--all", status=EX_USAGE)
        self.assertEqual(len(self.listed()), 3)
        done = self.run_reeve("dead", "purge", self.ids[0], "--yes")
        self.assertEqual(done.stdout, "1 purged\n")
        self.run_reeve("status", self.ids[0], status=REFUSED)
        self.assertEqual(self.run_reeve("dead", "purge", "--all", "--yes").stdout, "2 purged\n")
        self.assertEqual(self.listed(), [])


class Away(CliTest):
    def test_without_a_broker_every_verb_ends_after_the_connect_timeout(self):
        nobody = f"ipc://{self.home}/nobody"
        for verb in (["submit", "job"], ["status", "a"], ["wait", "a"], ["queues"], ["dead", "list"]):
            done = run(REEVE, "--broker", nobody, "--connect-timeout", "100ms", *verb)
            self.assertEqual((done.returncode, done.stdout), (EX_UNAVAILABLE, ""), done.stderr)
            self.assertIn(f"reeve: {nobody}: the broker cannot be reached (unreachable)\n",
                          done.stderr)

    def test_the_end_of_the_waiting_is_none_of_a_submission_that_was_not_made(self):
        nobody = f"ipc://{self.home}/nobody"
        done = run(
            *(REEVE, "--broker", nobody, "--connect-timeout", "100ms"),
            *("submit", "job", "--id", "a", "--wait", "--wait-timeout", "1ms"),
        )
        self.assertEqual((done.returncode, done.stdout), (EX_UNAVAILABLE, ""), done.stderr)
        self.assertIn("a: not confirmed", done.stderr)

    def interrupt(self, client):
        """SIGINT, once it is caught."""

        def is_caught():
            status = Path(f"/proc/{client.pid}/status").read_text(encoding="utf-8")
            return int(re.search(r"^SigCgt:\s*(\w+)", status, re.MULTILINE)[1], 16) & 2

        self.eventually(is_caught, "it never caught SIGINT")
        client.send_signal(signal.SIGINT)

    def test_an_interrupted_submission_tells_the_id_to_repeat_it_with(self):
        client = self.client(f"ipc://{self.home}/nobody", "submit", "job")
        self.interrupt(client)
        out, err = self.finish(client, INTERRUPTED)
        self.assertEqual(out, "")
        self.assertRegex(err, r"^reeve: [0-9a-f-]{36}: not confirmed; submit it again with this --id\n\Z")

    def test_an_interrupted_wait_tells_that_the_task_was_confirmed(self):
        client = self.client(self.endpoint, "submit", "job", "--id", "a", "--wait")
        with ReevePeer(self.endpoint) as worker:
            worker.hello()
            worker.ready("w", "default")
            worker.send("PROGRESS", token=worker.delivery()["token"], kind=2, data="half")
            self.assertEqual(client.stderr.readline(), "a: half\n")
            self.interrupt(client)
            self.assertEqual(self.finish(client, INTERRUPTED)[1], "reeve: a: was confirmed\n")
            worker.send("GOODBYE")

    def test_the_variable_names_the_broker_and_the_option_is_over_it(self):
        env = {"REEVE_BROKER": self.endpoint}
        self.assertEqual(run(REEVE, "submit", "job", "--id", "a", env=env).stdout, "a\n")
        env = {"REEVE_BROKER": f"ipc://{self.home}/nobody"}
        done = run(REEVE, "--broker", self.started.tcp, "status", "a", env=env)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_submission_waits_for_the_broker_and_is_made_once(self):
        self.started.kill()
        client = self.client(self.endpoint, "submit", "job", "--id", "patient")
        self.started.start()
        self.assertEqual(self.finish(client)[0], "patient\n")
        self.assertEqual(self.queues(self.endpoint)["default"]["waiting"], 1)

    def test_its_own_stop_is_not_the_broker_s_silence(self):
        patience = ("--connect-timeout", "3s")
        client = self.client(
            self.started.tcp, *patience, *("submit", "echo 1", "--id", "a", "--wait")
        )
        self.eventually(
            lambda: run(REEVE, "--broker", self.endpoint, "status", "a").returncode == 0,
            "the task never came",
        )
        client.send_signal(signal.SIGSTOP)
        # Another one loses its patience meanwhile, which takes as long.
        nobody = f"ipc://{self.home}/nobody"
        done = run(REEVE, "--broker", nobody, *patience, "queues")
        self.assertEqual(done.returncode, EX_UNAVAILABLE, done.stderr)
        client.send_signal(signal.SIGCONT)
        self.worker(self.endpoint, "default", *BY_NAME)
        self.assertEqual(self.finish(client)[0], "1\n")

    def test_a_wait_goes_on_over_a_restart_of_the_broker(self):
        client = self.client(self.started.tcp, "submit", "echo 1", "--id", "a", "--wait")
        self.eventually(
            lambda: run(REEVE, "--broker", self.endpoint, "status", "a").returncode == 0,
            "the task never came",
        )
        self.started.restart()
        self.worker(self.endpoint, "default", *BY_NAME)
        self.assertEqual(self.finish(client)[0], "1\n")


if __name__ == "__main__":
    harness.main()
