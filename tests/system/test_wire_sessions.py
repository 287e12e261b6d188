"""REEVE/1 at a running broker: how peers come, go, and are told what is wrong.

Usage: test_wire_sessions.py BUILD_DIR
"""

import mdp_harness
import reeve_peer as wire
from reeve_peer import ReevePeer, encode
from wire_tests import SUCCESS, WireTest, answers, task


class Sessions(WireTest):
    def test_welcome(self):
        broker = self.broker()
        epochs = []
        for endpoint in (broker.tcp, broker.ipc):
            with ReevePeer(endpoint) as peer:
                welcome = peer.hello()
                self.assertEqual((welcome["heartbeat_ms"], welcome["liveness_ms"]), (100, 60000))
                self.assertEqual(welcome["max_message_bytes"], 32 << 20)
                self.assertEqual(welcome["max_batch"], 4096)
                self.assertTrue(welcome["broker_id"] and welcome["version"])
                epochs.append((welcome["broker_id"], welcome["epoch"]))
                self.assertEqual(peer.hello(), welcome)
        broker.restart()
        with ReevePeer(broker.ipc) as peer:
            welcome = peer.hello()
            epochs.append((welcome["broker_id"], welcome["epoch"] - 1))
        self.assertEqual(len(set(epochs)), 1, epochs)

    def test_heartbeats(self):
        broker = self.broker()
        peer = self.peer(broker, hello=False)
        peer.send("HEARTBEAT")
        self.assertEqual(peer.error(), (wire.NOT_READY, 0))
        peer.hello()
        peer.send("HEARTBEAT")
        self.assertEqual(peer.recv(), ("HEARTBEAT", {}))
        peer.send("HEARTBEAT", held=[{"token": "1.1.0123456789abcdef"}])
        self.assertEqual(peer.error(), (wire.NOT_READY, 0))
        worker = self.worker(broker)
        for _ in range(3):
            self.assertEqual(worker.recv(), ("HEARTBEAT", {}))

    def test_strangers_have_to_register(self):
        broker = self.broker()
        token = "1.1.0123456789abcdef"
        for hello in (False, True):
            peer = self.peer(broker, hello)
            for command, fields in (
                ("SETTLE", {"first": 7, "settlement": [{"token": token, "verdict": 1}] * 2}),
                ("PREFETCH", {"prefetch": 1}),
                ("EXTEND", {"token": token, "timeout_ms": 1}),
                ("PROGRESS", {"token": token, "kind": 2}),
            ):
                with self.subTest(hello=hello, command=command):
                    peer.send(command, **fields)
                    self.assertEqual(peer.error(), (wire.NOT_READY, 0))
                    self.in_step(peer)

    def test_a_worker_that_was_given_up_is_told_so(self):
        broker = self.broker({"liveness": "250ms"})
        worker = self.worker(broker)
        broker.wait("worker_lost")
        worker.send("HEARTBEAT")
        self.assertEqual(worker.error(), (wire.NOT_READY, 0))

    def test_a_peer_may_leave_out_hello(self):
        peer = self.peer(self.broker(), hello=False)
        self.assertEqual(peer.submit("a", "q")["durability"], 2)

    def test_goodbye_of_a_peer(self):
        broker = self.broker()
        worker = self.worker(broker, prefetch=2)
        client = self.peer(broker)
        client.submit("a", "q")
        first = worker.delivery()
        worker.send("GOODBYE", text="done")
        delivery = self.worker(broker, name="w2").delivery()
        self.assertEqual((delivery["attempt"], delivery.get("retry_count", 0)), (2, 0))
        self.assertNotEqual(delivery["token"], first["token"])
        worker.send("HEARTBEAT")
        self.assertEqual(worker.error(), (wire.NOT_READY, 0))  # a stranger
        worker.hello()
        worker.send("HEARTBEAT")
        self.assertEqual(worker.recv()[0], "HEARTBEAT")

    def test_what_was_under_way_is_told_after_goodbye(self):
        broker = self.broker()
        worker = self.worker(broker)
        worker.submit("a", "q")
        token = worker.delivery()["token"]
        worker.send("SUBMIT", first=2, task=[task("b", "other")])
        worker.settle(token, corr=3)
        worker.send("GOODBYE")
        self.assertEqual(answers(worker, 2), {2: wire.OK, 3: wire.OK})

    def test_goodbye_of_the_broker(self):
        broker = self.broker()
        worker = self.worker(broker)
        self.in_step(worker)
        broker.stop()
        worker.expect("GOODBYE")

    def test_what_is_no_message(self):
        broker = self.broker()
        peer = self.peer(broker)
        wrong = [
            (b"REEVE1", (wire.MALFORMED, wire.UNSUPPORTED)),
            (b"REEVE1\x00", (wire.UNSUPPORTED,)),
            (b"REEVE1\x7f", (wire.UNSUPPORTED,)),
            (b"REEVE1\x20\x08", (wire.MALFORMED,)),
            (b"REEVE1\x20\x00\x01", (wire.MALFORMED,)),
            (b"REEVE1\x20\x12\x05ab", (wire.MALFORMED,)),
            (b"REEVE1\x20\x0b", (wire.MALFORMED,)),
            (b"REEVE1\x20\x08" + b"\xff" * 10 + b"\x01", (wire.MALFORMED,)),
            (b"REEVE1\x20\x0a\x01a", (wire.MALFORMED,)),
        ]
        for name in ("WELCOME", "ERROR", "CONFIRM", "OUTCOME", "DONE", "DOCUMENT", "DELIVER"):
            wrong.append((encode(name), (wire.UNSUPPORTED,)))
        for frame, codes in wrong:
            with self.subTest(frame=frame):
                peer.send_raw(frame)
                code, corr = peer.error()
                self.assertIn(code, codes)
                self.assertEqual(corr, 0)

    def test_frames_that_are_not_one_are_dropped(self):
        broker = self.broker()
        peer = self.peer(broker)
        hello = encode("HELLO", name="x")
        for frames in (["", hello], [hello, ""], [hello, hello], ["REEVE2\x01"], ["REEVE"], [""]):
            peer.send_raw(*frames)
        self.in_step(peer)
        broker.refused("not_a_protocol")

    def test_unknown_fields_are_skipped_in_every_message(self):
        broker = self.broker()
        client, worker = self.peer(broker), self.worker(broker)
        unknown = b"\x78\x01" + b"\xf9\x01" + b"8bytes.." + b"\xfa\x01\x03abc" + b"\xfd\x01four"
        # Field 15 is a task's; 31 is nobody's.
        inner = b"\xf9\x01" + b"8bytes.." + b"\xf8\x01\xff\x01" + wire.body(wire.TASK, task("a"))
        client.send_raw(encode("SUBMIT", first=1) + unknown + b"\x12" + wire.varint(len(inner)) + inner)
        self.assertEqual(client.expect("CONFIRM")["range"], [{"first": 1, "count": 1}])
        token = worker.delivery()["token"]
        client.send_raw(encode("WAIT", corr=2, id="a") + unknown)
        worker.send_raw(encode("HEARTBEAT", held=[{"token": token, "running_ms": 1}]) + unknown)
        settlement = wire.body(wire.SETTLEMENT, {"token": token, "verdict": 1}) + unknown
        worker.send_raw(
            encode("SETTLE", first=9) + b"\x12" + wire.varint(len(settlement)) + settlement + unknown
        )
        self.assertEqual(worker.expect("SETTLED")["range"], [{"first": 9, "count": 1}])
        self.assertEqual(client.expect("OUTCOME")["state"], SUCCESS)

    def test_the_last_of_several_values_counts(self):
        peer = self.peer(self.broker())
        one = wire.body({"task": (2, wire.TASK)}, {"task": [task("a")]})
        peer.send_raw(encode("SUBMIT", first=1) + wire.body({"first": 1}, {"first": 77}) + one)
        self.assertEqual(peer.expect("CONFIRM")["range"], [{"first": 77, "count": 1}])


if __name__ == "__main__":
    mdp_harness.main()
