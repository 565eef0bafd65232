"""RESUME: every event exactly once and in order, whatever happens to the socket."""
import threading
import unittest

from case import CONTENT, GUILDS, MESSAGES, Case
from wire import Closed


class Resume(Case):
    def resumed(self, old, seq=None, token=None):
        connection = self.connect(old.ready["resume_gateway_url"])
        connection.resume(token or self.seed.tokens["pingbot"], old.ready["session_id"], old.seq if seq is None else seq)
        return connection

    def contents(self, connection):
        return [event["d"]["content"] for event in connection.events if event["t"] == "MESSAGE_CREATE"]

    def test_replay(self):
        old = self.session()
        self.say("before")
        old.event("MESSAGE_CREATE", content="before")
        old.socket.drop()
        for number in range(5):
            self.say(f"missed {number}")
        new = self.resumed(old)
        new.event("RESUMED")
        self.say("after")
        new.event("MESSAGE_CREATE", content="after")
        self.assertEqual(self.contents(new), [f"missed {number}" for number in range(5)] + ["after"])
        self.assertEqual([event["s"] for event in new.events], list(range(old.seq + 1, new.seq + 1)))
        self.assertIsInstance(next(e["d"] for e in new.events if e["t"] == "RESUMED"), dict)

    def test_again_and_again(self):
        connection, got = self.session(), []
        for turn in range(6):
            connection.socket.drop(reset=turn % 2 == 0)
            self.say(f"turn {turn}")
            session, seq = connection.ready, connection.seq
            connection = self.connect(session["resume_gateway_url"])
            connection.ready, connection.seq = session, seq
            connection.resume(self.seed.tokens["pingbot"], session["session_id"], seq)
            connection.event("RESUMED")
            got += self.contents(connection)
        self.assertEqual(got, [f"turn {turn}" for turn in range(6)])

    def test_from_the_middle(self):
        """A client that saw less than the server sent gets the rest again, with the same numbers."""
        old = self.session()
        start = old.seq
        for number in range(6):
            self.say(f"line {number}")
        old.event("MESSAGE_CREATE", content="line 5")
        old.socket.drop()
        new = self.resumed(old, seq=start + 2)
        new.event("RESUMED")
        replayed = [(event["s"], event["d"]["content"]) for event in new.events if event["t"] == "MESSAGE_CREATE"]
        self.assertEqual(replayed, [(start + 1 + n, f"line {n}") for n in range(2, 6)])

    def test_while_the_old_socket_lives(self):
        old = self.session()
        new = self.resumed(old)
        new.event("RESUMED")
        self.say("to the new one")
        new.event("MESSAGE_CREATE", content="to the new one")
        old.events.clear()
        try:
            while True:
                old.receive(2)
        except (Closed, TimeoutError):
            pass
        self.assertEqual(self.contents(old), [])

    def test_under_load(self):
        """Cut at random moments while two people write without a pause."""
        connection = self.session()
        count = 150
        writers = [
            threading.Thread(target=lambda token=token, name=name: [self.say(f"{name} {n}", token=token) for n in range(count)])
            for name, token in (("a", self.alice), ("b", self.bob))
        ]
        for writer in writers:
            writer.start()
        got = []
        while len(got) < 2 * count:
            try:
                for _ in range(17):
                    packet = connection.receive(5)
                    if packet["t"] == "MESSAGE_CREATE":
                        got.append(packet["d"]["content"])
                    if len(got) == 2 * count:
                        break
            except TimeoutError:
                break
            session, seq = connection.ready, connection.seq
            connection.socket.drop(reset=len(got) % 2 == 0)
            connection = self.connect(session["resume_gateway_url"])
            connection.ready, connection.seq = session, seq
            connection.resume(self.seed.tokens["pingbot"], session["session_id"], seq)
        for writer in writers:
            writer.join()
        for name in "ab":
            self.assertEqual([one for one in got if one[0] == name], [f"{name} {n}" for n in range(count)])

    def test_unknown_session(self):
        connection = self.gateway()
        connection.resume(self.seed.tokens["pingbot"], "0" * 32, 5)
        packet = connection.receive()
        self.assertEqual((packet["op"], packet["d"]), (9, False))
        connection.log_in(self.seed.tokens["pingbot"], GUILDS)  # eris identifies on the same connection

    def test_somebody_elses_session(self):
        old = self.session()
        for token in (self.seed.tokens["quietbot"], self.seed.tokens["alice"]):
            other = self.resumed(old, token=token)
            packet = other.receive()
            self.assertEqual((packet["op"], packet["d"]), (9, False))
        self.say("still mine")
        old.event("MESSAGE_CREATE", content="still mine")

    def test_wrong_token(self):
        old = self.session()
        self.assertEqual(self.resumed(old, token="nonsense").closed(), 4004)

    def test_seq_zero(self):
        """eris resumes with 0 after 4007: a full replay or op 9, never a loop of closes."""
        old = self.session()
        old.socket.drop()
        packet = self.resumed(old, seq=0).receive()
        self.assertIn((packet["op"], packet.get("t")), ((9, None), (0, "READY")))

    def test_clean_close_ends_the_session(self):
        old = self.session()
        old.socket.send(8, (1000).to_bytes(2, "big"))
        old.closed()
        packet = self.resumed(old).receive()
        self.assertEqual((packet["op"], packet["d"]), (9, False))

    def test_other_close_codes_keep_it(self):
        for code in (4000, 4200, 4901, 3000):
            with self.subTest(code=code):
                old = self.session()
                old.socket.send(8, code.to_bytes(2, "big"))
                old.closed()
                self.resumed(old).event("RESUMED")

    def test_zlib_after_plain(self):
        old = self.session()
        old.socket.drop()
        self.say("pressed")
        new = self.connect(old.ready["resume_gateway_url"], "?v=10&encoding=json&compress=zlib-stream")
        new.resume(self.seed.tokens["pingbot"], old.ready["session_id"], old.seq)
        new.event("MESSAGE_CREATE", content="pressed")

    def test_intents_stay(self):
        old = self.session(intents=GUILDS | MESSAGES)  # without MESSAGE_CONTENT
        old.socket.drop()
        said = self.say("not for reading")
        self.assertEqual(self.resumed(old).event("MESSAGE_CREATE", id=said["id"])["content"], "")


if __name__ == "__main__":
    unittest.main()
