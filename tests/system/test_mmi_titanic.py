"""MMI (RFC 8) and Titanic (RFC 9) at a running broker. Usage: test_mmi_titanic.py BUILD_DIR"""

import uuid

import mdp_harness
from reeve_peer import ReevePeer, encode

import mdp

OK, PENDING, UNKNOWN, ERROR = b"200", b"300", b"400", b"500"
UUID = rb"^[0-9A-Fa-f]{32}$"


class Asking(mdp_harness.SystemTest):
    def each_client(self, broker):
        """A way to ask, for each version and transport: ask(service, *body) gives the reply."""
        for name, endpoint in (("ipc", broker.ipc), ("tcp", broker.tcp)):
            for version, client_class in ((1, mdp.Client01), (2, mdp.Client02)):
                with self.subTest(over=name, version=version), client_class(endpoint) as client:
                    yield self.asker(client)

    def asker(self, client):
        def ask(service, *body):
            reply = client.request(service, *body)
            if isinstance(client, mdp.Client01):
                return reply
            self.assertEqual(reply[0], [])
            return reply[1]

        return ask

    def client(self, broker):
        return self.asker(self.enterContext(mdp.Client02(broker.tcp)))

    def worker(self, broker, service, worker_class=mdp.Worker01):
        worker = worker_class(broker.ipc, service)
        self.addCleanup(worker.kill)
        return worker


class Mmi(Asking):
    def test_a_service_is_there_while_a_worker_is(self):
        broker = self.broker()
        worker = self.worker(broker, "echo")
        broker.wait("worker_joined")
        for ask in self.each_client(broker):
            self.assertEqual(ask("mmi.service", "echo"), [OK])
            self.assertEqual(ask("mmi.service", "ech"), [b"404"])
            self.assertEqual(ask("mmi.service", "echo "), [b"404"])
            self.assertEqual(ask("mmi.service", b"echo\x00"), [b"404"])
            self.assertEqual(ask("mmi.service", ""), [b"404"])
            self.assertEqual(ask("mmi.service", "mmi.service"), [b"404"])
        worker.disconnect()
        broker.wait("worker_left")
        self.assertEqual(self.client(broker)("mmi.service", "echo"), [b"404"])

    def test_a_busy_worker_counts_and_a_waiting_request_does_not(self):
        broker = self.broker()
        ask = self.client(broker)
        with mdp.Client02(broker.ipc) as client, ReevePeer(broker.ipc) as reeve:
            reeve.submit("t", "echo")
            self.assertEqual(ask("mmi.service", "echo"), [b"404"])
            worker = self.worker(broker, "echo")
            worker.recv_request()
            self.assertEqual(ask("mmi.service", "echo"), [OK])
            client.send("echo", "x")
            self.assertEqual(ask("mmi.service", "echo"), [OK])

    def test_a_worker_of_reeve_counts_for_each_of_its_queues(self):
        broker = self.broker()
        ask = self.client(broker)
        with ReevePeer(broker.ipc) as worker:
            worker.ready("w", "a", "b")
            broker.wait("worker_joined")
            self.assertEqual((ask("mmi.service", "a"), ask("mmi.service", "b")), ([OK], [OK]))
            worker.ready("w", "b")
            self.eventually(lambda: ask("mmi.service", "a") == [b"404"], "a is still served")
            self.assertEqual(ask("mmi.service", "b"), [OK])

    def test_a_worker_that_is_lost_does_not_count(self):
        broker = self.broker()
        ask = self.client(broker)
        worker = self.worker(broker, "echo")
        broker.wait("worker_joined")
        worker.kill()
        broker.wait("worker_lost")
        self.assertEqual(ask("mmi.service", "echo"), [b"404"])

    def test_the_name_is_the_last_frame_and_the_others_come_back(self):
        broker = self.broker()
        self.worker(broker, "echo")
        broker.wait("worker_joined")
        ask = self.client(broker)
        self.assertEqual(ask("mmi.service", "a", "", "echo"), [b"a", b"", OK])
        frames = [b"%d" % i for i in range(1023)]
        self.assertEqual(ask("mmi.service", *frames, "echo"), [*frames, OK])

    def test_other_services_are_not_implemented(self):
        broker = self.broker()
        for ask in self.each_client(broker):
            for service in ("mmi.", "mmi.workers", "mmi.filter", "mmi.service2", "mmi.Service"):
                self.assertEqual(ask(service, "echo"), [b"501"])

    def test_mmi_is_not_stored(self):
        broker = self.broker()
        self.assertEqual(self.client(broker)("mmi.workers", "echo"), [b"501"])
        self.assertEqual(self.reeve_json(broker.tcp, "queues"), [])


class Titanic(Asking):
    def request(self, ask, *body):
        status, ident = ask("titanic.request", *body)
        self.assertEqual(status, OK)
        self.assertRegex(ident, UUID)
        return ident

    def test_request_reply_close(self):
        broker = self.broker()
        for worker_class in (mdp.Worker01, mdp.Worker02):
            worker = self.worker(broker, "echo", worker_class)
            for ask in self.each_client(broker):
                ident = self.request(ask, "echo", "a", "", b"\x00")
                request = worker.recv_request()
                self.assertEqual(request.body, [b"a", b"", b"\x00"])
                self.assertEqual(ask("titanic.reply", ident), [PENDING])
                worker.reply(request, "b", "", b"\xff")
                reply = self.eventually(lambda: self.reply_of(ask, ident), "no reply")
                self.assertEqual(reply, [b"b", b"", b"\xff"])
                self.assertEqual(ask("titanic.reply", ident), [OK, *reply])  # not deleted
                self.assertEqual(ask("titanic.close", ident), [OK])
                self.assertEqual(ask("titanic.reply", ident), [UNKNOWN])
                self.assertEqual(ask("titanic.close", ident), [OK])
            worker.disconnect()

    def reply_of(self, ask, ident):
        status, *body = ask("titanic.reply", ident)
        self.assertIn(status, (OK, PENDING))
        return body if status == OK else None

    def served(self, broker, ask):
        """The UUID of a request that has its reply."""
        ident = self.request(ask, "echo", "x")
        worker = self.worker(broker, "echo")
        worker.reply(worker.recv_request(), "y")
        self.eventually(lambda: self.reply_of(ask, ident), "no reply")
        worker.disconnect()
        return ident

    def test_no_two_requests_have_the_same_uuid(self):
        broker = self.broker()
        ask = self.client(broker)
        self.assertEqual(len({self.request(ask, "echo", "same") for _ in range(100)}), 100)

    def test_uuids_of_either_case(self):
        broker = self.broker()
        ask = self.client(broker)
        ident = self.served(broker, ask)
        self.assertNotEqual(ident.lower(), ident.upper())
        mixed = bytes(c if i % 2 else ord(chr(c).swapcase()) for i, c in enumerate(ident))
        for form in (ident.lower(), ident.upper(), mixed):
            self.assertEqual(ask("titanic.reply", form), [OK, b"y"])
        self.assertEqual(ask("titanic.close", ident.swapcase()), [OK])
        self.assertEqual(ask("titanic.reply", ident), [UNKNOWN])

    def test_uuids_that_are_none(self):
        broker = self.broker()
        ident = self.request(self.client(broker), "echo", "x")
        wrong = [b"", b"x", ident[:-1], ident + b"0", b"g" + ident[1:], b"\x00" * 32, b"-" * 36]
        wrong += [b"0" * 32, ident[:-1] + b" ", uuid.uuid4().hex.encode(), b"0" * 100000]
        for ask in self.each_client(broker):
            for form in wrong:
                self.assertEqual(ask("titanic.reply", form), [UNKNOWN])
                self.assertEqual(ask("titanic.close", form), [OK])
            self.assertEqual(ask("titanic.reply", ident), [PENDING])

    def test_requests_that_cannot_be(self):
        broker = self.broker()
        for ask in self.each_client(broker):
            self.assertEqual(ask("titanic.request", "echo"), [ERROR])  # without a body
            for target in ("", "mmi.service", "titanic.request", "titanic.x", "x" * 129, b"\xff"):
                self.assertEqual(ask("titanic.request", target, "x"), [ERROR])
            self.assertEqual(ask("titanic.other", "x"), [ERROR])

    def test_a_request_that_is_refused(self):
        broker = self.broker(defaults={"max-length": 1})
        ask = self.client(broker)
        self.request(ask, "echo", "x")
        self.assertEqual(ask("titanic.request", "echo", "y"), [ERROR])
        worker = self.worker(broker, "echo")
        worker.reply(worker.recv_request(), "y")
        self.eventually(lambda: ask("titanic.request", "echo", "z")[0] == OK, "still full")

    def test_a_request_outlives_the_broker(self):
        broker = self.broker()
        for ask in self.each_client(broker):
            ident = self.request(ask, "echo", "kept")
            broker.restart()
            self.assertEqual(ask("titanic.reply", ident), [PENDING])
            worker = self.worker(broker, "echo")
            request = worker.recv_request()
            self.assertEqual(request.body, [b"kept"])
            worker.reply(request, "late")
            reply = self.eventually(lambda i=ident, a=ask: self.reply_of(a, i), "no reply")
            self.assertEqual(reply, [b"late"])
            worker.disconnect()

    def test_a_reply_and_a_close_outlive_the_broker(self):
        broker = self.broker()
        ask = self.client(broker)
        kept, closed = self.served(broker, ask), self.served(broker, ask)
        self.assertEqual(ask("titanic.close", closed), [OK])
        broker.restart()
        self.assertEqual(ask("titanic.reply", kept), [OK, b"y"])
        self.assertEqual(ask("titanic.reply", kept.swapcase()), [OK, b"y"])
        self.assertEqual(ask("titanic.reply", closed), [UNKNOWN])
        self.assertEqual(ask("titanic.close", closed), [OK])

    def test_a_request_at_a_worker_outlives_the_broker(self):
        broker = self.broker()
        ask = self.client(broker)
        ident = self.request(ask, "echo", "x")
        worker = self.worker(broker, "echo")
        first = worker.recv_request()
        worker.kill()
        broker.restart()
        worker = self.worker(broker, "echo")
        second = worker.recv_request()
        self.assertEqual(second.body, first.body)
        self.assertNotEqual(second.address, first.address)
        self.assertEqual(ask("titanic.reply", ident), [PENDING])

    def test_closing_a_request_that_waits_cancels_it(self):
        broker = self.broker()
        ask = self.client(broker)
        ident = self.request(ask, "echo", "never")
        self.assertEqual(ask("titanic.close", ident), [OK])
        self.request(ask, "echo", "next")
        self.assertEqual(self.worker(broker, "echo").recv_request().body, [b"next"])
        self.assertEqual(ask("titanic.reply", ident), [UNKNOWN])

    def test_closing_a_request_at_a_worker_takes_it_from_it(self):
        broker = self.broker()
        ask = self.client(broker)
        for worker_class in (mdp.Worker01, mdp.Worker02):
            with self.subTest(worker=worker_class):
                ident = self.request(ask, "echo", "x")
                worker = self.worker(broker, "echo", worker_class)
                request = worker.recv_request()
                self.assertEqual(ask("titanic.close", ident), [OK])
                worker.recv_disconnect()
                worker.reply(request, "late")
                worker.recv_disconnect()
                self.assertEqual(ask("titanic.reply", ident), [UNKNOWN])

    def test_a_client_that_leaves_while_its_call_is_looked_up_has_its_answer(self):
        """As behind a proxy, where one peer is several clients and workers: a call that was dropped
        would also be kept by the broker for ever."""
        broker = self.broker()
        idents = [self.request(self.client(broker), "echo", "x") for _ in range(50)]
        goodbyes = {"of Majordomo": (b"", b"MDPW01", b"\x05"), "of Reeve": (encode("GOODBYE"),)}
        for name, goodbye in goodbyes.items():
            with self.subTest(name), mdp.Client02(broker.tcp) as client:
                for ident in idents:
                    client.send("titanic.close", ident)
                    client.send_raw(*goodbye)
                for _ in idents:
                    self.assertEqual(client.recv("titanic.close"), ("FINAL", [OK]))

    def test_what_a_task_of_reeve_gives(self):
        broker = self.broker(defaults={"max-retries": 0})
        ask = self.client(broker)
        with ReevePeer(broker.tcp) as reeve:
            reeve.ready("w", "q")
            ends = [
                (dict(), [OK, b""]),
                (dict(result_kind=1, result="[1]"), [OK, b"[1]"]),
                (dict(result_kind=2, result="text"), [OK, b"text"]),
                (dict(result_kind=3, result=b"\x01a\x00\x01b"), [OK, b"a", b"", b"b"]),
                (dict(result_kind=3), [OK, b""]),
                (dict(verdict=2, reason="broken"), [ERROR]),
                (dict(verdict=3, reason="never"), [ERROR]),
            ]
            for corr, (end, reply) in enumerate(ends, 1):
                with self.subTest(end=end):
                    ident = uuid.uuid4()
                    reeve.submit(str(ident), "q", corr=100 + corr)
                    delivery = reeve.delivery()
                    self.assertEqual(ask("titanic.reply", ident.hex), [PENDING])
                    reeve.settle(delivery["token"], corr=corr, **end)
                    reeve.expect("SETTLED")
                    self.assertEqual(ask("titanic.reply", ident.hex), reply)
                    self.assertEqual(ask("titanic.reply", str(ident)), reply)
            reeve.send("PURGE", corr=1, id=str(ident))
            self.assertEqual(reeve.expect("DONE")["count"], 1)
            self.assertEqual(ask("titanic.reply", ident.hex), [UNKNOWN])

    def test_cancelled_and_expired(self):
        broker = self.broker()
        ask = self.client(broker)
        cancelled, expired = uuid.uuid4(), uuid.uuid4()
        with ReevePeer(broker.tcp) as reeve:
            reeve.submit(str(cancelled), "q")
            reeve.send("CANCEL", corr=1, id=str(cancelled))
            reeve.expect("DONE")
            self.assertEqual(ask("titanic.reply", cancelled.hex), [ERROR])
            reeve.submit(str(expired), "q", expires_at_ms=1, wait=True)
            self.assertEqual(reeve.expect("OUTCOME")["state"], 7)
            self.assertEqual(ask("titanic.reply", expired.hex), [ERROR])

    def test_reeve_worker_behind_titanic(self):
        broker = self.broker()
        self.reeve_worker(broker.tcp, "echo", "sh", "-c", "cat >/dev/null; printf done")
        ask = self.client(broker)
        ident = self.request(ask, "echo", "x")
        self.assertEqual(self.eventually(lambda: self.reply_of(ask, ident), "no reply"), [b"done"])


if __name__ == "__main__":
    mdp_harness.main()
