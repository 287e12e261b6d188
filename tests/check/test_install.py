"""What `cmake --install` brings: all of it, in its place, and enough to build and run a program with
libreeve that knows nothing of the tree.

Usage: test_install.py BUILD_DIRECTORY CMAKE COMPILER SANITIZERS
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from running import Running

SANITIZERS = sys.argv.pop()
COMPILER = sys.argv.pop()
CMAKE = sys.argv.pop()
BUILD = Path(sys.argv.pop()).resolve()
ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 60
PUBLIC = ("client", "error", "task", "worker")
# What it is made with; not what only the programs need.
LIBRARIES = {"libzmq", "libcjson", "libsodium", "libc", "libm", "ld-linux-x86-64"}
SANITIZER_LIBRARIES = {"libasan", "libubsan", "libtsan"}

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
DECLARED = re.compile(r"^(?!typedef|static)\w[\w *]*?\b(reeve_\w+)\s*\(", re.MULTILINE)


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          timeout=LIMIT_S, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command[0]}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Installed(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.home = Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="reeve-")))
        cls.prefix = cls.home / "prefix"
        run(CMAKE, "--install", BUILD, "--prefix", cls.prefix)
        (cls.pc,) = cls.prefix.rglob("reeve.pc")
        (cls.library,) = cls.prefix.rglob("libreeve.so")

    def have(self, folder, *names):
        self.assertCountEqual(names, [path.name for path in (self.prefix / folder).iterdir()])

    def test_everything_is_in_its_place(self):
        self.have(".", "bin", "etc", "include", "lib", "share")
        self.have("bin", "reeve", "reeve-bench", "reeve-broker", "reeve-worker")
        self.have("etc/reeve", "broker.conf", "worker")
        self.have("include/reeve", *(f"{name}.h" for name in PUBLIC))
        self.have("lib/systemd/system", "reeve-broker.service", "reeve-worker@.service")
        self.have("lib/sysusers.d", "reeve.conf")
        self.have("share/man/man1", "reeve.1", "reeve-worker.1")
        self.have("share/man/man8", "reeve-broker.8")
        self.have("share/bash-completion/completions", "reeve", "reeve-broker", "reeve-worker")
        self.have("share/reeve", "prometheus", "grafana")
        self.have("share/reeve/prometheus", "prometheus.yml", "reeve-alerts.yml")
        self.have("share/reeve/grafana", "reeve.json")
        self.have("share/doc/reeve", "README.md", "CHANGELOG.md", "LICENSE", "docs", "examples")
        self.assertTrue((self.prefix / "share/doc/reeve/docs/operations.md").exists())
        self.assertTrue(os.access(self.prefix / "share/doc/reeve/examples/word-count", os.X_OK))

    def test_the_library_has_a_name_for_its_abi(self):
        (version,) = re.findall(r"VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1:2]
        abi = version.rpartition(".")[0]
        header = run("readelf", "-d", self.library)
        self.assertIn(f"soname: [libreeve.so.{abi}]", header)
        self.assertEqual(f"libreeve.so.{version}", self.library.resolve().name)
        self.assertEqual(version, self.pkg_config("--modversion"))
        needed = {name.partition(".")[0] for name in re.findall(r"NEEDED.*\[(.*)\]", header)}
        self.assertLessEqual(needed, LIBRARIES | SANITIZER_LIBRARIES)

    def test_it_exports_what_the_headers_declare_and_nothing_else(self):
        declared = set()
        for name in PUBLIC:
            text = (self.prefix / f"include/reeve/{name}.h").read_text()
            declared.update(DECLARED.findall(COMMENT.sub("", text)))
        self.assertIn("reeve_submit", declared)
        symbols = [line.split() for line in
                   run("nm", "-D", "--defined-only", self.library).splitlines()]
        exported = {name.partition("@")[0] for _, kind, name in symbols if kind != "A"}
        self.assertEqual(sorted(declared), sorted(exported))

    def pkg_config(self, *arguments):
        environment = {**os.environ, "PKG_CONFIG_PATH": str(self.pc.parent)}
        return run("pkg-config", *arguments, "reeve", env=environment).strip()

    def test_every_header_can_be_included_first(self):
        for name in PUBLIC:
            run(COMPILER, *shlex.split(self.pkg_config("--cflags")), "-Wall", "-Wextra", "-Werror",
                "-fsyntax-only", "-x", "c", "-", input=f"#include <reeve/{name}.h>\n")

    def compile(self, compiler, name, *source, **options):
        """Builds a program as a user would: with what pkg-config says. Returns it."""
        program = self.home / name
        sanitize = [f"-fsanitize={SANITIZERS}"] if SANITIZERS else []
        flags = shlex.split(self.pkg_config("--cflags", "--libs", "libcjson"))
        run(compiler, "-o", program, *source, *flags, *sanitize,
            f"-Wl,-rpath,{self.library.parent}", cwd=self.home, **options)
        self.assertIn("libreeve.so.", run("readelf", "-d", program))
        return program

    def build(self, name):
        return self.compile(COMPILER, name, ROOT / f"examples/{name}.c")

    def test_programs_in_c_plus_plus_can_be_linked(self):
        text = "".join(f"#include <reeve/{name}.h>\n" for name in PUBLIC) + """
            int main()
            {
                reeve_client_options_t options = {};
                options.broker = "nowhere";
                return reeve_client_new(&options) != nullptr || reeve_state_name(REEVE_STATE_QUEUED)[0] != 'q';
            }"""
        run(self.compile("c++", "cpp", "-x", "c++", "-", input=text))

    def test_programs_that_are_built_with_it_run_against_an_installed_broker(self):
        endpoint = f"ipc://{self.home}/broker"
        broker = Running(self, self.prefix / "bin/reeve-broker", "--bind", endpoint, "--db",
                         f"{self.home}/reeve.db", "--http", "off", "--log-format", "json")
        while json.loads(broker.process.stderr.readline())["event"] != "ready":
            pass
        Running(self, self.build("work"), endpoint)
        submit = self.build("submit")
        self.assertRegex(run(submit, endpoint, input="to be or not\n"),
                         r'^\S+ success \{"words":4\}\n$')
        queues = run(self.prefix / "bin/reeve", "--broker", endpoint, "queues", "--json")
        self.assertEqual("texts", json.loads(queues)["queue"])
        measured = run(self.prefix / "bin/reeve", "--broker", endpoint, "--json", "bench", "--tasks", 100)
        self.assertEqual(100, json.loads(measured)["tasks"])


if __name__ == "__main__":
    unittest.main()
