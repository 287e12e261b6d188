"""reeve-broker as its administrator meets it. Usage: test_broker_program.py BUILD_DIR"""

import signal
import socket
import sqlite3
import subprocess
import unittest

import mdp_harness as harness
from mdp_harness import PATIENCE_S, Program
from programs import (
    BROKER,
    EX_CANTCREAT,
    EX_CONFIG,
    EX_DATAERR,
    EX_IOERR,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    EX_USAGE,
    ProgramTest,
    environment,
    get,
    run,
)
from reeve_peer import QUEUE_FULL, ReevePeer

DISK_LOW = 17
JOB = {"queue": "q", "task_name": "job", "body": '{"args":[],"kwargs":{}}'}


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def refusal_of_a_task(endpoint):
    """The error code with which the broker refuses a task."""
    with ReevePeer(endpoint) as peer:
        peer.hello()
        peer.send("SUBMIT", first=1, task=[{"id": "refused", **JOB}])
        return peer.error()[0]


class CommandLine(ProgramTest):
    def test_help_names_every_flag_and_every_exit_status(self):
        done = run(BROKER, "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for flag in ("config", "bind", "db", "http", "log-format", "log-level", "check-config"):
            self.assertIn(f"--{flag}", done.stdout)
        for status in (64, 65, 69, 73, 74, 75, 78):
            self.assertIn(f"{status} ", done.stdout)

    def test_version_is_one_line(self):
        done = run(BROKER, "--version")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^reeve-broker \d+\.\d+\.\d+\n$")

    def test_a_bad_flag_is_named(self):
        for arguments, named in (
            (["--bogus"], "--bogus"),
            (["-x"], "-x"),
            (["--db"], "--db needs a value"),
            (["extra"], "extra"),
            (["--db="], '--db: bad value "", expected a file name'),
            (["--log-level", "loud"], '--log-level: bad value "loud", expected debug, info'),
            (["--log-format", "xml"], '--log-format: bad value "xml", expected auto, text or json'),
            (["--http", "nowhere"], '--http: bad value "nowhere", expected ADDR:PORT or off'),
            (["--http", "127.0.0.1:99999"], "99999"),
            (["--bind", "somewhere"], '--bind: bad value "somewhere", expected tcp://'),
            (["--bind", "tcp://127.0.0.1:99999"], "99999"),
            (["--bind", f"ipc:///{'x' * 107}"], "ipc://PATH of at most 107 bytes"),
            (["--http", "localhost:5556"], "ADDR a numeric address"),
        ):
            with self.subTest(arguments=arguments):
                line = self.refusal(BROKER, *arguments, status=EX_USAGE, cwd=self.home)
                self.assertIn(named, line)
        self.assertEqual(list(self.home.iterdir()), [])


class Configuration(ProgramTest):
    def check(self, *arguments, env=None):
        """What --check-config prints, as {section or section/queue: [(key, value)]}."""
        done = run(BROKER, "--check-config", *arguments, env=env, cwd=self.home)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        sections, path = {}, []
        for line in done.stdout.splitlines():
            depth = (len(line) - len(line.lstrip())) // 4
            key, equals, value = line.strip().partition(" = ")
            if equals:
                sections["/".join(path[:depth])].append((key, value.strip('"')))
            else:
                path[depth:] = [key]
                sections["/".join(path)] = []
        return sections

    def test_without_a_file_the_defaults_of_the_manual_hold(self):
        found = self.check()
        self.assertEqual(
            found["broker"],
            [
                ("bind", "tcp://127.0.0.1:5555"),
                ("db", "reeve.db"),
                ("http", "127.0.0.1:5556"),
                ("log-format", "auto"),
                ("log-level", "info"),
                ("log-to", "stderr"),
                ("log-task-rate", "1000"),
                ("heartbeat", "1s"),
                ("liveness", "10s"),
                ("grace", "3s"),
                ("mdp-liveness", "10s"),
                ("mdp-timeout", "5m"),
                ("disk-reserve", "64M"),
                ("max-queues", "100000"),
            ],
        )
        self.assertEqual(
            found["defaults"],
            [
                ("max-retries", "3"),
                ("max-deaths", "3"),
                ("backoff", "1s"),
                ("backoff-max", "10m"),
                ("timeout", "0"),
                ("retention", "1h"),
                ("max-length", "0"),
                ("max-bytes", "0"),
                ("log-every", "1"),
                ("durability", "fsync"),
            ],
        )
        self.assertEqual(list(self.home.iterdir()), [])

    def test_a_queue_starts_from_the_defaults_wherever_they_stand_in_the_file(self):
        path = self.file(
            "broker.conf",
            "queues\n    email\n        timeout = 1m\n    sms\n        max-retries = 0\n"
            "defaults\n    max-retries = 7\n    max-bytes = 2K\n",
        )
        found = {name: dict(items) for name, items in self.check("--config", path).items()}
        email, sms = found["queues/email"], found["queues/sms"]
        self.assertEqual((email["max-retries"], email["timeout"]), ("7", "1m"))
        self.assertEqual((sms["max-retries"], sms["timeout"]), ("0", "0"))
        self.assertEqual((email["max-bytes"], sms["max-bytes"]), ("2K", "2K"))

    def test_the_names_of_queues_that_can_have_a_section(self):
        name = "aZ9$-_@.&+/x"
        path = self.file("broker.conf", f"queues\n    {name}\n        timeout = 1m\n")
        self.assertIn(("timeout", "1m"), self.check("--config", path)[f"queues/{name}"])

    def test_what_cannot_be_printed_is_told(self):
        for flag in ("--check-config", "--help", "--version"):
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([BROKER, flag], stdout=full, stderr=subprocess.PIPE, text=True,
                                      timeout=PATIENCE_S, check=False)
            self.assertEqual(done.returncode, EX_IOERR, flag)
            self.assertIn("No space left on device", done.stderr)

    def test_what_is_printed_is_understood_the_same(self):
        path = self.file(
            "broker.conf",
            'broker\n    bind = "ipc://a"\n    bind = "tcp://*:*"\n    grace = 1m30s\n'
            "    log-level = debug\nqueues\n    email\n        backoff = 250ms\n        retention = 3d\n"
            "        max-bytes = 1025\n",
        )
        printed = run(BROKER, "--check-config", "--config", path).stdout
        again = self.file("again.conf", printed)
        self.assertEqual(run(BROKER, "--check-config", "--config", again).stdout, printed)
        for line in ("grace = 90s", "backoff = 250ms", "retention = 3d", "max-bytes = 1025"):
            self.assertIn(f" {line}\n", printed)

    def test_flags_are_over_the_environment_over_the_file_over_the_defaults(self):
        def settings(*arguments, env=None):
            broker = self.check(*arguments, env=env)["broker"]
            return [v for k, v in broker if k in ("bind", "db", "http", "log-format", "log-level")]

        defaults = ["tcp://127.0.0.1:5555", "reeve.db", "127.0.0.1:5556", "auto", "info"]
        self.assertEqual(settings(), defaults)
        path = self.file(
            "broker.conf",
            'broker\n    bind = "ipc://f1"\n    bind = "ipc://f2"\n    db = "f.db"\n'
            '    http = "127.0.0.1:1"\n    log-format = json\n    log-level = warn\n',
        )
        file = ["--config", path]
        self.assertEqual(
            settings(*file), ["ipc://f1", "ipc://f2", "f.db", "127.0.0.1:1", "json", "warn"]
        )
        env = {
            "REEVE_BROKER_BIND": "ipc://e1,ipc://e2 ipc://e3",
            "REEVE_BROKER_DB": "e.db",
            "REEVE_BROKER_HTTP": "127.0.0.1:2",
            "REEVE_BROKER_LOG_FORMAT": "text",
            "REEVE_BROKER_LOG_LEVEL": "error",
        }
        self.assertEqual(
            settings(*file, env=env),
            ["ipc://e1", "ipc://e2", "ipc://e3", "e.db", "127.0.0.1:2", "text", "error"],
        )
        flags = ["--bind", "ipc://g1", "--bind", "ipc://g2", "--db", "g.db", "--http", "off"]
        flags += ["--log-format", "json", "--log-level", "debug"]
        self.assertEqual(
            settings(*file, *flags, env=env), ["ipc://g1", "ipc://g2", "g.db", "off", "json", "debug"]
        )

    def test_a_bad_file_is_refused_with_its_name_and_the_place(self):
        for text, named in (
            ("brokr\n    db = x\n", "unknown key brokr"),
            ("broker\n    bnd = x\n", "unknown key broker/bnd"),
            ("defaults\n    backof = 1s\n", "unknown key defaults/backof"),
            ("queues\n    email\n        backof = 1s\n", "unknown key queues/email/backof"),
            ("broker\n    heartbeat = fast\n", 'broker/heartbeat: bad value "fast"'),
            ("broker\n    heartbeat = 10\n", "expected a duration such as 10s, 50ms to 1m00s"),
            ("broker\n    max-queues = 0\n", "expected a number from 1 to 100000"),
            ("broker\n    disk-reserve = lots\n", "expected a size such as 64M"),
            ("defaults\n    durability = disk\n", "expected fsync or memory"),
            ('broker\n    bind = "nowhere"\n', 'broker/bind: bad value "nowhere"'),
            ("queues\n    email\n        timeout = soon\n", "queues/email/timeout"),
            ("queues\n    timeout = 5s\n", "queues/timeout: a section, which takes no value"),
            ("broker = x\n", "broker: a section, which takes no value"),
            ("queues\n    a\n        timeout = 1s\n            backoff = 1s\n",
             "queues/a/timeout: a key, which has nothing below it"),
            ('broker\n    bind = "ipc://a"\n        db = x\n',
             "broker/bind: a key, which has nothing below it"),
            ("broker\n    db = x\n    db = y\n", "broker/db: given twice"),
            ("defaults\n    timeout = 1s\n    timeout = 2s\n", "defaults/timeout: given twice"),
            ("queues\n    a\n        timeout = 1s\n        timeout = 1s\n",
             "queues/a/timeout: given twice"),
            ("queues\n    a\n    b\n    a\n", "queues/a: given twice"),
            ("queues\n    bind\n    bind\n", "queues/bind: given twice"),
            ("queues\n    a\nbroker\nqueues\n    b\n", "queues: given twice"),
            ("queues\n    a b\n", "line 2: invalid syntax"),
            ("queues\n    a:b\n", "line 2: invalid syntax"),
            ("queues\n    ä\n", "line 2: invalid syntax"),
            ("broker\n  db = x\n", "line 2: indent 4 spaces at once"),
            ('broker\n    db = "x\n', "line 2: missing"),
        ):
            with self.subTest(text=text):
                path = self.file("broker.conf", text)
                line = self.refusal(BROKER, "--config", path, status=EX_CONFIG, cwd=self.home)
                self.assertIn(named, line)
                self.assertIn(str(path), line)

    def test_settings_that_do_not_go_together_are_named(self):
        path = self.file("broker.conf", "broker\n    heartbeat = 6s\n")
        line = self.refusal(BROKER, "--config", path, status=EX_CONFIG, cwd=self.home)
        self.assertIn("broker/liveness and broker/mdp-liveness must be at least twice", line)

    def test_a_file_that_cannot_be_read_is_named(self):
        for path, why in (
            (self.file("none.conf"), "No such file or directory"),
            (self.home, "Is a directory"),
        ):
            line = self.refusal(BROKER, "--config", path, status=EX_CONFIG, cwd=self.home)
            self.assertIn(f"{path}: {why}", line)

    def test_a_bad_variable_is_named(self):
        for name, value in (
            ("REEVE_BROKER_LOG_LEVEL", "loud"),
            ("REEVE_BROKER_LOG_FORMAT", "xml"),
            ("REEVE_BROKER_HTTP", "nowhere"),
            ("REEVE_BROKER_BIND", "nowhere"),
            ("REEVE_BROKER_DB", ""),
        ):
            with self.subTest(name=name):
                env = {name: value}
                line = self.refusal(BROKER, status=EX_CONFIG, env=env, cwd=self.home)
                self.assertIn(f'{name}: bad value "{value}"', line)

    def test_no_endpoint_at_all_is_a_bad_configuration(self):
        env = {"REEVE_BROKER_BIND": ""}
        line = self.refusal(BROKER, status=EX_CONFIG, env=env, cwd=self.home)
        self.assertIn("at least one endpoint", line)


class Start(ProgramTest):
    """What keeps a broker from starting: a code for each, and a line that names the thing."""

    def assert_refused(self, status, *named, event, bind="tcp://127.0.0.1:*", db=None, http="off"):
        program = Program(
            *(BROKER, "--bind", bind, "--db", db or self.file("reeve.db"), "--http", http),
            *("--log-format", "json"),
            env=environment(),
        )
        self.assertEqual(program.end(), status, program.log.tail())
        self.assertEqual(program.log.noise, [])
        errors = [line for line in program.log.lines if line["level"] == "error"]
        self.assertEqual([line["event"] for line in errors], [event])
        self.assertEqual(errors[0]["exit_status"], status)
        for text in named:
            self.assertIn(str(text), errors[0]["error"])

    def test_a_port_in_use(self):
        other = self.broker()
        port = other.tcp.rsplit(":", 1)[1]
        self.assert_refused(
            *(EX_UNAVAILABLE, other.tcp, "Address already in use"),
            event="cannot_bind",
            bind=f"tcp://127.0.0.1:{port}",
        )

    def test_an_ipc_path_that_cannot_be(self):
        bind = f"ipc://{self.home}/none/broker"
        self.assert_refused(
            EX_UNAVAILABLE, bind, "No such file", event="cannot_bind", bind=bind
        )

    def test_a_host_name_is_no_address(self):
        bind = "tcp://localhost:*"
        self.assert_refused(
            *(EX_UNAVAILABLE, bind, "no address or interface"), event="cannot_bind", bind=bind
        )

    def test_a_file_at_an_ipc_path_that_is_no_socket_is_left_alone(self):
        path = self.file("precious", "buy milk\n")
        bind = f"ipc://{path}"
        self.assert_refused(EX_UNAVAILABLE, bind, "not a socket", event="cannot_bind", bind=bind)
        self.assertEqual(path.read_text(), "buy milk\n")

    def test_a_database_at_the_ipc_path_is_left_alone(self):
        db = self.file("reeve.db")
        bind = f"ipc://{db}"
        self.assert_refused(EX_UNAVAILABLE, bind, "not a socket", event="cannot_bind", bind=bind)
        self.assertTrue(db.read_bytes().startswith(b"SQLite format 3"))

    def test_an_ipc_path_where_another_broker_listens(self):
        other = self.broker()
        self.assert_refused(
            *(EX_UNAVAILABLE, other.ipc, "Address already in use"),
            event="cannot_bind",
            bind=other.ipc,
        )
        self.submit(other.ipc, "still_there")

    def test_an_http_address_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.assert_refused(
                *(EX_UNAVAILABLE, address, "Address already in use"),
                event="cannot_serve_http",
                http=address,
            )

    def test_a_second_broker_on_the_same_database(self):
        first = self.broker()
        db = first.directory / "reeve.db"
        self.assert_refused(EX_TEMPFAIL, db, "another broker", event="store_locked", db=db)
        self.submit(first.ipc, "still_there")

    def test_a_second_broker_by_a_symbolic_link(self):
        first = self.broker()
        link = self.file("link.db")
        link.symlink_to(first.db)
        self.assert_refused(EX_TEMPFAIL, link, "another broker", event="store_locked", db=link)
        self.submit(first.ipc, "still_there")

    def test_a_second_broker_where_the_first_came_by_a_symbolic_link(self):
        link, db = self.file("link.db"), self.file("real.db")
        link.symlink_to(db)
        first = self.broker(db=link)
        self.assert_refused(EX_TEMPFAIL, db, "another broker", event="store_locked", db=db)
        self.submit(first.ipc, "still_there")

    def test_a_database_of_a_newer_schema_is_left_alone(self):
        broker = self.broker()
        broker.stop()
        db = broker.directory / "reeve.db"
        with sqlite3.connect(db) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.close()
        before = db.read_bytes()
        self.assert_refused(
            EX_DATAERR, db, f"schema {version + 1}", "newer", event="store_refused", db=db
        )
        self.assertEqual(db.read_bytes(), before)

    def test_a_file_that_is_no_database_is_left_alone(self):
        db = self.file("notes.txt", "buy milk\n" * 1000)
        self.assert_refused(EX_DATAERR, db, "not a Reeve database", event="store_refused", db=db)
        self.assertEqual(db.read_text(), "buy milk\n" * 1000)

    def test_a_database_of_another_program_is_left_alone(self):
        db = self.file("other.db")
        with sqlite3.connect(db) as connection:
            connection.execute("CREATE TABLE song (title)")
        connection.close()
        before = db.read_bytes()
        self.assert_refused(EX_DATAERR, db, "not a Reeve database", event="store_refused", db=db)
        self.assertEqual(db.read_bytes(), before)

    def test_a_database_that_cannot_be_created(self):
        directory = self.home / "directory"
        directory.mkdir()
        for db in (self.home / "none/reeve.db", directory):
            self.assert_refused(EX_CANTCREAT, db, event="store_cannot_open", db=db)


class Endpoints(ProgramTest):
    def endpoint(self, bind):
        """Where a broker listens that is told to bind this, and another with an IPv6 one before it."""
        flags = ["--bind", "tcp://[::1]:*", "--bind", bind] if has_ipv6() else ["--bind", bind]
        flags += ["--db", self.file("reeve.db"), "--http", "off", "--log-format", "json"]
        program = Program(BROKER, *flags, env=environment())
        self.addCleanup(program.stop)
        program.log.wait("ready")
        return [line["endpoint"] for line in program.log.lines if line["event"] == "listening"][-1]

    @unittest.skipUnless(has_ipv6(), "no IPv6 loopback here")
    def test_ipv6_in_brackets(self):
        endpoint = self.endpoint("tcp://[::1]:*")
        self.assertRegex(endpoint, r"^tcp://\[::1\]:\d+$")
        self.submit(endpoint, "job")

    def test_ipv4_stays_ipv4(self):
        endpoint = self.endpoint("tcp://*:*")
        self.assertRegex(endpoint, r"^tcp://0\.0\.0\.0:\d+$")
        endpoint = endpoint.replace("0.0.0.0", "127.0.0.1")
        with ReevePeer(endpoint) as peer:
            peer.hello()
            peer.ready("w", "q")
            self.submit(endpoint, "job", "--queue", "q")
            peer.delivery()
            self.assertEqual(self.reeve_json(endpoint, "workers")[0]["address"], "127.0.0.1")


class Stop(ProgramTest):
    def test_workers_are_told(self):
        broker = self.broker()
        peer = self.enterContext(ReevePeer(broker.tcp))
        peer.hello()
        peer.ready("told", "q")
        broker.wait("worker_joined", worker_id="told")
        broker.program.signal(signal.SIGINT)
        self.assertIn(b"stopping", peer.expect("GOODBYE")["text"])
        self.assertEqual(broker.program.end(), 0)


class Health(ProgramTest):
    def test_livez_and_readyz_answer_and_other_pages_are_not_there(self):
        broker = self.broker({"http": "127.0.0.1:0"})
        url = f"http://127.0.0.1:{broker.wait('serving_http')['port']}"
        self.assertEqual(get(f"{url}/livez"), (200, "ok"))
        self.assertEqual(get(f"{url}/readyz"), (200, "ok"))
        self.assertEqual(get(f"{url}/nothing")[0], 404)

    def test_a_full_disk_is_told_as_the_reason(self):
        broker = self.broker({"http": "127.0.0.1:0", "disk-reserve": "1048576G"})
        url = f"http://127.0.0.1:{broker.wait('serving_http')['port']}"
        broker.wait("disk_low")
        self.assertEqual(get(f"{url}/readyz"), (503, "disk_low"))
        self.assertEqual(get(f"{url}/livez"), (200, "ok"))
        self.assertEqual(refusal_of_a_task(broker.ipc), DISK_LOW)

    def test_a_broker_that_opens_its_database_is_starting(self):
        broker = self.broker({"http": "127.0.0.1:0"})
        broker.stop()
        lock = sqlite3.connect(broker.directory / "reeve.db", isolation_level=None)
        self.addCleanup(lock.close)
        lock.execute("BEGIN IMMEDIATE")  # the broker waits for it
        program = Program(BROKER, "--config", broker.write_config(), env=environment())
        self.addCleanup(self.stop_if_running, program)
        url = f"http://127.0.0.1:{program.log.wait('serving_http')['port']}"
        self.assertEqual(get(f"{url}/readyz"), (503, "starting"))
        self.assertEqual(get(f"{url}/livez"), (200, "ok"))
        self.assertEqual(get(f"{url}/metrics"), (503, "starting"))
        lock.execute("ROLLBACK")
        program.log.wait("ready")
        self.assertEqual(get(f"{url}/readyz"), (200, "ok"))
        self.assertEqual(get(f"{url}/metrics")[0], 200)

    def test_off_serves_nothing(self):
        broker = self.broker({"http": "off"})
        self.assertIsNone(broker.log.find("serving_http"))

    @unittest.skipUnless(has_ipv6(), "no IPv6 loopback here")
    def test_ipv6_in_brackets(self):
        broker = self.broker({"http": "[::1]:0"})
        url = f"http://[::1]:{broker.wait('serving_http')['port']}"
        self.assertEqual(get(f"{url}/livez"), (200, "ok"))


class Reload(ProgramTest):
    def reload(self, broker, event):
        mark = broker.mark()
        broker.write_config()
        broker.program.signal(signal.SIGHUP)
        return broker.wait(event, mark)

    def test_sighup_changes_policies_and_the_log_level(self):
        broker = self.broker(defaults={"max-length": "1"})
        broker.config["log-level"] = "warn"
        self.reload(broker, "reloaded")
        quiet = self.submit(broker.ipc, "job", "--queue", "q")
        self.assertEqual(refusal_of_a_task(broker.ipc), QUEUE_FULL)
        self.assertIsNone(broker.log.find("task_enqueued", task_id=quiet))
        broker.defaults["max-length"] = "2"
        broker.config["log-level"] = "info"
        self.reload(broker, "reloaded")
        task_id = self.submit(broker.ipc, "job", "--queue", "q")
        broker.wait("task_enqueued", task_id=task_id)

    def test_a_sighup_that_it_was_started_to_ignore_is_ignored(self):
        broker = self.broker(prefix=("nohup",))
        broker.program.signal(signal.SIGHUP)
        broker.stop()
        self.assertIsNone(broker.log.find("reloaded"))

    def test_sighup_names_what_needs_a_restart(self):
        broker = self.broker()
        broker.tcp = "tcp://127.0.0.1:*"  # as it was started
        broker.config["log-level"] = "debug"
        self.reload(broker, "reloaded")
        self.assertIsNone(broker.log.find("restart_needed"))
        broker.tcp = "tcp://127.0.0.1:1"
        broker.config |= {"grace": "1s", "http": "127.0.0.1:0", "log-format": "text"}
        line = self.reload(broker, "restart_needed")
        self.assertEqual((line["level"], line["keys"]), ("warn", "bind, http, log-format, grace"))

    def test_sighup_with_a_bad_file_changes_nothing_and_says_why(self):
        broker = self.broker(defaults={"max-length": "1"})
        self.submit(broker.ipc, "job", "--queue", "q")
        broker.defaults = {"max-length": "9", "bogus": "1"}
        line = self.reload(broker, "reload_refused")
        self.assertIn("unknown key defaults/bogus", line["error"])
        self.assertEqual(refusal_of_a_task(broker.ipc), QUEUE_FULL)


if __name__ == "__main__":
    harness.main()
