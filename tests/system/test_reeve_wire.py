"""REEVE/1 at a running broker, by a peer written from docs/protocol.md. Usage: test_reeve_wire.py
BUILD_DIR

Error codes go by the names of chapter 7, which reeve_peer has as numbers.
"""

import json
import time

import mdp_harness
import reeve_peer as wire
from reeve_peer import ReevePeer, encode, frames_of

SCHEDULED, QUEUED, PROCESSING, SUCCESS, FAILED, CANCELLED, EXPIRED = range(1, 8)
SUCCEED, FAIL, REJECT, RELEASE = 1, 2, 3, 4
CAUSE_CANCELLED, CAUSE_STALE, CAUSE_TIMEOUT = 1, 2, 3
EMPTY = '{"args":[],"kwargs":{}}'
TEN_YEARS_MS = 3660 * 86400 * 1000
TOKEN = rb"^[0-9a-f]{1,16}\.[0-9a-f]{1,8}\.[0-9a-f]{16}$"


def task(ident, queue="q", **more):
    return {"id": ident, "queue": queue, "task_name": "t", "body": EMPTY, **more}


def answers(peer, count):
    """What each of `count` submissions or settlements was answered: {corr: code, 0 for a confirm}."""
    got = {}
    while len(got) < count:
        name, fields = peer.expect("CONFIRM", "SETTLED", "ERROR")
        if name == "ERROR":
            got[fields["corr"]] = fields["code"]
        for span in fields.get("range", []):
            got.update((span["first"] + i, wire.OK) for i in range(span["count"]))
    return got


def forged(token, part=-1):
    """The token with one digit changed, at the end of this part: seq, attempt or MAC."""
    parts = token.split(b".")
    parts[part] = parts[part][:-1] + (b"1" if parts[part][-1:] != b"1" else b"2")
    return b".".join(parts)


class WireTest(mdp_harness.SystemTest):
    def peer(self, broker, hello=True):
        peer = ReevePeer(broker.tcp)
        self.addCleanup(peer.kill)
        if hello:
            peer.hello()
        return peer

    def worker(self, broker, *queues, name="w", prefetch=1, held=()):
        peer = self.peer(broker)
        peer.ready(name, *(queues or ("q",)), prefetch=prefetch, held=held)
        return peer

    def state(self, peer, ident):
        peer.send("QUERY", corr=4000, what=1, id=ident)
        return json.loads(peer.expect("DOCUMENT")["json"])["state"]

    def in_step(self, peer):
        """What comes first must be the answer to this, so nothing had come."""
        peer.send("QUERY", corr=4001, what=2)
        self.assertEqual(peer.expect("DOCUMENT")["corr"], 4001)

    def revoked(self, peer):
        (revoked,) = peer.expect("REVOKE")["revoked"]
        return revoked.get("token", b""), revoked["cause"]


class Sessions(WireTest):
    def test_welcome(self):
        broker = self.broker()
        epochs = []
        for endpoint in (broker.tcp, broker.ipc):
            with ReevePeer(endpoint) as peer:
                welcome = peer.hello()
                self.assertEqual((welcome["heartbeat_ms"], welcome["liveness_ms"]), (100, 3000))
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
        self.assertEqual(worker.recv()[0], "HEARTBEAT")  # it is a client again

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


class Submitting(WireTest):
    def test_a_batch_is_confirmed_in_ranges(self):
        peer = self.peer(self.broker())
        peer.send("SUBMIT", first=1000, task=[task(f"a{i}") for i in range(4096)])
        got = []
        while sum(span["count"] for span in got) < 4096:
            confirm = peer.expect("CONFIRM")
            self.assertEqual(confirm["durability"], 2)
            got += confirm["range"]
        self.assertLess(len(got), 100)
        numbers = [span["first"] + i for span in got for i in range(span["count"])]
        self.assertEqual(sorted(numbers), list(range(1000, 5096)))

    def test_more_than_a_batch_has_no_effect(self):
        peer = self.peer(self.broker())
        peer.send("SUBMIT", first=1, task=[task(f"a{i}") for i in range(4097)])
        self.assertEqual(peer.error(), (wire.MALFORMED, 0))
        peer.send("QUERY", corr=1, what=1, id="a0")
        self.assertEqual(peer.error(), (wire.UNKNOWN_TASK, 1))

    def test_no_answer_has_more_items_than_a_batch(self):
        # New, known, new, known, …: each number is a range of its own, and so many messages in a row
        # are committed several at a time.
        peer = self.peer(self.broker())
        known = [task(f"a{i}") for i in range(4096)]
        peer.send("SUBMIT", first=1, task=known)
        answers(peer, 4096)
        frames = []
        for first in range(10000, 90000, 10000):
            batch = [task(f"b{first}-{i}") if i % 2 else known[i] for i in range(4096)]
            frames.append(encode("SUBMIT", first=first, task=batch))
        for frame in frames:
            peer.send_raw(frame)
        seen = 0
        while seen < 8 * 4096:
            spans = peer.expect("CONFIRM")["range"]
            self.assertLessEqual(len(spans), 4096)
            for span in spans:
                seen += span["count"]
                self.assertEqual(span.get("duplicate", 0), 1 - span["first"] % 2)

    def test_the_items_of_a_batch_are_independent(self):
        peer = self.peer(self.broker())
        batch = [task("a"), task("b", queue=""), task("c"), task("d", body="{"), task("a")]
        batch += [task("a", priority=3), task("e" * 129), task("f")]
        peer.send("SUBMIT", first=1, task=batch)
        expected = {n: wire.OK for n in range(1, 9)}
        expected.update({2: wire.BAD_QUEUE, 4: wire.BAD_JSON, 6: wire.CONFLICT, 7: wire.BAD_ID})
        self.assertEqual(answers(peer, 8), expected)

    def test_a_known_task_is_confirmed_as_duplicate(self):
        broker = self.broker()
        peer = self.peer(broker)
        base = dict(priority=1, max_retries=2, timeout_ms=60000)
        peer.submit("a", "q", **base)
        self.assertEqual(
            peer.submit("a", "q", corr=2, **base)["range"], [{"first": 2, "count": 1, "duplicate": 1}]
        )
        # origin, created_at_ms, times and backoff are not of the content.
        again = dict(base, origin="else", created_at_ms=5, delay_ms=1, expires_at_ms=1, backoff_ms=9)
        self.assertEqual(peer.submit("a", "q", corr=3, **again)["range"][0]["duplicate"], 1)
        self.assertEqual(self.state(peer, "a"), "queued")
        broker.restart()
        self.assertEqual(self.peer(broker).submit("a", "q", **base)["range"][0]["duplicate"], 1)

    def test_a_known_id_with_other_content_is_a_conflict(self):
        broker = self.broker()
        peer = self.peer(broker)
        base = task("a", priority=1, max_retries=2, timeout_ms=60000)
        peer.send("SUBMIT", first=1, task=[base])
        peer.expect("CONFIRM")
        changes = dict(queue="p", task_name="u", body='{"args":[1],"kwargs":{}}', priority=2)
        changes |= dict(max_retries=3, timeout_ms=60001)
        others = [{**base, key: value} for key, value in changes.items()]
        others.append({**base, "body_kind": 1, "body": ""})
        others.append({k: v for k, v in base.items() if k != "max_retries"})
        for restarted in (False, True):
            if restarted:
                broker.restart()
                peer = self.peer(broker)
            for other in others:
                with self.subTest(other=other, restarted=restarted):
                    peer.send("SUBMIT", first=8, task=[other])
                    self.assertEqual(peer.error(), (wire.CONFLICT, 8))

    def test_a_duplicate_of_an_ended_task_runs_no_second_time(self):
        broker = self.broker()
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q")
        worker.settle(worker.delivery()["token"], result_kind=1, result="[1]")
        worker.expect("SETTLED")
        self.assertEqual(client.submit("a", "q", corr=2, wait=True)["range"][0]["duplicate"], 1)
        outcome = client.expect("OUTCOME")
        self.assertEqual((outcome["corr"], outcome["state"]), (2, SUCCESS))
        self.assertEqual((outcome["result_kind"], outcome["result"]), (1, b"[1]"))
        client.submit("b", "q", corr=3)
        self.assertEqual(worker.delivery()["task"][0]["id"], b"b")

    def test_the_broker_makes_an_id(self):
        broker = self.broker()
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("", "q", wait=True)
        made = worker.delivery()
        self.assertRegex(made["task"][0]["id"], rb"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-")
        worker.settle(made["token"])
        self.assertEqual(client.expect("OUTCOME")["id"], made["task"][0]["id"])

    def test_what_a_task_may_not_be(self):
        peer = self.peer(self.broker())
        deep = '{"args":' + "[" * 64 + "]" * 64 + ',"kwargs":{}}'
        frames = frames_of(*["x"] * 1025)
        cases = [
            (wire.BAD_ID, dict(id="i" * 129)),
            (wire.BAD_ID, dict(id="a b")),
            (wire.BAD_ID, dict(id="a\n")),
            (wire.BAD_ID, dict(id="ä")),
            (wire.BAD_ID, dict(id=b"a\x00")),
            (wire.BAD_QUEUE, dict(queue="")),
            (wire.BAD_QUEUE, dict(queue="q" * 129)),
            (wire.BAD_QUEUE, dict(queue=b"\xff")),
            (wire.BAD_QUEUE, dict(queue=b"\xc0\xaf")),
            (wire.BAD_QUEUE, dict(queue="a\x1fb")),
            (wire.BAD_QUEUE, dict(queue=b"a\x00b")),
            (wire.BAD_QUEUE, dict(queue=" q")),
            (wire.BAD_QUEUE, dict(queue="q ")),
            (wire.BAD_NAME, dict(task_name="")),
            (wire.BAD_NAME, dict(task_name="n" * 129)),
            (wire.BAD_NAME, dict(task_name=b"\xed\xa0\x80")),
            (wire.BAD_NAME, dict(origin="o" * 129)),
            (wire.BAD_NAME, dict(origin="\x7f")),
            (wire.BAD_JSON, dict(body="")),
            (wire.BAD_JSON, dict(body="[]")),
            (wire.BAD_JSON, dict(body='{"args":[}')),
            (wire.BAD_JSON, dict(body=EMPTY + "x")),
            (wire.BAD_JSON, dict(body=b'{"args":["\xff"],"kwargs":{}}')),
            (wire.BAD_JSON, dict(body=deep)),
            (wire.BAD_VALUE, dict(body="\x05ab", body_kind=1)),
            (wire.BAD_VALUE, dict(body_kind=2)),
            (wire.TOO_LARGE, dict(body=frames, body_kind=1)),
            (wire.BAD_VALUE, dict(priority=10)),
            (wire.BAD_VALUE, dict(priority=256)),
            (wire.BAD_VALUE, dict(max_retries=1000001)),
            (wire.BAD_VALUE, dict(delay_ms=TEN_YEARS_MS + 1)),
            (wire.BAD_VALUE, dict(timeout_ms=TEN_YEARS_MS + 1)),
            (wire.BAD_VALUE, dict(backoff_ms=(1 << 64) - 1)),
            (wire.BAD_VALUE, dict(run_at_ms=(1 << 64) - 1)),
            (wire.BAD_VALUE, dict(expires_at_ms=1 << 63)),
            (wire.BAD_VALUE, dict(created_at_ms=1 << 63)),
            (wire.BAD_VALUE, dict(delay_ms=1, run_at_ms=1)),
        ]
        for corr, (code, wrong) in enumerate(cases, 1):
            with self.subTest(wrong=wrong):
                peer.send("SUBMIT", first=corr, task=[{**task(f"t{corr}"), **wrong}])
                self.assertEqual(peer.error(), (code, corr))
        self.reject_too_large(peer)
        peer.send("QUERY", corr=1, what=2)
        self.assertEqual(peer.expect("DOCUMENT")["json"], b"[]")

    def reject_too_large(self, peer):
        large = '{"args":["' + "x" * (16 << 20) + '"],"kwargs":{}}'
        peer.send("SUBMIT", first=999, task=[task("large", body=large)])
        self.assertEqual(peer.error(timeout_ms=30000), (wire.TOO_LARGE, 999))

    def test_what_a_task_may_just_be(self):
        broker = self.broker()
        peer, worker = self.peer(broker), self.worker(broker, "q", "ü" * 64)
        nested = '{"args":' + "[" * 62 + "]" * 62 + ',"kwargs":{}}'
        cases = [
            dict(id="~" * 128, queue="ü" * 64, task_name="n" * 128, origin="o" * 128),
            dict(body=nested, priority=9, max_retries=1000000, timeout_ms=TEN_YEARS_MS),
            dict(body=frames_of(*["x"] * 1024), body_kind=1, backoff_ms=TEN_YEARS_MS),
            dict(body="", body_kind=1, created_at_ms=253402300799999),
            dict(expires_at_ms=253402300799999, max_retries=0, created_at_ms=1),
        ]
        for corr, more in enumerate(cases, 1):
            with self.subTest(more=more):
                wanted = {**task(f"t{corr}"), **more}
                peer.send("SUBMIT", first=corr, task=[wanted])
                peer.expect("CONFIRM")
                delivery = worker.delivery()
                (got,) = delivery["task"]
                for key, value in wanted.items():
                    if isinstance(value, str) and value:
                        value = value.encode()
                    if value != "":
                        self.assertEqual(got.get(key, 0), value, key)
                worker.settle(delivery["token"], corr=corr)
                worker.expect("SETTLED")

    def test_a_full_queue(self):
        for limits in ({"max-length": 2}, {"max-bytes": "60"}):
            with self.subTest(limits=limits):
                broker = self.broker(defaults=limits)
                peer = self.peer(broker)
                peer.send("SUBMIT", first=1, task=[task(f"a{i}") for i in range(3)])
                self.assertEqual(answers(peer, 3), {1: wire.OK, 2: wire.OK, 3: wire.QUEUE_FULL})
                peer.send("SUBMIT", first=4, task=[task("b")])
                refusal = peer.expect("ERROR")
                self.assertEqual((refusal["corr"], refusal["code"]), (4, wire.QUEUE_FULL))
                self.assertGreater(refusal["retry_after_ms"], 0)
                # Other queues are not full; what is known is confirmed; cancelling makes room.
                self.assertIn("range", peer.submit("c", "other", corr=5))
                peer.send("SUBMIT", first=6, task=[task("a0")])
                self.assertEqual(peer.expect("CONFIRM")["range"][0]["duplicate"], 1)
                peer.send("CANCEL", corr=7, id="a0")
                peer.expect("DONE")
                peer.send("SUBMIT", first=8, task=[task("b")])
                self.assertEqual(answers(peer, 1), {8: wire.OK})

    def test_too_many_queues(self):
        broker = self.broker({"max-queues": 2})
        peer = self.peer(broker)
        peer.send("SUBMIT", first=1, task=[task("a", "q1"), task("b", "q2"), task("c", "q3")])
        self.assertEqual(answers(peer, 3), {1: wire.OK, 2: wire.OK, 3: wire.TOO_MANY})
        worker = self.peer(broker)
        worker.ready("w", "q1", "q3")
        self.assertEqual(worker.error(), (wire.TOO_MANY, 0))
        self.assertEqual(self.worker(broker, "q1", "q2").delivery()["task"][0]["id"], b"a")


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
        self.assertEqual(len(client.expect("OUTCOME", timeout_ms=30000)["result"]), 4 << 20)

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
        broker = self.broker({"liveness": "400ms"}, {"max-retries": 0})
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
        broker = self.broker({"liveness": "400ms"})
        client, worker = self.peer(broker), self.worker(broker)
        client.submit("a", "q", timeout_ms=1)
        token = worker.delivery()["token"]
        worker.send("EXTEND", token=token, timeout_ms=3600000)
        self.assertIsNone(self.beat_until_revoked(worker, token, 1, beats=15))
        worker.settle(token)
        worker.expect("SETTLED")

    def test_a_lease_that_is_not_named_is_lost(self):
        broker = self.broker({"liveness": "400ms"})
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
        broker = self.broker({"liveness": "400ms"})
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


class Returning(WireTest):
    """Workers that come back with the tokens they hold."""

    def holding(self, broker, name="w"):
        self.peer(broker).submit("a", "q")
        worker = self.worker(broker, name=name)
        return worker, worker.delivery()["token"]

    def test_after_a_restart_of_the_broker(self):
        broker = self.broker({"grace": "60s"})
        worker, token = self.holding(broker)
        broker.restart()
        worker.send("HEARTBEAT", held=[{"token": token, "running_ms": 5}])
        self.assertEqual(worker.error(timeout_ms=30000), (wire.NOT_READY, 0))
        worker.settle(token)  # before it has registered: kept, not refused for good
        self.assertEqual(worker.error(), (wire.NOT_READY, 0))
        worker.hello()
        worker.ready("w", "q", held=[{"token": token, "running_ms": 5}])
        worker.settle(token, corr=2)
        self.assertEqual(worker.expect("SETTLED")["range"], [{"first": 2, "count": 1}])

    def test_on_a_new_connection(self):
        broker = self.broker({"grace": "60s"})
        old, token = self.holding(broker)
        worker = self.worker(broker, held=[{"token": token}])
        worker.settle(token)
        worker.expect("SETTLED")
        old.send("HEARTBEAT", held=[{"token": token}])
        self.assertEqual(old.error(), (wire.NOT_READY, 0))

    def test_a_settlement_from_a_new_connection_before_its_ready_is_not_lost(self):
        broker = self.broker({"grace": "60s"})
        _, token = self.holding(broker)
        worker = self.peer(broker)
        worker.settle(token)
        self.assertEqual(worker.error(), (wire.NOT_READY, 0))
        worker.ready("w", "q", held=[{"token": token}])
        worker.settle(token, corr=2)
        worker.expect("SETTLED")

    def test_what_a_returning_worker_does_not_name_goes_to_others(self):
        broker = self.broker({"grace": "60s"})
        _, token = self.holding(broker)
        worker = self.worker(broker)
        delivery = worker.delivery()
        self.assertEqual((delivery["attempt"], delivery.get("retry_count", 0)), (2, 0))
        self.assertNotEqual(delivery["token"], token)

    def test_stale_and_forged_tokens_come_back(self):
        broker = self.broker({"grace": "60s"})
        worker, token = self.holding(broker)
        worker.settle(token)
        worker.expect("SETTLED")
        held = [{"token": t} for t in (token, forged(token), b"undefined")]
        worker = self.worker(broker, held=held)
        revoked = []
        while len(revoked) < 3:
            revoked += worker.expect("REVOKE")["revoked"]
        self.assertEqual({r["token"] for r in revoked}, {item["token"] for item in held})
        self.assertEqual({r["cause"] for r in revoked}, {CAUSE_STALE})

    def test_the_most_tokens(self):
        broker = self.broker()
        _, token = self.holding(broker)
        most = [{"token": b"%d" % i} for i in range(20000)]
        worker = self.peer(broker)
        worker.ready("other", "p", held=[*most, {"token": token}])
        self.assertEqual(worker.error(), (wire.MALFORMED, 0))
        worker.ready("other", "p", held=most)
        seen = 0
        while seen < 20000:
            revoked = worker.expect("REVOKE")["revoked"]
            self.assertLessEqual(len(revoked), 4096)
            seen += len(revoked)

    def test_a_worker_that_does_not_come_back_counts_as_a_death(self):
        broker = self.broker(defaults={"max-deaths": 2})
        client = self.peer(broker)
        client.submit("a", "q", wait=True)
        for name in ("first", "second"):  # one of the same name would have come back
            worker = self.worker(broker, name=name)
            worker.delivery()
            worker.kill()
        outcome = client.expect("OUTCOME")
        self.assertEqual((outcome["state"], outcome["reason"]), (FAILED, b"quarantined"))
        self.assertEqual(outcome["attempts"], 2)


if __name__ == "__main__":
    mdp_harness.main()
