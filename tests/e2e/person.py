"""A person in a client, for the end-to-end tests: speaks over HTTP, listens on a gateway connection of their own and
comes back when it ends, as every client library does. Standard library only."""

import json
import pathlib
import sys
import threading
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "clients" / "raw")]

from stack import Stack, http, wait_until  # noqa: E402, F401
from wire import Closed, Gateway  # noqa: E402

GUILDS, GUILD_MESSAGES, MESSAGE_CONTENT = 1 << 0, 1 << 9, 1 << 15
DEMO = json.loads((ROOT / "deploy" / "demo.json").read_text())
GUILD = DEMO["guilds"][0]["id"]
CHANNEL = {channel["name"]: channel["id"] for channel in DEMO["guilds"][0]["channels"]}
PINGBOT = DEMO["bots"][0]["id"]


class Person:
    """`events` collects every dispatch received, in order. close() ends the listening."""

    def __init__(self, stack, name="alice", listen=True):
        self.stack, self.name, self.token = stack, name, stack.user(name)["token"]
        self.events, self.sessions, self.resumes = [], 0, 0
        self._open, self._connection, self._seq = True, None, None
        self._thread = threading.Thread(target=self._listen, daemon=True)
        if listen:
            self._thread.start()
            wait_until(lambda: self.seen("GUILD_CREATE", id=GUILD), 120, f"{name} sees the demo guild")

    def close(self):
        self._open = False
        if self._connection:
            self._connection.socket.drop()
        if self._thread.is_alive():
            self._thread.join(10)

    # -- speaking ------------------------------------------------------------------------------------------------

    def call(self, method, path, body=None, **more):
        """(status, decoded body); raises OSError where the server cannot be reached."""
        status, answer, _ = http(method, f"{self.stack.api_url}/v10{path}", self.token, body,
                                 context=self.stack.tls_context(), **more)
        return status, answer

    def patient(self, method, path, body=None):
        """call(), repeated where a rate limit says to wait."""
        while True:
            status, answer = self.call(method, path, body)
            if status != 429:
                return status, answer
            time.sleep(answer["retry_after"])

    def say(self, content, channel="general", timeout_s=60):
        """Posts a message and repeats it under the same nonce until it is acknowledged; returns the message."""
        body = {"content": content, "nonce": uuid.uuid4().hex[:25], "enforce_nonce": True}
        end = time.monotonic() + timeout_s
        while True:
            try:
                status, answer = self.call("POST", f"/channels/{CHANNEL[channel]}/messages", body)
            except OSError as error:
                status, answer = 0, repr(error)
            if status == 200:
                return answer
            if status != 429 and 400 <= status < 500 or time.monotonic() > end:
                raise AssertionError(f"{self.name} cannot say {content!r}: {status} {answer}")
            time.sleep(answer["retry_after"] if status == 429 else 0.2)

    def history(self, after, channel="general"):
        """The messages after the one with this id, oldest first."""
        status, answer = self.call("GET", f"/channels/{CHANNEL[channel]}/messages?after={after}&limit=100")
        if status != 200:
            raise AssertionError(f"history: {status} {answer}")
        return sorted(answer, key=lambda message: int(message["id"]))

    # -- listening -----------------------------------------------------------------------------------------------

    def seen(self, event, **fields):
        """The received dispatches of this name whose data has these fields."""
        return [packet["d"] for packet in list(self.events)
                if packet["t"] == event and all(packet["d"].get(key) == value for key, value in fields.items())]

    def hears(self, event, count=1, timeout_s=20, **fields):
        """Waits until `count` such dispatches have come and returns them."""
        return wait_until(lambda: (found := self.seen(event, **fields)) and len(found) >= count and found, timeout_s,
                          lambda: f"{self.name} hears {count} {event} {fields}; has {len(self.seen(event, **fields))}, "
                                  f"sessions {self.sessions}, resumes {self.resumes}")

    def pongs(self, after):
        """The bot's answers that came after the message `after`."""
        return [message for message in self.seen("MESSAGE_CREATE") if message["author"]["id"] == PINGBOT
                and int(message["id"]) > int(after["id"])]

    def hears_pongs(self, after, count=1, timeout_s=20):
        return wait_until(lambda: (found := self.pongs(after)) and len(found) >= count and found, timeout_s,
                          lambda: f"{count} pongs after {after['id']}; heard {len(self.pongs(after))}, in the history "
                                  f"{[m['content'] for m in self.history(after['id'])]}")

    def _listen(self):
        session = None  # (id, resume url) of a session to go on with
        while self._open:
            try:
                session = self._connect(session)
            except (OSError, Closed, AssertionError, ValueError) as error:
                if not self._open:
                    return
                # 1000 and 1001 from this side never happen; these say that the session is over.
                if isinstance(error, Closed) and error.code in (4004, 4006, 4007, 4009):
                    session = None
                time.sleep(0.2)

    def _gateway_url(self):
        status, answer = self.call("GET", "/gateway")
        if status != 200:
            raise OSError(f"/gateway answered {status}")
        return answer["url"]

    def _connect(self, session):
        """One connection until it ends; returns the session to resume or None for a new one."""
        try:
            self._connection = gateway = Gateway(session[1] if session else self._gateway_url(), ca=self.stack.ca)
        except OSError:
            # The node is gone: any other takes the session over.
            self._connection = gateway = Gateway(self._gateway_url(), ca=self.stack.ca)
        interval_s = gateway.hello["d"]["heartbeat_interval"] / 1000
        gateway.events, gateway.seq = self.events, self._seq if session else None
        if session:
            gateway.resume(self.token, session[0], self._seq)
        else:
            gateway.identify(self.token, GUILDS | GUILD_MESSAGES | MESSAGE_CONTENT)
        beat_at = time.monotonic() + interval_s / 2
        try:
            while True:
                try:
                    packet = gateway.receive(max(0.05, min(1, beat_at - time.monotonic())))
                except TimeoutError:
                    packet = {"op": None}
                if time.monotonic() >= beat_at:
                    gateway.send(1, gateway.seq)
                    beat_at = time.monotonic() + interval_s / 2
                self._seq = gateway.seq
                if packet["op"] == 9:
                    return session if packet["d"] else None
                if packet["op"] == 7:
                    return session
                if packet["op"] == 0 and packet["t"] == "READY":
                    self.sessions += 1
                    session = (packet["d"]["session_id"], packet["d"]["resume_gateway_url"])
                if packet["op"] == 0 and packet["t"] == "RESUMED":
                    self.resumes += 1
        except (OSError, Closed) as error:
            if isinstance(error, Closed) and error.code in (4004, 4006, 4007, 4009):
                return None
            return session
        finally:
            gateway.socket.drop()
