"""reeve bench and its broker. Usage: test_bench.py BUILD_DIR"""

import mdp_harness as harness
from programs import EX_UNAVAILABLE, REEVE, ProgramTest, run


class Bench(ProgramTest):
    def test_without_a_broker_it_ends_after_the_connect_timeout(self):
        nobody, timeout = f"ipc://{self.home}/nobody", ("--connect-timeout", "100ms")
        for mode in ("end-to-end", "enqueue", "drain"):
            for arguments in (
                ("--broker", nobody, *timeout, "bench", "--mode", mode),
                ("bench", "--mode", mode, "--broker", nobody, *timeout),
            ):
                with self.subTest(arguments=arguments):
                    done = run(REEVE, *arguments)
                    self.assertEqual((done.returncode, done.stdout), (EX_UNAVAILABLE, ""))
                    self.assertEqual(done.stderr, f"reeve bench: {nobody}: the broker cannot be reached\n")

    def test_a_broker_that_goes_away_is_waited_for_as_long(self):
        for mode in ("end-to-end", "drain"):
            with self.subTest(mode):
                broker = self.broker(config={"liveness": "1s"})
                bench = self.client(broker.ipc, "--connect-timeout", "3s", "bench", "--mode", mode,
                                    "--tasks", 5000, "--prefetch", 1)
                broker.wait("worker_joined")
                broker.kill()
                err = self.finish(bench, EX_UNAVAILABLE)[1]
                self.assertIn("reeve bench: the broker cannot be reached\n", err)

    def test_tasks_go_to_the_queues_in_turn(self):
        broker = self.broker()
        done = run(REEVE, "--broker", broker.ipc, "bench", "--mode", "enqueue", "--tasks", 10,
                   "--queues", 4)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rows = self.reeve_json(broker.ipc, "queues")
        self.assertEqual(sorted(row["waiting"] for row in rows), [2, 2, 3, 3])
        done = run(REEVE, "--broker", broker.ipc, "bench", "--tasks", 1000, "--queues", 256)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    harness.main()
