"""REEVE/1 at a running broker: waits, cancels, documents and dead letters.

Usage: test_wire_asking.py BUILD_DIR
"""

import json

import mdp_harness
import reeve_peer as wire
from reeve_peer import ReevePeer, encode
from wire_tests import (
    CANCELLED,
    CAUSE_CANCELLED,
    EXPIRED,
    FAIL,
    FAILED,
    PROCESSING,
    QUEUED,
    REJECT,
    SCHEDULED,
    SUCCEED,
    SUCCESS,
    WireTest,
    answers,
    task,
)


class Asking(WireTest):
    def test_wait(self):
        broker = self.broker()
        client, other, worker = self.peer(broker), self.peer(broker), self.worker(broker)
        client.submit("a", "q")
        token = worker.delivery()["token"]
        for peer, corr in ((client, 5), (client, 6), (other, 5)):
            peer.send("WAIT", corr=corr, id="a")
        client.send("WAIT", corr=5, id="a")  # sent again: still one wait
        for peer in (client, other):  # the store answers in order: the waits are known after this
            self.assertEqual(self.state(peer, "a"), "processing")
        worker.send("PROGRESS", token=token, kind=1, data='{"done":0.5}')
        for peer, count in ((client, 2), (other, 1)):
            partials = [peer.expect("OUTCOME") for _ in range(count)]
            self.assertEqual({p["corr"] for p in partials}, {5, 6} if count == 2 else {5})
            for partial in partials:
                self.assertEqual((partial["partial"], partial["result_kind"]), (1, 1))
                self.assertEqual(partial["result"], b'{"done":0.5}')
                self.assertEqual(partial["state"], PROCESSING)
        worker.settle(token, result_kind=2, result="ü", duration_ms=1234)
        for peer, count in ((client, 2), (other, 1)):
            for outcome in [peer.expect("OUTCOME") for _ in range(count)]:
                self.assertNotIn("partial", outcome)
                self.assertEqual((outcome["state"], outcome["attempts"]), (SUCCESS, 1))
                self.assertEqual((outcome["id"], outcome["duration_ms"]), (b"a", 1234))
                self.assertEqual((outcome["result_kind"], outcome["result"]), (2, "ü".encode()))
            self.in_step(peer)
        client.send("WAIT", corr=9, id="a")  # ended: at once
        self.assertEqual(client.expect("OUTCOME")["corr"], 9)
        broker.restart()
        client = self.peer(broker)
        client.send("WAIT", corr=3, id="a")
        outcome = client.expect("OUTCOME")
        self.assertEqual((outcome["state"], outcome["result"]), (SUCCESS, "ü".encode()))

    def test_waits_are_forgotten_with_goodbye(self):
        broker = self.broker()
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q", wait=True)
        client.send("GOODBYE")
        worker.settle(worker.delivery()["token"])
        worker.expect("SETTLED")
        self.in_step(client)

    def test_ids_that_are_unknown_or_none(self):
        peer = self.peer(self.broker())
        for command in ("WAIT", "CANCEL", "REDRIVE", "PURGE"):
            with self.subTest(command=command):
                peer.send(command, corr=3, id="nobody")
                self.assertEqual(peer.error(), (wire.UNKNOWN_TASK, 3))
                for wrong in ("x" * 129, "a b", b"\xff", b"a\x00"):
                    peer.send(command, corr=4, id=wrong)
                    self.assertEqual(peer.error(), (wire.BAD_ID, 4))
        for command in ("WAIT", "CANCEL"):
            peer.send(command, corr=5)
            self.assertEqual(peer.error(), (wire.BAD_ID, 5))
        peer.send("QUERY", corr=6, what=1, id="nobody")
        self.assertEqual(peer.error(), (wire.UNKNOWN_TASK, 6))
        peer.send("QUERY", corr=7, what=1)
        self.assertEqual(peer.error(), (wire.BAD_ID, 7))
        for what in (0, 7, (1 << 32) - 1):
            peer.send("QUERY", corr=8, what=what)
            self.assertEqual(peer.error(), (wire.UNSUPPORTED, 8))

    def test_cancel_in_each_state(self):
        broker = self.broker(defaults={"max-retries": 0})
        peer = self.peer(broker)
        peer.submit("scheduled", "q", delay_ms=3600000)
        peer.submit("queued", "q", corr=2, wait=True)
        for ident, state in (("scheduled", SCHEDULED), ("queued", QUEUED)):
            peer.send("CANCEL", corr=3, id=ident)
            name, fields = peer.expect("DONE", "OUTCOME")
            if name == "OUTCOME":
                self.assertEqual((fields["corr"], fields["state"]), (2, CANCELLED))
                fields = peer.expect("DONE")
            self.assertEqual((fields["corr"], fields["count"], fields["state"]), (3, 1, state))
            self.assertEqual(self.state_passing(peer, ident), "cancelled")
        worker = self.worker(broker)
        peer.submit("processing", "q", corr=4)
        token = worker.delivery()["token"]
        peer.send("CANCEL", corr=5, id="processing")
        self.assertEqual(peer.expect("DONE")["state"], PROCESSING)
        self.assertEqual(self.revoked(worker), (token, CAUSE_CANCELLED))
        worker.settle(token, corr=6)
        self.assertEqual(worker.error(), (wire.STALE_ATTEMPT, 6))
        peer.submit("success", "q", corr=7)
        worker.settle(worker.delivery()["token"], corr=8)
        worker.expect("SETTLED")
        peer.submit("failed", "q", corr=9)
        worker.settle(worker.delivery()["token"], FAIL, corr=10)
        worker.expect("SETTLED")
        peer.submit("expired", "q", corr=11, expires_at_ms=1, wait=True)
        self.assertEqual(peer.expect("OUTCOME")["state"], EXPIRED)
        for ident in ("success", "failed", "expired", "queued"):
            peer.send("CANCEL", corr=12, id=ident)
            self.assertEqual(peer.error(), (wire.WRONG_STATE, 12))

    def state_passing(self, peer, ident):
        """As state, where the OUTCOME of a wait may come in between."""
        peer.send("QUERY", corr=4000, what=1, id=ident)
        while True:
            name, fields = peer.expect("DOCUMENT", "OUTCOME")
            if name == "DOCUMENT":
                return json.loads(fields["json"])["state"]

    def test_documents(self):
        broker = self.broker(defaults={"max-retries": 0})
        client = self.peer(broker)
        body = '{"args":[1,"ü"],"kwargs":{"a":null}}'
        client.submit("a", "q", body=body, origin="test", created_at_ms=1779273000000)
        client.submit("late", "q", corr=2, delay_ms=3600000)

        def ask(**fields):
            client.send("QUERY", corr=3, **fields)
            document = client.expect("DOCUMENT")
            self.assertEqual(document["corr"], 3)
            return json.loads(document["json"])

        document = ask(what=1, id="a")
        self.assertEqual(document["state"], "queued")
        self.assertEqual(document["task"]["args"], [1, "ü"])
        self.assertEqual(document["task"]["kwargs"], {"a": None})
        self.assertEqual(document["task"]["created_at"], "2026-05-20T10:30:00.000Z")
        self.assertEqual(document["task"]["origin"], "test")
        self.assertEqual(document["task"]["queue"], "q")
        (queue,) = ask(what=2)
        self.assertEqual((queue["queue"], queue["waiting"], queue["scheduled"]), ("q", 1, 1))
        worker = self.worker(broker, "q", "p", name="the worker")
        token = worker.delivery()["token"]
        self.assertEqual(ask(what=1, id="a")["state"], "processing")
        self.assertEqual([q["processing"] for q in ask(what=2) if q["queue"] == "q"], [1])
        (shown,) = ask(what=3)
        self.assertEqual((shown["worker"], sorted(shown["queues"])), ("the worker", ["p", "q"]))
        worker.settle(token, REJECT, reason="no", error="an error", traceback="line\nline")
        worker.expect("SETTLED")
        (dead,) = ask(what=4)
        self.assertEqual((dead["id"], dead["queue"], dead["reason"]), ("a", "q", "no"))
        self.assertEqual(ask(what=4, queue="p"), [])
        document = ask(what=1, id="a")
        self.assertEqual(document["state"], "failed")
        self.assertEqual((document["error"], document["traceback"]), ("an error", "line\nline"))

    def test_the_totals_of_a_queue_count_since_the_start(self):
        broker = self.broker(defaults={"max-retries": 0})
        client = self.peer(broker)

        def totals():
            client.send("QUERY", corr=9, what=2)
            (queue,) = json.loads(client.expect("DOCUMENT")["json"])
            return queue["submitted_total"], queue["finished_total"]

        for corr, ident in enumerate(("good", "bad", "unwanted", "waits"), 1):
            client.submit(ident, "q", corr=corr)
        self.assertEqual(totals(), (4, 0))
        worker = self.worker(broker)
        for verdict in (SUCCEED, REJECT):
            worker.settle(worker.delivery()["token"], verdict)
            worker.expect("SETTLED")
        self.assertEqual(totals(), (4, 2))
        client.send("CANCEL", corr=5, id="unwanted")
        client.expect("DONE")
        self.assertEqual(totals(), (4, 3))
        broker.restart()
        client = self.peer(broker)
        self.assertEqual(totals(), (0, 0))

    def test_the_broker_tells_of_itself(self):
        broker = self.broker()
        peer = self.peer(broker, hello=False)
        welcome = peer.hello()
        peer.ready("w", "q", "p")

        def ask():
            peer.send("QUERY", corr=3, what=6)
            return json.loads(peer.expect("DOCUMENT")["json"])

        first = ask()
        self.assertEqual(first["version"], welcome["version"].decode())
        self.assertEqual((first["broker_id"], first["epoch"]),
                         (welcome["broker_id"].decode(), welcome["epoch"]))
        self.assertEqual((first["state"], first["queues"], first["workers"]), ("ready", 2, 1))
        self.assertGreaterEqual(ask()["uptime_s"], first["uptime_s"])

    def test_a_worker_is_shown_with_where_it_connects_from(self):
        broker = self.broker()
        self.worker(broker, name="tcp")
        self.enterContext(ReevePeer(broker.ipc)).ready("ipc", "q")
        for name in ("tcp", "ipc"):
            broker.wait("worker_joined", worker_id=name)
        client = self.peer(broker)
        client.send("QUERY", corr=3, what=3)
        workers = json.loads(client.expect("DOCUMENT")["json"])
        self.assertEqual({w["worker"]: w["address"] for w in workers},
                         {"tcp": "127.0.0.1", "ipc": "localhost"})

    def kill_tasks(self, broker, client, queue, count):
        """Makes dead letters q0, q1, …"""
        worker = self.worker(broker, queue, name=f"killer of {queue}", prefetch=count)
        client.send("SUBMIT", first=1, task=[task(f"{queue}{i}", queue) for i in range(count)])
        self.assertEqual(set(answers(client, count).values()), {wire.OK})
        tokens = []
        while len(tokens) < count:
            tokens += [d["token"] for d in worker.expect("DELIVER")["delivery"]]
        worker.send(
            "SETTLE",
            first=1,
            settlement=[{"token": t, "verdict": REJECT, "reason": "no"} for t in tokens],
        )
        answers(worker, count)
        worker.send("GOODBYE")

    def dead(self, client, **fields):
        """All dead letters, page by page."""
        found, after = [], 0
        while True:
            client.send("QUERY", corr=3, what=4, after=after, **fields)
            document = client.expect("DOCUMENT")
            page = json.loads(document["json"])
            self.assertLessEqual(len(page), fields.get("limit", 500))
            found += [row["id"] for row in page]
            after = document.get("next", 0)
            if after == 0:
                return found

    def test_pages_of_dead_letters(self):
        broker = self.broker()
        client = self.peer(broker)
        self.kill_tasks(broker, client, "q", 7)
        self.kill_tasks(broker, client, "p", 2)
        for limit in (1, 2, 3, 7, 500, 100000):
            got = self.dead(client, queue="q", limit=limit)
            self.assertEqual(sorted(got), [f"q{i}" for i in range(7)])
            self.assertEqual(len(self.dead(client, limit=limit)), 9)
        client.send("QUERY", corr=5, what=4, queue="nowhere")
        self.assertEqual(client.error(), (wire.BAD_QUEUE, 5))

    def test_redrive_and_purge(self):
        broker = self.broker()
        client = self.peer(broker)
        self.kill_tasks(broker, client, "q", 6)
        self.kill_tasks(broker, client, "p", 3)

        def done(command, **fields):
            client.send(command, corr=7, **fields)
            answer = client.expect("DONE")
            self.assertEqual((answer["corr"], answer.get("state", FAILED)), (7, FAILED))
            return answer.get("count", 0)

        self.assertEqual(done("REDRIVE", id="q0"), 1)
        self.assertEqual(self.state(client, "q0"), "queued")
        self.assertEqual(done("PURGE", id="q1"), 1)
        for command in ("REDRIVE", "PURGE"):
            client.send(command, corr=8, id="q0")
            self.assertEqual(client.error(), (wire.WRONG_STATE, 8))
            client.send(command, corr=9, id="q1")
            self.assertEqual(client.error(), (wire.UNKNOWN_TASK, 9))
            for queue, code in (("nowhere", wire.BAD_QUEUE), (b"\xff", wire.BAD_QUEUE)):
                client.send(command, corr=9, queue=queue)
                self.assertEqual(client.error(), (code, 9))
        self.assertEqual(done("REDRIVE", queue="q"), 4)
        self.assertEqual(done("REDRIVE", queue="q"), 0)
        self.assertEqual(done("PURGE"), 3)
        self.assertEqual(self.dead(client), [])
        worker = self.worker(broker, prefetch=10)
        got = []
        while len(got) < 5:
            got += worker.expect("DELIVER")["delivery"]
        self.assertEqual(sorted(d["task"][0]["id"] for d in got), [b"q0", b"q2", b"q3", b"q4", b"q5"])
        self.assertEqual({(d["attempt"], d.get("retry_count", 0)) for d in got}, {(2, 0)})


if __name__ == "__main__":
    mdp_harness.main()
