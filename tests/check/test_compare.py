"""bench/compare tells of what was measured, and holds it against the targets, as it should."""

import json
import subprocess
import tempfile
import unittest
from pathlib import Path

COMPARE = Path(__file__).resolve().parents[2] / "bench/compare"
LIMIT_S = 20
MACHINE = {
    "part": "machine", "server": "", "kind": "", "run": 0, "load_average": 0.5, "cores": 2,
    "system": "Linux", "filesystem": "ext4", "date": "2026-01-01T00:00:00Z", "commit": "abc",
    "command": "bench/compare", "packages": [],
}


def measured(server, kind, tasks_per_s, run=0, part="peers"):
    return {"part": part, "server": server, "kind": kind, "run": run, "load_average": 0.5,
            "tasks": 1000, "tasks_per_s": tasks_per_s, "server_cpu_s": 0.01, "peak_rss_mib": 20}


class Report(unittest.TestCase):
    def report(self, *lines):
        with tempfile.TemporaryDirectory() as out:
            text = "".join(json.dumps(line) + "\n" for line in [MACHINE, *lines])
            (Path(out) / "results.jsonl").write_text(text, encoding="utf-8")
            done = subprocess.run([COMPARE, "--report", "--out", out], capture_output=True,
                                  text=True, check=True, timeout=LIMIT_S)
            return done.stdout.splitlines()

    def row(self, lines, start):
        rows = [line for line in lines if line.startswith(f"| {start}")]
        self.assertEqual(1, len(rows), "\n".join(lines))
        return rows[0]

    def test_a_ratio_of_medians_is_held_against_its_target(self):
        redis = [measured("redis-always", "e2e-1", 1000)]
        # one round that was disturbed, and one that was lucky, do not count
        good = [measured("reeve", "e2e-1", rate, run) for run, rate in enumerate((10, 1600, 9000))]
        bad = [measured("reeve", "e2e-1", rate, run) for run, rate in enumerate((10, 1400, 9000))]
        what = "end to end, 1 consumer, of Redis always"
        self.assertEqual(f"| {what} | ≥ 1.5 | 1.60 | met |",
                         self.row(self.report(*good, *redis), what))
        self.assertEqual(f"| {what} | ≥ 1.5 | 1.40 | **not met** |",
                         self.row(self.report(*bad, *redis), what))

    def test_where_less_is_better_a_target_is_a_ceiling(self):
        costly = measured("reeve", "e2e-1", 1000) | {"server_cpu_s": 0.02}
        row = self.row(self.report(costly, measured("redis-always", "e2e-1", 1000)), "server CPU")
        self.assertIn("| ≤ 1.2 | 2.00 | **not met** |", row)

    def test_how_many_tasks_waited_is_told_as_it_was(self):
        lines = [measured("reeve", f"{work}-{ids}", 1000, part="ids") | {"tasks": 200_000}
                 for work in ("enqueue", "e2e") for ids in ("ordered", "random")]
        self.row(self.report(*lines), "random ids of ordered, end to end, 200,000 waiting | ≥ 0.5")

    def test_a_tail_is_told_with_the_checkpoints_in_it(self):
        shares = {"p50": 1000, "p99": 2000, "p99_9": 60_000, "max": 70_000}
        half = {"rate": 500, "checkpoints": 4, "confirm_us": shares}
        lines = self.report(measured("reeve", "top", 1000, part="tail"),
                            measured("reeve", "half", 499, part="tail") | half)
        self.assertIn("| ≤ 50 | 60.00 | **not met** |", self.row(lines, "ms confirm latency p99.9"))
        self.row(lines, "Reeve | 1,000 | 500 | 499 | 4 | 1.00 | 2.00 | 60.00 | 70.00 |")

    def test_each_command_is_told_with_its_commit_and_load(self):
        lines = self.report(measured("reeve", "e2e-1", 1000),
                            MACHINE | {"commit": "def", "date": "2026-02-02T00:00:00Z"},
                            *(measured("reeve", "e2e-4", 1000, load) | {"load_average": load}
                              for load in (1, 2, 9)))
        for told in ("abc, 2026-01-01T00:00:00Z, load average 0.5 to 0.5, median 0.5",
                     "def, 2026-02-02T00:00:00Z, load average 1.0 to 9.0, median 2.0"):
            self.assertIn(f"      # commit {told}", lines)

    def test_single_operations_are_told_with_their_range(self):
        ns = [{"part": "micro", "server": "", "kind": "x/size=1", "run": run, "load_average": 0,
               "ns_per_op": 50 * run, "ops_per_s": 1e9 / 50 / run} for run in (1, 2)]
        lines = self.report(*ns)
        self.row(lines, "`x/size=1` | 75 (50-100) | 15,000,000 (10,000,000-20,000,000) |")

    def test_what_was_not_measured_is_not_told(self):
        lines = self.report(measured("reeve", "e2e-1", 1000))
        self.assertFalse([line for line in lines if "of Redis always" in line], "\n".join(lines))
        self.assertFalse([line for line in lines if line.startswith("| RabbitMQ")])

    def test_the_range_is_told_with_the_median(self):
        lines = self.report(*(measured("reeve", "e2e-1", rate, run)
                              for run, rate in enumerate((3000, 1000, 2000))))
        self.row(lines, "Reeve | fsync | - | 2,000 (1,000-3,000) |")


if __name__ == "__main__":
    unittest.main()
