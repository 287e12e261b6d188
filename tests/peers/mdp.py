"""Majordomo clients and workers for system tests, written from RFC 7 (0.1) and RFC 18 (0.2).

They share no code with Reeve and are strict: a message that is not of the RFC's form raises
ProtocolError. Nothing sleeps; whoever waits gives a time and gets Timeout when it is over.

    with Worker02(endpoint, "echo") as worker, Client02(endpoint) as client:
        client.send("echo", "hello")
        request = worker.recv_request()
        worker.partial(request, "wait")
        worker.reply(request, *request.body)
        partials, final = client.recv_all("echo")

Frames may be given as bytes or str and come back as bytes. For messages that no conforming peer
sends, use Peer, or the send_raw and recv_raw that all classes have.
"""

import time
from typing import NamedTuple

import zmq

HEARTBEAT_MS = 1000
SILENCE_MS = 5 * HEARTBEAT_MS
LINGER_MS = 2000
TIMEOUT_MS = 120000  # only a test that fails waits so long


class Timeout(Exception):
    """Nothing came in the time given."""


class Disconnected(Exception):
    """The broker sent DISCONNECT; only reconnect() is allowed now."""


class ProtocolError(Exception):
    """The broker sent what the RFC does not allow."""


class Request(NamedTuple):
    """What a worker was asked: the address goes back untouched with each reply."""

    address: bytes
    body: list


def to_bytes(frame):
    return frame.encode() if isinstance(frame, str) else bytes(frame)


def check(condition, what, frames):
    if not condition:
        raise ProtocolError(f"{what}: {frames}")


def now_ms():
    return int(time.monotonic() * 1000)


class Peer:
    """A connected socket that sends and receives any frames."""

    def __init__(self, endpoint, socket_type=zmq.DEALER, identity=None, correlate=False):
        self.endpoint = endpoint
        self.socket_type = socket_type
        self.identity = identity
        self.correlate = correlate
        self.socket = None
        self.open()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()

    def open(self):
        self.socket = zmq.Context.instance().socket(self.socket_type)
        self.socket.linger = LINGER_MS
        if self.identity is not None:
            self.socket.routing_id = to_bytes(self.identity)
        if self.correlate:
            self.socket.setsockopt(zmq.REQ_CORRELATE, 1)
        self.socket.connect(self.endpoint)

    def close(self):
        """Closes; what was sent still goes out. Safe to repeat."""
        self.socket.close()

    def kill(self):
        """Closes as if the process had died: what has not left yet is lost."""
        self.socket.close(linger=0)

    def send_raw(self, *frames):
        self.socket.send_multipart([to_bytes(frame) for frame in frames])

    def recv_raw(self, timeout_ms=TIMEOUT_MS):
        """All frames of the next message as the socket delivers them."""
        if not self.socket.poll(max(0, timeout_ms)):
            raise Timeout(f"nothing within {timeout_ms} ms")
        return self.socket.recv_multipart()

    def quiet_for(self, time_ms):
        """Whether nothing comes for so long; the message that does come stays to be received."""
        return not self.socket.poll(time_ms)


class Client01(Peer):
    """A client of 0.1. Its REQ socket writes and strips the empty frame; one request at a time."""

    def __init__(self, endpoint, correlate=False, identity=None):
        super().__init__(endpoint, zmq.REQ, identity, correlate)

    def send(self, service, *body):
        self.send_raw("MDPC01", service, *body)

    def recv(self, service, timeout_ms=TIMEOUT_MS):
        """The body frames of the reply, which must come from `service`."""
        frames = self.recv_raw(timeout_ms)
        check(len(frames) >= 3, "reply too short", frames)
        check(frames[0] == b"MDPC01", "wrong header", frames)
        check(frames[1] == to_bytes(service), "wrong service", frames)
        return frames[2:]

    def request(self, service, *body, timeout_ms=TIMEOUT_MS):
        self.send(service, *body)
        return self.recv(service, timeout_ms)


class Client02(Peer):
    """A client of 0.2."""

    def __init__(self, endpoint, identity=None):
        super().__init__(endpoint, zmq.DEALER, identity)

    def send(self, service, *body):
        self.send_raw("MDPC02", b"\x01", service, *body)

    def recv(self, service, timeout_ms=TIMEOUT_MS):
        """The next reply: ("PARTIAL" or "FINAL", body frames)."""
        frames = self.recv_raw(timeout_ms)
        check(len(frames) >= 4, "reply too short", frames)
        check(frames[0] == b"MDPC02", "wrong header", frames)
        check(frames[1] in (b"\x02", b"\x03"), "wrong command", frames)
        check(frames[2] == to_bytes(service), "wrong service", frames)
        return ("PARTIAL" if frames[1] == b"\x02" else "FINAL", frames[3:])

    def recv_all(self, service, timeout_ms=TIMEOUT_MS):
        """All replies to one request: (list of partial bodies, final body)."""
        partials = []
        deadline = now_ms() + timeout_ms
        while True:
            kind, body = self.recv(service, deadline - now_ms())
            if kind == "FINAL":
                return partials, body
            partials.append(body)

    def request(self, service, *body, timeout_ms=TIMEOUT_MS):
        self.send(service, *body)
        return self.recv_all(service, timeout_ms)


class Worker(Peer):
    """What the workers of both versions have in common; use Worker01 or Worker02.

    READY is sent at once unless ready=False. Between READY and DISCONNECT, heartbeats go out while
    recv_request waits; a worker that does not call it is silent, like a blocked one.
    """

    HEADER = None
    LEADING = None
    CODES = None

    def __init__(self, endpoint, service, identity=None, ready=True):
        self.service = service
        self.heard_ms = now_ms()
        self.sent_ms = 0
        self.beating = False
        self.connections = 1
        super().__init__(endpoint, zmq.DEALER, identity)
        if ready:
            self.ready()

    def command(self, name, *frames):
        """Sends any worker command by its name, in or out of turn."""
        self.send_raw(*self.LEADING, self.HEADER, bytes([self.CODES[name]]), *frames)
        self.sent_ms = now_ms()

    def ready(self, service=None):
        self.command("READY", self.service if service is None else service)
        self.beating = True

    def heartbeat(self):
        self.command("HEARTBEAT")

    def disconnect(self):
        self.command("DISCONNECT")
        self.beating = False

    def reconnect(self):
        """Starts anew as the RFC wants: a new socket, so a new routing id, and READY."""
        self.kill()
        self.connections += 1
        first_identity = self.identity
        if first_identity is not None:
            self.identity = f"{first_identity}-{self.connections}"
        self.open()
        self.identity = first_identity
        self.heard_ms = now_ms()
        self.ready()

    def recv_command(self, timeout_ms=TIMEOUT_MS):
        """The next command of the broker: (name, frames after it), heartbeats as well."""
        frames = self.recv_raw(timeout_ms)
        self.heard_ms = now_ms()
        head = len(self.LEADING)
        check(frames[:head] == self.LEADING, "wrong leading frames", frames)
        check(len(frames) >= head + 2, "message too short", frames)
        check(frames[head] == self.HEADER, "wrong header", frames)
        names = [name for name, code in self.CODES.items() if frames[head + 1] == bytes([code])]
        check(names and names[0] in ("REQUEST", "HEARTBEAT", "DISCONNECT"), "command", frames)
        rest = frames[head + 2 :]
        if names[0] == "REQUEST":
            check(len(rest) >= 3 and rest[0] != b"" and rest[1] == b"", "envelope", frames)
        else:
            check(not rest, "frames after the command", frames)
        if names[0] == "DISCONNECT":
            self.beating = False
        return names[0], rest

    def recv_request(self, timeout_ms=TIMEOUT_MS):
        """The next request, heartbeating while it waits; Disconnected when the broker says so."""
        deadline = now_ms() + timeout_ms
        while True:
            beat_at = self.sent_ms + HEARTBEAT_MS if self.beating else deadline + 1
            if now_ms() >= beat_at:
                self.heartbeat()
                continue
            try:
                name, rest = self.recv_command(min(deadline, beat_at) - now_ms())
            except Timeout:
                if now_ms() >= deadline:
                    raise Timeout(f"no request within {timeout_ms} ms") from None
                continue
            if name == "DISCONNECT":
                raise Disconnected
            if name == "REQUEST":
                return Request(rest[0], rest[2:])

    def recv_disconnect(self, timeout_ms=TIMEOUT_MS):
        """Waits for DISCONNECT; heartbeats may come before it, a request may not."""
        try:
            request = self.recv_request(timeout_ms)
        except Disconnected:
            return
        raise ProtocolError(f"a request where DISCONNECT was due: {request}")

    def reply(self, request, *body, omit_empty=False):
        """The last reply: REPLY of 0.1, FINAL of 0.2. omit_empty: as the Guide's PHP worker."""
        self.command("FINAL", request.address, *([] if omit_empty else [b""]), *body)

    def serve(self, handler, count, timeout_ms=TIMEOUT_MS):
        """Answers `count` requests with handler(body frames), a list of frames, starting anew when
        the broker disconnects or is silent; Timeout when one does not come in time."""
        while count > 0:
            deadline = now_ms() + timeout_ms
            request = None
            while request is None:
                if now_ms() >= deadline:
                    raise Timeout(f"no request within {timeout_ms} ms")
                silent_at = self.heard_ms + SILENCE_MS
                try:
                    request = self.recv_request(min(deadline, silent_at) - now_ms())
                except Disconnected:
                    self.reconnect()
                except Timeout:
                    if now_ms() >= self.heard_ms + SILENCE_MS:
                        self.reconnect()
            self.reply(request, *handler(request.body))
            count -= 1


class Worker01(Worker):
    """A worker of 0.1."""

    HEADER = b"MDPW01"
    LEADING = [b""]
    CODES = {"READY": 1, "REQUEST": 2, "FINAL": 3, "HEARTBEAT": 4, "DISCONNECT": 5}


class Worker02(Worker):
    """A worker of 0.2, which may send any number of partial replies before the last one."""

    HEADER = b"MDPW02"
    LEADING = []
    CODES = {"READY": 1, "REQUEST": 2, "PARTIAL": 3, "FINAL": 4, "HEARTBEAT": 5, "DISCONNECT": 6}

    def partial(self, request, *body):
        self.command("PARTIAL", request.address, b"", *body)
