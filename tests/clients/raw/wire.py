"""A WebSocket client and a gateway session in the open (standard library only), for tests of what libraries hide."""
import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import time
import urllib.parse
import zlib

import etf
import zstd

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Closed(Exception):
    """The server ended the connection; `code` is None where it did so without a close frame."""

    def __init__(self, code, reason=""):
        super().__init__(f"closed with {code} {reason}")
        self.code = code


class WebSocket:
    def __init__(self, url, ca=None, timeout=10):
        parts = urllib.parse.urlsplit(url)
        self.timeout = timeout
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme == "wss":
            context = ssl.create_default_context(cafile=ca)
            self._socket = context.wrap_socket(self._socket, server_hostname=parts.hostname)
        self._buffer = b""
        self._shake_hands(parts)

    def _shake_hands(self, parts):
        key = base64.b64encode(os.urandom(16)).decode()
        target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        lines = [f"GET {target} HTTP/1.1", f"Host: {parts.netloc}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        self.send_bytes("\r\n".join(lines).encode())
        while b"\r\n\r\n" not in self._buffer:
            self._receive(time.monotonic() + self.timeout)
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        self.with_handshake = len(self._buffer)  # bytes that came in the same segment as the 101
        status = int(head.split(b" ", 2)[1])
        if status != 101:
            raise Closed(status, head.decode(errors="replace"))
        expected = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest())
        if expected not in head:
            raise Closed(None, "wrong Sec-WebSocket-Accept")

    def _receive(self, deadline):
        self._socket.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            data = self._socket.recv(65536)
        except ConnectionResetError:
            raise Closed(None, "reset") from None
        if not data:
            raise Closed(None, "end of stream")
        self._buffer += data

    def _need(self, count, deadline):
        while len(self._buffer) < count:
            self._receive(deadline)

    def _frame(self, deadline):
        """The next frame; nothing is taken from the buffer until all of it is there."""
        self._need(2, deadline)
        first, length, start = self._buffer[0], self._buffer[1] & 127, 2
        if length >= 126:
            start = 4 if length == 126 else 10
            self._need(start, deadline)
            length = int.from_bytes(self._buffer[2:start], "big")
        self._need(start + length, deadline)
        payload, self._buffer = self._buffer[start : start + length], self._buffer[start + length :]
        return first >> 7, first & 15, payload

    def message(self, timeout=None):
        """The next (opcode, payload); answers pings; raises Closed, or TimeoutError."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        whole, kind = b"", None
        while True:
            final, opcode, payload = self._frame(deadline)
            if opcode == CLOSE:
                code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005
                self.send(CLOSE, payload[:2])
                raise Closed(code, payload[2:].decode(errors="replace"))
            if opcode == PING:
                self.send(PONG, payload)
            elif opcode != PONG:
                kind = opcode or kind
                whole += payload
                if final:
                    return kind, whole

    def send(self, opcode, payload, final=True, masked=True):
        head = bytes([(128 if final else 0) | opcode])
        mark = 128 if masked else 0
        if len(payload) < 126:
            head += bytes([mark | len(payload)])
        elif len(payload) < 65536:
            head += bytes([mark | 126]) + struct.pack(">H", len(payload))
        else:
            head += bytes([mark | 127]) + struct.pack(">Q", len(payload))
        if masked:
            mask = os.urandom(4)
            head += mask
            whole = (mask * (len(payload) // 4 + 1))[: len(payload)]
            number = int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")
            payload = number.to_bytes(len(payload), "big")
        self.send_bytes(head + payload)

    def send_bytes(self, data):
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what the server said before it closed is still to be read

    def drop(self, reset=False):
        """Ends the TCP connection without a word."""
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()


class Gateway:
    """A gateway connection: HELLO read, nothing else done."""

    def __init__(self, url, query="?v=10&encoding=json", ca=None):
        self.socket = WebSocket(url + query, ca)
        self._etf = "encoding=etf" in query
        self._zlib = "compress=zlib-stream" in query
        self._inflate = zlib.decompressobj() if self._zlib else zstd.Decompressor() if "zstd-stream" in query else None
        self.binary = 0  # messages that were compressed one by one
        self.bytes = 0  # of all messages as they came
        self.seq = None
        self.ready = None
        self.events = []
        self.hello = self.receive()
        assert self.hello["op"] == 10, self.hello

    def receive(self, timeout=None):
        opcode, data = self.socket.message(timeout)
        self.bytes += len(data)
        if self._inflate:
            assert opcode == BINARY and (not self._zlib or data.endswith(b"\0\0\xff\xff")), (opcode, data[-8:])
            data = self._inflate.decompress(data)
        elif opcode == BINARY and not self._etf:
            self.binary += 1
            data = zlib.decompress(data)
        assert not self._etf or opcode == BINARY
        packet = etf.unpack(data) if self._etf else json.loads(data)
        if packet["op"] == 0:
            self.seq = packet["s"]
            self.events.append(packet)
        return packet

    def send(self, op, data):
        packet = {"op": op, "d": data}
        self.socket.send(*((BINARY, etf.pack(packet)) if self._etf else (TEXT, json.dumps(packet).encode())))

    def until(self, what, predicate, seconds=10):
        """The first packet for which `predicate` holds, from now on."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            try:
                packet = self.receive(max(0.01, left))
            except TimeoutError:
                raise AssertionError(f"waited {seconds} s in vain for {what}; seen {self.events[-3:]}") from None
            if predicate(packet):
                return packet

    def event(self, name, seconds=10, **fields):
        def fits(packet):
            return packet["t"] == name and all(packet["d"].get(key) == value for key, value in fields.items())

        return self.until(f"{name} {fields}", fits, seconds)["d"]

    def quiet(self, seconds=0.4):
        """The dispatches of the next `seconds`."""
        deadline, start = time.monotonic() + seconds, len(self.events)
        while (left := deadline - time.monotonic()) > 0:
            try:
                self.receive(left)
            except TimeoutError:
                break
        return self.events[start:]

    def identify(self, token, intents=0, shard=None, **more):
        data = {"token": token, "intents": intents, "properties": {"os": "linux", "browser": "t", "device": "t"}}
        if shard:
            data["shard"] = shard
        self.send(2, {**data, **more})

    def log_in(self, token, intents=0, shard=None, **more):
        """IDENTIFY, then READY and one GUILD_CREATE for each guild in it."""
        self.identify(token, intents, shard, **more)
        self.ready = self.event("READY")
        waiting = {guild["id"] for guild in self.ready["guilds"]}
        while waiting and intents & 1:
            waiting.discard(self.event("GUILD_CREATE")["id"])
        return self.ready

    def resume(self, token, session, seq):
        self.send(6, {"token": token, "session_id": session, "seq": seq})

    def closed(self, seconds=10):
        """The close code the server ends this connection with."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self.receive(max(0.01, deadline - time.monotonic()))
        except Closed as end:
            return end.code
