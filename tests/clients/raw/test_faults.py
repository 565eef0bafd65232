"""HTTP that fails on request, the clock of the rate limits, and limits switched while the server runs."""
import http.client
import time
import unittest

import steer
from case import GUILDS, Case

GONE = (http.client.RemoteDisconnected, ConnectionResetError)


class FaultCase(Case):
    def setUp(self):
        self.control = self.server_control()
        self.control("POST", "/reset")
        self.addCleanup(self.control, "POST", "/reset")

    def misbehave(self, **rule):
        return self.control("POST", "/http", **rule)

    def rules(self):
        return [rule for answer in self.control("GET", "/http") for rule in answer["rules"]]

    def me(self, token=None):
        """GET /users/@me on a new connection: the client must not repeat it by itself."""
        self.call.close()
        return self.call.once(token or self.bot, "GET", "/users/@me")


class Answers(FaultCase):
    def test_server_errors(self):
        for status in (500, 502, 503):
            with self.subTest(status=status):
                self.misbehave(answer=status)
                answer = self.me()
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.body["code"], 0)
                self.assertIn(str(status), answer.body["message"])
                self.assertEqual(self.me().status, 200)

    def test_429_as_discord_sends_it(self):
        for scope in ("user", "global", "shared"):
            with self.subTest(scope=scope):
                self.misbehave(answer=429, scope=scope, retry_after_ms=1500)
                answer = self.me()
                self.assertEqual(answer.status, 429)
                self.assertEqual(answer.body["retry_after"], 1.5)
                self.assertEqual(answer.body["global"], scope == "global")
                self.assertEqual(answer.headers["X-RateLimit-Scope"], scope)
                self.assertEqual(answer.headers["X-RateLimit-Global"], "true" if scope == "global" else None)
                self.assertEqual(answer.headers["X-RateLimit-Remaining"], "0")
                self.assertEqual(answer.headers["X-RateLimit-Reset-After"], "1.500")
                self.assertEqual(answer.headers["Retry-After"], "2")
                self.assertTrue(answer.headers["Via"])
                self.assertEqual(answer.headers["X-RateLimit-Bucket"], self.me().headers["X-RateLimit-Bucket"])

    def test_number_method_path_user(self):
        self.misbehave(answer=500, count=2, method="POST", path="/channels/*/messages", user=self.seed.users["alice"])
        self.assertEqual(self.me().status, 200)
        self.assertEqual(self.call.once(self.alice, "GET", self.messages).status, 200)
        self.assertEqual(self.call.once(self.bob, "POST", self.messages, {"content": "x"}).status, 200)
        statuses = [self.call.once(self.alice, "POST", self.messages, {"content": "x"}).status for _ in range(3)]
        self.assertEqual(statuses, [500, 500, 200])
        self.assertEqual(self.rules(), [])

    def test_patterns(self):
        for pattern, fits in (
            ("/users/@me", True), ("/users/*", True), ("/**", True), ("/*", False), ("/users/@m", False),
            ("/users/@me/*", False), ("/u**me", True), ("*", False), ("**", True), ("/*/*", True),
        ):
            with self.subTest(pattern=pattern):
                self.misbehave(answer=503, path=pattern)
                self.assertEqual(self.me().status, 503 if fits else 200)
                self.control("POST", "/http/clear")

    def test_for_a_time(self):
        self.misbehave(answer=502, for_ms=700)
        begun = time.monotonic()
        self.assertEqual([self.me().status for _ in range(3)], [502] * 3)
        self.assertEqual(self.rules()[0]["hits"], 3)
        while self.me().status == 502:
            self.assertLess(time.monotonic() - begun, 20)
        self.assertGreaterEqual(time.monotonic() - begun, 0.6)

    def test_delay(self):
        self.misbehave(delay_ms=500)
        begun = time.monotonic()
        self.assertEqual(self.me().status, 200)
        self.assertGreaterEqual(time.monotonic() - begun, 0.45)

    def test_cut(self):
        for how in ("reset", "end"):
            with self.subTest(how=how):
                self.misbehave(cut=how)
                with self.assertRaises(GONE) as problem:
                    self.me()
                self.assertEqual(problem.exception.__class__ is ConnectionResetError, how == "reset")
                self.assertEqual(self.me().status, 200)

    def test_after_it_was_carried_out(self):
        """The message is there although its answer never came, or was a 500."""
        for name, rule in (("lost", {"cut": "end"}), ("denied", {"answer": 500})):
            with self.subTest(rule=rule):
                self.misbehave(after=True, method="POST", **rule)
                self.call.close()
                try:
                    self.assertEqual(self.call.once(self.alice, "POST", self.messages, {"content": name}).status, 500)
                except GONE:
                    self.assertEqual(name, "lost")
                latest = self.call(self.alice, "GET", self.messages + "?limit=1").body[0]
                self.assertEqual(latest["content"], name)

    def test_reset_forgets(self):
        self.misbehave(answer=500, count=100)
        self.control("POST", "/reset")
        self.assertEqual(self.me().status, 200)

    def test_mistakes_are_told(self):
        for rule in ({}, {"answer": 200}, {"answer": 500, "cut": "end"}, {"cut": "maybe"}, {"answer": 429, "scope": "x"},
                     {"delay_ms": 0}, {"answer": 500, "cont": 1}, {"answer": 500, "path": "/*/*/*/*/*"}):
            with self.subTest(rule=rule), self.assertRaises(steer.Refused) as refusal:
                self.misbehave(**rule)
            self.assertEqual(refusal.exception.status, 400)


class Buckets(FaultCase):
    limits = True
    arguments = ("--identify-concurrency", "1")

    def setUp(self):
        super().setUp()
        self.control("POST", "/buckets/advance", all=True)

    def until_429(self, channel):
        for number in range(60):
            answer = self.call.once(self.bot, "POST", f"/channels/{channel}/messages", {"content": str(number)})
            if answer.status == 429:
                return answer
        self.fail("no 429 in 60 requests")

    def test_a_bucket_resets_now(self):
        burst = self.seed.channels["burst"]
        limited = self.until_429(burst)
        bucket = limited.headers["X-RateLimit-Bucket"]
        buckets = [one for answer in self.control("GET", "/buckets", key=bucket) for one in answer["buckets"]]
        mine = next(one for one in buckets if burst in one["key"])
        self.assertEqual(mine["kind"], "route")
        self.assertGreater(mine["reset_after_ms"], 0)
        self.control("POST", "/buckets/advance", key=bucket)
        answer = self.call.once(self.bot, "POST", f"/channels/{burst}/messages", {"content": "at once"})
        self.assertEqual(answer.status, 200)

    def test_the_clock_goes_on(self):
        wait = self.until_429(self.general).body["retry_after"]
        self.control("POST", "/buckets/advance", user=self.seed.bots["pingbot"], ms=1000)
        after = self.call.once(self.bot, "POST", self.messages, {"content": "soon"})
        self.assertEqual(after.status, 429)
        self.assertLessEqual(after.body["retry_after"], wait - 0.9)

    def test_identify_buckets(self):
        """A second IDENTIFY within 5 s is refused, unless their clock is advanced."""
        bot = self.seed.bots["pingbot"]
        self.session(intents=GUILDS)
        kinds = {one["kind"] for answer in self.control("GET", "/buckets", user=bot) for one in answer["buckets"]}
        self.assertLessEqual({"identify", "session starts"}, kinds)
        self.control("POST", "/buckets/advance", user=bot)
        self.session(intents=GUILDS)
        again = self.gateway()
        again.identify(self.seed.tokens["pingbot"], GUILDS)
        self.assertEqual(again.receive(15)["op"], 9)

    def test_sends_of_a_connection(self):
        connection = self.session(intents=GUILDS)
        for _ in range(110):
            connection.send(1, None)
        for _ in range(110):
            connection.until("ack", lambda packet: packet["op"] == 11)
        self.control("POST", "/buckets/advance", user=self.seed.bots["pingbot"])
        for _ in range(100):
            connection.send(1, None)
        for _ in range(100):
            connection.until("ack", lambda packet: packet["op"] == 11)

    def test_limits_switched(self):
        self.until_429(self.general)
        self.control("POST", "/limits", on=False)
        for number in range(15):
            answer = self.call.once(self.bot, "POST", self.messages, {"content": str(number)})
            self.assertEqual(answer.status, 200)
        for _ in range(2):
            self.session(intents=GUILDS)
        self.control("POST", "/limits", on=True)
        self.until_429(self.general)
        self.control("POST", "/limits", on=False)
        self.control("POST", "/reset")
        self.until_429(self.general)

    def test_without_saying_which(self):
        with self.assertRaises(steer.Refused):
            self.control("POST", "/buckets/advance")


if __name__ == "__main__":
    unittest.main()
