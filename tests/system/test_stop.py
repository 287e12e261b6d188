"""How reeve-broker stops while a commit is held up. Usage: test_stop.py BUILD_DIR

Another program's lock on the database keeps the commit from ending for as long as the test wants, so
that what happens meanwhile can be looked at without timing.
"""

import signal
import sqlite3

import mdp_harness as harness
from programs import ProgramTest, get
from reeve_peer import ReevePeer

DRAINING = 16
JOB = {"queue": "q", "task_name": "job", "body": '{"args":[],"kwargs":{}}'}


class Stop(ProgramTest):
    def lock(self, broker):
        """Another program's write lock on the database: commits wait for it."""
        connection = sqlite3.connect(broker.directory / "reeve.db", isolation_level=None)
        self.addCleanup(connection.close)
        connection.execute("BEGIN IMMEDIATE")
        return connection

    def pass_by(self, peer, corr):
        """What is refused by its form is answered at once: all that was sent before it was taken."""
        peer.send("QUERY", corr=corr, what=99)
        self.assertEqual(peer.error()[1], corr)

    def drain_with_a_submission_on_its_way(self, broker):
        """Returns the lock that keeps the commit from ending, and a peer that waits for it."""
        peer = self.enterContext(ReevePeer(broker.tcp))
        peer.hello()
        lock = self.lock(broker)
        peer.send("SUBMIT", first=1, task=[{"id": "a", **JOB}])
        self.pass_by(peer, 2)
        broker.program.signal(signal.SIGTERM)
        broker.wait("draining", signal=int(signal.SIGTERM))
        return lock, peer

    def test_a_stopping_broker_refuses_what_is_new_and_commits_what_it_took(self):
        broker = self.broker({"http": "127.0.0.1:0"})
        url = f"http://127.0.0.1:{broker.wait('serving_http')['port']}"
        lock, peer = self.drain_with_a_submission_on_its_way(broker)
        self.assertEqual(get(f"{url}/readyz"), (503, "draining"))
        self.assertEqual(get(f"{url}/livez"), (200, "ok"))
        peer.send("SUBMIT", first=3, task=[{"id": "b", **JOB}])
        self.pass_by(peer, 4)
        lock.execute("ROLLBACK")
        self.assertEqual(peer.expect("CONFIRM")["range"], [{"first": 1, "count": 1}])
        self.assertEqual(peer.error(), (DRAINING, 3))
        self.assertEqual(broker.program.end(), 0, broker.log.tail())
        self.assertEqual(broker.log.noise, [])
        broker.start()
        self.assertEqual(self.status(broker.ipc, "a")["state"], "queued")
        self.reeve(broker.ipc, "status", "b", status=2)

    def test_a_second_signal_ends_it_at_once_and_loses_nothing_confirmed(self):
        broker = self.broker()
        self.submit(broker.ipc, "job", "--id", "confirmed")
        lock, _peer = self.drain_with_a_submission_on_its_way(broker)
        broker.program.signal(signal.SIGTERM)
        # Not held up by the commit, which the lock still keeps from ending.
        self.assertEqual(broker.program.end(), 0, broker.log.tail())
        self.assertEqual(broker.wait("stopped")["unwritten"] > 0, True)
        lock.execute("ROLLBACK")
        broker.start()
        self.assertEqual(self.status(broker.ipc, "confirmed")["state"], "queued")
        self.reeve(broker.ipc, "status", "a", status=2)

    def test_another_programs_short_write_lock_delays_and_does_not_break(self):
        broker = self.broker()
        peer = self.enterContext(ReevePeer(broker.tcp))
        peer.hello()
        lock = self.lock(broker)
        peer.send("SUBMIT", first=1, task=[{"id": "patient", **JOB}])
        for corr in (2, 3):  # by the second one the writer has it
            self.pass_by(peer, corr)
        lock.execute("ROLLBACK")
        self.assertEqual(peer.expect("CONFIRM")["range"], [{"first": 1, "count": 1}])


if __name__ == "__main__":
    harness.main()
