"""A broker, its programs and foreign peers for the system tests that speak its protocols raw.

Usage of the tests: test_x.py BUILD_DIR [unittest options]. A test case derives from SystemTest,
starts what it needs with self.broker(...), self.worker(...) and so on, and all of it is ended
afterwards. Every broker must end cleanly: a line on its stderr that is no log line (a sanitizer's
report, an assertion) fails the test. Nothing sleeps: waiting is for a log line or a message.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peers"))

BUILD = Path(sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1][0] != "-" else "build").resolve()
PATIENCE_S = 120  # only a test that fails waits so long; a sanitized broker on a busy machine is slow
# A lost connection is noticed at once; a peer of a test that is only held up by a busy machine is not lost.
SOON = {"heartbeat": "100ms", "liveness": "60s", "grace": "200ms"}


class Log:
    """The JSON lines of one process, as they come."""

    def __init__(self, stream):
        self.stream = stream
        self.lines = []
        self.noise = []
        self.ended = False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for text in self.stream:
            with self.changed:
                try:
                    self.lines.append(json.loads(text))
                except ValueError:
                    self.noise.append(text.decode(errors="replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def find(self, event, since=0, **fields):
        for line in self.lines[since:]:
            if line["event"] == event and all(line.get(k) == v for k, v in fields.items()):
                return line
        return None

    def wait(self, event, since=0, **fields):
        """The first line of this event with these fields, from index `since` on."""
        with self.changed:
            self.changed.wait_for(
                lambda: self.find(event, since, **fields) or self.ended, PATIENCE_S
            )
            line = self.find(event, since, **fields)
            if line is None:
                raise AssertionError(f"no {event} {fields} in the log: {self.tail()}")
            return line

    def tail(self):
        return "\n".join([json.dumps(line) for line in self.lines[-20:]] + self.noise[-40:])


class Program:
    """A Reeve process with a log; ended by stop(), kill() or the end of the test."""

    def __init__(self, *arguments, **options):
        self.process = subprocess.Popen(
            list(map(str, arguments)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            **options,
        )
        self.log = Log(self.process.stderr)

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        """Waits for its end, which it is made to reach if it does not; returns the exit status."""
        try:
            status = self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()  # nothing stays behind
        self.log.thread.join(PATIENCE_S)
        self.process.stderr.close()
        return status

    def stop(self):
        self.signal(signal.SIGTERM)
        status = self.end()
        if status != 0 or self.log.noise:
            raise AssertionError(f"ended with {status}: {self.log.tail()}")

    def kill(self):
        self.process.kill()
        self.end()
        if self.log.noise:
            raise AssertionError(self.log.tail())


class Broker:
    """reeve-broker on an ipc and a tcp endpoint, which it keeps when started again."""

    def __init__(self, directory, config=None, defaults=None, db=None, prefix=(), queues=None):
        self.directory = Path(directory)
        self.queues = queues or {}
        self.db = db or self.directory / "reeve.db"
        self.prefix = prefix  # a command that runs the broker, such as nsenter
        self.ipc = f"ipc://{self.directory}/broker"
        self.tcp = "tcp://127.0.0.1:*"
        self.config = {**SOON, **(config or {})}
        self.defaults = {"backoff": "10ms", **(defaults or {})}
        self.program = None
        self.start()

    @property
    def log(self):
        return self.program.log

    def write_config(self):
        def section(name, items):
            return [name, *(f'    {key} = "{value}"' for key, value in items)]

        settings = {"db": self.db, "http": "off", "log-format": "json", **self.config}
        binds = [("bind", self.ipc), ("bind", self.tcp)]
        lines = section("broker", [*binds, *settings.items()])
        lines += section("defaults", self.defaults.items()) + ["queues"]
        for name, items in self.queues.items():
            lines += ["    " + line for line in section(name, items.items())]
        path = self.directory / "broker.zpl"
        path.write_text("\n".join(lines) + "\n")
        return path

    def start(self, *flags):
        self.program = Program(
            *self.prefix, BUILD / "broker/reeve-broker", "--config", self.write_config(), *flags
        )
        try:
            self.log.wait("ready")
        except AssertionError:
            self.program.process.kill()
            raise
        for line in self.log.lines:
            if line["event"] == "listening" and line["endpoint"].startswith("tcp:"):
                self.tcp = line["endpoint"]

    def mark(self):
        """A place in the log, for `since`."""
        return len(self.log.lines)

    def wait(self, event, since=0, **fields):
        return self.log.wait(event, since, **fields)

    def refused(self, reason, since=0):
        return self.log.wait("peer_refused", since, reason=reason)

    def kill(self):
        """kill -9"""
        self.program.kill()

    def restart(self):
        self.kill()
        self.start()

    def stop(self):
        if self.program.process.poll() is None:
            self.program.stop()
        elif not self.program.process.stderr.closed:
            raise AssertionError(f"the broker died: {self.program.end()}: {self.log.tail()}")


class MdpProcess:
    """An mdp_peer whose events are read line by line."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [BUILD / "tests/peers/mdp_peer", *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def until(self, word):
        """Reads up to the next line that begins with this word, and returns it."""
        seen = []
        while not seen or seen[-1].split(" ")[0] != word:
            seen.append(self.line())
            if seen[-1] == "":
                raise AssertionError(f"no {word}: {seen}")
        return seen[-1]

    def end(self):
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        return out.splitlines(), self.process.returncode

    def kill(self):
        """kill -9; safe to repeat."""
        self.process.kill()
        if not self.process.stdout.closed:
            self.process.communicate()


class SystemTest(unittest.TestCase):
    maxDiff = None

    def directory(self):
        return self.enterContext(tempfile.TemporaryDirectory(prefix="reeve-"))

    def broker(self, config=None, defaults=None, **place):
        broker = Broker(self.directory(), config, defaults, **place)
        self.addCleanup(broker.stop)
        return broker

    def mdp_process(self, *arguments):
        peer = MdpProcess(*arguments)
        self.addCleanup(peer.kill)
        return peer

    def reeve_worker(self, endpoint, queue, *command):
        """A reeve-worker; it runs `command` (default cat: the task's document is the result)."""
        program = Program(
            *(BUILD / "worker/reeve-worker", "-b", endpoint, "-q", queue, "-c", 1),
            *("--log-format", "json", "--"),
            *(command or ("cat",)),
        )
        self.addCleanup(program.stop)
        return program

    def reeve(self, endpoint, *arguments, status=0):
        """Runs the reeve command; returns its stdout."""
        done = subprocess.run(
            [BUILD / "client/reeve", "--broker", endpoint, "--connect-timeout", f"{PATIENCE_S}s"]
            + list(map(str, arguments)),
            capture_output=True,
            timeout=2 * PATIENCE_S,
            check=False,
        )
        self.assertEqual(done.returncode, status, done.stderr.decode(errors="replace"))
        return done.stdout

    def reeve_json(self, endpoint, *arguments):
        out = self.reeve(endpoint, "--json", *arguments)
        return [json.loads(line) for line in out.splitlines()]

    def eventually(self, question, what):
        """Asks until the answer is true, for what only asking can tell; the answer is returned."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            answer = question()
            if answer:
                return answer
        raise AssertionError(what)


def main():
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:  # by who started us; programs would keep to it
            signal.signal(number, signal.SIG_DFL)
    os.environ.setdefault("ASAN_OPTIONS", "abort_on_error=0")
    unittest.main()
