"""REEVE/1 at a running broker: workers that come back, with the tokens that they hold.

Usage: test_wire_returning.py BUILD_DIR
"""

import mdp_harness
import reeve_peer as wire
from wire_tests import CAUSE_STALE, FAILED, WireTest, forged


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
        self.assertEqual(worker.error(), (wire.NOT_READY, 0))
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
