"""The examples do what they say, with a broker of their own.

Usage: test_examples.py BUILD_DIRECTORY
"""

import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from running import Running

BUILD = Path(sys.argv.pop())
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PYTHON = "/usr/bin/python3"
LIMIT_S = 20


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False,
                          **options)


class Examples(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.endpoint = f"ipc://{scratch.name}/broker"
        broker = Running(self, BUILD / "broker/reeve-broker", "--bind", self.endpoint, "--db",
                         f"{scratch.name}/reeve.db", "--http", "off", "--log-format", "json")
        for line in broker.process.stderr:
            if json.loads(line)["event"] == "ready":
                return
        self.fail("the broker did not start")

    def reeve(self, *arguments):
        return run(BUILD / "client/reeve", "--broker", self.endpoint, *arguments)

    def start_handler(self):
        Running(self, BUILD / "worker/reeve-worker", "--broker", self.endpoint, "--queue", "texts",
                "--log-level", "error", "--", EXAMPLES / "word-count")

    def test_a_handler_gets_the_task_and_gives_the_result(self):
        self.start_handler()
        done = self.reeve("submit", "count_words", "--queue", "texts",
                          "--kwargs", '{"text": "to be or not"}', "--wait")
        self.assertEqual((0, '{"words": 4}\n'), (done.returncode, done.stdout), done.stderr)

    def test_a_file_of_tasks_can_be_submitted_twice(self):
        self.start_handler()
        file = EXAMPLES / "tasks.ndjson"
        first = self.reeve("submit", "--file", file, "--json").stdout.splitlines()
        again = self.reeve("submit", "--file", file, "--json").stdout.splitlines()
        self.assertEqual((4, 0), (json.loads(first[-1])["confirmed"],
                                  json.loads(first[-1])["duplicates"]))
        self.assertEqual(4, json.loads(again[-1])["duplicates"])
        waited = self.reeve("wait", *(f"example-{i}" for i in (1, 2, 3, 4)), "--json").stdout
        states = {task["id"]: task["state"] for task in map(json.loads, waited.splitlines())}
        self.assertEqual({"example-1": "success", "example-2": "success", "example-3": "success",
                          "example-4": "failed"}, states)

    def test_the_c_programs_work_together(self):
        Running(self, BUILD / "examples/example_work", self.endpoint)
        done = run(BUILD / "examples/example_submit", self.endpoint, input="a b c\n\nd e\n")
        words = sorted(line.split()[-1] for line in done.stdout.splitlines())
        self.assertEqual(['{"words":0}', '{"words":2}', '{"words":3}'], words, done.stderr)
        self.assertEqual(0, done.returncode)

    def test_a_majordomo_client_is_answered(self):
        self.start_handler()
        done = run(PYTHON, EXAMPLES / "majordomo_client.py", "texts", "four words are here",
                   self.endpoint)
        self.assertEqual(('{"words": 4}\n', ""), (done.stdout, done.stderr))

    def test_a_majordomo_worker_serves_clients_of_both_protocols(self):
        Running(self, PYTHON, EXAMPLES / "majordomo_worker.py", "texts", self.endpoint)
        done = run(PYTHON, EXAMPLES / "majordomo_client.py", "texts", "four words are here",
                   self.endpoint)
        self.assertEqual(('{"words": 4}\n', ""), (done.stdout, done.stderr))
        # A task of our own protocol comes as one frame with its document: one word without a space.
        done = self.reeve("submit", "count_words", "--queue", "texts", "--wait")
        self.assertEqual(('{"words": 1}\n', ""), (done.stdout, done.stderr))


class Configuration(unittest.TestCase):
    def test_the_example_has_every_key(self):
        def keys(text):
            return re.findall(r"^    ([a-z-]+) = ", text.partition("queues\n")[0], re.MULTILINE)

        example = (EXAMPLES / "reeve-broker.conf").read_text(encoding="utf-8")
        bare = run(BUILD / "broker/reeve-broker", "--check-config").stdout
        self.assertIn("bind", keys(bare))
        self.assertEqual(keys(bare), keys(example))

    def test_the_example_has_the_defaults(self):
        broker = BUILD / "broker/reeve-broker"
        bare = run(broker, "--check-config")
        example = run(broker, "--config", EXAMPLES / "reeve-broker.conf", "--check-config")
        self.assertEqual((0, 0), (bare.returncode, example.returncode), example.stderr)
        self.assertIn("    log-level = info\n", bare.stdout)
        self.assertEqual(bare.stdout, example.stdout.partition("queues\n")[0])


if __name__ == "__main__":
    unittest.main()
