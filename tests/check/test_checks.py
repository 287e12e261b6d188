"""The checks of the tree can fail: each is given a small tree that breaks its rule."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def run(script, *arguments):
    return subprocess.run(["/usr/bin/python3", "-B", SCRIPTS / script, *arguments],
                          capture_output=True, text=True, check=False)


class Tree(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file


class Includes(Tree):
    def assert_refused(self, path, include):
        self.write(path, f"/* */\n#include {include}\n")
        result = run("check-includes", self.root)
        self.assertEqual(1, result.returncode, result.stderr)
        self.assertIn(f"{path}:", result.stderr)

    def assert_fine(self, path, include):
        self.write(path, f"#include {include}\n")
        result = run("check-includes", self.root)
        self.assertEqual((0, ""), (result.returncode, result.stderr))

    def test_the_core_may_include_leaf_headers(self):
        self.assert_fine("broker/core/core.c", '"common/bytes.h"')

    def test_the_core_may_not_include_a_codec(self):
        self.assert_refused("broker/core/core.c", '"common/wire/reeve.h"')

    def test_the_core_may_not_include_the_log(self):
        self.assert_refused("broker/core/core.c", '"common/log.h"')

    def test_the_core_has_no_clock(self):
        self.assert_refused("broker/core/core.c", "<time.h>")

    def test_the_store_may_include_records(self):
        self.assert_fine("broker/store/page.c", '"broker/core/record.h"')

    def test_the_store_may_not_include_the_state_machine(self):
        self.assert_refused("broker/store/page.c", '"broker/core/core.h"')

    def test_only_the_sqlite_files_include_sqlite(self):
        self.assert_fine("broker/store/sqlite_open.c", "<sqlite3.h>")
        self.assert_refused("broker/store/writer.c", "<sqlite3.h>")

    def test_the_net_may_not_include_the_store_itself(self):
        self.assert_fine("broker/net/reactor.c", '"broker/store/writer.h"')
        self.assert_refused("broker/net/send.c", '"broker/store/sqlite.h"')

    def test_http_may_not_include_the_core(self):
        self.assert_refused("broker/http/http.c", '"broker/core/core.h"')

    def test_only_the_http_server_knows_its_library(self):
        self.assert_fine("common/http/server.c", "<microhttpd.h>")
        self.assert_refused("broker/http/http.c", "<microhttpd.h>")
        self.assert_refused("worker/worker.c", "<microhttpd.h>")

    def test_a_client_may_not_include_the_broker(self):
        self.assert_refused("client/main.c", '"broker/net/peers.h"')

    def test_worker_and_client_do_not_know_each_other(self):
        self.assert_refused("worker/main.c", '"client/cli.h"')

    def test_common_knows_nobody(self):
        self.assert_refused("common/task.c", '"client/cli.h"')

    def test_examples_use_the_public_headers_only(self):
        self.assert_fine("examples/submit.c", '"reeve/client.h"')
        self.assert_refused("examples/work.c", '"common/mem.h"')

    def test_a_file_outside_the_layers_is_refused(self):
        self.assert_refused("misc/thing.c", "<stdio.h>")

    def test_a_file_beside_the_folders_is_refused(self):
        self.assert_refused("thing.c", "<stdio.h>")

    def test_what_is_built_is_not_looked_at(self):
        self.assert_fine("build/asan/thing.c", "<stdio.h>")


class Limits(Tree):
    def compare(self, header, row):
        return run("check-limits", self.write("limits.h", header + "\n"),
                   self.write("limits.md", row + "\n"))

    def test_the_same_value_in_another_unit_is_the_same(self):
        result = self.compare("#define LIMIT_BYTES (4u << 20) /* of it */",
                              "| `LIMIT_BYTES` | 4 MiB | of it |")
        self.assertEqual((0, ""), (result.returncode, result.stderr))

    def test_another_value_is_told(self):
        result = self.compare("#define LIMIT_ROWS 500", "| `LIMIT_ROWS` | 1,000 | rows |")
        self.assertEqual(1, result.returncode)
        self.assertIn("LIMIT_ROWS: 500 in", result.stderr)

    def test_a_limit_that_is_not_described_is_told(self):
        result = self.compare("#define LIMIT_A 1\n#define LIMIT_B (2 * LIMIT_A)",
                              "| `LIMIT_A` | 1 | one |")
        self.assertEqual(1, result.returncode)
        self.assertIn("LIMIT_B: 2 in", result.stderr)


if __name__ == "__main__":
    sys.exit(not unittest.main(exit=False).result.wasSuccessful())
