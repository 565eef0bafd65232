"""Every encoding with every compression, in both versions: what a session reads is what it would read as plain JSON."""
import itertools
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

from case import CONTENT, GUILDS, MEMBERS, MESSAGES, Case
from wire import BINARY, TEXT

PAIRS = [
    f"encoding={encoding}{compress}"
    for encoding, compress in itertools.product(("json", "etf"), ("", "&compress=zlib-stream", "&compress=zstd-stream"))
]
OWN = ("session_id", "resume_gateway_url")
TEXTS = ["short", "é 👋 \\ \" / \n\t\u2028", "0123456789" * 200, "1258291200000000001", "x", "aaaaaaaaaaaaaaaa" * 60]


class Encodings(Case):
    def plain(self):
        """A session in plain JSON, to compare with."""
        return self.session(intents=GUILDS | MESSAGES | MEMBERS | CONTENT)

    def begin(self, query, **more):
        connection = self.gateway(query)
        connection.log_in(self.seed.tokens["pingbot"], GUILDS | MESSAGES | MEMBERS | CONTENT, **more)
        return connection

    def dispatches(self, connection):
        """What came, without what differs between two sessions."""
        return [
            (event["t"], {key: value for key, value in event["d"].items() if key not in OWN})
            for event in connection.events
        ]

    def same(self, one, other):
        for mine, reference in zip(sorted(self.dispatches(one), key=str), sorted(self.dispatches(other), key=str)):
            self.assertEqual(mine, reference)
        self.assertEqual(len(one.events), len(other.events))
        self.assertEqual([event["s"] for event in one.events], list(range(1, len(one.events) + 1)))

    def test_every_pair(self):
        for version, pair in itertools.product((10, 9), PAIRS):
            with self.subTest(version=version, pair=pair):
                reference, connection = self.gateway(f"?v={version}&encoding=json"), None
                reference.log_in(self.seed.tokens["pingbot"], GUILDS | MESSAGES | MEMBERS | CONTENT)
                connection = self.begin(f"?v={version}&{pair}")
                self.assertEqual(connection.ready["v"], version)
                for text in TEXTS:
                    self.say(text)
                for each in (reference, connection):
                    for text in TEXTS:
                        each.event("MESSAGE_CREATE", content=text)
                self.same(connection, reference)
                connection.send(1, connection.seq)
                self.assertEqual(connection.until("the ACK", lambda packet: packet["op"] == 11)["d"], None)

    def test_resume_in_every_pair(self):
        """A session may go on in another encoding than it began in."""
        for before, after in zip(PAIRS, PAIRS[1:] + PAIRS[:1]):
            for pair in (before, after):
                with self.subTest(before=before, after=pair):
                    old = self.begin(f"?v=10&{before}")
                    old.socket.drop()
                    for number in range(4):
                        self.say(f"missed {number}")
                    new = self.connect(old.ready["resume_gateway_url"], f"?v=10&{pair}")
                    new.resume(self.seed.tokens["pingbot"], old.ready["session_id"], old.seq)
                    new.event("RESUMED")
                    self.say("after")
                    new.event("MESSAGE_CREATE", content="after")
                    got = [event["d"]["content"] for event in new.events if event["t"] == "MESSAGE_CREATE"]
                    self.assertEqual(got, ["missed 0", "missed 1", "missed 2", "missed 3", "after"])
                    self.assertEqual([e["s"] for e in new.events], list(range(old.seq + 1, new.seq + 1)))

    def test_requests_in_etf(self):
        connection = self.begin("?v=10&encoding=etf&compress=zstd-stream")
        connection.send(8, {"guild_id": self.guild, "query": "", "limit": 0, "nonce": "n"})
        chunk = connection.event("GUILD_MEMBERS_CHUNK", nonce="n")
        self.assertEqual(len(chunk["members"]), 4)
        connection.send(3, {"since": 1700000000123, "activities": [], "status": "online", "afk": False})
        connection.send(1, connection.seq)
        connection.until("the ACK", lambda packet: packet["op"] == 11)

    @unittest.skipUnless(shutil.which("escript"), "Erlang, which RabbitMQ brings, is not here")
    def test_erlang_reads_and_writes_it(self):
        def erlang(*arguments):
            script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "erlang.escript")
            return subprocess.run(["escript", script, *arguments], check=True, capture_output=True, timeout=60).stdout

        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "term")
            erlang("identify", path, self.seed.tokens["pingbot"])
            connection = self.gateway("?v=10&encoding=etf")
            with open(path, "rb") as term:
                connection.socket.send(BINARY, term.read())
            with open(path, "wb") as term:
                term.write(connection.socket.message()[1])
            self.assertEqual(erlang("ready", path).decode().strip(), self.seed.bots["pingbot"])

    def test_what_cannot_be_decoded(self):
        atom_keys = b"\x83t\0\0\0\x02d\0\x02opa\x01d\0\x01dd\0\x03nil"
        compressed = b"\x83P\0\0\0\x02x\x9c\x4b\x64\x00\x00\x00\xc4\x00\x63"
        deep = b"\x83t\0\0\0\x02m\0\0\0\x02opa\x01m\0\0\0\x01d" + b"h\x01" * 2000
        counted = b"\x83l" + struct.pack(">I", 0xFFFFFFFF) + b"a\x01j"
        for opcode, raw in itertools.chain(
            ((BINARY, raw) for raw in (b"", b"\x83", b"{}", atom_keys, compressed, deep, counted, b"\x83a\x01")),
            [(TEXT, b'{"op":1,"d":null}')],
        ):
            for pair in ("encoding=etf", "encoding=etf&compress=zlib-stream", "encoding=etf&compress=zstd-stream"):
                with self.subTest(raw=raw[:20], pair=pair):
                    connection = self.gateway(f"?v=10&{pair}")
                    connection.socket.send(opcode, raw)
                    self.assertEqual(connection.closed(), 4002)

    def test_what_is_not_offered(self):
        for query in ("?v=10&encoding=xml", "?v=10&encoding=json&compress=gzip"):
            with self.subTest(query=query), self.assertRaises(Exception) as refused:
                self.gateway(query)
            self.assertEqual(refused.exception.code, 400)

    def test_payload_compression(self):
        """READY and what is long comes as a zlib stream of its own, the rest as text; RESUME keeps to it."""
        reference, connection = self.plain(), self.begin("?v=10&encoding=json", compress=True)
        self.assertGreaterEqual(connection.binary, 1 + len(connection.ready["guilds"]))
        before = connection.binary
        for text in ("short", "long" * 500):
            self.say(text)
            for each in (reference, connection):
                each.event("MESSAGE_CREATE", content=text)
        self.assertEqual(connection.binary, before + 1)
        self.same(connection, reference)
        connection.socket.drop()
        self.say("missed" * 300)
        new = self.connect(connection.ready["resume_gateway_url"])
        new.resume(self.seed.tokens["pingbot"], connection.ready["session_id"], connection.seq)
        new.event("RESUMED")
        self.assertEqual((new.binary, len(new.events)), (1, 2))

    def test_payload_compression_elsewhere(self):
        """It is for plain JSON only: eris and discord.py ask for it beside transport compression."""
        for pair in PAIRS[1:]:
            with self.subTest(pair=pair):
                connection = self.begin(f"?v=10&{pair}", compress=True)
                self.say("not twice" * 200)
                connection.event("MESSAGE_CREATE", content="not twice" * 200)
                self.assertEqual(connection.binary, 0)


class OwnContexts(Encodings):
    """The same with a compressor for each connection."""

    arguments = ("--compression-contexts", "on")

    def test_ratio(self):
        sizes = {}
        for pair in PAIRS[:3]:
            connection = self.begin(f"?v=10&{pair}")
            connection.bytes = 0
            for number in range(20):
                self.say(f"message {number}")
            connection.event("MESSAGE_CREATE", content="message 19")
            sizes[pair] = connection.bytes
        plain, zlib, zstd = sizes.values()
        self.assertLess(zlib * 3, plain)
        self.assertLess(zstd * 3, plain)


if __name__ == "__main__":
    unittest.main()
