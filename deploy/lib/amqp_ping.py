"""Logs into the broker of AMQP_URL once: exit 0 when the virtual host opens, 1 otherwise. Needs no AMQP library.
Used by deploy/services to tell when RabbitMQ truly answers. Source: AMQP 0-9-1, sections 1.4.2 and 4.2."""

import os
import socket
import struct
import sys
import urllib.parse


def frame(payload):
    return struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce"


def read_method(stream):
    _kind, _channel, size = struct.unpack(">BHI", stream.read(7))
    payload = stream.read(size + 1)
    return struct.unpack(">HH", payload[:4])


def ping(url):
    login = b"\0" + url.username.encode() + b"\0" + url.password.encode()
    start_ok = struct.pack(">HHI", 10, 11, 0) + b"\5PLAIN" + struct.pack(">I", len(login)) + login + b"\5en_US"
    tune_ok = struct.pack(">HHHIH", 10, 31, 16, 131072, 0)
    vhost = urllib.parse.unquote(url.path[1:]).encode()
    open_vhost = struct.pack(">HHB", 10, 40, len(vhost)) + vhost + b"\0\0"
    with socket.create_connection((url.hostname, url.port), timeout=2) as sock, sock.makefile("rb") as stream:
        sock.sendall(b"AMQP\0\0\x09\x01")
        for expected, answer in (((10, 10), start_ok), ((10, 30), tune_ok), ((10, 41), None)):
            if read_method(stream) != expected:
                return False
            if answer:
                sock.sendall(frame(answer))
            if answer == tune_ok:
                sock.sendall(frame(open_vhost))
        sock.sendall(frame(struct.pack(">HHHBHH", 10, 50, 200, 0, 0, 0)))
        return read_method(stream) == (10, 51)


try:
    sys.exit(0 if ping(urllib.parse.urlsplit(os.environ["AMQP_URL"])) else 1)
except (OSError, struct.error, ValueError):
    sys.exit(1)
