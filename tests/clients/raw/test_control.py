"""The control endpoint: sessions are listed and closed, and the server misbehaves towards them on request."""
import json
import subprocess
import time
import unittest

import steer
from case import binary, CONTENT, GUILDS, MESSAGES, Case
from wire import Closed


class ControlCase(Case):
    arguments = ("--heartbeat-interval-ms", "30000")

    def setUp(self):
        self.control = self.server_control()
        self.addCleanup(self.control, "POST", "/reset")

    def resumed(self, old):
        connection = self.connect(old.ready["resume_gateway_url"])
        connection.resume(self.seed.tokens["pingbot"], old.ready["session_id"], old.seq)
        connection.ready = old.ready
        connection.event("RESUMED")
        return connection

    def acked(self, connection, seconds):
        """Whether a heartbeat is answered within so many seconds."""
        connection.send(1, connection.seq)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                if connection.receive(left)["op"] == 11:
                    return True
            except TimeoutError:
                break
        return False


class Door(ControlCase):
    def refused_with(self, status, *args, **more):
        with self.assertRaises(steer.Refused) as refusal:
            steer.call(self.control.urls[-1], *args, **more)
        self.assertEqual(refusal.exception.status, status)
        self.assertTrue(refusal.exception.body["message"])
        return refusal.exception.body["message"]

    def test_not_for_browsers_and_strangers(self):
        secret = self.control.secret
        if secret:
            self.refused_with(401, "GET", "/sessions")
            self.refused_with(401, "GET", "/sessions", secret=secret + "x")
            self.refused_with(401, "GET", "/sessions", secret=secret[:-1])
        else:
            self.refused_with(403, "GET", "/sessions", headers={"Origin": "http://127.0.0.1"})
            self.refused_with(403, "GET", "/sessions", headers={"Host": "rebound.example"})

    def test_mistakes_are_told(self):
        def refused(status, *args):
            return self.refused_with(status, *args, secret=self.control.secret)

        refused(404, "POST", "/sessions/nothing", {})
        refused(405, "POST", "/sessions", {})
        self.assertIn("which sessions", refused(400, "POST", "/sessions/close", {}))
        self.assertIn("cod", refused(400, "POST", "/sessions/close", {"all": True, "cod": 4000}))
        self.assertIn("code", refused(400, "POST", "/sessions/close", {"all": True, "code": 99}))
        self.assertIn("shard", refused(400, "POST", "/sessions/close", {"shard": "first"}))
        self.assertIn("user", refused(400, "POST", "/sessions/close", {"user": "bob"}))

    def test_its_actions_are_listed(self):
        answer = steer.call(self.control.urls[-1], "GET", "", secret=self.control.secret)
        self.assertIn(("POST", "/sessions/close"), [(one["method"], one["path"]) for one in answer["actions"]])


class Ctl(ControlCase):
    """`guildhall ctl`: in the full stack it finds the processes in Redis."""

    def ctl(self, *words):
        """(exit code, stdout, stderr)"""
        server = self.server.server
        if self.control.secret:
            words += ("--redis-url", server.redis_url, "--control-secret", server.control_secret)
        else:
            words += ("--control-url", server.base_url)
        done = subprocess.run([binary(), "ctl", *words], capture_output=True, text=True, timeout=60)
        told = [line for line in done.stderr.splitlines(True) if not line.startswith("==")]  # a sanitizer's greeting
        return done.returncode, done.stdout, "".join(told)

    def test_nodes(self):
        code, out, err = self.ctl("nodes")
        self.assertEqual((code, err), (0, ""))
        lines = [line.split() for line in out.splitlines()]
        self.assertEqual(lines[0][:4], ["NODE", "KIND", "PID", "SINCE_S"])
        stack = self.server.server
        pids = {process.pid for process in (stack.api + stack.gateway if self.control.secret else self.server.processes)}
        self.assertEqual({int(line[2]) for line in lines[1:]}, pids)
        self.assertLessEqual({line[4] for line in lines[1:]}, {"ready"})
        name = next(line[0] for line in lines[1:] if line[1] in ("gateway", "dev"))
        one = self.ctl("nodes", f"node={name}")[1].splitlines()
        if self.control.secret:
            self.assertEqual([line.split()[0] for line in one], ["NODE", name])
            code, out, err = self.ctl("nodes", "node=nobody")
            self.assertEqual((code, out, err), (1, "", "guildhall: no such node\n"))

    def test_sessions(self):
        connection = self.session(shard=[2, 8])
        session = connection.ready["session_id"]
        code, out, err = self.ctl("sessions", f"session={session}")
        self.assertEqual((code, err), (0, ""))
        line = out.splitlines()[1].split()
        self.assertEqual(line[1:4], [session, self.seed.bots["pingbot"], "2/8"])
        as_json = [json.loads(line) for line in self.ctl("sessions", "list", f"session={session}", "json")[1].splitlines()]
        self.assertEqual([one["id"] for answer in as_json for one in answer["sessions"]], [session])
        code, out, err = self.ctl("sessions", "close", f"session={session}", "code=4001")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(connection.closed(), 4001)

    def test_mistakes(self):
        code, _, err = self.ctl("sessions", "close")
        self.assertEqual(code, 1)
        self.assertIn("say which sessions", err)
        self.assertEqual(self.ctl("sessions", "clsoe", "all")[0], 2)
        self.assertEqual(self.ctl("sessions", "close", "all", "cod=1")[0], 1)
        self.assertEqual(self.ctl("drain")[0], 2)

    def test_http_fails(self):
        code, out, err = self.ctl("http", "fail", "answer=502", "path=/users/@me")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(self.call.once(self.bot, "GET", "/users/@me").status, 502)
        self.assertEqual(self.ctl("reset")[0], 0)


class Sessions(ControlCase):
    def test_list(self):
        bot = self.session(shard=[1, 4])
        person = self.session("alice", GUILDS)
        mine = {one["id"]: one for one in self.control.sessions()}
        one = mine[bot.ready["session_id"]]
        self.assertEqual(
            (one["user"], one["bot"], one["shard"], one["shard_count"], one["intents"], one["state"], one["encoding"]),
            (self.seed.bots["pingbot"], True, 1, 4, GUILDS | MESSAGES | CONTENT, "connected", "json"),
        )
        self.assertEqual(one["seq"], bot.seq)
        self.assertEqual(one["address"], "127.0.0.1")
        self.assertGreaterEqual(one["age_ms"], 0)
        self.assertIn("queued_bytes", one)
        self.assertFalse(mine[person.ready["session_id"]]["bot"])
        bot.socket.drop()
        deadline = time.monotonic() + 10
        while self.control.sessions(session=bot.ready["session_id"])[0]["state"] != "detached":
            self.assertLess(time.monotonic(), deadline)

    def test_selection(self):
        first, second = self.session(shard=[0, 2]), self.session(shard=[1, 2])
        other = self.session("quietbot", GUILDS)
        ids = [one.ready["session_id"] for one in (first, second, other)]

        def chosen(**who):
            return [ids.index(one["id"]) for one in self.control.sessions(**who) if one["id"] in ids]

        self.assertEqual(sorted(chosen()), [0, 1, 2])
        self.assertEqual(sorted(chosen(user=self.seed.bots["pingbot"])), [0, 1])
        self.assertEqual(chosen(user=self.seed.bots["pingbot"], shard="1/2"), [1])
        self.assertEqual(chosen(shard=1), [1])
        self.assertEqual(chosen(session=ids[2]), [2])
        self.assertEqual(self.control.sessions(session="0" * 32), [])

    def test_reconnect(self):
        old = self.session()
        self.assertEqual(self.control.do("reconnect", session=old.ready["session_id"]), [old.ready["session_id"]])
        self.assertEqual(old.until("op 7", lambda packet: packet["op"] == 7)["d"], None)
        old.socket.send(8, (4000).to_bytes(2, "big"))
        self.say("while it was away")
        self.resumed(old).quiet(0.1)

    def test_invalidate(self):
        connection = self.session()
        self.control.do("invalidate", session=connection.ready["session_id"])
        self.assertIs(connection.until("op 9", lambda packet: packet["op"] == 9)["d"], False)
        self.assertEqual(self.control.sessions(session=connection.ready["session_id"]), [])
        connection.log_in(self.seed.tokens["pingbot"], GUILDS)

    def test_invalidate_resumable(self):
        connection = self.session()
        session, seq = connection.ready["session_id"], connection.seq
        self.control.do("invalidate", session=session, resumable=True)
        self.assertIs(connection.until("op 9", lambda packet: packet["op"] == 9)["d"], True)
        self.say("in between")
        connection.resume(self.seed.tokens["pingbot"], session, seq)  # on the same socket, as discord.js does
        connection.event("MESSAGE_CREATE", content="in between")
        connection.event("RESUMED")

    def test_drop(self):
        for reset in (True, False):
            with self.subTest(reset=reset):
                old = self.session()
                self.control.do("drop", session=old.ready["session_id"], reset=reset)
                with self.assertRaises(Closed) as end:
                    while True:
                        old.receive()
                self.assertIsNone(end.exception.code)
                self.assertEqual(str(end.exception).endswith("reset"), reset, end.exception)
                self.resumed(old)

    def test_close(self):
        for code in (4000, 4009, 1001):
            with self.subTest(code=code):
                old = self.session()
                self.control.do("close", session=old.ready["session_id"], code=code)
                self.assertEqual(old.closed(), code)
                self.resumed(old)

    def test_close_and_end(self):
        old = self.session()
        self.control.do("close", session=old.ready["session_id"], end=True)
        self.assertEqual(old.closed(), 4000)
        connection = self.connect(old.ready["resume_gateway_url"])
        connection.resume(self.seed.tokens["pingbot"], old.ready["session_id"], old.seq)
        self.assertIs(connection.until("op 9", lambda packet: packet["op"] == 9)["d"], False)

    def test_by_user(self):
        """Only that user's; all of them."""
        mine = [self.session("quietbot", GUILDS), self.session("quietbot", GUILDS)]
        other = self.session()
        ids = self.control.do("close", user=self.seed.bots["quietbot"])
        self.assertLessEqual({one.ready["session_id"] for one in mine}, set(ids))
        self.assertEqual([one.closed() for one in mine], [4000, 4000])
        self.assertTrue(self.acked(other, 5))


class Acks(ControlCase):
    def test_dropped_for_a_number(self):
        connection, other = self.session(), self.session()
        self.control("POST", "/sessions/acks", session=connection.ready["session_id"], count=2)
        self.assertFalse(self.acked(connection, 0.3))
        self.assertTrue(self.acked(other, 5))
        self.assertFalse(self.acked(connection, 0.3))
        self.assertTrue(self.acked(connection, 5))

    def test_dropped_for_a_time(self):
        connection = self.session()
        self.control("POST", "/sessions/acks", session=connection.ready["session_id"], for_ms=1000)
        self.assertFalse(self.acked(connection, 0.3))
        time.sleep(1)
        self.assertTrue(self.acked(connection, 5))

    def test_of_a_user_until_reset(self):
        connection = self.session("quietbot", GUILDS)
        self.control("POST", "/sessions/acks", user=self.seed.bots["quietbot"])
        self.assertFalse(self.acked(connection, 0.3))
        self.control("POST", "/reset")
        self.assertTrue(self.acked(connection, 5))

    def test_delayed(self):
        connection = self.session()
        self.control("POST", "/sessions/acks", all=True, delay_ms=700, count=1)
        begun = time.monotonic()
        self.assertTrue(self.acked(connection, 10))
        self.assertGreater(time.monotonic() - begun, 0.6)
        begun = time.monotonic()
        self.assertTrue(self.acked(connection, 10))

    def test_delayed_beyond_the_connection(self):
        """The ACK of a connection that is over goes nowhere."""
        connection = self.session()
        self.control("POST", "/sessions/acks", session=connection.ready["session_id"], delay_ms=200)
        connection.send(1, None)
        connection.socket.drop(reset=True)
        time.sleep(0.4)
        self.assertTrue(self.acked(self.session(), 5))


if __name__ == "__main__":
    unittest.main()
