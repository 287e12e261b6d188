"""Ten million waiting tasks, and a million that come and go: what memory they take. Only with
REEVE_LONG=1, in a Release build; prints what bench/scale measured. Usage: test_scale.py BUILD_DIR"""

import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

import mdp_harness
from mdp_harness import BUILD

ROOT = Path(__file__).resolve().parents[2]
WAITING = 10_000_000
STEADY = 1_000_000
RSS_MAX_MIB = 256
GROWTH_MAX_MIB = 16  # of the second half; a leak of 40 bytes a task would be more


def is_sanitized():
    linked = subprocess.run(
        ["ldd", BUILD / "broker/reeve-broker"], capture_output=True, text=True, check=True
    )
    return "asan" in linked.stdout or "tsan" in linked.stdout


@unittest.skipUnless(os.environ.get("REEVE_LONG") == "1", "only with REEVE_LONG=1")
class ScaleTest(unittest.TestCase):
    def setUp(self):
        if is_sanitized():
            self.skipTest("a sanitizer's memory is not the broker's")

    def measure(self, *arguments):
        done = subprocess.run(
            [ROOT / "bench/scale", "--build", BUILD, "--json", *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        print(done.stdout, end="", file=sys.stderr)
        return json.loads(done.stdout)

    def test_ten_million_waiting_tasks_take_little_memory(self):
        measured = self.measure("--sizes", WAITING)
        self.assertLessEqual(measured["rss_mib"], RSS_MAX_MIB)
        self.assertLessEqual(measured["rss_running_mib"], RSS_MAX_MIB)

    def test_memory_does_not_grow_with_tasks_that_have_ended(self):
        _, first, second = self.measure("--steady", STEADY)["rss_mib"]
        self.assertLessEqual(second - first, GROWTH_MAX_MIB)


if __name__ == "__main__":
    mdp_harness.main()
