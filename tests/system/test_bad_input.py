"""Whatever bytes come, from whomever: the broker goes on. Usage: test_bad_input.py BUILD_DIR

What is random is drawn from a seed that is printed; REEVE_SEED=N repeats a run.
"""

import collections
import os
import random
import socket
import sys
import time
from pathlib import Path

import mdp_harness
import reeve_peer as wire
import zmq
from reeve_peer import ReevePeer, encode

import mdp

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
SEED = int(os.environ.get("REEVE_SEED", random.SystemRandom().randrange(1 << 32)))
FRAME_MAX = 32 << 20
LOG_BURST, LOG_INTERVAL_S = 10, 10  # lines of one reason
DISCONNECTS_PER_S = 200

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\x00") + bytes(32)
METADATA = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
READY = b"\x04" + bytes([len(METADATA)]) + METADATA


def reeve_vectors():
    """Every frame of reeve.txt, those that must be refused as well."""
    frames = []
    for line in (VECTORS / "reeve.txt").read_text().splitlines():
        words = line.split()
        if len(words) > 2 and words[1] in ("|", "~", "!") and line[0] not in "# ":
            frames.append(bytes.fromhex("".join(words[2:])))
    return frames


def mdp_vectors():
    """Every message of mdp.txt, as a list of frames."""
    messages = []
    for line in (VECTORS / "mdp.txt").read_text().splitlines():
        word, _, rest = line.partition(" ")
        if word == "vector":
            messages.append([])
        elif word == "frames":
            while rest := rest.lstrip():
                if rest[0] == '"':
                    text, _, rest = rest[1:].partition('"')
                    messages[-1].append(text.encode())
                else:
                    text, _, rest = rest.partition(" ")
                    messages[-1].append(bytes.fromhex(text))
    return messages


def mutated(rng, data):
    """The bytes with up to four changes of the kinds that find bugs."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        change = rng.randrange(7)
        if change == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif change == 1 and data:
            data[at % len(data)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif change == 2:
            data[at:at] = rng.randbytes(rng.randint(1, 12))
        elif change == 3:
            del data[at : at + rng.randint(1, 8)]
        elif change == 4:
            del data[at:]
        elif change == 5:
            data[at:at] = data[at : at + rng.randint(1, 64)]
        else:
            data[at:at] = b"\xff" * 9 + b"\x01"  # the largest varint
    return bytes(data)


def mutated_message(rng, frames):
    frames = list(frames)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(frames) + 1)
        change = rng.randrange(6)
        if change == 0 and frames:
            del frames[at % len(frames)]
        elif change == 1:
            frames.insert(at, rng.choice((b"", b"\x00", b"x", b"MDPW01", b"MDPC02", b"REEVE1\x01")))
        elif change == 2 and frames:
            frames.insert(at, frames[at % len(frames)])
        elif change == 3 and frames:
            frames[at % len(frames)] = bytes([rng.randrange(8)])
        elif frames:
            frames[at % len(frames)] = mutated(rng, frames[at % len(frames)])
    return frames or [b""]


class BadInput(mdp_harness.SystemTest):
    def setUp(self):
        self.rng = random.Random(f"{SEED} {self.id()}")
        self.bad = self.broker()
        self.started = time.monotonic()
        self.checks = 0

    def endpoint(self):
        return self.rng.choice((self.bad.ipc, self.bad.tcp))

    def still_works(self):
        """A task goes its way from submit to outcome, a request and its reply too, and the log did
        not drown."""
        self.checks += 1
        queue = f"after-{self.checks}"
        with ReevePeer(self.bad.tcp) as client, ReevePeer(self.bad.ipc) as worker:
            client.hello()
            client.submit(f"proof-{self.checks}", queue, wait=True)
            worker.ready(queue, queue)
            worker.settle(worker.delivery()["token"], result_kind=2, result="fine")
            self.assertEqual(client.expect("OUTCOME")["result"], b"fine")
            worker.expect("SETTLED")
        with mdp.Client01(self.bad.tcp) as client, mdp.Worker02(self.bad.ipc, f"{queue}m") as worker:
            client.send(worker.service, "x")
            worker.serve(lambda body: body, count=1)
            self.assertEqual(client.recv(worker.service), [b"x"])
        self.assert_log_is_short()

    def assert_log_is_short(self):
        windows = 2 + int((time.monotonic() - self.started) / LOG_INTERVAL_S)
        refused = [line for line in self.bad.log.lines if line["event"] == "peer_refused"]
        for reason, count in collections.Counter(line["reason"] for line in refused).items():
            self.assertLessEqual(count, LOG_BURST * windows, reason)

    def raw(self):
        """A connection below ZMTP."""
        if self.rng.randrange(2):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(self.bad.ipc.removeprefix("ipc://"))
        else:
            host, port = self.bad.tcp.removeprefix("tcp://").split(":")
            connection = socket.create_connection((host, int(port)))
        connection.settimeout(mdp_harness.PATIENCE_S)
        return connection

    def send_and_leave(self, data):
        with self.raw() as connection:
            try:
                connection.sendall(data)
                if self.rng.randrange(2):
                    connection.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the broker had seen enough

    def closed_by_broker(self, *parts):
        """Sends, and reads until the broker hangs up."""
        with self.raw() as connection:
            try:
                for part in parts:
                    connection.sendall(part)
                while connection.recv(65536):
                    pass
            except (BrokenPipeError, ConnectionResetError):
                pass

    # ---- below ZMTP

    def test_bytes_that_are_not_zmtp(self):
        starts = [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"\xff"]
        starts += [b"\x00" * 64, b"\xff" * 4096, GREETING[:10], GREETING[:33], GREETING[:63]]
        starts += [b"\x01\x00", b"\xff" + bytes(8) + b"\x7f\x00", b"\xff" + bytes(8) + b"\x7f\x01\x05"]
        for start in starts:
            self.send_and_leave(start)
        for _ in range(150):
            self.send_and_leave(self.rng.randbytes(self.rng.randint(1, 3000)))
            self.send_and_leave(mutated(self.rng, GREETING + READY + b"\x00\x07REEVE1\x01"))
        self.still_works()

    def test_zmtp_frames_that_are_not(self):
        for frame in (
            b"\x02" + b"\xff" * 8,  # 2^64 - 1 bytes to come
            b"\x02\x7f" + b"\xff" * 7,
            b"\x02" + (FRAME_MAX + 1).to_bytes(8, "big"),
            b"\x03" + (1 << 40).to_bytes(8, "big"),
        ):
            with self.subTest(frame=frame):
                self.closed_by_broker(GREETING, READY, frame)
        for frame in (b"\xff", b"\x04\x04\x03FOO", b"\x06" + bytes(8), b"\x00", b"\x01\x00" * 5000):
            self.send_and_leave(GREETING + READY + frame)
        for _ in range(100):
            self.send_and_leave(GREETING + READY + self.rng.randbytes(self.rng.randint(1, 500)))
        self.still_works()

    def test_connections_that_say_nothing(self):
        silent = [self.raw() for _ in range(200)]
        for connection in silent[:100]:
            connection.sendall(GREETING[: self.rng.randrange(64)])
        self.still_works()
        for connection in silent:
            connection.close()
        self.still_works()

    def test_a_message_that_never_ends(self):
        with self.raw() as connection:
            connection.sendall(GREETING + READY + b"\x01\x06MDPC02" + b"\x01\x01x" * 20000)
            self.still_works()
        self.still_works()

    # ---- ZMTP

    def test_other_kinds_of_sockets(self):
        for kind in (zmq.PUSH, zmq.PULL, zmq.PUB, zmq.SUB, zmq.PAIR, zmq.REP, zmq.ROUTER, zmq.REQ):
            peer = mdp.Peer(self.endpoint(), kind)
            self.addCleanup(peer.kill)
            if kind in (zmq.REQ, zmq.ROUTER):
                try:
                    peer.socket.send_multipart([b"x", b"REEVE1\x01"], zmq.DONTWAIT)
                except zmq.ZMQError:
                    pass
        self.still_works()

    def test_frames_of_no_protocol(self):
        for _ in range(20):
            with mdp.Peer(self.endpoint()) as peer:
                for _ in range(100):
                    sizes = [self.rng.choice((0, 1, 6, 7, 300)) for _ in range(self.rng.randint(1, 8))]
                    peer.send_raw(*map(self.rng.randbytes, sizes))
        self.still_works()
        self.bad.refused("not_a_protocol")

    def test_messages_of_very_many_frames(self):
        with mdp.Peer(self.bad.tcp) as peer:
            for count in (1030, 1039, 1040, 1041, 30000):
                peer.send_raw(*[b""] * count)
                peer.send_raw("MDPC02", b"\x01", "echo", *[b""] * count)
                peer.send_raw(*["hop"] * count, "", "MDPC01", "mmi.service", "echo")
                peer.send_raw(*["hop"] * count, "", "MDPC01", "titanic.reply", "echo")
            self.still_works()
        self.bad.refused("too_many_frames")

    def test_huge_frames(self):
        with ReevePeer(self.bad.tcp) as peer:
            peer.hello()
            body = b"\x00" * FRAME_MAX
            peer.send_raw(b"REEVE1\x10" + body[7:])  # just as long as may be
            self.assertEqual(peer.error(), (wire.MALFORMED, 0))
            self.still_works()
        with mdp.Peer(self.bad.tcp) as peer:
            peer.send_raw("MDPC01", "echo", body)
            peer.send_raw("MDPC02", b"\x01", body, "x")
            peer.send_raw("MDPW02", b"\x01", body)
            self.bad.refused("bad_task")
            self.bad.refused("bad_service")
            self.still_works()
        self.closed_by_broker(
            GREETING, READY, b"\x02" + (FRAME_MAX + 1).to_bytes(8, "big"), body, b"\x00"
        )
        self.still_works()

    def test_many_routing_ids(self):
        for batch in range(10):
            peers = []
            for i in range(200):
                name = self.rng.choice((b"", b"\xff" * 100, b"n" * 200)) + b"%d-%d" % (batch, i)
                peers.append(ReevePeer(self.endpoint(), identity=name))
            for i, peer in enumerate(peers):
                peer.send("HELLO", name=f"peer {i}")
                if i % 3 == 0:
                    peer.ready(f"w{batch}-{i}", "many", prefetch=0)
                if i % 3 == 1:
                    peer.send_raw("MDPW01", b"\x01", f"many{i}")
            for peer in peers:
                self.assertEqual(peer.recv()[0], "WELCOME")
                peer.kill()
        self.still_works()

    def test_a_routing_id_twice(self):
        with ReevePeer(self.bad.tcp, identity="same") as first:
            first.hello()
            with ReevePeer(self.bad.tcp, identity="same") as second:
                second.send("HELLO", name="second")
                self.still_works()
                self.assertEqual(first.hello()["heartbeat_ms"], 100)

    def test_a_client_that_never_reads(self):
        deaf = mdp.Peer(self.bad.tcp)
        self.addCleanup(deaf.kill)
        deaf.socket.close()
        deaf.socket = zmq.Context.instance().socket(zmq.DEALER)
        deaf.socket.rcvhwm, deaf.socket.rcvbuf, deaf.socket.sndhwm = 1, 4096, 0
        deaf.socket.connect(self.bad.tcp)
        question = encode("QUERY", corr=1, what=2)
        while not self.bad.log.find("peer_refused", reason="slow_peer"):
            for _ in range(500):
                deaf.send_raw(question)
            self.still_works()
        self.still_works()

    # ---- our protocols, changed a little

    def test_mutated_messages_of_reeve(self):
        base = reeve_vectors()
        self.assertGreater(len(base), 50)
        for turn in range(12):
            with ReevePeer(self.endpoint()) as peer:
                token = self.lease(peer, f"reeve-{turn}")
                own = [
                    encode("SETTLE", first=1, settlement=[{"token": token, "verdict": 2}] * 2),
                    encode("EXTEND", token=token, timeout_ms=1000),
                    encode("PROGRESS", token=token, kind=1, data='{"a":[1,2]}'),
                    encode("HEARTBEAT", held=[{"token": token, "running_ms": 7}] * 3),
                    encode("READY", name="w", queue=["q"], held=[{"token": token}]),
                ]
                for _ in range(250):
                    peer.send_raw(mutated(self.rng, self.rng.choice(base + own)))
            if turn % 4 == 3:
                self.still_works()
        self.bad.refused("malformed")

    def lease(self, peer, ident):
        """A delivery that this worker holds; its token."""
        peer.submit(ident, ident)
        peer.ready(ident, ident, prefetch=5)
        return peer.delivery()["token"]

    def test_vectors_as_they_are(self):
        for _ in range(3):
            for frame in reeve_vectors():
                with mdp.Peer(self.endpoint()) as peer:
                    peer.send_raw(frame)
            for frames in mdp_vectors():
                if frames:
                    with mdp.Peer(self.endpoint()) as peer:
                        peer.send_raw(*frames)
        self.still_works()

    def test_mutated_messages_of_majordomo(self):
        base = [frames for frames in mdp_vectors() if frames]
        self.assertGreater(len(base), 30)
        for turn in range(12):
            worker_class = (mdp.Worker01, mdp.Worker02)[turn % 2]
            with worker_class(self.endpoint(), f"m{turn}") as worker, mdp.Client02(
                self.bad.tcp
            ) as client:
                client.send(worker.service, "x")
                address = worker.recv_request().address
                head = [*worker.LEADING, worker.HEADER]
                own = [
                    [*head, bytes([code]), address, b"", b"body"] for code in worker.CODES.values()
                ]
                own += [["MDPC01", "titanic.request", "echo", "x"], ["MDPC01", "titanic.reply", "x"]]
                own = [list(map(mdp.to_bytes, frames)) for frames in own]
                for _ in range(250):
                    worker.send_raw(*mutated_message(self.rng, self.rng.choice(base + own)))
            if turn % 4 == 3:
                self.still_works()
        self.bad.refused("malformed")

    def test_one_socket_that_speaks_every_protocol(self):
        messages = [[frame] for frame in reeve_vectors()] + [f for f in mdp_vectors() if f]
        for _ in range(10):
            with mdp.Peer(self.endpoint()) as peer:
                for _ in range(200):
                    peer.send_raw(*self.rng.choice(messages))
        self.still_works()

    # ---- floods

    def test_a_tight_loop_of_forbidden_ready(self):
        count = 5000
        with mdp.Peer(self.bad.tcp) as peer:
            peer.socket.rcvhwm = 0
            began = time.monotonic()
            for _ in range(count):
                peer.send_raw("", "MDPW01", b"\x01", "mmi.mine")
            peer.send_raw("", "MDPC01", "mmi.none", "x")
            disconnects = 0
            while peer.recv_raw()[1] == b"MDPW01":
                disconnects += 1
            seconds = int(time.monotonic() - began) + 2
        self.assertGreater(disconnects, 0)
        self.assertLessEqual(disconnects, DISCONNECTS_PER_S * seconds)
        self.still_works()

    def test_refusals_are_logged_at_a_limited_rate(self):
        with mdp.Peer(self.bad.tcp) as peer:
            for _ in range(3000):
                peer.send_raw("nonsense")
            self.still_works()
        lines = [line for line in self.bad.log.lines if line["event"] == "peer_refused"]
        self.assertGreaterEqual(len(lines), LOG_BURST)


if __name__ == "__main__":
    print(f"REEVE_SEED={SEED}", file=sys.stderr)
    mdp_harness.main()
