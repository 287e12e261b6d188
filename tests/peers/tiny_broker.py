"""A Majordomo broker in memory, just enough to test the peers of this folder without Reeve.

One thread, both versions, no liveness: it routes each request to the first idle worker of its
service and replies back, sends DISCONNECT to workers it does not know, and keeps every message.
"""

import threading
import uuid

import zmq

CODES = {
    b"MDPW01": {1: "READY", 3: "FINAL", 4: "HEARTBEAT", 5: "DISCONNECT"},
    b"MDPW02": {1: "READY", 3: "PARTIAL", 4: "FINAL", 5: "HEARTBEAT", 6: "DISCONNECT"},
}
LAST_CODE = {b"MDPW01": b"\x05", b"MDPW02": b"\x06"}
BEAT_CODE = {b"MDPW01": b"\x04", b"MDPW02": b"\x05"}


class TinyBroker:
    """Runs from `with` to its end; `seen` is every message as (routing id, frames...)."""

    def __init__(self):
        self.context = zmq.Context()
        self.router = self.context.socket(zmq.ROUTER)
        self.router.linger = 0
        port = self.router.bind_to_random_port("tcp://127.0.0.1")
        self.endpoint = f"tcp://127.0.0.1:{port}"
        name = f"inproc://{uuid.uuid4()}"
        self.orders, self.ordered = (self.context.socket(zmq.PAIR) for _ in range(2))
        self.orders.bind(name)
        self.ordered.connect(name)
        self.thread = threading.Thread(target=self.run)
        self.seen = []
        self.workers = {}  # routing id -> [header, service, idle]
        self.waiting = []  # (service, reply envelope, body)
        self.envelopes = {}  # token -> (reply envelope up to the command, service)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_exc):
        self.order(b"stop")
        self.thread.join()
        self.context.destroy(linger=0)

    def order(self, what):
        """b"stop", b"disconnect" (all workers) or b"heartbeat" (all workers); returns when done."""
        self.orders.send(what)
        self.orders.recv()

    def run(self):
        poller = zmq.Poller()
        poller.register(self.router, zmq.POLLIN)
        poller.register(self.ordered, zmq.POLLIN)
        order = None
        while order != b"stop":
            ready = dict(poller.poll())
            if self.router in ready:
                self.take_all()
                self.dispatch()
            if self.ordered in ready:
                order = self.ordered.recv()
                self.obey(order)
                self.ordered.send(order)

    def obey(self, order):
        for sender, (header, _service, _idle) in list(self.workers.items()):
            if order == b"disconnect":
                self.to_worker(sender, header, LAST_CODE[header])
                del self.workers[sender]
            elif order == b"heartbeat":
                self.to_worker(sender, header, BEAT_CODE[header])

    def to_worker(self, sender, header, *frames):
        leading = [b""] if header == b"MDPW01" else []
        self.router.send_multipart([sender, *leading, header, *frames])

    def take_all(self):
        """All that has come: ROUTER takes turns among connections, so that the DISCONNECT of a worker may
        be read after a request that was sent later."""
        while self.router.poll(0):
            self.take(self.router.recv_multipart())

    def take(self, message):
        self.seen.append(message)
        sender, frames = message[0], message[1:]
        if b"" in frames and frames[0][:3] != b"MDP":
            split = frames.index(b"") + 1
            path, frames = frames[:split], frames[split:]
        else:
            path = []
        if frames[0] == b"MDPC01":
            envelope = ([sender, *path, b"MDPC01"], None)
            self.waiting.append((frames[1], envelope, frames[2:]))
        elif frames[0] == b"MDPC02" and frames[1] == b"\x01":
            envelope = ([sender, *path, b"MDPC02"], {"PARTIAL": b"\x02", "FINAL": b"\x03"})
            self.waiting.append((frames[2], envelope, frames[3:]))
        elif frames[0] in CODES:
            self.from_worker(sender, frames)

    def from_worker(self, sender, frames):
        name = CODES[frames[0]][frames[1][0]]
        if name == "READY" and sender not in self.workers:
            self.workers[sender] = [frames[0], frames[2], True]
        elif name == "DISCONNECT":
            self.workers.pop(sender, None)
        elif sender not in self.workers or name == "READY":
            self.to_worker(sender, frames[0], LAST_CODE[frames[0]])
            self.workers.pop(sender, None)
        elif name in ("PARTIAL", "FINAL"):
            (head, codes), service = self.envelopes[frames[2]]
            body = frames[4:] if frames[3] == b"" else frames[3:]
            command = [codes[name]] if codes else []
            self.router.send_multipart([*head, *command, service, *body])
            self.workers[sender][2] = name == "FINAL"

    def dispatch(self):
        for entry in list(self.waiting):
            service, envelope, body = entry
            for sender, worker in self.workers.items():
                if worker[1] == service and worker[2]:
                    token = uuid.uuid4().hex.encode()
                    self.envelopes[token] = (envelope, service)
                    self.to_worker(sender, worker[0], b"\x02", token, b"", *body)
                    worker[2] = False
                    self.waiting.remove(entry)
                    break
