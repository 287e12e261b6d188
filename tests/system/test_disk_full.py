"""A file system that is full, for real: a small tmpfs in a mount namespace of the test's own.

Finishing goes on, new tasks are refused with a reason and a time to come back, nothing that was
confirmed is lost, and when there is space again, tasks are taken again.
"""

import subprocess
import unittest

import mdp_harness
from mdp_harness import SystemTest

import mdp
from reeve_peer import ReevePeer

DISK_LOW = 17
DISK_BYTES = 128 << 20
RESERVE_BYTES = 40 << 20  # what the log holds, and the room to copy it, with some to spare
BODY = '{"args":[],"kwargs":{"x":"' + "x" * 100_000 + '"}}'
REJECT = 3
FAILURE = 2

MOUNT = 'mount -t tmpfs -o size={} tmpfs "$0" && echo mounted && exec cat'


class DiskFullTest(SystemTest):
    def small_disk(self):
        """(directory, prefix): the directory is a small tmpfs for commands run with the prefix."""
        directory = self.directory()
        holder = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount"]
            + ["sh", "-c", MOUNT.format(DISK_BYTES), directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.addCleanup(holder.communicate)
        if holder.stdout.readline() != b"mounted\n":
            self.skipTest("no mount namespace here: " + holder.communicate()[1].decode())
        enter = ["nsenter", "--target", str(holder.pid), "--user", "--mount"]
        return directory, (*enter, "--preserve-credentials")

    def full_broker(self, **defaults):
        """A broker on a small disk, filled until it refuses. Returns it and the confirmed ids."""
        directory, self.prefix = self.small_disk()
        self.disk = directory
        broker = self.broker(
            {"disk-reserve": str(RESERVE_BYTES)},
            defaults,
            db=f"{directory}/reeve.db",
            prefix=self.prefix,
        )
        confirmed = []
        with ReevePeer(broker.tcp) as peer:
            peer.hello()
            while True:
                task = {"id": f"t{len(confirmed)}", "queue": "q", "task_name": "n", "body": BODY}
                peer.send("SUBMIT", first=1, task=[task])
                name, fields = peer.expect("CONFIRM", "ERROR")
                if name == "ERROR":
                    break
                confirmed.append(task["id"])
                self.assertLess(len(confirmed), DISK_BYTES // len(BODY), "it never refused")
            self.assertEqual(fields["code"], DISK_LOW)
            self.assertGreater(fields["retry_after_ms"], 0)
        broker.wait("disk_low")
        return broker, confirmed

    def waiting(self, broker):
        rows = self.reeve_json(broker.tcp, "queues")
        return sum(row["waiting"] for row in rows if row["queue"] == "q")

    def finish(self, broker, count, **settlement):
        """Settles `count` tasks, one after another; returns their ids."""
        ids = []
        with ReevePeer(broker.tcp) as worker:
            worker.hello()
            worker.ready("w", "q", prefetch=1)
            for corr in range(1, count + 1):
                delivery = worker.delivery()
                ids.append(delivery["task"][0]["id"].decode())
                if corr == count:  # so that no further one is given out and released
                    worker.send("PREFETCH", prefetch=0)
                worker.settle(delivery["token"], corr=corr, **settlement)
                worker.expect("SETTLED")
            worker.send("GOODBYE")
        return ids

    def test_finishing_goes_on_and_with_space_again_tasks_are_taken_again(self):
        broker, confirmed = self.full_broker(retention="0s")
        self.assertEqual(self.waiting(broker), len(confirmed))

        rejected = self.finish(broker, 20, verdict=REJECT, reason="no", traceback="t" * 60_000)
        rows = self.reeve_json(broker.tcp, "dead", "list")
        self.assertEqual({row["id"] for row in rows}, set(rejected))
        retried = self.finish(broker, 5, verdict=FAILURE, reason="again", error="e" * 4_000)
        cancelled = [task for task in confirmed if task not in rejected + retried][-5:]
        for task in cancelled:
            self.reeve(broker.tcp, "cancel", task)

        # The same content again is a duplicate, not a new task: confirmed also now.
        with ReevePeer(broker.tcp) as peer:
            peer.hello()
            confirm = peer.submit(rejected[0], "q", body=BODY, task_name="n")
            self.assertEqual(confirm["range"][0]["duplicate"], 1)

        broker.restart()
        broker.wait("disk_low")
        self.assertEqual(len(self.reeve_json(broker.tcp, "dead", "list")), 20)
        self.reeve(broker.tcp, "dead", "purge", "--all", "--yes")
        since = broker.mark()
        self.finish(broker, len(confirmed) - 25)
        broker.wait("disk_recovered", since)
        with ReevePeer(broker.tcp) as peer:
            peer.hello()
            peer.submit("new", "q")

    def test_a_disk_that_others_filled_stops_the_broker_and_loses_nothing(self):
        broker, confirmed = self.full_broker(retention="1h")
        done = self.finish(broker, 10, result_kind=2, result="r" * 1000)
        fill = f"head -c {DISK_BYTES} /dev/zero > {self.disk}/others || true"
        subprocess.run([*self.prefix, "sh", "-c", fill], stderr=subprocess.DEVNULL, check=True)
        settled = []
        with ReevePeer(broker.tcp) as worker:
            worker.hello()
            worker.ready("w", "q", prefetch=1)
            while broker.program.process.poll() is None:
                try:
                    delivery = worker.delivery(timeout_ms=1000)
                    worker.settle(delivery["token"], result_kind=2, result="r" * 1_000_000)
                    worker.expect("SETTLED", timeout_ms=1000)
                    settled.append(delivery["task"][0]["id"].decode())
                except mdp.Timeout:
                    pass
        broker.wait("store_failed")
        self.assertEqual(broker.program.end(), 74)

        subprocess.run([*self.prefix, "rm", f"{self.disk}/others"], check=True)
        broker.start()
        for task in done + settled:
            document = self.reeve_json(broker.tcp, "status", task)[0]
            self.assertEqual(document["state"], "success")
        for task in set(confirmed) - set(done + settled):
            state = self.reeve_json(broker.tcp, "status", task)[0]["state"]
            self.assertIn(state, ("queued", "processing", "success"))


if __name__ == "__main__":
    mdp_harness.main()
