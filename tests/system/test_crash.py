"""Programs that are killed, hang or come back, at chosen moments. Usage: test_crash.py BUILD_DIR"""

import collections
import json
import signal
import subprocess

import mdp_harness as harness
from mdp_harness import PATIENCE_S
from programs import ProgramTest
from reeve_peer import NOT_READY, STALE_ATTEMPT, ReevePeer

REJECT, RELEASE = 3, 4
BY_NAME = ("--", "sh", "-c", 'eval "$REEVE_TASK_NAME"')


class Runner(ReevePeer):
    """A worker that ends tasks in batches; `runs` has the task of every delivery, in order."""

    def __init__(self, endpoint, *queues, prefetch=1000):
        super().__init__(endpoint)
        self.runs = []
        self.next = 1
        self.hello()
        self.ready("runner", *queues, prefetch=prefetch)

    def run(self, count, **settlement):
        """Takes so many tasks, waits until their ends are stored, and leaves; more are given back."""
        taken = unsettled = 0
        while taken < count or unsettled:
            name, fields = self.expect("DELIVER", "SETTLED", timeout_ms=PATIENCE_S * 1000)
            if name == "SETTLED":
                unsettled -= sum(r["count"] for r in fields["range"])
                continue
            deliveries = fields["delivery"]
            mine = deliveries[: count - taken]
            taken += len(mine)
            self.runs += [{**d["task"][0], "token": d["token"]} for d in mine]
            if taken == count:
                self.send("PREFETCH", prefetch=0)
            ends = [{"token": d["token"], "verdict": 1, **settlement} for d in mine]
            ends += [{"token": d["token"], "verdict": RELEASE} for d in deliveries[len(mine) :]]
            self.send("SETTLE", first=self.next, settlement=ends)
            self.next += len(ends)
            unsettled += len(ends)

    def ids(self):
        return [task["id"].decode() for task in self.runs]


def documents(count, queues=1, prefix="task"):
    """Task documents with ids, over so many queues and all priorities."""
    return [
        {
            **{"id": f"{prefix}-{i}", "task_name": "job", "queue": f"q{i % queues}"},
            **{"args": [i], "priority": i // queues % 10},
        }
        for i in range(count)
    ]


def lines(tasks):
    return "".join(json.dumps(task) + "\n" for task in tasks)


class Worker(ProgramTest):
    def first_attempt_hangs(self, endpoint):
        """Submits a task whose first attempt waits at a gate; returns its id and the gate."""
        gate, up = self.gate("gate"), self.file("up")
        script = self.file(
            "script",
            f"[ $REEVE_ATTEMPT -gt 1 ] || {{ echo >{up}; read line <{gate}; }}\n"
            'echo "attempt $REEVE_ATTEMPT"\n',
        )
        task_id = self.submit(endpoint, f". {script}", "--max-retries", 0)
        return task_id, gate, up

    def test_the_task_of_a_killed_worker_goes_to_another_and_counts_a_death(self):
        broker = self.broker()
        for endpoint in (broker.ipc, broker.tcp):
            with self.subTest(endpoint=endpoint):
                victim = self.worker(endpoint, "default", "--name", "victim", *BY_NAME)
                task_id, gate, up = self.first_attempt_hangs(endpoint)
                self.wait_for_file(up)
                mark = broker.mark()
                victim.kill()
                broker.wait("worker_lost", mark, worker_id="victim")
                other = self.worker(endpoint, "default", "--name", "other", *BY_NAME)
                end = self.wait_for_end(endpoint, task_id)[task_id]
                self.assertEqual((end["result"], end["attempts"]), ("attempt 2", 2))
                document = self.status(endpoint, task_id)
                self.assertEqual(document["deaths"], 1)
                self.assertEqual(
                    [(h["attempt"], h["worker"], h["outcome"]) for h in document["history"]],
                    [(1, "victim", "lost"), (2, "other", "success")],
                )
                other.stop()
                self.open_gate(gate)
                gate.unlink()
                up.unlink()

    def test_a_task_whose_workers_keep_dying_is_quarantined(self):
        broker = self.broker(defaults={"max-deaths": "2", "max-retries": "9"})
        task_id = self.submit(broker.ipc, "kill -KILL $PPID")
        for name in ("first", "second"):
            victim = self.worker(broker.ipc, "default", "--name", name, *BY_NAME)
            self.assertEqual(victim.end(), -signal.SIGKILL)
            broker.wait("worker_lost", worker_id=name)
        document = self.wait_until(broker.ipc, task_id, state="failed")
        self.assertEqual((document["deaths"], document["attempts"]), (2, 2))
        self.assertEqual(document["reason"], "quarantined")
        dead = self.reeve_json(broker.ipc, "dead", "list")
        self.assertEqual([d["id"] for d in dead], [task_id])

    def test_a_hung_worker_s_late_end_changes_nothing(self):
        broker = self.broker({"liveness": "500ms"})
        hung = self.worker(broker.tcp, "default", "--name", "hung", *BY_NAME)
        task_id, gate, up = self.first_attempt_hangs(broker.tcp)
        self.wait_for_file(up)
        hung.signal(signal.SIGSTOP)
        broker.wait("worker_lost", worker_id="hung")
        self.worker(broker.tcp, "default", "--name", "other", *BY_NAME)
        self.assertEqual(self.wait_for_end(broker.ipc, task_id)[task_id]["result"], "attempt 2")
        self.open_gate(gate)
        mark = broker.mark()
        hung.signal(signal.SIGCONT)
        broker.wait("worker_joined", mark, worker_id="hung")
        hung.stop()
        document = self.status(broker.ipc, task_id)
        self.assertEqual((document["state"], document["result"]), ("success", "attempt 2"))
        self.assertEqual((document["attempts"], document["deaths"]), (2, 1))

    def test_a_zombie_s_acknowledgement_is_refused_and_told(self):
        broker = self.broker({"liveness": "500ms"})
        with ReevePeer(broker.tcp) as zombie:
            zombie.hello()
            zombie.ready("zombie", "q")
            zombie.submit("a", "q")
            token = zombie.delivery()["token"]
            broker.wait("worker_lost", worker_id="zombie")
            with Runner(broker.tcp, "q") as runner:
                runner.run(1)
            zombie.settle(token, corr=6)
            self.assertEqual(zombie.expect("ERROR")["code"], NOT_READY)
            zombie.ready("zombie", "elsewhere")
            zombie.settle(token, corr=7)
            name, fields = zombie.expect("REVOKE", "ERROR")
            if name == "REVOKE":
                fields = zombie.expect("ERROR")
            self.assertEqual((fields["code"], fields["corr"]), (STALE_ATTEMPT, 7))
            broker.wait("stale_attempt", attempt=1)
        self.assertEqual(self.status(broker.ipc, "a")["history"][-1]["worker"], "runner")


class BrokerAndWorker(ProgramTest):
    def setUp(self):
        super().setUp()
        self.started = self.broker({"grace": "500ms"})

    def hold_a_task(self, endpoint):
        gate, up = self.gate("gate"), self.file("up")
        task_id = self.submit(endpoint, f"echo >>{up}; read line <{gate}; echo $line")
        self.wait_for_file(up)
        return task_id, gate

    def test_a_task_whose_worker_comes_back_after_a_restart_is_not_lost(self):
        broker = self.broker({"grace": "30s"})
        for endpoint in (broker.ipc, broker.tcp):
            with self.subTest(endpoint=endpoint):
                worker = self.worker(endpoint, "default", "--name", "steady", *BY_NAME)
                task_id, gate = self.hold_a_task(endpoint)
                broker.restart()
                broker.wait("worker_joined", worker_id="steady")
                self.open_gate(gate, "done\n")
                end = self.wait_for_end(endpoint, task_id)[task_id]
                self.assertEqual((end["result"], end["attempts"]), ("done", 1))
                self.assertEqual(self.status(endpoint, task_id)["deaths"], 0)
                worker.stop()
                gate.unlink()

    def test_a_task_whose_worker_does_not_come_back_counts_a_death(self):
        broker = self.started
        worker = self.worker(broker.ipc, "default", *BY_NAME)
        task_id, gate = self.hold_a_task(broker.ipc)
        broker.kill()
        worker.kill()
        broker.start()
        document = self.wait_until(broker.ipc, task_id, state="queued")
        self.assertEqual((document["deaths"], document["attempts"]), (1, 1))
        self.open_gate(gate)  # the command that the killed worker left behind
        self.worker(broker.ipc, "default", *BY_NAME)
        self.open_gate(gate, "again\n")
        end = self.wait_for_end(broker.ipc, task_id)[task_id]
        self.assertEqual((end["result"], end["attempts"]), ("again", 2))

    def test_a_broker_killed_again_and_again_runs_nothing_twice_while_workers_live(self):
        broker = self.broker({"grace": "30s"})
        count, log = 60, self.file("runs", "")
        worker = self.worker(
            *(broker.ipc, "default", "--concurrency", 2, "--log-level", "info"),
            *("--", "sh", "-c", f'echo "$REEVE_TASK_ID" >>{log}'),
        )
        tasks = [{"id": f"t{i}", "task_name": "job"} for i in range(count)]
        self.reeve(broker.ipc, "submit", "--file", self.file("tasks.ndjson", lines(tasks)))
        for rounds in range(1, 4):
            self.eventually(
                lambda n=rounds * 10: len(log.read_text().splitlines()) >= n, "nothing is run"
            )
            broker.restart()
        self.wait_for_end(broker.ipc, *(t["id"] for t in tasks))
        runs = collections.Counter(log.read_text().split())
        self.assertEqual(runs, {t["id"]: 1 for t in tasks})
        worker.stop()


class Store(ProgramTest):
    def test_all_that_a_full_database_holds_is_there_after_a_kill(self):
        queues, count = 40, 20_000
        broker = self.broker()
        finished, dead = documents(100, prefix="finished"), documents(60, prefix="dead")
        for tasks, settlement in (
            (finished, {"result_kind": 1, "result": '{"done":true}'}),
            (dead, {"verdict": REJECT, "reason": "poison", "error": "E", "traceback": "T"}),
        ):
            self.reeve(broker.ipc, "submit", "--file", self.file("tasks", lines(tasks)))
            with Runner(broker.tcp, "q0") as runner:
                runner.run(len(tasks), **settlement)
        waiting = documents(count, queues)
        later = [{**t, "run_at": "2999-01-01T00:00:00Z"} for t in documents(500, queues, "later")]
        self.reeve(broker.ipc, "submit", "--file", self.file("tasks", lines(waiting + later)))

        before = self.counts(broker)
        self.assertEqual(sum(q["waiting"] for q in before.values()), count)
        self.assertEqual(sum(q["scheduled"] for q in before.values()), len(later))
        broker.restart()
        line = broker.log.wait("recovered")
        self.assertEqual(
            [line[k] for k in ("queues", "waiting", "scheduled", "processing", "dead")],
            [queues, count, len(later), 0, len(dead)],
        )
        self.assertEqual(self.counts(broker), before)
        self.assert_ends_are_there(broker, finished, dead, later)
        with Runner(broker.tcp, *(f"q{i}" for i in range(queues))) as runner:
            runner.run(count)
        self.assert_once_and_in_order(runner, waiting)

    def counts(self, broker):
        keys = ("waiting", "scheduled", "processing", "dead")
        return {name: {k: q[k] for k in keys} for name, q in self.queues(broker.ipc).items()}

    def assert_ends_are_there(self, broker, finished, dead, later):
        for task in (finished[0], finished[-1]):
            self.assertEqual(self.reeve(broker.ipc, "result", task["id"]), b'{"done":true}\n')
        again = self.file("again", lines(finished))
        summary = self.reeve_json(broker.ipc, "submit", "--file", again)[-1]
        self.assertEqual((summary["duplicates"], summary["confirmed"]), (len(finished),) * 2)
        listed = self.reeve_json(broker.ipc, "dead", "list", "--limit", 1000)
        self.assertEqual(sorted(d["id"] for d in listed), sorted(t["id"] for t in dead))
        document = self.reeve_json(broker.ipc, "dead", "show", dead[7]["id"])[0]
        self.assertEqual(
            (document["reason"], document["error"], document["traceback"]), ("poison", "E", "T")
        )
        document = self.status(broker.ipc, later[3]["id"])
        self.assertEqual(
            (document["state"], document["run_at"]), ("scheduled", "2999-01-01T00:00:00.000Z")
        )

    def assert_once_and_in_order(self, runner, tasks):
        self.assertEqual(sorted(runner.ids()), sorted(t["id"] for t in tasks))
        # The order in which the broker took them in: a token begins with the task's number. It is not
        # always the file's, because an id may have to be looked up first.
        by_queue = collections.defaultdict(list)
        for task in runner.runs:
            number = int(task["token"].split(b".")[0], 16)
            by_queue[task["queue"]].append((-task.get("priority", 0), number))
        for keys in by_queue.values():
            self.assertEqual(keys, sorted(keys))


class Submission(ProgramTest):
    """`reeve submit --file` and kills: every confirmed task ends once."""

    count = 10_000

    def feed(self, endpoint, text):
        """A client that was given this text and waits for more; its confirms are read as they come."""
        self.told = self.file("told", "")
        with open(self.told, "wb") as told:  # a pipe nobody reads would stop the client
            client = self.client(
                *(endpoint, "--json", "submit", "--file", "-"), stdin=subprocess.PIPE, stdout=told
            )
        client.stdin.write(text)
        client.stdin.flush()
        return client

    def confirmed(self, count):
        """Ids of the first so many confirms."""
        found = self.eventually(
            lambda: (t := self.told.read_text().splitlines(True)[:count])
            and len(t) == count
            and t[-1].endswith("\n")
            and t,
            f"{count} confirms did not come",
        )
        return [json.loads(line)["id"] for line in found]

    def assert_nothing_left(self, broker, queue):
        left = self.queues(broker.ipc)[queue]
        self.assertEqual([left[k] for k in ("waiting", "scheduled", "processing")], [0, 0, 0])

    def test_a_killed_client_may_run_the_file_again(self):
        broker = self.broker()
        tasks = documents(self.count)
        known = []
        for moment in (1, 2500, 5000):
            client = self.feed(broker.ipc, lines(tasks[: moment + 100]))
            known = self.confirmed(moment)
            client.kill()
        # Some have ended before the file is run again.
        with Runner(broker.tcp, "q0", prefetch=500) as first:
            first.run(500)
            ended = first.ids()
        path = self.file("tasks", lines(tasks))
        summary = self.reeve_json(broker.ipc, "submit", "--file", path)[-1]
        self.assertEqual((summary["confirmed"], summary["refused"]), (self.count, 0))
        self.assertGreaterEqual(summary["duplicates"], len(known))
        with Runner(broker.tcp, "q0") as second:
            second.run(self.count - len(ended))
        runs = collections.Counter(ended + second.ids())
        self.assertEqual(runs, {t["id"]: 1 for t in tasks})
        self.assert_nothing_left(broker, "q0")

    def test_a_killed_broker_keeps_what_it_confirmed_and_the_client_goes_on(self):
        broker = self.broker()
        tasks = documents(self.count)
        for moment, endpoint in ((1, broker.ipc), (3000, broker.tcp), (5000, broker.ipc)):
            with self.subTest(moment=moment):
                queue = f"q{moment}"
                part = [{**t, "id": f"{queue}-{t['id']}", "queue": queue} for t in tasks]
                client = self.feed(endpoint, lines(part[: moment + 200]))
                known = self.confirmed(moment)
                broker.kill()
                broker.start()
                documents_known = [self.status(broker.ipc, i) for i in (known[0], known[-1])]
                self.assertEqual([d["state"] for d in documents_known], ["queued"] * 2)
                _, err = client.communicate(lines(part[moment + 200 :]), timeout=PATIENCE_S)
                self.assertEqual(client.returncode, 0, err)
                summary = json.loads(self.told.read_text().splitlines()[-1])
                self.assertEqual((summary["confirmed"], summary["unconfirmed"]), (self.count, 0))
                with Runner(broker.tcp, queue) as runner:
                    runner.run(self.count)
                self.assertEqual(sorted(runner.ids()), sorted(t["id"] for t in part))
                self.assert_nothing_left(broker, queue)

    def test_a_client_and_a_broker_killed_together_lose_nothing_confirmed(self):
        broker = self.broker()
        tasks = documents(self.count)
        client = self.feed(broker.ipc, lines(tasks[:6000]))
        known = self.confirmed(2000)
        client.kill()
        broker.kill()
        broker.start()
        with Runner(broker.tcp, "q0", prefetch=10) as first:
            first.run(10)
            ended = first.ids()
        summary = self.reeve_json(
            broker.ipc, "submit", "--file", self.file("tasks", lines(tasks))
        )[-1]
        self.assertEqual(summary["confirmed"], self.count)
        self.assertGreaterEqual(summary["duplicates"], len(known))
        with Runner(broker.tcp, "q0") as second:
            second.run(self.count - len(ended))
        self.assertEqual(sorted(ended + second.ids()), sorted(t["id"] for t in tasks))
        self.assert_nothing_left(broker, "q0")


if __name__ == "__main__":
    harness.main()
