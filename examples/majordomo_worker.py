#!/usr/bin/python3
"""A Majordomo 0.1 worker (ZeroMQ RFC 7), which knows nothing of Reeve: counts the words it is sent.

Usage: majordomo_worker.py SERVICE [ENDPOINT]
"""

import signal
import sys
import time

import zmq

READY, REQUEST, REPLY, HEARTBEAT, DISCONNECT = (bytes([number]) for number in range(1, 6))
HEARTBEAT_S = 2.5
LIVENESS_S = 10

service = sys.argv[1]
endpoint = sys.argv[2] if len(sys.argv) > 2 else "tcp://127.0.0.1:5555"


def say(command, *frames):
    socket.send_multipart([b"", b"MDPW01", command, *frames])


signal.signal(signal.SIGTERM, lambda *_: sys.exit())
while True:  # once for each connection: who is disconnected comes back with a new socket
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.linger = 1000
    socket.connect(endpoint)
    say(READY, service.encode())
    heard = said = time.monotonic()
    command = READY
    try:
        while command != DISCONNECT and time.monotonic() - heard < LIVENESS_S:
            if socket.poll(1000 * HEARTBEAT_S / 5):
                _, _, command, *frames = socket.recv_multipart()
                heard = time.monotonic()
                if command == REQUEST:
                    # The address says whose answer this is; it goes back as it came.
                    address, _, *body = frames
                    words = len(b" ".join(body).split())
                    say(REPLY, address, b"", f'{{"words": {words}}}'.encode())
            if time.monotonic() - said >= HEARTBEAT_S:
                said = time.monotonic()
                say(HEARTBEAT)
    except SystemExit:
        say(DISCONNECT)
        raise
    finally:
        socket.close()
