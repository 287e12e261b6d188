"""Queues whose durability is memory, at a running broker: told at once, written behind.

Usage: test_memory_queue.py BUILD_DIR
"""

import json
import subprocess

import mdp_harness
import reeve_peer as wire
from wire_tests import CAUSE_STALE, WireTest, answers, task

MEMORY, FSYNC = 1, 2


class MemoryQueue(WireTest):
    def quick(self, **more):
        """A broker whose queue "quick" is in memory."""
        return self.broker(queues={"quick": {"durability": "memory"}}, **more)

    def test_a_confirm_says_what_was_reached(self):
        client = self.peer(self.quick())
        tasks = [task(f"{queue}-{i}", queue) for i in range(3) for queue in ("quick", "kept")]
        client.send("SUBMIT", first=1, task=tasks)
        reached = {}
        while len(reached) < len(tasks):
            fields = client.expect("CONFIRM")
            for span in fields["range"]:
                for corr in range(span["first"], span["first"] + span["count"]):
                    reached[corr] = fields["durability"]
        self.assertEqual(reached, {1: MEMORY, 2: FSYNC, 3: MEMORY, 4: FSYNC, 5: MEMORY, 6: FSYNC})

    def test_the_client_shows_it(self):
        broker = self.quick()
        for queue, durability in (("quick", "memory"), ("kept", "fsync")):
            command = [mdp_harness.BUILD / "client/reeve", "submit", "--broker", broker.tcp]
            command += ["--json", "--queue", queue, "work"]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60)
            self.assertEqual(json.loads(done.stdout)["durability"], durability)

    def test_explain_tells_it(self):
        broker = self.quick()
        client = self.peer(broker)
        for queue, durability in (("quick", "memory"), ("kept", "fsync")):
            client.submit(queue, queue)
            client.send("QUERY", corr=7, what=5, id=queue)
            document = json.loads(client.expect("DOCUMENT")["json"])
            self.assertEqual(document["policy"]["durability"], durability)

    def test_what_was_written_survives_a_crash_but_tokens_do_not(self):
        broker = self.quick(config={"grace": "60s"})
        client = self.peer(broker)
        client.submit("a", "quick")
        worker = self.worker(broker, "quick")
        token = worker.delivery()["token"]
        self.assertEqual(self.state(client, "a"), "processing")  # asking has it written
        broker.kill()
        broker.start()
        worker = self.worker(broker, "quick", held=[{"token": token}])
        got = dict(worker.expect("REVOKE", "DELIVER") for _ in range(2))
        self.assertEqual(got["REVOKE"]["revoked"], [{"token": token, "cause": CAUSE_STALE}])
        (delivery,) = got["DELIVER"]["delivery"]
        self.assertEqual(delivery["attempt"], 2)
        worker.settle(token)
        self.assertEqual(worker.error(), (wire.STALE_ATTEMPT, 1))
        worker.settle(delivery["token"], corr=2)
        worker.expect("SETTLED")

    def test_a_stop_in_order_loses_nothing(self):
        broker = self.quick()
        client = self.peer(broker)
        count = 500
        client.send("SUBMIT", first=1, task=[task(f"t{i}", "quick") for i in range(count)])
        self.assertEqual(set(answers(client, count).values()), {wire.OK})
        broker.stop()
        broker.start()
        client = self.peer(broker)
        states = {self.state(client, f"t{i}") for i in range(count)}
        self.assertEqual(states, {"queued"})

    def test_it_is_written_without_anything_else_happening(self):
        broker = self.quick()
        self.peer(broker).submit("a", "quick")
        broker.wait("task_enqueued", task_id="a")  # told when it has been committed

    def test_what_ends_before_it_was_written_and_is_not_kept_is_never_written(self):
        broker = self.broker(defaults={"durability": "memory", "retention": "0s"})
        client, worker = self.peer(broker), self.worker(broker, prefetch=100)
        lives = written = 0
        while written == lives:  # on a busy machine one may last longer than its changes gather
            lives += 1
            client.submit(f"life-{lives:06d}", "q", wait=True)
            worker.settle(worker.delivery()["token"])
            worker.expect("SETTLED")
            client.expect("OUTCOME")
            client.submit(f"kept-{lives:06d}", "q")
            token = worker.delivery()["token"]
            self.assertEqual(self.state(client, f"kept-{lives:06d}"), "processing")
            files = b"".join(path.read_bytes() for path in broker.directory.glob("reeve.db*"))
            self.assertIn(b"kept-%06d" % lives, files)
            written += b"life-%06d" % lives in files
            worker.settle(token)
            worker.expect("SETTLED")


if __name__ == "__main__":
    mdp_harness.main()
