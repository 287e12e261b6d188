"""REEVE/1 at a running broker: deliveries, settlements and leases.

Usage: test_wire_working.py BUILD_DIR
"""

import json
import time

import mdp_harness
import reeve_peer as wire
from reeve_peer import encode, frames_of
from wire_tests import (
    CAUSE_STALE,
    CAUSE_TIMEOUT,
    EMPTY,
    FAIL,
    FAILED,
    REJECT,
    RELEASE,
    SUCCEED,
    TEN_YEARS_MS,
    TOKEN,
    WireTest,
    answers,
    forged,
    task,
)


class Working(WireTest):
    def test_a_delivery(self):
        broker = self.broker(defaults={"timeout": "90s", "max-retries": 4})
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q", origin="o", created_at_ms=5, priority=3)
        delivery = worker.delivery()
        self.assertRegex(delivery["token"], TOKEN)
        self.assertLessEqual(len(delivery["token"]), 51)
        self.assertEqual((delivery["attempt"], delivery.get("retry_count", 0)), (1, 0))
        (got,) = delivery["task"]
        self.assertEqual(
            {k: got[k] for k in ("id", "queue", "task_name", "body", "origin", "created_at_ms")},
            dict(id=b"a", queue=b"q", task_name=b"job", body=EMPTY.encode(), origin=b"o", created_at_ms=5),
        )
        self.assertEqual((got["priority"], got["timeout_ms"], got["max_retries"]), (3, 90000, 4))

    def test_a_ready_that_is_refused(self):
        broker = self.broker()
        cases = [
            (wire.BAD_NAME, dict(name="", queue=["q"])),
            (wire.BAD_NAME, dict(name="n" * 129, queue=["q"])),
            (wire.BAD_NAME, dict(name=b"\xff", queue=["q"])),
            (wire.BAD_QUEUE, dict(name="w", queue=["q", ""])),
            (wire.BAD_QUEUE, dict(name="w", queue=["q" * 129])),
            (wire.BAD_QUEUE, dict(name="w", queue=[b"\xff"])),
            (wire.BAD_VALUE, dict(name="w")),
            (wire.BAD_VALUE, dict(name="w", queue=["q"], prefetch=10001)),
            (wire.TOO_MANY, dict(name="w", queue=[f"q{i}" for i in range(257)])),
        ]
        peer = self.peer(broker)
        for code, fields in cases:
            with self.subTest(fields=fields):
                peer.send("READY", **{"prefetch": 1, **fields})
                self.assertEqual(peer.error(), (code, 0))
                peer.send("PREFETCH", prefetch=1)
                self.assertEqual(peer.error(), (wire.NOT_READY, 0))
        peer.send("READY", name="w", queue=["q"] * 4097, prefetch=1)
        self.assertEqual(peer.error(), (wire.MALFORMED, 0))
        peer.ready("n" * 128, *(f"q{i}" for i in range(256)), prefetch=10000)
        peer.submit("a", "q255")
        self.assertEqual(peer.delivery()["task"][0]["id"], b"a")

    def test_the_credit_is_never_exceeded(self):
        broker = self.broker()
        client, worker = self.peer(broker), self.worker(broker, prefetch=3)
        client.send("SUBMIT", first=1, task=[task(f"a{i}") for i in range(6)])
        answers(client, 6)
        tokens = []

        def take(count):
            while len(tokens) < count:
                tokens.extend(d["token"] for d in worker.expect("DELIVER")["delivery"])
            self.assertEqual(len(tokens), count)

        take(3)
        self.in_step(worker)
        worker.settle(tokens[0])
        worker.expect("SETTLED", "DELIVER")
        self.assertEqual(self.queue_of(client)["processing"], 3)

    def queue_of(self, peer, name="q"):
        peer.send("QUERY", corr=4002, what=2)
        queues = json.loads(peer.expect("DOCUMENT")["json"])
        return next(queue for queue in queues if queue["queue"] == name)

    def test_prefetch_changes_the_credit(self):
        broker = self.broker()
        client, worker = self.peer(broker), self.worker(broker, prefetch=0)
        client.send("SUBMIT", first=1, task=[task(f"a{i}") for i in range(3)])
        answers(client, 3)
        self.in_step(worker)
        worker.send("PREFETCH", prefetch=2)
        got = []
        while len(got) < 2:
            got += worker.expect("DELIVER")["delivery"]
        worker.send("PREFETCH")
        worker.settle(got[0]["token"])
        worker.expect("SETTLED")
        worker.settle(got[1]["token"], corr=2)
        worker.expect("SETTLED")
        self.assertEqual(self.queue_of(client)["waiting"], 1)
        worker.send("PREFETCH", prefetch=10001)
        self.assertEqual(worker.error(), (wire.BAD_VALUE, 0))
        worker.send("PREFETCH", prefetch=1)
        worker.delivery()

    def test_settlements(self):
        broker = self.broker(defaults={"max-retries": 1})
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q", wait=True)
        for corr, verdict, attempt, failures in (
            (1, RELEASE, 1, 0),
            (2, FAIL, 2, 0),
            (3, RELEASE, 3, 1),
            (4, FAIL, 4, 1),
        ):
            delivery = worker.delivery()
            self.assertEqual(
                (delivery["attempt"], delivery.get("retry_count", 0)), (attempt, failures)
            )
            worker.settle(
                delivery["token"], verdict, corr=corr, reason=f"r{corr}", error="e", traceback="t"
            )
            self.assertEqual(worker.expect("SETTLED")["range"], [{"first": corr, "count": 1}])
        outcome = client.expect("OUTCOME")
        self.assertEqual((outcome["state"], outcome["attempts"]), (FAILED, 4))
        self.assertEqual(
            (outcome["reason"], outcome["error"], outcome["traceback"]), (b"r4", b"e", b"t")
        )
        client.submit("b", "q", corr=2, wait=True)
        worker.settle(worker.delivery()["token"], REJECT, corr=5, reason="no")
        outcome = client.expect("OUTCOME")
        self.assertEqual((outcome["state"], outcome["attempts"]), (FAILED, 1))

    def test_a_batch_of_settlements_is_settled_in_ranges(self):
        broker = self.broker()
        client, worker = self.peer(broker), self.worker(broker, prefetch=1000)
        client.send("SUBMIT", first=1, task=[task(f"a{i}") for i in range(1000)])
        answers(client, 1000)
        tokens = []
        while len(tokens) < 1000:
            tokens += [d["token"] for d in worker.expect("DELIVER")["delivery"]]
        items = [{"token": t, "verdict": SUCCEED} for t in tokens]
        items[10] = {"token": forged(tokens[10]), "verdict": SUCCEED}
        items[20] = {"token": tokens[20], "verdict": 9}
        worker.send("SETTLE", first=100, settlement=items)
        got = answers(worker, 1000)
        wrong = {corr: code for corr, code in got.items() if code}
        self.assertEqual(wrong, {110: wire.STALE_ATTEMPT, 120: wire.BAD_VALUE})
        self.assertEqual(self.queue_of(client)["processing"], 2)
        worker.send("SETTLE", first=5000, settlement=[items[10]] * 4097)
        self.assertEqual(worker.error(), (wire.MALFORMED, 0))

    def test_what_a_settlement_may_not_be(self):
        broker = self.broker()
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q", wait=True)
        token = worker.delivery()["token"]
        cases = [
            (wire.BAD_VALUE, dict(verdict=0)),
            (wire.BAD_VALUE, dict(verdict=5)),
            (wire.BAD_VALUE, dict(result_kind=4)),
            (wire.BAD_JSON, dict(result_kind=1, result="{")),
            (wire.BAD_JSON, dict(result_kind=1, result="")),
            (wire.BAD_JSON, dict(result_kind=1, result="[" * 65 + "]" * 65)),
            (wire.BAD_VALUE, dict(result_kind=2, result=b"\xff")),
            (wire.BAD_VALUE, dict(result_kind=3, result="\x05a")),
            (wire.TOO_LARGE, dict(result_kind=3, result=frames_of(*["x"] * 1025))),
            (wire.TOO_LARGE, dict(result_kind=2, result="x" * ((4 << 20) + 1))),
            (wire.TOO_LARGE, dict(verdict=2, reason="r" * 65)),
            (wire.TOO_LARGE, dict(verdict=2, error="e" * 4097)),
            (wire.TOO_LARGE, dict(verdict=2, traceback="t" * 65537)),
            (wire.BAD_VALUE, dict(verdict=2, reason=b"\xff")),
            (wire.BAD_VALUE, dict(verdict=2, error=b"\xff")),
        ]
        for corr, (code, wrong) in enumerate(cases, 1):
            with self.subTest(code=code, corr=corr):
                worker.settle(token, **{"corr": corr, **wrong})
                self.assertEqual(worker.error(), (code, corr))
        worker.settle(  # the lease is still held
            token, FAIL, corr=99, reason="r" * 64, error="e" * 4096, traceback="t" * 65536
        )
        worker.expect("SETTLED")
        token = worker.delivery()["token"]
        worker.settle(token, corr=100, result_kind=2, result="x" * (4 << 20))
        self.assertEqual(len(client.expect("OUTCOME")["result"]), 4 << 20)

    def test_tokens_that_do_not_count(self):
        broker = self.broker()
        client = self.peer(broker)
        worker = self.worker(broker, name="one", prefetch=2)
        client.submit("old", "q")
        old = worker.delivery()["token"]
        worker.settle(old)
        worker.expect("SETTLED")
        client.submit("a", "q", corr=2)
        mine = worker.delivery()["token"]
        worker.send("PREFETCH")
        other = self.worker(broker, name="two")
        client.submit("b", "q", corr=3)
        others = other.delivery()["token"]
        wrong = [old, others, forged(mine), forged(mine, 0), forged(mine, 1), b"", b"undefined"]
        wrong += [b"0" + mine, mine.upper(), mine + b"0", mine + b"\x00", b".." + mine, b"x" * 100000]
        for corr, token in enumerate(wrong, 10):
            with self.subTest(token=token[:40]):
                worker.settle(token, corr=corr)
                self.assertEqual(worker.error(), (wire.STALE_ATTEMPT, corr))
                worker.send("EXTEND", token=token, timeout_ms=1)
                self.assertEqual(worker.error(), (wire.STALE_ATTEMPT, 0))
                worker.send("PROGRESS", token=token, kind=2, data="x")
                self.assertEqual(worker.error(), (wire.STALE_ATTEMPT, 0))
                worker.send("HEARTBEAT", held=[{"token": token}, {"token": mine}])
                self.assertEqual(self.revoked(worker), (token, CAUSE_STALE))
        self.assertEqual(self.queue_of(client)["processing"], 2)
        worker.settle(mine, corr=99)
        worker.expect("SETTLED")
        other.settle(others, corr=1)
        other.expect("SETTLED")

    def test_settling_twice(self):
        broker = self.broker()
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q")
        token = worker.delivery()["token"]
        worker.settle(token, corr=1)
        worker.settle(token, corr=2)
        self.assertEqual(answers(worker, 2), {1: wire.OK, 2: wire.STALE_ATTEMPT})

    def test_progress_and_extend_that_are_refused(self):
        broker = self.broker()
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q")
        token = worker.delivery()["token"]
        cases = [
            (wire.BAD_VALUE, "PROGRESS", dict(kind=0, data="x")),
            (wire.BAD_VALUE, "PROGRESS", dict(kind=3, data="x")),
            (wire.BAD_VALUE, "PROGRESS", dict(kind=2, data=b"\xff")),
            (wire.BAD_JSON, "PROGRESS", dict(kind=1, data="{")),
            (wire.TOO_LARGE, "PROGRESS", dict(kind=2, data="x" * ((4 << 20) + 1))),
            (wire.BAD_VALUE, "EXTEND", dict(timeout_ms=0)),
            (wire.BAD_VALUE, "EXTEND", dict(timeout_ms=TEN_YEARS_MS + 1)),
        ]
        for code, command, fields in cases:
            with self.subTest(command=command, code=code):
                worker.send(command, token=token, **fields)
                self.assertEqual(worker.error(), (code, 0))
        worker.send("PROGRESS", token=token, kind=2, data="nobody waits")
        self.in_step(worker)

    def test_the_broker_times_an_attempt_out(self):
        broker = self.broker({"liveness": "2s"}, {"max-retries": 0})
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q", timeout_ms=1, wait=True)
        token = worker.delivery()["token"]
        self.assertEqual(self.beat_until_revoked(worker, token, 1), (token, CAUSE_TIMEOUT))
        outcome = client.expect("OUTCOME")
        self.assertEqual((outcome["state"], outcome["reason"]), (FAILED, b"timeout"))

    def beat_until_revoked(self, worker, token, running_ms, beats=200):
        """Heartbeats at each heartbeat of the broker, and the REVOKE."""
        started = time.monotonic()
        for _ in range(beats):
            ran_ms = running_ms + int(1000 * (time.monotonic() - started))
            worker.send("HEARTBEAT", held=[{"token": token, "running_ms": ran_ms}])
            name, fields = worker.recv()
            if name == "REVOKE":
                return fields["revoked"][0]["token"], fields["revoked"][0]["cause"]
            self.assertEqual(name, "HEARTBEAT")
        return None

    def test_extend_puts_the_timeout_off(self):
        broker = self.broker({"liveness": "2s"})
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q", timeout_ms=1)
        token = worker.delivery()["token"]
        worker.send("EXTEND", token=token, timeout_ms=3600000)
        self.assertIsNone(self.beat_until_revoked(worker, token, 1, beats=30))
        worker.settle(token)
        worker.expect("SETTLED")

    def test_a_lease_that_is_not_named_is_lost(self):
        broker = self.broker({"liveness": "2s"})
        client = self.peer(broker)
        worker = self.worker(broker, prefetch=2)
        client.send("SUBMIT", first=1, task=[task("named"), task("forgotten")])
        got = {}
        while len(got) < 2:
            for delivery in worker.expect("DELIVER")["delivery"]:
                got[delivery["task"][0]["id"]] = delivery["token"]
        worker.send("PREFETCH")
        self.assertEqual(
            self.beat_until_revoked(worker, got[b"named"], 1), (got[b"forgotten"], CAUSE_STALE)
        )
        worker.settle(got[b"forgotten"], corr=1)
        worker.settle(got[b"named"], corr=2)
        self.assertEqual(answers(worker, 2), {1: wire.STALE_ATTEMPT, 2: wire.OK})
        broker.wait("lease_lost", task_id="forgotten", reason="worker_lost")

    def test_a_silent_worker_loses_its_lease_and_cannot_settle(self):
        broker = self.broker({"liveness": "2s"})
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q", wait=True)
        token = worker.delivery()["token"]
        broker.wait("worker_lost")
        second = self.worker(broker, name="second").delivery()
        self.assertEqual(second["attempt"], 2)
        worker.settle(token)
        self.assertEqual(worker.error(), (wire.NOT_READY, 0))
        worker.ready("w", "q", held=[{"token": token}])
        self.assertEqual(self.revoked(worker), (token, CAUSE_STALE))
        worker.settle(token)
        self.assertEqual(worker.error(), (wire.STALE_ATTEMPT, 1))


if __name__ == "__main__":
    mdp_harness.main()
