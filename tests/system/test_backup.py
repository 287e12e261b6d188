"""Backup and restore as docs/operations.md has them: its own statements are run. Usage: test_backup.py BUILD_DIR"""

import re
import shutil
import subprocess
from pathlib import Path

import mdp_harness as harness
from mdp_harness import PATIENCE_S
from programs import ProgramTest
from reeve_peer import STALE_ATTEMPT, ReevePeer

MANUAL = Path(__file__).resolve().parents[2] / "docs/operations.md"
RETRIED = {"max_retries": 3}


def statement(word):
    """The one SQL statement of the manual's section on backup that begins with this word."""
    section = MANUAL.read_text(encoding="utf-8").partition("\n## Backup\n")[2].partition("\n## ")[0]
    (found,) = re.findall(rf'sqlite3 .*"({word} [^"]*)"', section)
    return found


def sqlite(path, text, *options):
    done = subprocess.run(
        ["sqlite3", *options, path, text],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if done.returncode != 0 or done.stderr:
        raise AssertionError(done.stderr)
    return done.stdout


class Backup(ProgramTest):
    def back_up(self, broker):
        path = self.file("backup.db")
        text, count = re.subn("'[^']*'", f"'{path}'", statement("VACUUM INTO"))
        self.assertEqual(count, 1)
        sqlite(broker.db, text, "-readonly")
        return path

    def restore(self, broker, backup, *flags, keep_lock=False):
        """In the place of what the broker had; it must not run."""
        for suffix in ("", "-wal", "-shm", *([] if keep_lock else [".lock"])):
            Path(f"{broker.db}{suffix}").unlink(missing_ok=True)
        shutil.copy(backup, broker.db)
        broker.start(*flags)

    def test_a_backup_while_tasks_come_holds_all_that_was_confirmed_before(self):
        broker = self.broker()
        before = [self.submit(broker.ipc, "job", "--queue", "q", "--id", f"b{i}") for i in range(5)]
        stream = "".join(f'{{"task_name":"job","queue":"q","id":"s{i}"}}\n' for i in range(20_000))
        client = self.client(broker.ipc, "submit", "--file", self.file("tasks", stream))
        self.eventually(lambda: self.queues(broker.ipc)["q"]["waiting"] > 5, "none of them came")
        backup = self.back_up(broker)
        self.finish(client)
        after = self.submit(broker.ipc, "job", "--queue", "q", "--id", "after")  # it goes on
        self.assertEqual(sqlite(backup, "PRAGMA integrity_check"), "ok\n")
        broker.stop()
        self.restore(broker, backup)
        for task in before:
            self.assertEqual(self.status(broker.ipc, task)["state"], "queued")
            (again,) = self.reeve_json(broker.ipc, "submit", "job", "--queue", "q", "--id", task)
            self.assertTrue(again["duplicate"])
        self.reeve(broker.ipc, "status", after, status=2)
        # The file again: what the backup holds is known, and the rest comes now.
        self.reeve(broker.ipc, "submit", "--file", self.file("tasks"))
        self.assertEqual(self.queues(broker.ipc)["q"]["waiting"], 20_005)

    def test_a_worker_of_before_cannot_end_a_task_of_after(self):
        self.a_worker_of_before()

    def test_nor_where_only_the_flag_tells_that_it_was_restored(self):
        self.a_worker_of_before("--restored", keep_lock=True)

    def a_worker_of_before(self, *flags, keep_lock=False):
        broker = self.broker()
        backup = self.back_up(broker)
        with ReevePeer(broker.tcp) as worker:
            worker.hello()
            worker.submit("lost", "q")
            worker.ready("w", "q")
            token = worker.delivery()["token"]
        broker.kill()
        self.restore(broker, backup, *flags, keep_lock=keep_lock)
        with ReevePeer(broker.tcp) as worker:
            worker.hello()
            worker.submit("another", "q")
            worker.ready("w", "q")
            delivery = worker.delivery()
            self.assertEqual(delivery["token"].split(b".")[:2], token.split(b".")[:2])
            worker.settle(token, corr=7)
            self.assertEqual(worker.error(), (STALE_ATTEMPT, 7))
            self.assertEqual(self.status(broker.ipc, "another")["state"], "processing")
            worker.settle(delivery["token"], corr=8)
            worker.expect("SETTLED")

    def test_what_ran_at_the_backup_runs_again_at_once_and_uncounted(self):
        broker = self.broker({"grace": "10m"})
        with ReevePeer(broker.tcp) as worker:
            worker.hello()
            worker.submit("a", "q")
            worker.ready("w", "q")
            old = worker.delivery()["token"]
            backup = self.back_up(broker)
        broker.kill()
        self.restore(broker, backup)
        self.assertEqual(broker.log.find("restored")["released"], 1)
        self.assertEqual(broker.log.find("recovered")["processing"], 0)
        with ReevePeer(broker.tcp) as worker:
            worker.hello()
            worker.ready("w", "q")
            delivery = worker.delivery()
            self.assertEqual((delivery["task"][0]["id"], delivery["attempt"]), (b"a", 2))
            task = self.status(broker.ipc, "a")
            self.assertEqual([one["outcome"] for one in task["history"]], ["released"])
            worker.settle(old, corr=7)
            self.assertEqual(worker.error(), (STALE_ATTEMPT, 7))
            worker.settle(delivery["token"])
            worker.expect("SETTLED")

    def test_only_a_database_from_elsewhere_is_taken_for_a_restored_one(self):
        broker = self.broker()
        broker.restart()
        self.assertIsNone(broker.log.find("restored"))
        broker.stop()
        shutil.copy(f"{self.broker().db}.lock", f"{broker.db}.lock")
        broker.start()
        self.assertEqual(broker.log.find("restored")["released"], 0)
        broker.restart()
        self.assertIsNone(broker.log.find("restored"))

    def test_peers_see_that_it_is_not_the_broker_that_they_knew(self):
        broker = self.broker()
        backup = self.back_up(broker)
        for _ in range(3):
            broker.restart()
        known = broker.log.find("recovered")["epoch"]
        broker.stop()
        self.restore(broker, backup)
        self.assertGreater(broker.log.find("recovered")["epoch"], known)


if __name__ == "__main__":
    harness.main()
