"""A disk that fails under the running broker: a sync or a write gives EIO, and what was written since the
last good sync is lost. Usage: test_disk_fault.py BUILD_DIR"""

import itertools
import os
import pathlib
import sqlite3
import time

import mdp_harness
import zmq
from mdp_harness import BUILD, SystemTest

import mdp
from reeve_peer import ReevePeer, decode, encode

EX_IOERR = 74
BATCH = 20
WINDOW = 10 * BATCH
CONFIRMED_BEFORE = 400
LARGE_BYTES = 2 << 20
MANY_LARGE = 130  # more than LIMIT_UNCOMMITTED_BYTES and LIMIT_PEER_INPUT let the broker take
BYTES_MAX = 100 << 20  # far more than a log that is not moved into the database has


class Producer(ReevePeer):
    """Submits tasks t1, t2, … under these correlation numbers."""

    def __init__(self, endpoint, body_bytes):
        super().__init__(endpoint)
        self.body = '{"args":[],"kwargs":{"x":"%s"}}' % ("x" * body_bytes)
        self.sent = 0
        self.confirmed = []

    def batch(self, first, count=BATCH):
        numbers = range(first, first + count)
        common = {"queue": "q", "task_name": "n", "body": self.body}
        self.send("SUBMIT", first=first, task=[{"id": f"t{i}", **common} for i in numbers])

    def submit_more(self):
        self.batch(self.sent + 1)
        self.sent += BATCH

    def take_confirm(self, timeout_ms=mdp.TIMEOUT_MS):
        for part in self.expect("CONFIRM", timeout_ms=timeout_ms)["range"]:
            self.confirmed += range(part["first"], part["first"] + part["count"])

    def submit_until(self, confirmed):
        while len(self.confirmed) < confirmed:
            if self.sent - len(self.confirmed) < WINDOW:
                self.submit_more()
            else:
                self.take_confirm()


class DiskFaultTest(SystemTest):
    def faulty_broker(self, patience="1m"):
        self.fault = pathlib.Path(self.directory()) / "fault"
        environment = {
            "LD_PRELOAD": BUILD / "tests/system/libfaulty_disk.so",
            "FAULTY_DISK": self.fault,
            "ASAN_OPTIONS": os.environ["ASAN_OPTIONS"] + ":verify_asan_link_order=0",
        }
        prefix = ("env", *(f"{name}={value}" for name, value in environment.items()))
        return self.broker({"liveness": patience, "grace": patience}, prefix=prefix)

    def break_disk(self, what):
        """From the next such call on: "sync -wal always" and the like."""
        ready = self.fault.with_suffix(".new")
        ready.write_text(what)
        ready.rename(self.fault)

    def failed(self, broker):
        """It says what failed, and ends."""
        line = broker.wait("store_failed")
        self.assertIn("disk I/O error", line["error"])
        self.assertEqual(broker.program.end(), EX_IOERR)
        self.assertEqual(broker.log.noise, [])

    def start_on_good_disk(self, broker):
        self.fault.unlink(missing_ok=True)
        broker.prefix = ()
        broker.start()

    def demand_known(self, broker, producer):
        """Each confirmed task is there, and with its content: submitted again, it is a duplicate."""
        with Producer(broker.ipc, 0) as again:
            again.body = producer.body
            again.hello()
            for number in producer.confirmed:
                again.batch(number, 1)
            seen = []
            while len(seen) < len(producer.confirmed):
                for part in again.expect("CONFIRM")["range"]:
                    self.assertEqual(part.get("duplicate", 0), 1, part)
                    seen += range(part["first"], part["first"] + part["count"])
            self.assertEqual(sorted(seen), sorted(producer.confirmed))

    def submit_until_it_ends(self, broker, producer, fault):
        self.break_disk(fault)
        while broker.program.process.poll() is None:
            self.assertLess(producer.sent * len(producer.body), BYTES_MAX, "it went on")
            if producer.sent - len(producer.confirmed) < WINDOW:
                producer.submit_more()
            try:
                producer.take_confirm(timeout_ms=100)
            except mdp.Timeout:
                pass
        self.failed(broker)

    def settle_some(self, broker, count):
        """Ends so many tasks, and keeps one more; returns the worker, the ended, and the kept."""
        worker = self.enterContext(ReevePeer(broker.ipc))
        worker.hello()
        worker.ready("w", "q", prefetch=1)
        ended = set()
        for corr in range(1, count + 1):
            delivery = worker.delivery()
            ended.add(delivery["task"][0]["id"])
            worker.settle(delivery["token"], corr=corr)
            worker.expect("SETTLED")
        return worker, ended, worker.delivery()

    def test_after_a_failed_sync_or_write_nothing_is_confirmed_and_nothing_was_lost(self):
        faults = [*itertools.product(("sync", "write"), ("always", "once"))]
        for call, how_often in faults:
            with self.subTest(call=call, how_often=how_often):
                broker = self.faulty_broker()
                producer = self.enterContext(Producer(broker.ipc, 100))
                producer.hello()
                producer.submit_until(CONFIRMED_BEFORE)
                while len(producer.confirmed) < producer.sent:
                    producer.take_confirm()
                worker, ended, kept = self.settle_some(broker, 50)

                self.break_disk(f"{call} -wal {how_often}")
                producer.submit_more()
                worker.settle(kept["token"], corr=100)
                self.failed(broker)
                self.start_on_good_disk(broker)
                # Both sockets are connected again by now or soon: what the first broker had said after
                # the fault would come before the new one's answer. It may have sent a task whose
                # lease was durable; nothing else.
                producer.hello()
                worker.send("HELLO", name="w")
                while worker.expect("WELCOME", "DELIVER")[0] != "WELCOME":
                    pass

                self.demand_known(broker, producer)
                held = [{"token": kept["token"]}]
                worker.ready("w", "q", prefetch=10, held=held)
                worker.settle(kept["token"], corr=101)
                rest = {b"t%d" % number for number in producer.confirmed} - ended
                rest.remove(kept["task"][0]["id"])
                settled = False
                while rest or not settled:
                    name, fields = worker.expect("DELIVER", "SETTLED")
                    settled = settled or name == "SETTLED"
                    for delivery in fields.get("delivery", ()):
                        task = delivery["task"][0]["id"]
                        self.assertNotIn(task, ended)
                        rest.discard(task)
                        worker.settle(delivery["token"], corr=1000 + int(task[1:]))

    def test_a_fault_amid_submissions_loses_nothing_confirmed(self):
        """Also one of the checkpoint, which takes a log that is long enough."""
        faults = [("sync -wal always", 1000), ("sync -wal once", 1000), ("write -wal once", 1000)]
        faults += [("sync .db once", 20_000), ("write .db once", 20_000)]
        for fault, body_bytes in faults:
            with self.subTest(fault=fault):
                broker = self.faulty_broker()
                producer = self.enterContext(Producer(broker.ipc, body_bytes))
                producer.hello()
                producer.submit_until(CONFIRMED_BEFORE)
                self.submit_until_it_ends(broker, producer, fault)
                self.start_on_good_disk(broker)
                self.assertGreaterEqual(len(producer.confirmed), CONFIRMED_BEFORE)
                self.demand_known(broker, producer)

    def test_a_log_is_kept_when_its_copy_may_be_lost(self):
        """A reader lets a checkpoint copy only the first part of the log, which syncs nothing. When the
        sync after the second part fails, the first one is lost as well; who copied only the rest again,
        and removed the log, would have neither."""
        broker = self.faulty_broker()
        producer = self.enterContext(Producer(broker.ipc, 20_000))
        producer.hello()
        producer.submit_until(CONFIRMED_BEFORE)
        reader = sqlite3.connect(broker.db, isolation_level=None)
        self.addCleanup(reader.close)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM meta").fetchone()
        producer.submit_until(3 * CONFIRMED_BEFORE)
        copied = CONFIRMED_BEFORE * 20_000
        self.eventually(lambda: broker.db.stat().st_size > copied, "no checkpoint")
        reader.close()
        self.submit_until_it_ends(broker, producer, "sync .db once")
        self.start_on_good_disk(broker)
        self.demand_known(broker, producer)

    def test_a_worker_is_not_judged_while_the_disk_hangs_and_nobody_listens(self):
        broker = self.faulty_broker(patience="3s")
        worker = self.enterContext(ReevePeer(broker.ipc))
        worker.hello()
        worker.ready("w", "q", prefetch=1)
        producer = self.enterContext(Producer(broker.ipc, 8 << 20))
        producer.hello()
        producer.submit("held", "q")
        token = worker.delivery()["token"]
        self.break_disk("hang -wal always")
        for number in range(1, 13):  # more than the broker takes before they are durable
            producer.batch(number, 1)
            worker.send("HEARTBEAT", held=[{"token": token}])
        until = time.monotonic() + 3 * 3
        while time.monotonic() < until:
            worker.send("HEARTBEAT", held=[{"token": token}])
            with self.assertRaises(mdp.Timeout):  # nothing but heartbeats comes
                worker.expect("REVOKE", timeout_ms=200)
        self.fault.unlink()
        while len(producer.confirmed) < 12:
            producer.take_confirm()
        worker.settle(token)
        worker.expect("SETTLED")
        self.assertEqual([line for line in broker.log.lines if line["event"] == "worker_lost"], [])

    def test_what_is_sent_while_nobody_listens_waits_at_the_peer(self):
        broker = self.faulty_broker()
        producer = self.enterContext(zmq.Context.instance().socket(zmq.DEALER))
        producer.sndhwm, producer.linger = 1, 0
        producer.connect(broker.ipc)
        self.break_disk("hang -wal always")
        body = '{"args":[],"kwargs":{"x":"%s"}}' % ("x" * LARGE_BYTES)
        sent = 0
        while sent < MANY_LARGE and producer.poll(2000, zmq.POLLOUT):
            sent += 1
            task = {"id": f"t{sent}", "queue": "q", "task_name": "n", "body": body}
            producer.send(encode("SUBMIT", first=sent, task=[task]))
        self.assertLess(sent, MANY_LARGE)
        self.fault.unlink()
        while sent > 0:
            sent -= sum(part["count"] for part in decode(producer.recv())[1]["range"])


if __name__ == "__main__":
    mdp_harness.main()
