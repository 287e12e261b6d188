"""The machine's wall clock is set while a broker runs: libfaketime does it for the broker alone.

Usage: test_clock.py BUILD_DIR
"""

from pathlib import Path

import mdp_harness as harness
from programs import ProgramTest
from reeve_peer import ReevePeer
from scrape import fetch

HOUR_S = 3600
TOLERANCE_S = 1  # of a step: less than that is none


def library():
    (found,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    return found


class ClockTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.offset = self.file("offset", "+0\n")
        prefix = (
            "env",
            f"LD_PRELOAD={library()}",
            f"FAKETIME_TIMESTAMP_FILE={self.offset}",
            "FAKETIME_NO_CACHE=1",
            "DONT_FAKE_MONOTONIC=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",  # its name in later versions
            "FAKETIME_FORCE_MONOTONIC_FIX=0",  # which would mistake monotonic deadlines of waits
            "ASAN_OPTIONS=verify_asan_link_order=0",
            "TSAN_OPTIONS=report_bugs=0",  # it does not see the waits that libfaketime takes over
        )
        self.started = self.broker({"http": "127.0.0.1:0", "liveness": "60s"}, prefix=prefix)
        self.url = f"http://127.0.0.1:{self.started.wait('serving_http')['port']}/metrics"

    def set_clock(self, offset_s):
        """Sets it so far from the true time; returns the broker's line about it."""
        mark = self.started.mark()
        fresh = self.file("fresh", f"{offset_s:+}\n")
        fresh.rename(self.offset)  # never seen empty
        return self.started.wait("clock_stepped", mark)

    def steps(self):
        return fetch(self.url).value("reeve_clock_steps_total")

    def test_a_step_is_told_and_counted_in_either_direction(self):
        self.assertEqual(self.steps(), 0)
        for offset_s, step_s in ((HOUR_S, HOUR_S), (HOUR_S - 100, -100), (0, 100 - HOUR_S)):
            self.assertAlmostEqual(self.set_clock(offset_s)["step_s"], step_s, delta=TOLERANCE_S)
        self.assertEqual(self.steps(), 3)

    def test_leases_do_not_go_by_the_wall_clock(self):
        """A worker that says nothing meanwhile was not silent for an hour."""
        peer = self.enterContext(ReevePeer(self.started.tcp))
        peer.hello()
        peer.ready("w", "q")
        peer.submit("t", "q")
        token = peer.delivery()["token"]
        self.set_clock(HOUR_S)
        self.set_clock(-HOUR_S)
        peer.settle(token)
        peer.expect("SETTLED")
        for lost in ("worker_lost", "lease_lost"):
            self.assertIsNone(self.started.log.find(lost))

    def test_a_delayed_task_goes_by_it(self):
        endpoint = self.started.tcp
        self.worker(endpoint, "default", "--", "true")
        task_id = self.submit(endpoint, "job", "--delay", "30m")
        self.assertEqual(self.status(endpoint, task_id)["state"], "scheduled")
        self.set_clock(HOUR_S)
        self.assertEqual(self.wait_for_end(endpoint, task_id)[task_id]["state"], "success")


harness.main()
