"""The peers of this folder against each other, over TinyBroker. Usage: test_peers.py MDP_PEER"""

import subprocess
import sys
import unittest

import zmq

import mdp
from tiny_broker import TinyBroker

MDP_PEER = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "mdp_peer"
PATIENCE_S = 120


class Process:
    """An mdp_peer whose events are read line by line."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [MDP_PEER, *map(str, arguments)], stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.process.kill()
        self.process.communicate()

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def end(self):
        """The remaining lines and the exit status."""
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        return out.splitlines(), self.process.returncode


class Pairs(unittest.TestCase):
    def setUp(self):
        self.broker = self.enterContext(TinyBroker())
        self.endpoint = self.broker.endpoint

    def worker(self, version, *options):
        worker = self.enterContext(Process("worker", version, self.endpoint, "echo", *options))
        self.assertEqual(worker.line(), "READY")
        return worker

    def client(self, version, *arguments):
        return self.enterContext(Process("client", version, self.endpoint, "echo", *arguments))

    def router(self):
        """A bare ROUTER in the broker's place, and its endpoint."""
        router = self.enterContext(zmq.Context.instance().socket(zmq.ROUTER))
        router.rcvtimeo = PATIENCE_S * 1000
        port = router.bind_to_random_port("tcp://127.0.0.1")
        return router, f"tcp://127.0.0.1:{port}"

    def frames_seen(self, header):
        """Messages with this header, without their routing ids."""
        return [m[1:] for m in self.broker.seen if header in m]

    def test_c_client_and_c_worker_of_both_versions_meet(self):
        for version, word in ((1, "REPLY"), (2, "FINAL")):
            with self.subTest(version=version):
                worker = self.worker(version, "--prefix", "re:", "--count", 2)
                client = self.client(version, "--count", 2, "a b", "", "\\c")
                self.assertEqual(client.end(), ([f"{word} re:a b||\\x5cc"] * 2, 0))
                lines, status = worker.end()
                self.assertEqual(status, 0)
                self.assertRegex(lines[0], r"^REQUEST [0-9a-f]{32} a b\|\|\\x5cc$")
                self.assertEqual(lines[1::2], ["REPLIED"] * 2)

    def test_c_peers_write_the_frames_of_rfc_7(self):
        self.worker(1, "--count", 1)
        client = self.client(1, "hi", "there")
        self.assertEqual(client.end()[1], 0)
        self.assertEqual(self.frames_seen(b"MDPC01"), [[b"", b"MDPC01", b"echo", b"hi", b"there"]])
        ready, reply = self.frames_seen(b"MDPW01")[:2]
        self.assertEqual(ready, [b"", b"MDPW01", b"\x01", b"echo"])
        self.assertEqual(reply[:3] + reply[4:], [b"", b"MDPW01", b"\x03", b"", b"hi", b"there"])

    def test_c_peers_write_the_frames_of_rfc_18(self):
        self.worker(2, "--count", 1, "--partials", 1)
        client = self.client(2, "hi")
        self.assertEqual(client.end(), (["PARTIAL 1", "FINAL hi"], 0))
        self.assertEqual(self.frames_seen(b"MDPC02"), [[b"MDPC02", b"\x01", b"echo", b"hi"]])
        ready, partial, final = self.frames_seen(b"MDPW02")[:3]
        self.assertEqual(ready, [b"MDPW02", b"\x01", b"echo"])
        self.assertEqual(partial[:2] + partial[3:], [b"MDPW02", b"\x03", b"", b"1"])
        self.assertEqual(final[:2] + final[3:], [b"MDPW02", b"\x04", b"", b"hi"])

    def test_c_worker_omits_the_empty_frame_when_asked(self):
        for version, header in ((1, b"MDPW01"), (2, b"MDPW02")):
            with self.subTest(version=version):
                worker = self.worker(version, "--omit-empty", "--count", 1)
                self.assertEqual(self.client(version, "hi").end()[1], 0)
                self.assertEqual(worker.end()[1], 0)
                reply = self.frames_seen(header)[1]
                self.assertNotIn(b"", reply[1:])

    def test_c_client_correlates(self):
        self.worker(1)
        self.assertEqual(self.client(1, "--correlate", "hi").end(), (["REPLY hi"], 0))
        (request,) = self.frames_seen(b"MDPC01")
        self.assertEqual(len(request[0]), 4)
        self.assertEqual(request[1:], [b"", b"MDPC01", b"echo", b"hi"])

    def test_c_client_gives_up(self):
        for version in (1, 2):
            self.assertEqual(self.client(version, "--timeout-ms", 50, "hi").end(), (["TIMEOUT"], 1))

    def test_c_worker_starts_anew_when_disconnected(self):
        for version in (1, 2):
            with self.subTest(version=version):
                worker = self.worker(version, "--identity", f"w{version}", "--count", 2)
                self.assertEqual(self.client(version, "hi").end()[1], 0)
                self.assertEqual(worker.line().split()[0], "REQUEST")
                self.assertEqual(worker.line(), "REPLIED")
                self.broker.order(b"disconnect")
                self.assertEqual([worker.line(), worker.line()], ["DISCONNECTED", "READY"])
                self.assertEqual(self.client(version, "hi").end()[1], 0)
                self.assertEqual(worker.end()[1], 0)
                self.assertIn(f"w{version}-2".encode(), [m[0] for m in self.broker.seen])

    def test_a_busy_c_worker_heartbeats_unless_quiet(self):
        for options, beats in ((["--quiet-while-busy"], False), ([], True)):
            with self.subTest(options=options):
                self.broker.seen.clear()
                worker = self.worker(2, "--delay-ms", 1300, "--count", 1, *options)
                self.assertEqual(self.client(2, "hi").end(), (["FINAL hi"], 0))
                self.assertEqual(worker.end()[1], 0)
                self.assertEqual([b"MDPW02", b"\x05"] in self.frames_seen(b"MDPW02"), beats)

    def test_an_idle_c_worker_heartbeats_and_leaves_a_silent_broker(self):
        router, endpoint = self.router()
        with Process("worker", 1, endpoint, "echo") as worker:
            self.assertEqual([worker.line() for _ in range(3)], ["READY", "SILENT", "READY"])
            messages = [router.recv_multipart() for _ in range(5)]
        # ROUTER takes turns among connections, so the second READY may come anywhere but first.
        got = [frames for name, *frames in messages if name == messages[0][0]]
        self.assertEqual(got[0], [b"", b"MDPW01", b"\x01", b"echo"])
        self.assertEqual(got[1:], [[b"", b"MDPW01", b"\x04"]] * (len(got) - 1))
        self.assertGreaterEqual(len(got), 4)

    def test_c_peers_end_on_what_the_rfc_forbids(self):
        router, endpoint = self.router()
        cases = [
            ("worker", 1, [b"MDPW01", b"\x04"]),
            ("worker", 1, [b"", b"MDPW02", b"\x05"]),
            ("worker", 2, [b"", b"MDPW02", b"\x05"]),
            ("worker", 2, [b"MDPW02", b"\x04"]),
            ("worker", 2, [b"MDPW02", b"\x05", b""]),
            ("worker", 2, [b"MDPW02", b"\x02", b"token", b"body"]),
            ("worker", 2, [b"MDPW02", b"\x02", b"token", b""]),
            ("client", 1, [b"", b"MDPC02", b"\x03", b"echo", b"hi"]),
            ("client", 1, [b"", b"MDPC01", b"other", b"hi"]),
            ("client", 1, [b"", b"MDPC01", b"echo"]),
            ("client", 2, [b"MDPC02", b"\x04", b"echo", b"hi"]),
            ("client", 2, [b"MDPC02", b"echo", b"hi"]),
        ]
        for role, version, frames in cases:
            body = ["hi"] if role == "client" else []
            with self.subTest(role=role, frames=frames), Process(
                role, version, endpoint, "echo", *body
            ) as peer:
                sender = router.recv_multipart()[0]
                router.send_multipart([sender, *frames])
                lines, status = peer.end()
                self.assertEqual(status, 3)
                self.assertTrue(lines[-1].startswith("INVALID "), lines)

    def test_python_peers_of_both_versions_meet(self):
        with mdp.Worker01(self.endpoint, "echo") as worker, mdp.Client01(
            self.endpoint, correlate=True
        ) as client:
            client.send("echo", "hi", b"\x00")
            request = worker.recv_request()
            self.assertEqual(request.body, [b"hi", b"\x00"])
            worker.reply(request, *request.body)
            self.assertEqual(client.recv("echo"), [b"hi", b"\x00"])
            worker.disconnect()
        with mdp.Worker02(self.endpoint, "echo") as worker, mdp.Client02(self.endpoint) as client:
            client.send("echo", "hi")
            request = worker.recv_request()
            worker.partial(request, "1")
            worker.partial(request, "2")
            worker.reply(request, "3", omit_empty=True)
            self.assertEqual(client.recv_all("echo"), ([[b"1"], [b"2"]], [b"3"]))

    def test_a_worker_that_has_left_gets_nothing_however_busy_the_broker_is(self):
        broker = TinyBroker()
        with mdp.Worker01(broker.endpoint, "echo") as left:
            left.disconnect()
        with mdp.Worker02(broker.endpoint, "echo") as worker, mdp.Client02(broker.endpoint) as client:
            client.send("echo", "hi")
            self.enterContext(broker)  # finds all of this at once, mostly
            self.assertEqual(worker.recv_request().body, [b"hi"])

    def test_python_peers_serve_and_are_served_by_c_peers(self):
        for version, client_class in ((1, mdp.Client01), (2, mdp.Client02)):
            worker = self.worker(version, "--prefix", ">", "--count", 1)
            with client_class(self.endpoint) as client:
                reply = client.request("echo", "x")
                self.assertEqual(reply if version == 1 else reply[1], [b">x"])
            self.assertEqual(worker.end()[1], 0)
        for version, worker_class in ((1, mdp.Worker01), (2, mdp.Worker02)):
            with worker_class(self.endpoint, "echo") as worker:
                client = self.client(version, "--count", 2, "x")
                worker.serve(lambda body: [b">", *body], count=2)
                word = "REPLY" if version == 1 else "FINAL"
                self.assertEqual(client.end(), ([f"{word} >|x"] * 2, 0))
                worker.disconnect()

    def test_a_python_worker_is_told_of_disconnect_and_starts_anew(self):
        for worker_class in (mdp.Worker01, mdp.Worker02):
            with worker_class(self.endpoint, "echo", ready=False) as worker:
                worker.heartbeat()  # before READY: the broker does not know it
                worker.recv_disconnect()
                worker.reconnect()
                with mdp.Client02(self.endpoint) as client:
                    client.send("echo", "x")
                    worker.serve(lambda body: body, count=1)
                    self.assertEqual(client.recv_all("echo"), ([], [b"x"]))
                worker.ready()  # a second time
                worker.recv_disconnect()

    def test_a_python_worker_heartbeats_while_it_waits(self):
        router, endpoint = self.router()
        with mdp.Worker01(endpoint, "echo") as worker:
            with self.assertRaises(mdp.Timeout):
                worker.recv_request(timeout_ms=mdp.HEARTBEAT_MS + 200)
            router.recv_multipart()
            sender, *beat = router.recv_multipart()
            self.assertEqual(beat, [b"", b"MDPW01", b"\x04"])
            router.send_multipart([sender, *beat])
            self.assertEqual(worker.recv_command(), ("HEARTBEAT", []))

    def test_a_python_worker_without_ready_or_after_disconnect_does_not_heartbeat(self):
        router, endpoint = self.router()
        with mdp.Worker02(endpoint, "echo", ready=False) as worker:
            with self.assertRaises(mdp.Timeout):
                worker.recv_request(timeout_ms=20)
            worker.ready()
            sender, *frames = router.recv_multipart()
            self.assertEqual(frames, [b"MDPW02", b"\x01", b"echo"])
            router.send_multipart([sender, b"MDPW02", b"\x06"])
            worker.recv_disconnect()
            worker.sent_ms = 0  # long ago
            with self.assertRaises(mdp.Timeout):
                worker.recv_request(timeout_ms=20)
            self.assertFalse(router.poll(20))

    def test_raw_frames_and_quiet_are_seen(self):
        with mdp.Peer(self.endpoint, identity="raw") as peer:
            peer.send_raw("MDPW02", b"\x05")
            self.assertEqual(peer.recv_raw(), [b"MDPW02", b"\x06"])
            self.assertTrue(peer.quiet_for(20))
            with self.assertRaises(mdp.Timeout):
                peer.recv_raw(timeout_ms=0)


if __name__ == "__main__":
    unittest.main()
