#!/usr/bin/python3
"""A Majordomo 0.1 client (ZeroMQ RFC 7): what it sends becomes a durable task all the same.

Usage: majordomo_client.py SERVICE TEXT [ENDPOINT]
"""

import sys

import zmq

service, text = sys.argv[1:3]
endpoint = sys.argv[3] if len(sys.argv) > 3 else "tcp://127.0.0.1:5555"

socket = zmq.Context.instance().socket(zmq.REQ)
socket.linger = 0
socket.rcvtimeo = 30_000
socket.connect(endpoint)
socket.send_multipart([b"MDPC01", service.encode(), text.encode()])
header, answering, *body = socket.recv_multipart()
assert (header, answering) == (b"MDPC01", service.encode())
print(body[0].decode())
