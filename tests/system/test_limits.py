"""Many of everything: connections, queues, answers that nobody reads. REEVE_LONG=1 for large numbers."""

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

import mdp_harness
import zmq
from mdp_harness import SystemTest

import mdp
from reeve_peer import NOT_READY, TOO_MANY, ReevePeer, encode

LONG = os.environ.get("REEVE_LONG") == "1"
CONNECTIONS = 5_000 if LONG else 500
CROWD = "crowd"
CROWD_SIZE = 500
CROWD_PATIENCE_MS = 600_000  # the last one is answered after thousands of others
QUEUES = 10_000 if LONG else 1_000
WORKER_QUEUES = 256
BATCH = 250
RESULT_BYTES = 4 << 20
PEERS = 100_000
PEER_BYTES = 256 << 20


def task(task_id, queue):
    return {"id": task_id, "queue": queue, "task_name": "n", "body": '{"args":[],"kwargs":{}}'}


def chunks(items, size):
    return (items[at : at + size] for at in range(0, len(items), size))


def confirmed(peer, count):
    """Waits until the first `count` correlation numbers are confirmed."""
    while count > 0:
        count -= sum(part["count"] for part in peer.expect("CONFIRM")["range"])


def rss_bytes(broker):
    status = Path(f"/proc/{broker.program.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) << 10


def crowd_of_clients(endpoint, number):
    """Many connections; a process has not enough descriptors for all. They stay until stdin ends."""
    zmq.Context.instance().max_sockets = CROWD_SIZE + 10
    peers = [ReevePeer(endpoint) for _ in range(CROWD_SIZE)]
    for i, peer in enumerate(peers):
        peer.send("HELLO", name=f"client-{number}-{i}")
        peer.send("SUBMIT", first=1, task=[task(f"t-{number}-{i}", "q")])
    for peer in peers:
        peer.expect("WELCOME", timeout_ms=CROWD_PATIENCE_MS)
        peer.expect("CONFIRM", timeout_ms=CROWD_PATIENCE_MS)
    print("all are answered", flush=True)
    sys.stdin.read()


class LimitsTest(SystemTest):
    def deaf(self, endpoint):
        """A socket that takes nothing in."""
        deaf = self.enterContext(zmq.Context.instance().socket(zmq.DEALER))
        deaf.rcvhwm = 1
        deaf.linger = 0
        deaf.connect(endpoint)
        return deaf

    def store_result(self, broker):
        """Of the task "big"."""
        with ReevePeer(broker.tcp) as worker:
            worker.hello()
            worker.ready("w", "q")
            worker.submit("big", "q")
            worker.settle(worker.delivery()["token"], result_kind=2, result="x" * RESULT_BYTES)
            worker.expect("SETTLED")

    def test_many_connections_at_once(self):
        broker = self.broker()
        crowds = [
            subprocess.Popen(
                [sys.executable, "-B", __file__, ".", CROWD, broker.tcp, str(crowd)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for crowd in range(CONNECTIONS // CROWD_SIZE)
        ]
        for crowd in crowds:
            self.addCleanup(crowd.communicate)
        for crowd in crowds:
            self.assertEqual(crowd.stdout.readline(), b"all are answered\n")
        (row,) = self.reeve_json(broker.tcp, "queues")
        self.assertEqual(row["waiting"], CONNECTIONS)

    @unittest.skipUnless(LONG, "only with REEVE_LONG=1")
    def test_the_longest_silent_makes_room_for_a_new_peer(self):
        broker = self.broker({"liveness": "10m"})
        with ReevePeer(broker.ipc) as silent, ReevePeer(broker.ipc) as worker:
            silent.hello()
            worker.hello()
            worker.ready("w", "q")
            for _ in range(PEERS):
                with ReevePeer(broker.ipc) as peer:
                    peer.hello()
            silent.send("HEARTBEAT")
            self.assertEqual(silent.error(), (NOT_READY, 0))
            with ReevePeer(broker.ipc) as peer:
                peer.submit("a", "q")
            worker.delivery()

    def test_many_queues_each_with_work(self):
        broker = self.broker({"max-queues": QUEUES})
        names = [f"queue-{i}" for i in range(QUEUES)]
        with ReevePeer(broker.tcp) as peer:
            peer.hello()
            for at, some in enumerate(chunks(names, BATCH)):
                peer.send(
                    "SUBMIT", first=1 + at * BATCH, task=[task(f"t-{name}", name) for name in some]
                )
            confirmed(peer, QUEUES)
            peer.send("SUBMIT", first=9_999_999, task=[task("more", "one-too-many")])
            self.assertEqual(peer.error(), (TOO_MANY, 9_999_999))
        for some in chunks(names, WORKER_QUEUES):
            with ReevePeer(broker.tcp) as worker:
                worker.hello()
                worker.ready("w", *some, prefetch=len(some))
                seen = set()
                while len(seen) < len(some):
                    for delivery in worker.expect("DELIVER")["delivery"]:
                        seen.add(delivery["task"][0]["queue"].decode())
                        worker.settle(delivery["token"], corr=len(seen))
                self.assertEqual(seen, set(some))
                settled = 0
                while settled < len(some):
                    settled += sum(part["count"] for part in worker.expect("SETTLED")["range"])
                worker.send("GOODBYE")
        self.assertEqual(sum(row["waiting"] for row in self.reeve_json(broker.tcp, "queues")), 0)

    def test_a_large_message_leaves_no_buffer_behind(self):
        asan = os.environ["ASAN_OPTIONS"] + ":quarantine_size_mb=0"  # what is freed is not kept
        broker = self.broker(prefix=("env", f"ASAN_OPTIONS={asan}"))
        self.store_result(broker)
        before = rss_bytes(broker)
        peers = [self.enterContext(ReevePeer(broker.tcp)) for _ in range(40)]
        for peer in peers:
            peer.send("WAIT", corr=1, id="big")
            self.assertEqual(len(peer.expect("OUTCOME")["result"]), RESULT_BYTES)
        self.eventually(
            lambda: rss_bytes(broker) < before + len(peers) * RESULT_BYTES / 2,
            "the buffers are kept",
        )

    def test_a_client_does_not_leave_any_number_of_bytes_unread(self):
        broker = self.broker()
        self.store_result(broker)
        deaf = self.deaf(broker.ipc)  # where no window of TCP's is shut for too long
        for corr in range(1, 2 * PEER_BYTES // RESULT_BYTES):
            deaf.send(encode("WAIT", corr=corr, id="big"))
        broker.refused("slow_peer")
        with ReevePeer(broker.tcp) as peer:
            peer.send("WAIT", corr=1, id="big")
            self.assertEqual(len(peer.expect("OUTCOME")["result"]), RESULT_BYTES)

    def test_a_client_that_never_reads_harms_nobody(self):
        broker = self.broker()
        deaf = self.deaf(broker.tcp)
        while broker.log.find("peer_refused", reason="slow_peer") is None:
            deaf.send(encode("QUERY", corr=1, what=2))
        with ReevePeer(broker.tcp) as peer:
            peer.hello()
            peer.submit("a", "q")
        with mdp.Client01(broker.tcp) as client:
            self.assertEqual(client.request("mmi.service", "q"), [b"404"])


if __name__ == "__main__":
    if sys.argv[1:2] == [CROWD]:
        crowd_of_clients(sys.argv[2], int(sys.argv[3]))
    else:
        mdp_harness.main()
