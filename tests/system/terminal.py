"""A program on a terminal of its own: tmux, with its server and socket in the test's directory.

    terminal = Terminal(self, columns=80, rows=24)
    terminal.run("reeve", "top")
    terminal.wait_for("connected")
"""

import shlex
import subprocess
import unicodedata
from pathlib import Path

from mdp_harness import PATIENCE_S
from programs import environment

ENDED = "ended with"


def width(line):
    """Columns that it takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
               for c in line)


class Terminal:
    """What is on the screen is asked until it is as awaited; nothing sleeps."""

    def __init__(self, test, columns=80, rows=24, **variables):
        self.test = test
        self.socket = f"{test.directory()}/tmux"
        self.variables = environment(LC_ALL="C.UTF-8", **variables)
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", rows, "cat")
        test.addCleanup(self.tmux, "kill-server")
        self.tmux("set-option", "-g", "remain-on-exit", "on")

    def tmux(self, *arguments):
        done = subprocess.run(
            ["tmux", "-u", "-S", self.socket, *map(str, arguments)],
            env=self.variables,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE_S,
            check=False,
        )
        self.test.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def run(self, *command):
        """Runs it instead of what runs there, below a line of text that it must leave alone; its exit
        status is told behind it."""
        line = shlex.join(map(str, command))
        settings = "stty -g | cksum"
        script = f"echo before; {settings}; {line}; echo {ENDED} $?; {settings}; exec cat"
        self.tmux("respawn-pane", "-k", "sh", "-c", script)

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", columns, "-y", rows)

    def process(self):
        """The id of the process that runs there."""
        shell = self.tmux("display-message", "-p", "#{pane_pid}").strip()
        return int(Path(f"/proc/{shell}/task/{shell}/children").read_text())

    def lines(self, *options):
        """The screen, a string for each line without the spaces at its end."""
        return self.tmux("capture-pane", "-p", *options).split("\n")[:-1]

    def wait_until(self, question, what):
        """Asks about the screen's lines until the answer is true; returns the lines."""
        seen = []

        def ask():
            seen[:] = self.lines()
            return question(seen)

        def tell():
            return f"{what}:\n" + "\n".join(seen)

        try:
            self.test.eventually(ask, what)
        except AssertionError:
            raise AssertionError(tell()) from None
        return seen

    def wait_for(self, *texts):
        """Waits until each of these is in a line; returns the lines."""
        return self.wait_until(
            lambda lines: all(any(text in line for line in lines) for text in texts),
            f"{texts} never came",
        )

    def wait_for_end(self):
        """The exit status, after the terminal was found as it was before."""
        lines = [line for line in self.wait_until(
            lambda lines: any(line.startswith(ENDED) for line in lines[:-1])
            and lines[[line.startswith(ENDED) for line in lines].index(True) + 1],
            "the program did not end") if line]
        at = [line.startswith(ENDED) for line in lines].index(True)
        self.test.assertEqual(lines[0], "before", "the screen was not restored")
        self.test.assertEqual(lines[1], lines[at + 1], "the terminal's settings were not restored")
        return int(lines[at].removeprefix(ENDED))
