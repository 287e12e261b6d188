"""`reeve top` on a terminal (tmux), and as text. Usage: test_top.py BUILD_DIR"""

import json
import os
import pty
import re
import signal
import subprocess

import mdp_harness as harness
from mdp_harness import PATIENCE_S
from programs import EX_UNAVAILABLE, EX_USAGE, REEVE, ProgramTest, environment, run
from reeve_peer import ReevePeer
from terminal import Terminal, width

REJECT = 3
HEAD = "reeve top - "


class TopTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.started = self.broker(defaults={"max-retries": 0})
        self.endpoint = self.started.ipc

    def fill(self, **queues):
        """Queues with so many waiting tasks."""
        with ReevePeer(self.started.tcp) as peer:
            for queue, count in queues.items():
                for i in range(count):
                    peer.submit(f"{queue}-{i}", queue)

    def holder(self, *queues, name="holder", prefetch=1):
        """A worker that holds what it is given."""
        peer = self.enterContext(ReevePeer(self.started.tcp))
        peer.hello()
        peer.ready(name, *queues, prefetch=prefetch)
        return peer


class OnTerminal(TopTest):
    def top(self, *options, columns=80, rows=24, **variables):
        terminal = Terminal(self, columns, rows, **variables)
        terminal.run(REEVE, "--broker", self.endpoint, "top", "--interval", "100ms", *options)
        return terminal

    @staticmethod
    def row(lines, name):
        """The cells of the row that begins with this name; [] when there is none."""
        return next((line.split() for line in lines if line.startswith(f"{name} ")), [])

    @staticmethod
    def order(lines, *names):
        """These names in the order in which they begin lines."""
        first = [line.split(" ")[0] for line in lines]
        return [name for name in first if name in names]

    def wait_for_row(self, terminal, name, **columns):
        """Waits until the cells under these titles are so; OUT_S stands for OUT/S."""
        wanted = {title.replace("_", "/"): value for title, value in columns.items()}

        def shown(lines):
            title = next((line.split() for line in lines if line.startswith("QUEUE ")), [])
            cells = dict(zip(title, self.row(lines, name)))
            return cells and all(cells[t] == str(v) for t, v in wanted.items())

        return terminal.wait_until(shown, f"{name} never had {wanted}")

    @staticmethod
    def is_inside(lines, columns, rows):
        """Whether the layout fills the window: the head above, the foot below, nothing wraps."""
        return (len(lines) == rows and lines[0].startswith(HEAD) and "? help" in lines[-1]
                and max(map(width, lines)) <= columns)

    def test_queues_and_workers_are_shown_and_change(self):
        self.fill(mail=3)
        terminal = self.top()
        lines = self.wait_for_row(terminal, "mail", WAITING=3, FLIGHT=0, DEAD=0, WORKERS=0)
        self.assertTrue(self.is_inside(lines, 80, 24), lines)
        self.assertIn(f"{HEAD}connected - every 100ms - {self.endpoint}", lines[0])
        terminal.wait_for("queues 1: waiting 3, scheduled 0, in flight 0, dead 0", "in 0/s, out 0/s")
        worker = self.holder("mail", "bulk")
        terminal.wait_for("holder", "1/1", "127.0.0.1", "full")
        self.wait_for_row(terminal, "mail", WAITING=2, FLIGHT=1, WORKERS=1)
        worker.settle(worker.delivery()["token"], REJECT, reason="unwanted", error="a sad end")
        self.wait_for_row(terminal, "mail", WAITING=1, FLIGHT=1, DEAD=1)
        terminal.press("Tab")
        terminal.wait_for("mail-0", "a sad end", "dead letters 1-1 of 1")
        terminal.press("Tab")
        self.wait_for_row(terminal, "bulk", WAITING=0)

    def test_rates_are_seen_while_tasks_come(self):
        terminal = self.top()
        self.fill(mail=1)
        self.wait_for_row(terminal, "mail", WAITING=1, IN_S="0")
        peer = self.enterContext(ReevePeer(self.started.tcp))
        count = 0

        def has_rate(lines):
            nonlocal count
            count += 1
            peer.submit(f"more-{count}", "mail")
            rate = re.search(r"in ([0-9.]+)/s", "\n".join(lines))
            return rate and float(rate.group(1)) > 0

        terminal.wait_until(has_rate, "no rate was shown")

    def test_the_layout_follows_the_window(self):
        self.fill(**{f"queue-{i:02}": 1 for i in range(30)})
        terminal = self.top()
        terminal.wait_for("queues 1-18 of 30")
        names = [f"queue-{i:02}" for i in range(30)]
        for columns, rows, count in ((60, 15, 9), (120, 40, 30), (80, 24, 18)):
            terminal.resize(columns, rows)
            lines = terminal.wait_until(
                lambda lines: self.is_inside(lines, columns, rows)
                and len(self.order(lines, *names)) == count
                and ("SCHED" in lines[4]) == (columns >= 80),
                f"not laid out for {columns}x{rows}",
            )
            self.assertEqual(lines[4].split()[:2], ["QUEUE", "WAITING"])
        terminal.resize(10, 3)
        terminal.wait_until(lambda lines: len(lines) == 3 and lines[0].startswith("reeve top"),
                            "a tiny window is not drawn")
        terminal.resize(80, 24)
        terminal.wait_until(lambda lines: self.is_inside(lines, 80, 24), "not laid out for 80x24")

    def test_keys_sort_scroll_pause_and_help(self):
        self.fill(a=1, b=3, c=2)
        terminal = self.top("--sort", "name")
        names = ("a", "b", "c")
        terminal.wait_until(lambda lines: self.order(lines, *names) == ["a", "b", "c"], "not by name")
        terminal.press("s")
        lines = terminal.wait_for("by waiting")
        self.assertEqual(self.order(lines, *names), ["b", "c", "a"])
        for key, name in (("s", "by rate"), ("s", "by age"), ("s", "by name")):
            terminal.press(key)
            terminal.wait_for(name)
        terminal.press("?")
        terminal.wait_for("q quit")
        terminal.press("?")
        terminal.wait_for("by name")
        terminal.press("p")
        terminal.wait_for("paused")
        self.fill(d=1)
        terminal.press("+")
        terminal.wait_for("every 200ms")
        self.assertNotIn("d", self.order(terminal.lines(), "d"))
        terminal.press("p")
        terminal.wait_until(lambda lines: self.order(lines, "d"), "does not go on after the pause")

    def test_what_does_not_fit_is_scrolled_or_on_the_next_list(self):
        self.fill(**{f"queue-{i:02}": 1 for i in range(30)})
        self.holder("queue-00", name="the-worker", prefetch=1)
        terminal = self.top("--sort", "name")
        terminal.wait_for("queues 1-18 of 30")
        terminal.press("j", "Down")
        self.assertNotIn("queue-01 ", "\n".join(terminal.wait_for("queues 3-20 of 30")))
        terminal.press("G")
        self.assertIn("queue-29 ", "\n".join(terminal.wait_for("queues 13-30 of 30")))
        terminal.press("k")
        terminal.wait_for("queues 12-29 of 30")
        terminal.press("Tab")
        terminal.wait_for("the-worker", "workers 1-1 of 1")

    def test_what_is_asked_for_by_a_key_does_not_wait_for_the_interval(self):
        self.fill(mail=1)
        worker = self.holder("mail")
        worker.settle(worker.delivery()["token"], REJECT, error="a sad end")
        worker.expect("SETTLED")
        terminal = self.top("--interval", "1h")
        self.wait_for_row(terminal, "mail", DEAD=1)
        terminal.press("Tab")
        terminal.wait_for("a sad end")

    def test_names_of_any_script_keep_to_their_columns(self):
        with ReevePeer(self.started.tcp) as peer:
            for i, queue in enumerate(("日本語の待ち行列はとても長い名前", "e\u0301cole", "a\u202eb")):
                peer.submit(f"t{i}", queue)
        terminal = self.top()
        lines = terminal.wait_for("queues 3: ", "e\u0301cole", "a?b")
        row = next(line for line in lines if line.startswith("日本語"))
        self.assertIn("…", row)
        self.assertEqual(row.split()[1], "1")
        self.assertTrue(self.is_inside(lines, 80, 24), lines)

    def test_a_broker_that_is_away_is_told_and_comes_back(self):
        self.fill(mail=1)
        terminal = self.top()
        self.wait_for_row(terminal, "mail", WAITING=1)
        self.started.kill()
        lines = terminal.wait_for("unreachable for ")
        self.assertTrue(lines[0].startswith(f"{HEAD}unreachable for "), lines)
        self.assertEqual(self.row(lines, "mail")[1], "1")
        self.started.start()
        terminal.wait_for(f"{HEAD}connected")
        self.fill(mail=1, other=4)
        self.wait_for_row(terminal, "other", WAITING=4)

    def test_it_waits_for_a_broker_that_was_never_there_and_quits_at_once(self):
        self.endpoint = f"ipc://{self.home}/nobody"
        terminal = self.top()
        terminal.wait_for("unreachable for ")
        terminal.press("q")
        self.assertEqual(terminal.wait_for_end(), 0)

    def test_every_end_restores_the_terminal(self):
        self.fill(mail=1)
        for end, status in (
            (lambda terminal: terminal.press("q"), 0),
            (lambda terminal: os.kill(terminal.process(), signal.SIGTERM), 128 + 15),
            (lambda terminal: os.kill(terminal.process(), signal.SIGINT), 128 + 2),
            (lambda terminal: os.kill(terminal.process(), signal.SIGHUP), 128 + 1),
        ):
            terminal = self.top()
            self.wait_for_row(terminal, "mail", WAITING=1)
            end(terminal)
            self.assertEqual(terminal.wait_for_end(), status)

    def test_a_terminal_that_is_gone_ends_it_as_a_hangup_does(self):
        outside, inside = pty.openpty()
        process = self.client(self.endpoint, "top", stdin=inside, stdout=inside, start_new_session=True)
        os.close(inside)
        with os.fdopen(outside, "rb", buffering=0) as terminal:
            shown = b""
            while HEAD.encode() not in shown:
                shown += terminal.read(4096)
        self.finish(process, -signal.SIGHUP)

    def test_colours_are_used_unless_unwanted(self):
        self.fill(mail=1)
        for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
            terminal = self.top(**variables)
            self.wait_for_row(terminal, "mail", WAITING=1)
            row = next(line for line in terminal.lines("-e") if "mail " in line)
            self.assertEqual("\x1b[33m" in row or ";33" in row, coloured, row)

    def test_a_terminal_that_cannot_be_drawn_on(self):
        for term in ("nonesuch", "dumb"):
            terminal = Terminal(self)
            terminal.run("env", f"TERM={term}", REEVE, "top")
            terminal.wait_for(f"TERM is '{term}'")
            self.assertEqual(terminal.wait_for_end(), EX_USAGE)


class AsText(TopTest):
    def top(self, *options, status=0):
        done = run(REEVE, "--broker", self.endpoint, "top", *options)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout

    def test_without_a_terminal_it_says_what_to_do(self):
        done = run(REEVE, "top")
        self.assertEqual((done.returncode, done.stdout), (EX_USAGE, ""))
        self.assertIn("standard output is not a terminal; use --batch", done.stderr)
        outside, inside = pty.openpty()
        with os.fdopen(outside), os.fdopen(inside) as terminal:
            done = subprocess.run([REEVE, "top"], stdin=subprocess.DEVNULL, stdout=terminal,
                                  stderr=subprocess.PIPE, env=environment(), timeout=PATIENCE_S,
                                  check=False)
        self.assertEqual(done.returncode, EX_USAGE)
        self.assertIn(b"standard input is not a terminal; use --batch", done.stderr)

    def test_once_as_text(self):
        self.fill(mail=2, bulk=5)
        self.holder("push", name="w", prefetch=4)
        self.started.wait("worker_joined", worker_id="w")
        head, _, title, *rows = self.top("--once").splitlines()
        self.assertRegex(head, r"^\d{4}-\d\d-\d\dT\S+Z: queues 3, waiting 7, .* in -/s, out -/s, workers 1,")
        self.assertEqual(title.split()[:3], ["QUEUE", "WAITING", "SCHED"])
        self.assertEqual([row.split()[:2] for row in rows[:3]],
                         [["bulk", "5"], ["mail", "2"], ["push", "0"]])
        self.assertEqual(rows[3], "")
        self.assertEqual(rows[5].split()[:5], ["w", "127.0.0.1", "reeve", "idle", "0/4"])

    def test_json_has_an_object_for_each_look_with_rates_from_the_second_on(self):
        self.fill(mail=2)
        process = self.client(self.endpoint, "--json", "top", "--iterations", 3, "--interval", "200ms")
        first = json.loads(process.stdout.readline())
        self.assertEqual(first["broker"]["state"], "ready")
        (queue,) = first["queues"]
        self.assertEqual((queue["waiting"], queue["submitted_total"]), (2, 2))
        self.assertIsNone(queue["submitted_per_s"])
        looks = self.objects(self.finish(process)[0])
        self.assertEqual([look["queues"][0]["submitted_per_s"] for look in looks], [0, 0])
        self.assertEqual(looks[0]["workers"], [])

    def test_wrong_options(self):
        for options, told in (
            (["--interval", "50ms"], "--interval: '50ms' is not in 100ms..1h"),
            (["--interval", "2h"], "--interval: '2h' is not in 100ms..1h"),
            (["--sort", "size"], "--sort: 'size' is not waiting, rate, age or name"),
            (["--iterations", "3"], "--iterations is for --batch"),
            (["--batch", "--iterations", "0"], "--iterations: '0' is not in"),
            (["mail"], "'mail' is one operand too many"),
        ):
            done = run(REEVE, "top", *options)
            self.assertEqual((done.returncode, done.stdout), (EX_USAGE, ""))
            self.assertIn(told, done.stderr)

    def test_without_a_broker_the_batch_ends_after_the_connect_timeout(self):
        done = run(REEVE, "--broker", f"ipc://{self.home}/nobody", "--connect-timeout", "100ms",
                   "top", "--once")
        self.assertEqual((done.returncode, done.stdout), (EX_UNAVAILABLE, ""))
        self.assertIn("(unreachable)", done.stderr)


if __name__ == "__main__":
    harness.main()
