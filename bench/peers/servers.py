"""The servers that bench/compare compares, each with its own directory and port.

Nothing of Debian's services is used: every server is a child of this process, found by its pid."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 60
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tree(pid):
    """The process and its descendants."""
    pids = [pid]
    for parent in pids:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            pids += map(int, children.read_text().split())
    return pids


class Server:
    """One server in one durability class. A subclass says how it is started and what loads it."""

    name = ""  # on the command line and in the tables
    title = ""
    durability = ""  # "fsync" or "buffered" or "memory"
    package = None  # Debian's
    suffix = ""  # of its program's name after the server's
    rate = 0  # roughly what it does end to end on the slowest machine seen, to size the work
    load_class = ""
    log_ready = None  # a pattern in the log

    def __init__(self, build, parent, preload=None):
        self.build = build
        self.dir = Path(tempfile.mkdtemp(prefix=f"reeve-compare-{self.name}.", dir=parent))
        self.preload = preload
        self.helpers = []
        self.process = None
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.port = free_port()
        self.spawn(self.command())
        self.wait_for_log()

    def spawn(self, command, env=None):
        env = {**os.environ, **(env or {})}
        if self.preload:
            env["LD_PRELOAD"] = str(self.preload)
        with open(self.dir / "log", "wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdout=log, stderr=log, env=env, cwd=self.dir
            )

    def log(self):
        return (self.dir / "log").read_text(errors="replace")

    def wait_for_log(self):
        """A log is all that some of them give, and it cannot be waited for otherwise than so."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"bench/compare: {self.name} did not start:\n{self.log()}")
            time.sleep(0.02)

    def is_ready(self):
        if self.log_ready:
            return re.search(self.log_ready, self.log()) is not None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        for process in [self.process, *self.helpers]:
            if process is None or process.poll() is not None:
                continue
            descendants = tree(process.pid)[1:]
            process.send_signal(self.stop_signal)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pid in descendants:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        shutil.rmtree(self.dir, ignore_errors=True)

    stop_signal = signal.SIGTERM

    @classmethod
    def executable(cls):
        return cls.name.partition("-")[0] + cls.suffix

    def of_each_process(self, name):
        """The server's /proc file of that name, and those of its children that have not ended meanwhile."""
        for pid in tree(self.process.pid):
            try:
                yield Path(f"/proc/{pid}/{name}").read_text()
            except (FileNotFoundError, ProcessLookupError):
                if pid == self.process.pid:
                    raise

    def cpu_s(self):
        ticks = 0
        for stat in self.of_each_process("stat"):
            fields = stat.rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # its own and its reaped children's
        return ticks * TICK_S

    def memory_mib(self, what="VmRSS"):
        kib = 0
        for status in self.of_each_process("status"):
            found = re.search(rf"{what}:\s+(\d+)", status)
            kib += int(found.group(1)) if found else 0
        return kib / 1024

    def checkpoints(self):
        """So far; of those that have none, 0."""
        return 0

    def load_command(self):
        program = self.name.partition("-")[0] + "-load"
        command = [self.build / "bench/peers" / program, "--port", str(self.port)]
        return command + (["--class", self.load_class] if self.load_class else [])

    def load(self, *options, patience_s=900):
        """Runs its load program; what that printed, with the server's CPU seconds during it."""
        before = self.cpu_s()
        done = subprocess.run(
            [*self.load_command(), *map(str, options)],
            stdout=subprocess.PIPE,
            timeout=patience_s,
            check=True,
        )
        return {**json.loads(done.stdout), "server_cpu_s": self.cpu_s() - before}


class Reeve(Server):
    name = "reeve"
    title = "Reeve"
    durability = "fsync"
    rate = 60_000
    log_ready = r'"event":"ready"'
    more = ()

    def start(self):
        self.spawn(
            [self.build / "broker/reeve-broker", "--db", self.dir / "reeve.db", "--http", "off"]
            + ["--bind", "tcp://127.0.0.1:*", "--log-format", "json", *self.more]
        )
        self.wait_for_log()
        self.endpoint = re.search(r'"endpoint":"(tcp:[^"]*)"', self.log()).group(1)

    def checkpoints(self):
        """SQLite counts in the head of its write-ahead log how often it began at the start of the file
        again, which it does when a checkpoint has copied all of it."""
        with open(self.dir / "reeve.db-wal", "rb") as log:
            return int.from_bytes(log.read(16)[12:], "big")

    def load_command(self):
        return [self.build / "client/reeve-bench", "--broker", self.endpoint, "--json"]

    def majordomo(self, requests, outstanding, workers):
        numbers = map(str, (requests, outstanding, workers))
        command = [self.build / "bench/peers/mdp-load", self.endpoint, *numbers]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=900)
        return json.loads(done.stdout)

    def run_commands(self, count, concurrency):
        """From the start of reeve-worker, with all tasks waiting, until all have ended."""
        ids = [f"true-{i}" for i in range(count)]
        task = '{"id":"%s","queue":"true","task_name":"true"}\n'
        reeve = [self.build / "client/reeve"]
        to = ["--broker", self.endpoint]
        text = "".join(task % one for one in ids)
        submit = [*reeve, "submit", "--file", "-", *to]
        subprocess.run(submit, input=text, text=True, check=True, stdout=subprocess.DEVNULL)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        waiter = subprocess.Popen([*reeve, "wait", *to, *ids], stdout=subprocess.DEVNULL)
        start = time.monotonic()
        command = [self.build / "worker/reeve-worker", *to, "--queue", "true"]
        worker = subprocess.Popen([*command, "-c", str(concurrency), "--", "/bin/true"], **quiet)
        try:
            if waiter.wait(900) != 0:
                raise SystemExit("bench/compare: a task of /bin/true failed")
            took_s = time.monotonic() - start
        finally:
            for process in (worker, waiter):
                process.terminate()
                process.wait()
        return {"tasks": count, "tasks_per_s": count / took_s}


class ReeveMemory(Reeve):
    """As one would keep requests that are answered: nothing is kept of what has ended."""

    name, title, durability = "reeve-memory", "Reeve, queue durability `memory`", "memory"

    def start(self):
        file = self.dir / "memory.conf"
        file.write_text('defaults\n    durability = "memory"\n    retention = 0s\n')
        self.more = ("--config", file)
        super().start()


class BareMdp(Reeve):
    """Not in the comparison of queues: it speaks only Majordomo and keeps nothing."""

    name, title, durability = "bare-mdp", "a bare Majordomo broker", "memory"

    def start(self):
        self.spawn([self.build / "bench/peers/bare-mdp"])
        self.log_ready = "listening"
        self.wait_for_log()
        self.endpoint = self.log().split()[1]


class Redis(Server):
    package, suffix = "redis-server", "-server"

    def command(self):
        return (
            ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", self.dir]
            + ["--save", "", "--appendonly", "yes", "--appendfsync", self.fsync]
        )

    log_ready = "Ready to accept connections"


class RedisAlways(Redis):
    name, title = "redis-always", "Redis Streams, `appendfsync always`"
    durability, fsync, rate = "fsync", "always", 40_000


class RedisAlwaysKeep(RedisAlways):
    """Acknowledges without deleting: what a stream costs that nobody trims."""

    name, title = "redis-always-keep", "Redis Streams, `always`, no XDEL"
    load_class = "keep"


class RedisEverysec(Redis):
    name, title = "redis-everysec", "Redis Streams, `everysec`"
    durability, fsync, rate = "buffered", "everysec", 70_000


class RabbitMQ(Server):
    package, suffix = "rabbitmq-server", "-server"
    log_ready = "Server startup complete"

    def start(self):
        self.port, epmd_port = free_port(), free_port()
        env = {
            "HOME": str(self.dir),
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"compare-{os.getpid()}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self.dir / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.dir),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(self.dir / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.dir / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_PID_FILE": str(self.dir / "pid"),
            "RABBITMQ_DIST_PORT": str(free_port()),
        }
        (self.dir / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nlog.console.level = info\n"
        )
        (self.dir / "plugins").write_text("[].\n")
        # Otherwise the node starts one that outlives it.
        epmd = ["epmd", "-port", str(epmd_port), "-address", "127.0.0.1"]
        self.helpers.append(subprocess.Popen(epmd, stdout=subprocess.DEVNULL, cwd=self.dir))
        self.spawn(["/usr/lib/rabbitmq/bin/rabbitmq-server"], env)
        self.wait_for_log()


class RabbitMQQuorum(RabbitMQ):
    name, title = "rabbitmq-quorum", "RabbitMQ quorum queue (1 node)"
    durability, load_class, rate = "fsync", "quorum", 15_000


class RabbitMQClassic(RabbitMQ):
    name, title = "rabbitmq-classic", "RabbitMQ classic durable"
    durability, load_class, rate = "fsync", "classic", 12_000


class Beanstalkd(Server):
    package = "beanstalkd"
    name, title = "beanstalkd", "beanstalkd, 50 ms"
    durability, rate, more = "buffered", 12_000, ()

    def command(self):
        # -z: its default of 65,535 bytes refuses the larger tasks
        place = ["-l", "127.0.0.1", "-p", self.port, "-b", self.dir]
        return ["beanstalkd", "-z", 2 << 20, *place, *self.more]


class BeanstalkdF0(Beanstalkd):
    name, title = "beanstalkd-f0", "beanstalkd `-f0`"
    durability, rate, more = "fsync", 600, ("-f0",)


class Gearmand(Server):
    package = "gearman-job-server"

    def command(self):
        return (
            ["gearmand", "--listen", "127.0.0.1", "--port", self.port, "--log-file", "stderr"]
            + ["--hashtable-buckets", 330_383, *self.queue()]
        )


class GearmandSqlite(Gearmand):
    name, title = "gearmand-sqlite", "gearmand + libsqlite3"
    durability, rate = "fsync", 100

    def queue(self):
        return ["--queue-type", "libsqlite3", "--libsqlite3-db", self.dir / "gearman.db"]


class GearmandMemory(Gearmand):
    name, title = "gearmand-memory", "gearmand, nothing on disk"
    durability, rate = "memory", 100_000

    def queue(self):
        return []


class Nats(Server):
    package, suffix = "nats-server", "-server"
    name, title = "nats", "NATS JetStream, file store"
    durability, rate = "buffered", 40_000
    log_ready = "Server is ready"

    def command(self):
        return ["nats-server", "-a", "127.0.0.1", "-p", self.port, "-js", "-sd", self.dir / "js"]


ALL = [
    Reeve,
    RedisAlways,
    RedisAlwaysKeep,
    RabbitMQQuorum,
    RabbitMQClassic,
    BeanstalkdF0,
    GearmandSqlite,
    RedisEverysec,
    Nats,
    Beanstalkd,
    GearmandMemory,
]
