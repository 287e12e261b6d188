"""What the tests of the three programs share: running them as a user would.

A test case derives from ProgramTest. Commands of workers are shell scripts that tell the test where
they are through files (`self.file(...)`), which it waits for; they hold on a FIFO until it opens it.
"""

import errno
import json
import os
import select
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from mdp_harness import BUILD, PATIENCE_S, Program, SystemTest

BROKER = BUILD / "broker/reeve-broker"
WORKER = BUILD / "worker/reeve-worker"
REEVE = BUILD / "client/reeve"

EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_UNAVAILABLE, EX_SOFTWARE, EX_OSERR = 64, 65, 66, 69, 70, 71
EX_CANTCREAT, EX_IOERR, EX_TEMPFAIL, EX_CONFIG = 73, 74, 75, 78


def environment(**changes):
    """The test's own, without what would set up a Reeve program, and with these changes."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("REEVE_")}
    return {**kept, **{k: str(v) for k, v in changes.items()}}


def run(program, *arguments, env=None, stdin=None, cwd=None):
    """Runs a program to its end; the result has returncode, stdout and stderr as text."""
    return subprocess.run(
        [program, *map(str, arguments)],
        env=environment(**(env or {})),
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=PATIENCE_S,
        check=False,
        cwd=cwd,
    )


def open_to_hear(path, _flags):
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK)


class Ear:
    """Reads a FIFO that commands write to, and whose end is the end of the last one of them."""

    def __init__(self, fifo):
        self.fifo = fifo
        self.path = fifo.name
        self.poll = select.poll()
        self.poll.register(fifo, select.POLLIN)

    def read(self):
        """The next piece of text, "" at the end."""
        if not self.poll.poll(PATIENCE_S * 1000):
            raise AssertionError(f"nothing more came through {self.path}")
        return self.fifo.read(4096).decode()

    def rest(self):
        """All that comes until the end."""
        text = piece = self.read()
        while piece:
            piece = self.read()
            text += piece
        return text


class ProgramTest(SystemTest):
    def setUp(self):
        self.home = Path(self.directory())

    def file(self, name, text=None, mode=0o644):
        """A path in the test's directory; with `text`, a file is written there."""
        path = self.home / name
        if text is not None:
            path.write_text(text)
            path.chmod(mode)
        return path

    def gate(self, name):
        """A FIFO: `cat < gate` in a command goes on when the test calls open_gate."""
        path = self.home / name
        os.mkfifo(path)
        return path

    def open_gate(self, path, text=""):
        """Lets the one go on that reads from it, with this text; waits for it to be there."""

        def open_for_reader():
            try:
                return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                return None

        gate = self.eventually(open_for_reader, f"nobody reads {path}")
        os.write(gate, text.encode())
        os.close(gate)

    def ear(self, name):
        """The reading end of a new FIFO, for what commands tell through it."""
        fifo = open(self.gate(name), "rb", buffering=0, opener=open_to_hear)
        return Ear(self.enterContext(fifo))

    def wait_for_file(self, path):
        """Waits until a command has written it, with a line at least; returns its text."""
        path = Path(path)
        return self.eventually(
            lambda: path.exists() and path.read_text().endswith("\n") and path.read_text(),
            f"{path} was not written",
        )

    def refusal(self, program, *arguments, status, env=None, cwd=None):
        """Runs what has to be refused with this status; returns its one line on stderr."""
        done = run(program, *arguments, env=env, cwd=cwd)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        return lines[0]

    def worker(self, endpoint, queue, *arguments, prefix=()):
        """A reeve-worker with these options and command, run by the command `prefix`; it must be ready
        before this returns."""
        program = Program(
            *(*prefix, WORKER, "--broker", endpoint, "--queue", queue, "--log-format", "json"),
            *arguments,
            env=environment(),
        )
        self.addCleanup(self.stop_if_running, program)
        program.log.wait("connected")
        return program

    def stop_if_running(self, program):
        if program.process.poll() is None:
            program.stop()
        elif not program.process.stderr.closed:
            program.end()

    def client(self, endpoint, *arguments, **options):
        """A reeve command that runs beside the test."""
        process = subprocess.Popen(
            [REEVE, "--broker", endpoint, *map(str, arguments)],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options},
            env=environment(),
        )
        self.addCleanup(self.kill_client, process)
        return process

    @staticmethod
    def kill_client(process):
        if process.poll() is None:
            process.kill()
        process.communicate()

    def finish(self, process, status=0):
        """Waits for a client; returns its stdout and stderr."""
        out, err = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, status, err)
        return out, err

    def submit(self, endpoint, *arguments):
        """Submits a task; returns its id."""
        return self.reeve(endpoint, "submit", *arguments).decode().strip()

    def status(self, endpoint, task_id):
        """The document of `reeve status`."""
        return self.reeve_json(endpoint, "status", task_id)[0]

    def wait_until(self, endpoint, task_id, **fields):
        """Waits until these members of the task's document have these values; returns it."""

        def ask():
            document = self.status(endpoint, task_id)
            return all(document.get(k) == v for k, v in fields.items()) and document

        return self.eventually(ask, f"{task_id} never had {fields}")

    def wait_for_end(self, endpoint, *ids, status=0):
        """`reeve wait`: id to the object of each."""
        out = self.reeve(endpoint, "--json", "wait", *ids, status=status)
        return {o["id"]: o for o in self.objects(out)}

    @staticmethod
    def objects(text):
        """JSON objects, one per line."""
        return [json.loads(line) for line in text.splitlines()]

    def queues(self, endpoint):
        """Queue to the object of `reeve queues`."""
        return {q["queue"]: q for q in self.reeve_json(endpoint, "queues")}


def get(url):
    """HTTP status and body."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as response:
            return response.status, response.read().decode().strip()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode().strip()
