"""REEVE/1 at a running broker: tasks into a broker, and which are refused.

Usage: test_wire_submitting.py BUILD_DIR
"""

import time

import mdp_harness
import reeve_peer as wire
from reeve_peer import encode, frames_of
from wire_tests import EMPTY, SUCCESS, TEN_YEARS_MS, WireTest, answers, task


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
        self.assertEqual(peer.error(), (wire.TOO_LARGE, 999))

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


if __name__ == "__main__":
    mdp_harness.main()
