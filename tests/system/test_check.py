"""reeve check, as a monitoring system runs it."""

import json
import subprocess
import unittest

import mdp_harness
from mdp_harness import BUILD, PATIENCE_S, SystemTest
from reeve_peer import ReevePeer

OK, CRITICAL, UNKNOWN = 0, 2, 3
REJECT = 3


class CheckTest(SystemTest):
    def check(self, *arguments):
        done = subprocess.run(
            [BUILD / "client/reeve", "check", *map(str, arguments)],
            env={"REEVE_BROKER": self.endpoint},
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
        self.assertEqual(done.stderr, b"")
        return done.returncode, done.stdout.decode()

    def setUp(self):
        self.started = broker = self.broker()
        self.endpoint = broker.tcp
        with ReevePeer(broker.tcp) as peer:
            peer.hello()
            for i in range(3):
                peer.submit(f"t{i}", "mail")
            peer.ready("w", "bulk")
            peer.submit("dead", "bulk")
            peer.settle(peer.expect("DELIVER")["delivery"][0]["token"], verdict=REJECT)
            peer.expect("SETTLED")
            peer.send("GOODBYE")
        broker.wait("worker_left", worker_id="w")

    def test_bounds_hold_at_the_edge_and_are_broken_beyond(self):
        for queue, bound, fine, broken in (
            ("mail", "--max-waiting", 3, 2),
            ("mail", "--max-age", "1h", "0s"),
            ("mail", "--min-workers", 0, 1),
            ("bulk", "--max-dead", 1, 0),
        ):
            with self.subTest(bound):
                self.assertEqual(self.check("--queue", queue, bound, fine)[0], OK)
                status, text = self.check("--queue", queue, bound, broken)
                self.assertEqual(status, CRITICAL)
                self.assertTrue(text.startswith(f"REEVE CRITICAL: {queue}: "), text)

    def test_all_queues_together(self):
        self.assertEqual(self.check("--max-waiting", 3, "--max-dead", 1)[0], OK)
        self.assertEqual(self.check("--max-dead", 0)[0], CRITICAL)

    def test_formats(self):
        status, text = self.check("--max-waiting", 2, "--format", "nagios")
        self.assertEqual(
            (status, text.split(" | ")[0]), (CRITICAL, "REEVE CRITICAL: all queues: waiting 3 > 2")
        )
        self.assertRegex(text, r" waiting=3;;2 age=[0-9.]+s;; workers=0;; dead=1;;\n$")
        status, text = self.check("--json", "--queue", "mail")
        document = json.loads(text)
        self.assertEqual((status, document["status"], document["waiting"]), (OK, "OK", 3))
        status, text = self.check("--format", "prometheus")
        self.assertIn("reeve_check_status 0\n", text)
        self.assertEqual(self.check("--format", "text", "--max-waiting", 2)[1],
                         "CRITICAL: waiting 3 > 2\n")

    def test_workers_have_to_be_where_something_is_to_be_done(self):
        status, text = self.check("--min-workers", 1)
        self.assertEqual((status, text.split(" |")[0]),
                         (CRITICAL, "REEVE CRITICAL: all queues: workers 0 < 1"))
        with ReevePeer(self.endpoint) as worker:
            worker.hello()
            worker.ready("v", "mail")
            self.started.wait("worker_joined", worker_id="v")
            self.assertEqual(self.check("--min-workers", 1)[0], OK)
            self.assertEqual(self.check("--min-workers", 2)[0], CRITICAL)
            self.assertEqual(self.check("--queue", "bulk", "--min-workers", 1)[0], CRITICAL)
            worker.send("GOODBYE")

    def test_where_no_queue_needs_workers_their_number_is_not_told(self):
        self.endpoint = self.broker().tcp
        self.assertEqual(self.check("--min-workers", 1),
                         (OK, "REEVE OK: all queues: waiting 0, age 0s, dead 0 |"
                              " waiting=0;; age=0s;; dead=0;;\n"))

    def check_without_values(self, status, word, *arguments):
        status_is, text = self.check(*arguments)
        self.assertEqual((status_is, text.split(":")[0]), (status, f"REEVE {word}"))
        self.assertNotIn("|", text)
        document = json.loads(self.check(*arguments, "--json")[1])
        self.assertEqual(document.pop("status"), word)
        self.assertLessEqual(document.keys(), {"text", "queue"})
        lines = self.check(*arguments, "--format", "prometheus")[1].splitlines()
        self.assertEqual([line for line in lines if line[0] != "#"],
                         [f"reeve_check_status {status}"])

    def test_what_cannot_be_told_has_no_values(self):
        self.check_without_values(UNKNOWN, "UNKNOWN", "--queue", "nowhere", "--min-workers", 1)
        self.endpoint = "tcp://127.0.0.1:9"
        self.check_without_values(CRITICAL, "CRITICAL", "--connect-timeout", "200ms")
        self.assertEqual(self.check("--connect-timeout", "200ms")[1],
                         f"REEVE CRITICAL: all queues: {self.endpoint}: the broker cannot be reached\n")


if __name__ == "__main__":
    mdp_harness.main()
