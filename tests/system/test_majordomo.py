"""Majordomo 0.1 (RFC 7) and 0.2 (RFC 18) at a running broker. Usage: test_majordomo.py BUILD_DIR

The peers are strict: a message of the broker that is not of the RFC's form ends a test, whatever
the test is about.
"""

import itertools
import json
import signal

import mdp_harness
import zmq
from reeve_peer import SUCCESS, ReevePeer, frames_of

import mdp

CLIENTS = {1: mdp.Client01, 2: mdp.Client02}
WORKERS = {1: mdp.Worker01, 2: mdp.Worker02}
STRAYS_MAX = 8
VERBOSE = {"log-level": "debug"}
TOKEN = rb"^[0-9a-f]{1,16}\.[0-9a-f]{1,8}\.[0-9a-f]{16}$"


def final_of(client, service, timeout_ms=mdp.TIMEOUT_MS):
    """The last reply's body, whatever the client's version."""
    if isinstance(client, mdp.Client01):
        return client.recv(service, timeout_ms)
    return client.recv_all(service, timeout_ms)[1]


def reply_of(client, service, *body):
    client.send(service, *body)
    return final_of(client, service)


class MajordomoTest(mdp_harness.SystemTest):
    def peer(self, cls, *arguments, **options):
        peer = cls(*arguments, **options)
        self.addCleanup(peer.kill)
        return peer

    def both_ends(self, broker):
        return (("ipc", broker.ipc), ("tcp", broker.tcp))

    def in_step(self, peer):
        """Whatever the broker had to say to this client before has come when this returns; what
        comes first must be the answer to this, so nothing had."""
        if isinstance(peer, mdp.Client02):
            self.assertEqual(peer.request("mmi.none", ""), ([], [b"501"]))
        else:
            self.assertEqual(reply_of(peer, "mmi.none", ""), [b"501"])

    def serve_one(self, broker, worker, expected_body=None, client=None):
        """The worker gets and answers a request: of `client`, or of one made for this."""
        asking = client or self.peer(mdp.Client02, broker.ipc)
        if client is None:
            asking.send(worker.service, "proof")
        request = worker.recv_request()
        self.assertEqual(request.body, [b"proof"] if expected_body is None else expected_body)
        worker.reply(request, "served")
        self.assertEqual(final_of(asking, worker.service), [b"served"])
        return request


class Pairs(MajordomoTest):
    """Every client with every worker."""

    def test_c_clients_are_served_by_c_workers(self):
        broker = self.broker()
        for (name, endpoint), worker_v, client_v in itertools.product(
            self.both_ends(broker), (1, 2), (1, 2)
        ):
            with self.subTest(over=name, worker=worker_v, client=client_v):
                service = f"{name}-{worker_v}-{client_v}"
                worker = self.mdp_process(
                    *("worker", worker_v, endpoint, service, "--prefix", "re:", "--count", 2)
                )
                client = self.mdp_process(
                    *("client", client_v, endpoint, service, "--count", 2, "a b", "", "\\c")
                )
                word = "REPLY" if client_v == 1 else "FINAL"
                self.assertEqual(client.end(), ([f"{word} re:a b||\\x5cc"] * 2, 0))
                self.assertEqual(worker.end()[1], 0)

    def test_c_clients_are_served_by_python_workers(self):
        broker = self.broker()
        for (name, endpoint), worker_v, client_v in itertools.product(
            self.both_ends(broker), (1, 2), (1, 2)
        ):
            with self.subTest(over=name, worker=worker_v, client=client_v):
                service = f"{name}-{worker_v}-{client_v}"
                with WORKERS[worker_v](endpoint, service) as worker:
                    client = self.mdp_process("client", client_v, endpoint, service, "x")
                    worker.serve(lambda body: [b">", *body], count=1)
                    word = "REPLY" if client_v == 1 else "FINAL"
                    self.assertEqual(client.end(), ([f"{word} >|x"], 0))

    def test_python_clients_are_served_by_c_workers(self):
        broker = self.broker()
        for (name, endpoint), worker_v, client_v in itertools.product(
            self.both_ends(broker), (1, 2), (1, 2)
        ):
            with self.subTest(over=name, worker=worker_v, client=client_v):
                service = f"{name}-{worker_v}-{client_v}"
                worker = self.mdp_process("worker", worker_v, endpoint, service, "--count", 1)
                client = self.peer(CLIENTS[client_v], endpoint)
                self.assertEqual(reply_of(client, service, b"\x00", ""), [b"\x00", b""])
                self.assertEqual(worker.end()[1], 0)

    def test_a_peer_over_ipc_is_served_by_one_over_tcp(self):
        broker = self.broker()
        with mdp.Worker01(broker.tcp, "echo") as worker, mdp.Client02(broker.ipc) as client:
            client.send("echo", "x")
            self.serve_one(broker, worker, [b"x"], client=client)

    def test_a_client_of_0_1_may_be_a_dealer(self):
        broker = self.broker()
        worker = self.peer(mdp.Worker02, broker.tcp, "echo")
        client = self.peer(mdp.Peer, broker.tcp)
        client.send_raw("", "MDPC01", "echo", "x")
        request = worker.recv_request()
        worker.reply(request, "y", "z")
        self.assertEqual(client.recv_raw(), [b"", b"MDPC01", b"echo", b"y", b"z"])

    def test_reeve_worker_serves_clients_of_both_versions(self):
        broker = self.broker()
        self.reeve_worker(broker.ipc, "echo")
        for name, endpoint in self.both_ends(broker):
            for version, word in ((1, "REPLY"), (2, "FINAL")):
                with self.subTest(over=name, version=version, by="C"):
                    client = self.mdp_process("client", version, endpoint, "echo", "hi")
                    (line,), status = client.end()
                    self.assertEqual((line.split(" ")[0], status), (word, 0))
                with self.subTest(over=name, version=version, by="Python"):
                    client = self.peer(CLIENTS[version], endpoint)
                    (result,) = reply_of(client, "echo", "hi")
                    document = json.loads(result)
                    self.assertEqual(document["queue"], "echo")
                    self.assertEqual(document["task_name"], "echo")
                    self.assertEqual(document["origin"], f"mdp/0.{version}")
                    self.assertIn("hi", json.dumps(document))

    def test_majordomo_workers_do_tasks_of_reeve(self):
        broker = self.broker()
        for version, worker_class in WORKERS.items():
            with self.subTest(version=version):
                service = f"job-{version}"
                worker = self.peer(worker_class, broker.tcp, service)
                with ReevePeer(broker.ipc) as client:
                    client.submit(
                        *(f"id-{version}", service),
                        body='{"args":[1],"kwargs":{"a":"b"}}',
                        wait=True,
                    )
                    request = worker.recv_request()
                    (frame,) = request.body
                    document = json.loads(frame)
                    self.assertEqual(document["id"], f"id-{version}")
                    self.assertEqual((document["args"], document["kwargs"]), ([1], {"a": "b"}))
                    self.assertEqual(document["task_name"], "job")
                    worker.reply(request, "one", "", "two")
                    outcome = client.expect("OUTCOME")
                    self.assertEqual((outcome["state"], outcome["result_kind"]), (SUCCESS, 3))
                    self.assertEqual(outcome["result"], frames_of("one", "", "two"))

    def test_the_reply_goes_to_the_client_that_asked(self):
        broker = self.broker()
        clients = [
            self.peer(CLIENTS[1 + i % 2], (broker.ipc, broker.tcp)[i // 2 % 2]) for i in range(24)
        ]
        for i, client in enumerate(clients):
            client.send("echo", f"from {i}")
        workers = [
            self.peer(WORKERS[1 + i % 2], (broker.tcp, broker.ipc)[i // 2 % 2], "echo")
            for i in range(3)
        ]
        served = 0
        while served < len(clients):
            batch = [(w, w.recv_request()) for w in workers[: len(clients) - served]]
            for worker, request in reversed(batch):
                worker.reply(request, b"to " + request.body[0])
            served += len(batch)
        for i, client in enumerate(clients):
            self.assertEqual(final_of(client, "echo"), [f"to from {i}".encode()])
            self.in_step(client)


class Bridging(MajordomoTest):
    """What one protocol has and another has not."""

    def test_partials_reach_clients_of_0_2_and_not_of_0_1(self):
        broker = self.broker()
        worker = self.peer(mdp.Worker02, broker.tcp, "echo")
        for version, client_class in CLIENTS.items():
            with self.subTest(version=version):
                client = self.peer(client_class, broker.ipc)
                client.send("echo", "x")
                request = worker.recv_request()
                worker.partial(request, "1", "a")
                worker.partial(request, "2", "")
                worker.reply(request, "3")
                if version == 1:
                    self.assertEqual(client.recv("echo"), [b"3"])
                else:
                    expected = ([[b"1", b"a"], [b"2", b""]], [b"3"])
                    self.assertEqual(client.recv_all("echo"), expected)

    def test_c_worker_partials_reach_the_c_client(self):
        broker = self.broker()
        self.mdp_process("worker", 2, broker.ipc, "echo", "--partials", 2)
        self.assertEqual(
            self.mdp_process("client", 2, broker.tcp, "echo", "x").end(),
            (["PARTIAL 1", "PARTIAL 2", "FINAL x"], 0),
        )
        self.assertEqual(
            self.mdp_process("client", 1, broker.tcp, "echo", "x").end(), (["REPLY x"], 0)
        )

    def test_progress_of_a_reeve_worker_becomes_partials_and_the_other_way_round(self):
        broker = self.broker()
        with ReevePeer(broker.ipc) as reeve, mdp.Client02(broker.tcp) as client:
            reeve.ready("w", "there")
            client.send("there", "x")
            token = reeve.delivery()["token"]
            reeve.send("PROGRESS", token=token, kind=2, data="half")
            self.assertEqual(client.recv("there"), ("PARTIAL", [b"half"]))
            reeve.settle(token, result_kind=2, result="done")
            self.assertEqual(client.recv("there"), ("FINAL", [b"done"]))
        with ReevePeer(broker.ipc) as reeve, mdp.Worker02(broker.tcp, "back") as worker:
            reeve.submit("t", "back", wait=True)
            request = worker.recv_request()
            worker.partial(request, "a", "b")
            outcome = reeve.expect("OUTCOME")
            self.assertEqual((outcome["partial"], outcome["result_kind"]), (1, 3))
            self.assertEqual(outcome["result"], frames_of("a", "b"))
            worker.reply(request, "c")
            self.assertNotIn("partial", reeve.expect("OUTCOME"))

    def test_each_kind_of_result_becomes_frames(self):
        broker = self.broker()
        cases = [
            (dict(), [b""]),
            (dict(result_kind=1, result='{"a":1}'), [b'{"a":1}']),
            (dict(result_kind=2, result="text"), [b"text"]),
            (dict(result_kind=2, result=""), [b""]),
            (dict(result_kind=3, result=frames_of("a", "", b"\xff")), [b"a", b"", b"\xff"]),
            (dict(result_kind=3, result=b""), [b""]),
        ]
        with ReevePeer(broker.ipc) as reeve:
            reeve.ready("w", "echo")
            for version, client_class in CLIENTS.items():
                client = self.peer(client_class, broker.tcp)
                for corr, (result, frames) in enumerate(cases, 1):
                    with self.subTest(version=version, result=result):
                        client.send("echo", "x")
                        reeve.settle(reeve.delivery()["token"], corr=corr, **result)
                        reeve.expect("SETTLED")
                        self.assertEqual(final_of(client, "echo"), frames)

    def test_a_body_without_frames_reaches_workers_as_one_empty_frame(self):
        broker = self.broker()
        for version, worker_class in WORKERS.items():
            with self.subTest(version=version), ReevePeer(broker.ipc) as reeve:
                worker = self.peer(worker_class, broker.ipc, f"q{version}")
                reeve.submit(f"t{version}", f"q{version}", body="", body_kind=1)
                self.assertEqual(worker.recv_request().body, [b""])

    def test_a_request_that_did_not_succeed_gets_no_reply(self):
        broker = self.broker()
        for version in (1, 2):
            with self.subTest(version=version), ReevePeer(broker.ipc) as reeve:
                # A REQ socket could not go on to ask, so a DEALER stands in for it in 0.1.
                client = self.peer(mdp.Peer, broker.tcp)
                head = ["", "MDPC01"] if version == 1 else ["MDPC02", b"\x01"]
                service = f"q{version}"
                reeve.ready("w", service)
                client.send_raw(*head, service, "x")
                reeve.settle(reeve.delivery()["token"], verdict=3, reason="no")
                reeve.expect("SETTLED")
                client.send_raw(*head, service, "y")
                delivery = reeve.delivery()
                reeve.send("CANCEL", corr=9, id=delivery["task"][0]["id"])
                while reeve.expect("REVOKE", "DONE")[0] != "DONE":
                    pass
                client.send_raw(*head, "mmi.none", "")
                self.assertEqual(client.recv_raw()[-2:], [b"mmi.none", b"501"])


class Lives(MajordomoTest):
    """Brokers and workers that die while there is a request."""

    def ask(self, broker, service, body, identity):
        """A client's request that is on disk."""
        mark = broker.mark()
        client = self.peer(mdp.Client02, broker.tcp, identity=identity)
        client.send(service, body)
        broker.wait("task_enqueued", mark, queue=service)
        return client

    def test_a_waiting_request_outlives_the_broker(self):
        broker = self.broker(VERBOSE)
        client = self.ask(broker, "echo", "kept", "asker")
        broker.restart()
        self.in_step(client)  # it is connected again, under the same routing id
        worker = self.peer(mdp.Worker01, broker.ipc, "echo")
        self.serve_one(broker, worker, [b"kept"], client=client)

    def test_a_reply_that_comes_after_a_restart_counts(self):
        for version, worker_class in WORKERS.items():
            with self.subTest(version=version):
                broker = self.broker({**VERBOSE, "grace": "60s"})
                client = self.ask(broker, "echo", "x", "asker")
                worker = self.peer(worker_class, broker.ipc, "echo")
                request = worker.recv_request()
                broker.restart()
                self.in_step(client)
                worker.reply(request, "late")
                self.assertEqual(client.recv_all("echo"), ([], [b"late"]))
                worker.recv_disconnect()  # it has to register anew
                worker.reconnect()
                self.serve_one(broker, worker)

    def test_a_reply_after_a_restart_goes_to_no_stranger(self):
        for version, client_class in CLIENTS.items():
            with self.subTest(version=version):
                broker = self.broker(VERBOSE)
                self.ask(broker, "echo", "secret", None).kill()
                broker.restart()
                # The first connection again, and so of the same id as the one that asked.
                stranger = self.peer(client_class, broker.tcp)
                self.in_step(stranger)
                mark = broker.mark()
                worker = self.peer(mdp.Worker02, broker.ipc, "echo")
                worker.reply(worker.recv_request(), "secret")
                broker.wait("task_finished", mark)
                self.in_step(stranger)

    def test_a_request_at_a_worker_is_done_again_after_a_restart(self):
        broker = self.broker(VERBOSE)
        client = self.ask(broker, "echo", "again", "asker")
        worker = self.peer(mdp.Worker02, broker.ipc, "echo")
        first = worker.recv_request()
        worker.kill()
        broker.restart()
        self.in_step(client)
        worker = self.peer(mdp.Worker02, broker.ipc, "echo")
        second = self.serve_one(broker, worker, [b"again"], client=client)
        self.assert_next_attempt(first, second)

    def assert_next_attempt(self, first, second):
        seq, attempt, _ = first.address.split(b".")
        self.assertEqual(second.address.split(b".")[:2], [seq, b"%x" % (int(attempt, 16) + 1)])

    def test_a_worker_learns_of_a_restart_by_its_heartbeat(self):
        broker = self.broker()
        worker = self.peer(mdp.Worker01, broker.tcp, "echo")
        self.serve_one(broker, worker)
        broker.restart()
        worker.heartbeat()
        worker.recv_disconnect()
        worker.reconnect()
        self.serve_one(broker, worker)

    def test_another_worker_gets_the_request_of_one_that_was_killed(self):
        broker = self.broker()
        for (name, endpoint), version in itertools.product(self.both_ends(broker), (1, 2)):
            with self.subTest(over=name, version=version):
                service = f"{name}-{version}"
                worker = self.mdp_process("worker", version, endpoint, service, "--delay-ms", 60000)
                client = self.peer(CLIENTS[version], endpoint)
                client.send(service, "x")
                worker.until("REQUEST")
                other = self.peer(WORKERS[version], endpoint, service)
                worker.kill()
                self.serve_one(broker, other, [b"x"], client=client)

    def test_a_worker_that_hangs_with_a_request_is_given_up_at_the_timeout(self):
        broker = self.broker({"mdp-timeout": "300ms"})
        for version in (1, 2):
            with self.subTest(version=version):
                service = f"hang-{version}"
                worker = self.mdp_process(
                    "worker", version, broker.tcp, service, "--delay-ms", 60000
                )
                client = self.peer(CLIENTS[version], broker.ipc)
                client.send(service, "x")
                worker.until("REQUEST")
                worker.process.send_signal(signal.SIGSTOP)
                broker.wait("task_failed", queue=service, reason="timeout")
                other = self.peer(WORKERS[version], broker.ipc, service)
                self.serve_one(broker, other, [b"x"], client=client)
                worker.process.send_signal(signal.SIGCONT)
                worker.until("DISCONNECTED")
                worker.until("READY")

    def test_an_idle_worker_that_hangs_is_not_given_requests(self):
        broker = self.broker({"mdp-liveness": "1500ms"})
        worker = self.mdp_process("worker", 1, broker.tcp, "echo", "--count", 1)
        self.assertEqual(worker.line(), "READY")
        broker.wait("worker_joined")
        worker.process.send_signal(signal.SIGSTOP)
        broker.wait("worker_lost")
        other = self.peer(mdp.Worker02, broker.ipc, "echo")
        self.serve_one(broker, other)
        other.disconnect()
        worker.process.send_signal(signal.SIGCONT)
        worker.until("READY")
        client = self.peer(mdp.Client02, broker.ipc)
        client.send("echo", "x")
        self.assertEqual(client.recv_all("echo"), ([], [b"x"]))

    def test_a_busy_worker_that_cannot_heartbeat_keeps_its_request(self):
        broker = self.broker({"mdp-liveness": "200ms", "liveness": "200ms"})
        worker = self.mdp_process(
            *("worker", 1, broker.tcp, "echo", "--delay-ms", 1500, "--quiet-while-busy"),
            *("--count", 1),
        )
        client = self.peer(mdp.Client01, broker.tcp)
        self.assertEqual(reply_of(client, "echo", "x"), [b"x"])
        lines, _ = worker.end()
        self.assertEqual([line.split(" ")[0] for line in lines], ["READY", "REQUEST", "REPLIED"])
        self.assertIsNone(broker.log.find("lease_lost"))

    def test_a_busy_worker_whose_queue_is_full_is_not_dead(self):
        broker = self.broker({"heartbeat": "50ms"})
        worker = self.enterContext(zmq.Context.instance().socket(zmq.DEALER))
        worker.rcvhwm = 1
        worker.connect(broker.tcp)
        worker.send_multipart([b"MDPW02", b"\x01", b"echo"])
        client = self.peer(mdp.Client02, broker.tcp)
        client.send("echo", "x")
        self.assertTrue(client.quiet_for(15_000))  # longer than a connection may be dead
        while (request := worker.recv_multipart())[1] != b"\x02":
            pass
        worker.send_multipart([b"MDPW02", b"\x04", request[2], b"", b"y"])
        self.assertEqual(client.recv_all("echo"), ([], [b"y"]))
        self.assertIsNone(broker.log.find("worker_lost"))

    def test_busy_workers_get_heartbeats(self):
        broker = self.broker()
        for version, worker_class in WORKERS.items():
            with self.subTest(version=version):
                worker = self.peer(worker_class, broker.tcp, f"q{version}")
                client = self.peer(mdp.Client02, broker.tcp)
                client.send(worker.service, "x")
                request = worker.recv_request()
                for _ in range(3):
                    self.assertEqual(worker.recv_command(), ("HEARTBEAT", []))
                worker.reply(request, "y")
                self.assertEqual(client.recv_all(worker.service), ([], [b"y"]))

    def test_a_worker_whose_own_request_is_refused_stays(self):
        broker = self.broker(defaults={"max-length": 1})
        worker = self.peer(mdp.Worker02, broker.tcp, "echo")
        for service in ("other", "other", worker.service):
            worker.send_raw("MDPC02", b"\x01", service, "x")
        request = worker.recv_request()  # of its own, and told after the refusal
        worker.reply(request, "y")
        reply = worker.recv_raw()
        while reply[0] == worker.HEADER:
            reply = worker.recv_raw()  # a heartbeat
        self.assertEqual(reply, [b"MDPC02", b"\x03", b"echo", b"y"])

    def test_workers_are_told_when_the_broker_stops(self):
        broker = self.broker()
        worker = self.peer(mdp.Worker01, broker.tcp, "echo")
        self.serve_one(broker, worker)
        broker.stop()
        worker.recv_disconnect()


class DecisionTable(MajordomoTest):
    """RFC 7 and 18 on what a worker may send when. U: no READY yet; I: idle; B: busy."""

    def setUp(self):
        self.shared = self.broker()
        self.services = itertools.count()

    def worker_in(self, state, worker_class):
        """(worker, its request if it is busy, the client that waits for it)"""
        service = f"s{next(self.services)}"
        endpoint = (self.shared.ipc, self.shared.tcp)[next(self.services) // 2 % 2]
        worker = self.peer(worker_class, endpoint, service, ready=state != "U")
        client = self.peer(mdp.Client02, endpoint)
        request = None
        if state == "I":
            self.serve_one(self.shared, worker)
        elif state == "B":
            client.send(service, "r")
            request = worker.recv_request()
        return worker, request, client

    def old_token(self, worker_class):
        """A token of this broker whose attempt has ended, as a request."""
        worker = self.peer(worker_class, self.shared.ipc, f"s{next(self.services)}")
        request = self.serve_one(self.shared, worker)
        worker.disconnect()
        return request

    def each(self, *states):
        for version, worker_class in WORKERS.items():
            for state in states:
                with self.subTest(version=version, state=state):
                    worker, request, client = self.worker_in(state, worker_class)
                    yield state, worker, request, client

    def assert_over(self, state, worker, client, request=None):
        """DISCONNECT and nothing after it; what it held goes to another worker, and no reply of its
        reached the client."""
        worker.recv_disconnect()
        self.assertTrue(worker.quiet_for(250))
        if state == "B":
            other = self.peer(type(worker), worker.endpoint, worker.service)
            again = self.serve_one(self.shared, other, [b"r"], client=client)
            self.assertNotEqual(again.address, request.address)

    def assert_fine(self, state, worker, request, client):
        """The worker is still what it was."""
        if state == "U":
            worker.ready()
        if state == "B":
            worker.reply(request, "fine")
            self.assertEqual(client.recv_all(worker.service), ([], [b"fine"]))
        self.serve_one(self.shared, worker)

    def test_ready(self):
        for state, worker, request, client in self.each("U", "I", "B"):
            worker.ready()
            if state == "U":
                self.serve_one(self.shared, worker)
            else:
                self.assert_over(state, worker, client, request)

    def test_ready_for_a_name_that_is_not_to_be_had(self):
        names = ["mmi.service", "mmi.", "titanic.request", "titanic.other", "", "x" * 129]
        names += [b"\xff\xfe", "a\tb", " a"]
        for worker_class in WORKERS.values():
            for name in names:
                with self.subTest(worker=worker_class, name=name):
                    worker, _, _ = self.worker_in("U", worker_class)
                    worker.ready(name)
                    worker.recv_disconnect()
        for state, worker, request, client in self.each("I", "B"):
            worker.ready("mmi.service")
            self.assert_over(state, worker, client, request)

    def test_the_longest_name(self):
        with mdp.Worker01(self.shared.tcp, "n" * 128) as worker:
            self.serve_one(self.shared, worker)

    def test_heartbeat(self):
        for state, worker, request, client in self.each("U", "I", "B"):
            worker.heartbeat()
            if state == "U":
                self.assert_over(state, worker, client)
            else:
                self.assert_fine(state, worker, request, client)

    def test_reply_to_the_request(self):
        for state, worker, request, client in self.each("B"):
            self.assertRegex(request.address, TOKEN)
            worker.reply(request, "a", "b")
            self.assertEqual(client.recv_all(worker.service), ([], [b"a", b"b"]))
            self.serve_one(self.shared, worker)
            self.in_step(client)

    def test_reply_when_none_is_due(self):
        for state, worker, request, client in self.each("U", "I", "B"):
            worker.reply(self.old_token(type(worker)), "stale")
            self.assert_over(state, worker, client, request)

    def test_reply_to_the_request_of_another_worker(self):
        for state, worker, request, client in self.each("U", "I", "B"):
            holder, held, asker = self.worker_in("B", type(worker))
            worker.reply(held, "not mine")
            self.assert_over(state, worker, client, request)
            self.assert_fine("B", holder, held, asker)

    def test_a_second_reply(self):
        for state, worker, request, client in self.each("B"):
            worker.reply(request, "first")
            worker.reply(request, "second")
            self.assertEqual(client.recv_all(worker.service), ([], [b"first"]))
            worker.recv_disconnect()
            self.in_step(client)

    def test_partial(self):
        for state in "UIB":
            with self.subTest(state=state):
                worker, request, client = self.worker_in(state, mdp.Worker02)
                if state == "B":
                    worker.partial(request, "p")
                    self.assertEqual(client.recv(worker.service), ("PARTIAL", [b"p"]))
                    self.assert_fine(state, worker, request, client)
                else:
                    worker.partial(self.old_token(mdp.Worker02), "p")
                    self.assert_over(state, worker, client)

    def test_partial_to_another_request(self):
        worker, request, client = self.worker_in("B", mdp.Worker02)
        worker.partial(self.old_token(mdp.Worker02), "p")
        self.assert_over("B", worker, client, request)

    def test_partial_after_the_last_reply(self):
        worker, request, client = self.worker_in("B", mdp.Worker02)
        worker.reply(request, "last")
        worker.partial(request, "p")
        self.assertEqual(client.recv_all(worker.service), ([], [b"last"]))
        worker.recv_disconnect()
        self.in_step(client)

    def test_disconnect(self):
        for state, worker, request, client in self.each("U", "I", "B"):
            worker.disconnect()
            if state == "B":
                other = self.peer(type(worker), worker.endpoint, worker.service)
                self.serve_one(self.shared, other, [b"r"], client=client)
            # Nothing was sent back, not even DISCONNECT: HEARTBEATs of before may be there.
            worker.heartbeat()
            worker.recv_disconnect()
            self.assertTrue(worker.quiet_for(250))

    def test_request_from_a_worker(self):
        for state, worker, request, client in self.each("U", "I", "B"):
            worker.command("REQUEST", "addr", "", "body")
            self.assert_over(state, worker, client, request)

    MALFORMED = 15

    def malformed(self, worker, request):
        """As many messages that are not of the protocol's form."""
        address = request.address if request else b"1.1.0123456789abcdef"
        head = [*worker.LEADING, worker.HEADER]
        final = bytes([worker.CODES["FINAL"]])
        return [
            [*head],
            [*head, b""],
            [*head, b"\x00"],
            [*head, b"\x07"],
            [*head, b"\x01\x01"],
            [*head, b"READY", b"echo"],
            [*head, b"\x01"],
            [*head, b"\x01", b"echo", b"more"],
            [*head, final],
            [*head, final, b""],
            [*head, final, b"", b"body"],
            [*head, final, address],
            [*head, final, address, b""],
            [*head, bytes([worker.CODES["HEARTBEAT"]]), b"more"],
            [*head, bytes([worker.CODES["DISCONNECT"]]), b"more"],
        ]

    def test_invalid_messages(self):
        for worker_class, state in itertools.product(WORKERS.values(), "UIB"):
            for case in range(self.MALFORMED):
                worker, request, client = self.worker_in(state, worker_class)
                frames = self.malformed(worker, request)[case]
                with self.subTest(state=state, frames=frames):
                    worker.send_raw(*frames)
                    if state == "U":
                        self.assert_fine(state, worker, request, client)
                        continue
                    worker.recv_disconnect()
                    if state == "B":
                        other = self.peer(worker_class, worker.endpoint, worker.service)
                        self.serve_one(self.shared, other, [b"r"], client=client)
        self.shared.refused("malformed")

    def test_what_clients_may_not_send(self):
        cases = [
            (["", "MDPC01"], "malformed"),
            (["", "MDPC01", "echo"], "malformed"),
            (["MDPC02", b"\x01"], "malformed"),
            (["MDPC02", b"\x01", "echo"], "malformed"),
            (["MDPC02", "echo", "body"], "malformed"),  # zeromq/majordomo's own 0.2
            (["", "MDPC02", b"\x02", "echo", "body"], "unexpected_command"),  # majortomo's client
            (["MDPC02", b"\x03", "echo", "body"], "unexpected_command"),
            (["MDPC01", "", "body"], "bad_service"),
            (["MDPC02", b"\x01", "s" * 129, "body"], "bad_service"),
            (["MDPC02", b"\x01", b"\xc3\x28", "body"], "bad_service"),
            (["MDPC03", b"\x01", "echo", "body"], "not_a_protocol"),
            ([b"\xaa\xa4\x01\x06MDPC02\x01\x04echo", "hi"], "not_a_protocol"),
            (["", "", "MDPC01", "echo", "x"], "not_a_protocol"),
            (["REEVE1\x01", "second"], "not_a_protocol"),
        ]
        for frames, reason in cases:
            # Log lines of a reason are limited in number, so each case has a broker of its own.
            with self.subTest(frames=frames):
                broker = self.broker()
                client = self.peer(mdp.Client02, broker.ipc)
                client.send_raw(*frames)
                broker.refused(reason)
                self.in_step(client)
                broker.stop()


class Quirks(MajordomoTest):
    """What peers in the field do beside the RFCs."""

    def test_return_paths_are_replayed(self):
        broker = self.broker()
        worker = self.peer(mdp.Worker01, broker.ipc, "echo")
        with mdp.Client01(broker.tcp, correlate=True) as client:
            for body in (b"1", b"2"):
                client.send("echo", body)
                worker.serve(lambda body: body, count=1)
                self.assertEqual(client.recv("echo"), [body])
            self.in_step(client)
        self.assertEqual(
            self.mdp_process("client", 1, broker.tcp, "mmi.none", "--correlate", "x").end(),
            (["REPLY 501"], 0),
        )
        for head in (["MDPC01"], ["MDPC02", b"\x01"]):
            with mdp.Peer(broker.tcp) as client:
                client.send_raw("hop 1", b"\x00hop", "", *head, "echo", "x")
                worker.serve(lambda body: body, count=1)
                reply = [head[0].encode(), *([b"\x03"] if head[1:] else []), b"echo", b"x"]
                self.assertEqual(client.recv_raw(), [b"hop 1", b"\x00hop", b"", *reply])

    def test_a_client_behind_a_proxy(self):
        broker = self.broker()
        worker = self.peer(mdp.Worker02, broker.ipc, "echo")
        context = zmq.Context.instance()
        front, back = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        for socket in (front, back):
            socket.rcvtimeo = mdp.TIMEOUT_MS
            self.addCleanup(socket.close, 0)
        port = front.bind_to_random_port("tcp://127.0.0.1")
        back.connect(broker.tcp)
        client = self.peer(mdp.Client01, f"tcp://127.0.0.1:{port}")
        client.send("echo", "x")
        back.send_multipart(front.recv_multipart())
        worker.serve(lambda body: body, count=1)
        front.send_multipart(back.recv_multipart())
        self.assertEqual(client.recv("echo"), [b"x"])

    def test_the_worker_in_php_leaves_out_the_empty_frame(self):
        broker = self.broker()
        for version, worker_class in WORKERS.items():
            with self.subTest(version=version):
                worker = self.peer(worker_class, broker.tcp, f"q{version}")
                client = self.peer(mdp.Client02, broker.tcp)
                client.send(worker.service, "x")
                worker.reply(worker.recv_request(), "y", "z", omit_empty=True)
                self.assertEqual(client.recv_all(worker.service), ([], [b"y", b"z"]))
                self.serve_one(broker, worker)

    def test_a_stray_partial_after_the_last_reply(self):
        broker = self.broker()
        worker = self.peer(mdp.Worker02, broker.tcp, "echo")
        client = self.peer(mdp.Client02, broker.tcp)
        for _ in range(3 * STRAYS_MAX):
            client.send("echo", "x")
            worker.reply(worker.recv_request(), "y")
            worker.command("PARTIAL", "undefined", "", "hi")
            self.assertEqual(client.recv_all("echo"), ([], [b"y"]))
        broker.refused("bad_token")

    def test_a_worker_that_answers_heartbeats(self):
        broker = self.broker({"heartbeat": "50ms"})
        worker = self.peer(mdp.Worker01, broker.tcp, "echo")
        for _ in range(3 * STRAYS_MAX):
            self.assertEqual(worker.recv_command(), ("HEARTBEAT", []))
            worker.command("FINAL", "undefined", "", "")
        self.serve_one(broker, worker)

    def test_many_stray_replies_end_the_conversation(self):
        broker = self.broker({"heartbeat": "60s", "liveness": "200s", "mdp-liveness": "200s"})
        for version, worker_class in WORKERS.items():
            with self.subTest(version=version):
                worker = self.peer(worker_class, broker.tcp, f"q{version}")
                client = self.peer(mdp.Client02, broker.tcp)
                client.send(worker.service, "x")
                worker.recv_request()
                for _ in range(STRAYS_MAX + 1):
                    worker.command("FINAL", "undefined", "", "")
                worker.recv_disconnect()
                other = self.peer(worker_class, broker.tcp, worker.service)
                self.serve_one(broker, other, [b"x"], client=client)

    def test_a_leading_empty_frame_is_mirrored(self):
        broker = self.broker()
        for lead_worker, lead_client in itertools.product(([], [""]), repeat=2):
            for code, (header, client_head) in enumerate(
                [("MDPW01", ["MDPC01"]), ("MDPW02", ["MDPC02", b"\x01"])]
            ):
                with self.subTest(worker=lead_worker, client=lead_client, header=header):
                    lead = [b"" for _ in lead_worker]
                    service = f"{len(lead_worker)}{len(lead_client)}{code}"
                    worker, client = (self.peer(mdp.Peer, broker.tcp) for _ in range(2))
                    worker.send_raw(*lead_worker, header, b"\x01", service)
                    beat = [*lead, header.encode(), bytes([4 + code])]
                    self.assertEqual(worker.recv_raw(), beat)
                    client.send_raw(*lead_client, *client_head, service, "x")
                    request = beat
                    while request == beat:
                        request = worker.recv_raw()
                    self.assertEqual(request[: len(lead) + 2], [*lead, header.encode(), b"\x02"])
                    self.assertEqual(request[-2:], [b"", b"x"])
                    worker.send_raw(
                        *(*lead_worker, header, bytes([3 + code]), request[-3], "", "y")
                    )
                    head = [b"MDPC01"] if code == 0 else [b"MDPC02", b"\x03"]
                    self.assertEqual(
                        client.recv_raw(),
                        [*(b"" for _ in lead_client), *head, service.encode(), b"y"],
                    )

    def test_a_stale_worker_comes_back_on_the_same_socket(self):
        broker = self.broker()
        worker = self.peer(mdp.Worker01, broker.tcp, "echo")
        self.serve_one(broker, worker)
        worker.ready()
        worker.recv_disconnect()
        worker.ready()  # the RFC wants a new socket; the broker does not insist
        self.serve_one(broker, worker)


    def test_a_worker_keeps_to_its_protocol(self):
        broker = self.broker()
        with ReevePeer(broker.tcp) as reeve:
            reeve.ready("w", "here")
            for frames in (["MDPW01"], ["", "MDPW02", b"\x01", "x"], ["MDPC01", "mmi.none", "x"]):
                reeve.send_raw(*frames)
            broker.refused("unexpected_command")
            with mdp.Client02(broker.tcp) as client:
                client.send("here", "x")
                reeve.settle(reeve.delivery()["token"])
                reeve.expect("SETTLED")
        for version, worker_class in WORKERS.items():
            with self.subTest(version=version):
                worker = self.peer(worker_class, broker.tcp, f"q{version}")
                self.serve_one(broker, worker)
                worker.send_raw("REEVE1\x01")
                worker.send_raw("REEVE1\xff")
                self.serve_one(broker, worker)

    def test_a_worker_may_ask_in_the_other_version(self):
        broker = self.broker()
        for version, worker_class in WORKERS.items():
            with self.subTest(version=version):
                worker = self.peer(worker_class, broker.tcp, f"q{version}")
                head = ["", "MDPC01"] if version == 2 else ["MDPC02", b"\x01"]
                worker.send_raw(*head, "mmi.service", worker.service)
                reply = worker.recv_raw()
                while reply[-1] != b"200":
                    self.assertIn(worker.HEADER, reply)  # a heartbeat, in its own version
                    reply = worker.recv_raw()
                self.serve_one(broker, worker)


class Sizes(MajordomoTest):
    def test_as_many_frames_as_the_limit_says(self):
        broker = self.broker()
        frames = [b"%d" % i for i in range(1024)]
        for version, worker_class in WORKERS.items():
            with self.subTest(version=version):
                worker = self.peer(worker_class, broker.tcp, f"q{version}")
                client = self.peer(CLIENTS[version], broker.tcp)
                client.send(worker.service, *frames)
                worker.serve(lambda body: body, count=1)
                self.assertEqual(final_of(client, worker.service), frames)

    def test_more_frames_are_refused_and_not_cut(self):
        broker = self.broker()
        worker = self.peer(mdp.Worker02, broker.tcp, "echo")
        client = self.peer(mdp.Client02, broker.tcp)
        for service in ("echo", "mmi.service", "titanic.request"):
            for count in (1025, 1035, 1036, 1037, 1100, 5000):
                client.send(service, *["echo"] * count)
        for service in ("mmi.service", "titanic.request"):
            client.send_raw(*["hop"] * 1030, "", "MDPC02", b"\x01", service, "echo", "x")
        broker.refused("too_many_frames")
        self.in_step(client)
        self.serve_one(broker, worker)

    def test_a_reply_of_too_many_frames_fails_the_task(self):
        broker = self.broker()
        for version, worker_class in WORKERS.items():
            with self.subTest(version=version), ReevePeer(broker.ipc) as reeve:
                worker = self.peer(worker_class, broker.tcp, f"q{version}")
                reeve.submit(f"t{version}", worker.service, wait=True)
                worker.reply(worker.recv_request(), *["x"] * 1025)
                outcome = reeve.expect("OUTCOME")
                self.assertEqual((outcome["state"], outcome["reason"]), (5, b"result_too_large"))
                self.serve_one(broker, worker)

    def test_a_large_request_and_its_reply(self):
        broker = self.broker()
        worker = self.peer(mdp.Worker01, broker.tcp, "echo")
        client = self.peer(mdp.Client02, broker.ipc)
        client.send("echo", b"x" * (16 << 20 >> 1))
        request = worker.recv_request(timeout_ms=mdp_harness.PATIENCE_S * 1000)
        self.assertEqual(len(request.body[0]), 8 << 20)
        worker.reply(request, b"y" * ((4 << 20) - 8))
        (reply,) = final_of(client, "echo", mdp_harness.PATIENCE_S * 1000)
        self.assertEqual(len(reply), (4 << 20) - 8)
        client.send("echo", b"x" * ((16 << 20) + 1))
        broker.refused("bad_task")
        client.send("echo", "small")
        worker.reply(worker.recv_request(), b"y" * ((4 << 20) + 1))
        broker.wait("task_dead_lettered", reason="result_too_large")
        self.in_step(client)
        self.serve_one(broker, worker)


if __name__ == "__main__":
    mdp_harness.main()
