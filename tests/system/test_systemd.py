"""What the broker and the worker tell systemd; the test plays systemd. Usage: test_systemd.py BUILD_DIR"""

import contextlib
import os
import signal
import socket
import sqlite3

import mdp_harness as harness
from mdp_harness import PATIENCE_S, Program
from programs import BROKER, EX_IOERR, EX_TEMPFAIL, WORKER, ProgramTest, environment, get
from reeve_peer import ReevePeer

WATCHDOG_US = 400_000
PINGS = 4
JOB = {"queue": "q", "task_name": "job", "body": '{"args":[],"kwargs":{}}'}


class Manager:
    """The socket of NOTIFY_SOCKET, and what was told through it."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.bind(address)
        self.told = []

    def hear(self):
        """The next message as {variable: value}."""
        message = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))
        self.told.append(message)
        return message

    def wait(self, **variables):
        """The first message from now on that has these values."""
        while True:
            message = self.hear()
            if all(message.get(k) == v for k, v in variables.items()):
                return message

    def waiting(self):
        """Takes what is there already; returns how many messages that were."""
        self.socket.setblocking(False)
        count = 0
        try:
            while True:
                self.hear()
                count += 1
        except BlockingIOError:
            return count
        finally:
            self.socket.settimeout(PATIENCE_S)

    def stop_reading(self):
        """Until the next wait, who tells something is held up."""
        self.waiting()
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as filler:
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    filler.sendto(b"FILLER=1", self.socket.getsockname())

    def variables(self):
        return {name for message in self.told for name in message}


class Systemd(ProgramTest):
    def setUp(self):
        super().setUp()
        self.endpoint = f"ipc://{self.home}/broker"
        self.listen(str(self.file("notify")))

    def listen(self, address):
        self.address = address.replace("\0", "@")
        self.manager = Manager(address)
        self.addCleanup(self.manager.socket.close)

    def start(self, *arguments, **variables):
        variables = {"NOTIFY_SOCKET": self.address, **variables}
        program = Program(*arguments, env=environment(**variables))
        self.addCleanup(self.stop_if_running, program)
        return program

    def start_broker(self, *arguments, **variables):
        return self.start(
            *(BROKER, "--bind", self.endpoint, "--db", self.file("reeve.db"), "--http", "off"),
            *("--log-format", "json", *arguments),
            **variables,
        )

    def start_worker(self, *command, **variables):
        return self.start(
            *(WORKER, "--broker", self.endpoint, "--queue", "q", "--log-format", "json", "--"),
            *command,
            **variables,
        )

    def finish(self, program):
        program.signal(signal.SIGTERM)
        self.manager.wait(STOPPING="1")
        self.assertEqual(program.end(), 0)


class Life(Systemd):
    def test_the_broker_is_ready_when_it_takes_tasks_and_tells_that_it_stops(self):
        broker = self.start_broker()
        self.manager.wait(READY="1")
        self.finish(broker)
        self.manager.told.clear()
        lock = sqlite3.connect(self.file("reeve.db"), isolation_level=None)
        self.addCleanup(lock.close)
        lock.execute("BEGIN IMMEDIATE")
        broker = self.start_broker()
        self.manager.wait(STATUS="Opening the database")
        self.assertEqual(self.manager.waiting(), 0)
        lock.execute("ROLLBACK")
        self.manager.wait(READY="1", STATUS="Taking tasks and handing them to workers")
        self.submit(self.endpoint, "job")
        self.finish(broker)
        self.assertEqual(sum("READY" in message for message in self.manager.told), 1)
        self.assertNotIn("WATCHDOG", self.manager.variables())  # nobody asked for it

    def test_the_worker_is_ready_without_a_broker_and_says_how_many_it_has(self):
        worker = self.start_worker("true")
        self.manager.wait(READY="1", STATUS="Connecting")
        broker = self.start_broker(NOTIFY_SOCKET="")
        self.manager.wait(STATUS="Connected to 1 of 1 brokers")
        broker.log.wait("worker_joined")  # so that it is told when the broker stops
        broker.stop()
        self.manager.wait(STATUS="Connected to 0 of 1 brokers")
        self.finish(worker)
        self.assertNotIn("WATCHDOG", self.manager.variables())

    def test_a_reload_begins_and_ends_also_one_that_is_refused(self):
        config = self.file("broker.conf", "")
        broker = self.start_broker("--config", config)
        self.manager.wait(READY="1")
        for text, event, status in (
            ("", "reloaded", "Taking tasks"),
            ("bogus = 1\n", "reload_refused", "refused"),
            ("", "reloaded", "Taking tasks"),
        ):
            since = len(broker.log.lines)
            config.write_text(text)
            broker.signal(signal.SIGHUP)
            self.assertRegex(self.manager.wait(RELOADING="1")["MONOTONIC_USEC"], r"^\d+$")
            broker.log.wait(event, since)
            self.assertIn(status, self.manager.wait(READY="1")["STATUS"])

    def test_a_start_that_fails_says_why(self):
        first = self.start_broker(NOTIFY_SOCKET="")
        first.log.wait("ready")
        second = self.start_broker("--bind", f"ipc://{self.home}/other")
        self.assertEqual(second.end(), EX_TEMPFAIL)
        self.manager.waiting()
        self.assertIn("in use by another broker", self.manager.told[-1]["STATUS"])

    def test_a_broker_without_space_is_ready_to_finish_and_says_so(self):
        config = self.file("broker.conf", "broker\n    disk-reserve = 1000000G\n")
        self.start_broker("--config", config)
        self.assertIn("disk space", self.manager.wait(READY="1")["STATUS"])

    def test_a_store_that_fails_stops_the_broker_which_says_so(self):
        broker = self.start_broker("--http", "127.0.0.1:0")
        url = f"http://127.0.0.1:{broker.log.wait('serving_http')['port']}"
        broker.log.wait("ready")
        self.manager.stop_reading()  # so that the broker is held up where it would tell of its end
        with sqlite3.connect(self.file("reeve.db")) as connection:
            connection.execute("DROP TABLE task")
        connection.close()
        # Housekeeping may have found out already: no answer is waited for.
        peer = self.enterContext(ReevePeer(self.endpoint))
        peer.send("SUBMIT", first=1, task=[{"id": "a", **JOB}])
        self.eventually(lambda: get(f"{url}/readyz") == (503, "store_failed"), "it was not told")
        self.assertEqual(get(f"{url}/livez"), (200, "ok"))
        self.assertIn("store failed", self.manager.wait(STOPPING="1")["STATUS"])
        self.assertEqual(broker.end(), EX_IOERR)


class Watchdog(Systemd):
    def wait_for_pings(self, count=PINGS):
        for _ in range(count):
            self.manager.wait(WATCHDOG="1")

    def test_idle_programs_tell_that_they_turn(self):
        for start in (self.start_broker, lambda **watchdog: self.start_worker("true", **watchdog)):
            program = start(WATCHDOG_USEC=WATCHDOG_US)
            self.wait_for_pings()
            self.finish(program)

    def test_a_worker_whose_command_runs_long_tells_it_too(self):
        gate = self.gate("gate")
        self.start_broker(NOTIFY_SOCKET="")
        task = self.submit(self.endpoint, "job", "--queue", "q")
        self.start_worker("cat", gate, WATCHDOG_USEC=WATCHDOG_US)
        self.wait_until(self.endpoint, task, state="processing")
        self.manager.waiting()
        self.wait_for_pings()
        self.open_gate(gate)
        self.assertEqual(self.wait_for_end(self.endpoint, task)[task]["state"], "success")

    def test_a_commit_that_hangs_is_no_reason_to_end_the_broker(self):
        self.start_broker(WATCHDOG_USEC=WATCHDOG_US)
        self.manager.wait(READY="1")
        lock = sqlite3.connect(self.file("reeve.db"), isolation_level=None)
        self.addCleanup(lock.close)
        lock.execute("BEGIN IMMEDIATE")
        peer = self.enterContext(ReevePeer(self.endpoint))
        peer.hello()
        peer.send("SUBMIT", first=1, task=[{"id": "a", **JOB}])
        for corr in (2, 3):  # by the second one the writer has it
            peer.send("QUERY", corr=corr, what=99)
            self.assertEqual(peer.error()[1], corr)
        self.manager.waiting()
        self.wait_for_pings()
        lock.execute("ROLLBACK")
        peer.expect("CONFIRM")

    def test_a_loop_that_hangs_tells_nothing(self):
        config = self.file("broker.conf", "")
        arguments = ("--config", config, "--http", "127.0.0.1:0")
        broker = self.start_broker(*arguments, WATCHDOG_USEC=WATCHDOG_US)
        url = f"http://127.0.0.1:{broker.log.wait('serving_http')['port']}"
        self.wait_for_pings()
        config.unlink()
        gate = self.gate("broker.conf")
        broker.signal(signal.SIGHUP)  # its loop hangs in opening the file
        self.manager.wait(RELOADING="1")
        # A scrape gives up after a time in which pings would have come.
        self.assertEqual(get(f"{url}/metrics"), (503, "the program does not answer"))
        self.assertEqual(self.manager.waiting(), 0)
        self.assertEqual(get(f"{url}/livez"), (200, "ok"))
        self.open_gate(gate)
        self.wait_for_pings()

    def test_a_watchdog_of_another_process_is_not_ours(self):
        broker = self.start_broker(WATCHDOG_USEC=WATCHDOG_US, WATCHDOG_PID=os.getpid())
        self.manager.wait(READY="1")
        self.finish(broker)
        self.assertNotIn("WATCHDOG", self.manager.variables())


class Socket(Systemd):
    def test_it_may_be_an_abstract_one(self):
        self.listen(f"\0{self.home}/abstract")
        self.start_broker()
        self.manager.wait(READY="1")

    def test_one_that_cannot_be_used_is_passed_over(self):
        for address in ("", "@", "relative", "/" + 200 * "x", str(self.home / "none")):
            with self.subTest(address):
                broker = self.start_broker(NOTIFY_SOCKET=address, WATCHDOG_USEC=WATCHDOG_US)
                broker.log.wait("ready")
                broker.stop()

    def test_commands_do_not_inherit_it(self):
        self.start_broker(NOTIFY_SOCKET="")
        self.start_worker("env", WATCHDOG_USEC=60_000_000, KEPT="yes")
        out = self.reeve(self.endpoint, "submit", "job", "--queue", "q", "--wait").decode()
        self.assertIn("REEVE_TASK_NAME=job", out)
        self.assertIn("KEPT=yes", out)
        for name in ("NOTIFY_SOCKET", "WATCHDOG_"):
            self.assertNotIn(name, out)


if __name__ == "__main__":
    harness.main()
