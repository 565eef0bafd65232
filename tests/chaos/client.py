"""People and bots for the chaos test: listeners that keep a protocol of every session's life, speakers that repeat a
message under its nonce until it is acknowledged. Threads; standard library only."""

import json
import pathlib
import random
import socket
import struct
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "clients" / "raw")]

from stack import http  # noqa: E402
from wire import Closed, WebSocket  # noqa: E402

GUILDS, GUILD_MESSAGES, MESSAGE_CONTENT = 1 << 0, 1 << 9, 1 << 15
SESSION_OVER = (4003, 4007, 4009)  # closes after which a client begins anew
ANSWER_S = 90  # for READY or RESUMED; then another node is tried


class Life:
    """One session from READY to its end. `ended` says how the server told that it is over; None: it lives."""

    def __init__(self, session_id, url):
        self.session_id, self.url = session_id, url
        self.guilds = {}  # guild id -> when its GUILD_CREATE came
        self.messages = []  # of each MESSAGE_CREATE: id, content, channel, time, in order
        self.seq, self.broken, self.resumes, self.ended = 0, [], 0, None


class Listener:
    """A client that comes back whatever happens. lives[-1] is its current session."""

    def __init__(self, stack, name, token, shard=None):
        self.stack, self.name, self.token, self.shard = stack, name, token, shard
        self.lives, self.live, self.stall_s = [], False, 0
        self.connects = 0
        self._open, self._socket = True, None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._open = False
        self.cut()
        self._thread.join(15)

    def cut(self, reset=False):
        """The network goes, with or without a word to the server."""
        connection = self._socket
        if connection:
            try:
                if reset:
                    connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # -- one connection after the other --------------------------------------------------------------------------

    def _run(self):
        own = True  # the session's own address first, then the gateway's, in turn
        while self._open:
            life = self.lives[-1] if self.lives and not self.lives[-1].ended else None
            try:
                url = life.url if life and own else self._gateway_url()
                self._connection(url, life)
                own = True
            except (OSError, Closed, ValueError, KeyError) as error:
                code = getattr(error, "code", None)
                if life and code in SESSION_OVER:
                    life.ended = f"close {code}"
                elif not self.live:
                    own = not own
            finally:
                self.live = False
                if self._socket:
                    self._socket.drop()
                self._socket = None
            time.sleep(random.uniform(0.1, 0.5))

    def _gateway_url(self):
        status, answer, _ = http("GET", f"{random.choice(self.stack.api_urls)}/v10/gateway", timeout_s=5)
        if status != 200:
            raise OSError(f"/gateway answered {status}")
        return answer["url"]

    def _connection(self, url, life):
        self._socket = gateway = WebSocket(url + "?v=10&encoding=json", timeout=5)
        self.connects += 1
        hello = json.loads(gateway.message(10)[1])
        interval_s = hello["d"]["heartbeat_interval"] / 1000
        if life:
            self._send(6, {"token": self.token, "session_id": life.session_id, "seq": life.seq})
        else:
            d = {"token": self.token, "intents": GUILDS | GUILD_MESSAGES | MESSAGE_CONTENT, "properties": {}}
            if self.shard:
                d["shard"] = self.shard
            self._send(2, d)
        give_up = time.monotonic() + ANSWER_S
        beat_at, acked = time.monotonic() + interval_s * random.random(), True
        while self._open:
            if self.stall_s:
                time.sleep(self.stall_s)
                self.stall_s = 0
            now = time.monotonic()
            if now >= beat_at:
                if not acked or (not self.live and now > give_up):
                    return
                acked = False
                self._send(1, self.lives[-1].seq if self.live else None)
                beat_at = now + interval_s
            try:
                packet = json.loads(gateway.message(max(0.02, min(1, beat_at - now)))[1])
            except TimeoutError:
                continue
            if packet["op"] == 0:
                self._dispatch(packet)
            elif packet["op"] == 11:
                acked = True
            elif packet["op"] == 7:
                return
            elif packet["op"] == 9:
                if life and not packet["d"]:
                    life.ended = "op 9 to RESUME"
                elif self.live and not packet["d"]:
                    self.lives[-1].ended = "op 9"
                time.sleep(random.uniform(0.1, 1))
                return

    def _send(self, op, d):
        self._socket.send(1, json.dumps({"op": op, "d": d}).encode())

    def _dispatch(self, packet):
        kind, d, now = packet["t"], packet["d"], time.monotonic()
        if kind == "READY":
            self.lives.append(Life(d["session_id"], d["resume_gateway_url"]))
            self.live = True
        life = self.lives[-1]
        if packet["s"] != life.seq + 1:
            life.broken.append(f"{kind} has number {packet['s']} after {life.seq}")
        life.seq = packet["s"]
        if kind == "RESUMED":
            life.resumes += 1
            self.live = True
        elif kind == "GUILD_CREATE":
            life.guilds.setdefault(d["id"], now)
        elif kind == "MESSAGE_CREATE":
            life.messages.append((d["id"], d["content"], d["channel_id"], now))


class Speaker:
    """Says numbered lines in its channels in turn; `said`: message id -> (content, channel, when the first attempt
    began). A line is repeated under its nonce until it is acknowledged, as careful bots do."""

    def __init__(self, stack, name, token, channels, pause_s):
        self.stack, self.name, self.token, self.channels, self.pause_s = stack, name, token, channels, pause_s
        self.said, self.repeated, self.refused = {}, 0, {}
        self.failure = "stopped by an exception"
        self._going = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self):
        self._going = False
        self._thread.join(120)
        assert not self._thread.is_alive(), f"{self.name} still waits for an answer"

    def _run(self):
        number = 0
        while self._going:
            number += 1
            self.say(self.channels[number % len(self.channels)], f"{self.name}:{number}")
            time.sleep(self.pause_s * random.uniform(0.5, 1.5))
        self.failure = None

    def say(self, channel, content):
        body = {"content": content, "nonce": content, "enforce_nonce": True}
        begun, end = time.monotonic(), time.monotonic() + 110
        while True:
            api = random.choice(self.stack.api_urls)
            try:
                status, answer, _ = http("POST", f"{api}/v10/channels/{channel}/messages", self.token, body, timeout_s=12)
            except (OSError, ValueError) as error:
                status, answer = type(error).__name__, None
            if status == 200:
                self.said[answer["id"]] = (content, channel, begun)
                return
            self.refused[status] = self.refused.get(status, 0) + 1
            if isinstance(status, int) and status < 500 and status != 429:
                raise AssertionError(f"{self.name} may not say {content}: {status} {answer}")
            if time.monotonic() > end:
                return  # never acknowledged: nothing is promised
            self.repeated += 1
            time.sleep(answer["retry_after"] if status == 429 else random.uniform(0.05, 0.4))
