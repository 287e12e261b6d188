"""`reeve explain`: why a task is where it is, state by state. Usage: test_explain.py BUILD_DIR"""

import json

import mdp_harness as harness
from programs import REEVE, ProgramTest, run
from reeve_peer import ReevePeer

REFUSED = 2
FAILURE, REJECT = 2, 3
BODY = '{"args":[],"kwargs":{}}'


class Explain(ProgramTest):
    def setUp(self):
        super().setUp()
        self.started = self.broker(defaults={"max-deaths": 1})
        self.endpoint = self.started.ipc

    def explain(self, task_id):
        """The paragraph and the table of attempts, as text."""
        done = run(REEVE, "--broker", self.endpoint, "explain", task_id)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        paragraph, _, table = done.stdout.partition("\n\n")
        (document,) = self.reeve_json(self.endpoint, "explain", task_id)
        # The distance to now differs between the two questions.
        self.assertEqual(document["explanation"].split(" (")[0],
                         paragraph.partition(". ")[2].split(" (")[0])
        return paragraph, table, document

    def submit_raw(self, *ids, **fields):
        peer = self.enterContext(ReevePeer(self.started.tcp))
        peer.hello()
        peer.send("SUBMIT", first=1, task=[{"id": i, "queue": "q", "task_name": "job",
                                            "body": BODY, **fields} for i in ids])
        peer.expect("CONFIRM")
        return peer

    def holder(self, name="w", prefetch=1):
        """A worker that holds what it is given until the test says otherwise."""
        worker = self.enterContext(ReevePeer(self.started.tcp))
        worker.hello()
        worker.send("READY", name=name, queue=["q"], prefetch=prefetch)
        return worker

    def settle(self, worker, **fields):
        (delivery,) = worker.expect("DELIVER")["delivery"]
        worker.send("SETTLE", first=1, settlement=[{"token": delivery["token"], **fields}])
        worker.expect("SETTLED")

    def test_a_waiting_task_is_behind_others_and_needs_a_worker(self):
        self.submit_raw("a", "b", "c")
        paragraph, table, document = self.explain("c")
        self.assertIn("c (job) is queued. ", paragraph)
        self.assertIn("behind 2 tasks of its queue q", paragraph)
        self.assertIn("No worker is registered for its queue", paragraph)
        self.assertEqual((table, document["ahead"]), ("", 2))
        self.assertIn("waits as the next of its queue", self.explain("a")[0])
        worker = self.holder()
        worker.expect("DELIVER")
        paragraph, _, document = self.explain("c")
        self.assertIn("behind 1 task of its queue", paragraph)
        self.assertIn("1 worker is registered for its queue, but all 1 of their slots are busy",
                      paragraph)
        self.assertEqual(document["queue_now"],
                         {"waiting": 2, "processing": 1, "workers": 1, "slots": 1, "free": 0})
        worker.send("PREFETCH", prefetch=0)
        self.eventually(lambda: "take no tasks now" in self.explain("c")[0]
                        or "takes no tasks now" in self.explain("c")[0], "the pause is not told")

    def test_more_tasks_before_it_than_are_counted(self):
        lines = "".join(json.dumps({"task_name": "job", "id": f"t{i}"}) + "\n"
                        for i in range(10000))
        self.reeve(self.endpoint, "submit", "--file", self.file("tasks", lines))
        for last in ("t10000", "t10001"):  # each behind all the others, also those looked up first
            self.reeve(self.endpoint, "submit", "job", "--id", last)
        paragraph, _, document = self.explain("t10001")
        self.assertIn("behind more than 10000 tasks of its queue", paragraph)
        self.assertEqual((document["ahead"], document["ahead_or_more"]), (10001, True))
        paragraph, _, document = self.explain("t10000")
        self.assertIn("behind 10000 tasks of its queue", paragraph)
        self.assertNotIn("ahead_or_more", document)

    def test_a_scheduled_task_says_when(self):
        self.submit_raw("later", run_at_ms=4070908800000, expires_at_ms=4102444800000)
        paragraph, _, _ = self.explain("later")
        self.assertIn("It is scheduled for 2099-01-01T00:00:00.000Z (in ", paragraph)
        self.assertIn("It expires if it has not begun by 2100-01-01T00:00:00.000Z", paragraph)

    def test_a_retry_says_which_one_and_what_failed(self):
        self.submit_raw("a", max_retries=5, backoff_ms=3600000)
        self.settle(self.holder(), verdict=FAILURE, reason="broken", error="no paper")
        paragraph, table, _ = self.explain("a")
        self.assertIn("It failed 1 time; retry 1 of 5 is at 20", paragraph)
        self.assertIn("The last error: broken: no paper.", paragraph)
        head, row = table.splitlines()[1:]
        self.assertEqual(head.split(), "ATTEMPT OUTCOME STARTED ENDED DURATION WORKER REASON ERROR"
                         .split())
        self.assertRegex(row, r"1  failure  20\S+Z  20\S+Z +\S+  w +broken  no paper")

    def test_a_held_task_says_by_whom_and_for_how_long(self):
        self.submit_raw("a", timeout_ms=60000)
        worker = self.holder("the worker")
        worker.expect("DELIVER")
        paragraph, table, document = self.explain("a")
        self.assertIn("Worker the worker holds it since 20", paragraph)
        self.assertIn("attempt 1, which may take 1m00s.", paragraph)
        self.assertTrue(document["worker_connected"])
        self.assertIn("running", table)

    def test_each_end_says_how(self):
        self.submit_raw("good", "bad", "worse", "unwanted", max_retries=0)
        worker = self.holder()
        self.settle(worker, verdict=1, result_kind=1, result="1")
        self.settle(worker, verdict=FAILURE, reason="broken")
        self.settle(worker, verdict=REJECT, reason="no_such_thing")
        self.reeve(self.endpoint, "cancel", "unwanted")
        self.submit_raw("stale", expires_at_ms=1)
        for task_id, told in (
            ("good", "ended in success at 20"), ("good", "in attempt 1 at worker w"),
            ("good", "with a result (json)"),
            ("good", "remembered for 1h00m after"),
            ("bad", "it failed 1 time and 0 retries are allowed. The last error: broken."),
            ("bad", "'reeve dead retry bad'"),
            ("worse", "worker w rejected it"), ("worse", "The last error: no_such_thing"),
            ("unwanted", "It was cancelled at 20"), ("unwanted", "while worker w ran it"),
            ("stale", "It expired: it had not begun by 1970-01-01T00:00:00.001Z"),
        ):
            with self.subTest(task_id=task_id, told=told):
                if task_id == "stale":
                    self.wait_until(self.endpoint, "stale", state="expired")
                self.assertIn(told, self.explain(task_id)[0])

    def test_a_quarantined_task_says_that_workers_died_of_it(self):
        self.submit_raw("poison")
        worker = self.holder()
        worker.expect("DELIVER")
        worker.close()
        self.wait_until(self.endpoint, "poison", state="failed")
        paragraph, table, _ = self.explain("poison")
        self.assertIn("quarantined, because 1 worker died or vanished while holding it, and 1 is",
                      paragraph)
        self.assertIn("lost", table)
        status = run(REEVE, "--broker", self.endpoint, "status", "poison").stdout
        self.assertRegex(status, r"\nattempts: +1 \(0 of \d+ retries used, 1 worker lost\)\n")

    def test_an_unknown_task_says_what_that_means(self):
        done = run(REEVE, "--broker", self.endpoint, "explain", "unheard-of")
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn("never confirmed by this broker", done.stdout)
        self.assertIn("(unknown_task)", done.stderr)
        done = run(REEVE, "--broker", self.endpoint, "--json", "explain", "unheard-of")
        self.assertEqual((done.returncode, json.loads(done.stdout)["state"]), (REFUSED, "unknown"))

    def test_what_peers_wrote_cannot_drive_the_terminal(self):
        self.submit_raw("a", max_retries=0)
        self.settle(self.holder(), verdict=FAILURE, reason="r", error="\x1b[2J\x07")
        self.assertNotIn("\x1b", "".join(self.explain("a")[:2]))


if __name__ == "__main__":
    harness.main()
