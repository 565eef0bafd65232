"""Rate limits: headers, 429 bodies, the global limit, and that nothing sent within the rules is refused."""
import concurrent.futures
import time
import unittest

from case import Case

HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-Reset-After", "X-RateLimit-Bucket")


class Limits(Case):
    limits = None  # as started without the option

    def burst(self, channel, count=20):
        path = f"/channels/{self.seed.channels[channel]}/messages"
        for number in range(count):
            answer = self.call.once(self.bot, "POST", path, {"content": f"n {number}"})
            if answer.status == 429:
                return answer
        self.fail("no 429")

    def test_headers(self):
        answers = [self.call(self.bot, "GET", f"/channels/{self.general}") for _ in range(2)]
        for answer in answers:
            for name in HEADERS:
                self.assertIn(name, answer.headers)
        first, second = (int(answer.headers["X-RateLimit-Remaining"]) for answer in answers)
        self.assertEqual(first - second, 1)
        self.assertEqual(answers[0].headers["X-RateLimit-Bucket"], answers[1].headers["X-RateLimit-Bucket"])
        reset, after = (float(answers[1].headers[name]) for name in HEADERS[2:4])
        self.assertAlmostEqual(reset - time.time(), after, delta=1.0)

    def test_headers_on_errors(self):
        answer = self.call(self.bot, "GET", f"{self.messages}/1258291200000000001")
        self.assertEqual(answer.status, 404)
        for name in HEADERS:
            self.assertIn(name, answer.headers)

    def test_429(self):
        answer = self.burst("burst")
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertTrue(answer.headers["Via"], "discord.py raises on a 429 without it")
        self.assertEqual(answer.headers["X-RateLimit-Remaining"], "0")
        self.assertEqual(answer.headers["X-RateLimit-Scope"], "user")
        self.assertNotIn("X-RateLimit-Global", answer.headers)
        self.assertIs(answer.body["global"], False)
        self.assertTrue(answer.body["message"])
        wait = answer.body["retry_after"]
        self.assertIsInstance(wait, float)
        self.assertTrue(0 < wait <= 5, wait)
        self.assertGreaterEqual(float(answer.headers["Retry-After"]), wait - 0.001)
        self.assertGreaterEqual(float(answer.headers["X-RateLimit-Reset-After"]), wait - 0.01)
        time.sleep(wait)
        path = f"/channels/{self.seed.channels['burst']}/messages"
        self.assertEqual(self.call.once(self.bot, "POST", path, {"content": "after"}).status, 200)

    def test_buckets_are_apart(self):
        self.burst("resume")
        other = self.call.once(self.bot, "POST", f"/channels/{self.seed.room(1)}/messages", {"content": "other channel"})
        self.assertEqual(other.status, 200, other)
        path = f"/channels/{self.seed.channels['resume']}/messages"
        person = self.call.once(self.alice, "POST", path, {"content": "other user"})
        self.assertEqual(person.status, 200, person)

    def test_global(self):
        """More than 50 requests a second of one bot, spread over buckets, meet the global limit."""
        bot = "Bot " + self.seed.tokens["quietbot"]
        paths = [f"/users/{user}" for user in self.seed.users.values()]
        paths += [f"/channels/{channel}" for channel in self.seed.channels.values()] + ["/users/@me", "/gateway/bot"]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: self.call.once(bot, "GET", paths[n % len(paths)]), range(160)))
        limited = [answer for answer in answers if answer.status == 429 and answer.body["global"]]
        self.assertTrue(limited, "no global 429")
        self.assertEqual(limited[0].headers["X-RateLimit-Global"], "true")
        self.assertEqual(limited[0].headers["X-RateLimit-Scope"], "global")
        self.assertLessEqual(limited[0].body["retry_after"], 1.0)
        time.sleep(1.1)

    def test_many_wrong_tokens_do_not_stop_others(self):
        for number in range(30):
            self.assertIn(self.call.once(f"Bot wrong{number}", "GET", "/users/@me").status, (401, 429))
        self.assertEqual(self.call(self.bot, "GET", "/users/@me").status, 200)

    def test_identify_too_soon(self):
        """Refused with op 9, not so fast that a client that asks again at once (eris) spends its sends."""
        token, refusals = self.seed.tokens["quietbot"], 0
        self.session("quietbot", 0)
        late = self.gateway()
        late.identify(token)
        while (packet := late.receive(8))["op"] == 9:
            self.assertIs(packet["d"], False)
            refusals += 1
            late.identify(token)
        self.assertEqual(packet["t"], "READY")
        self.assertIn(refusals, range(1, 8))

    def test_identify_limit(self):
        limit = self.call(self.bot, "GET", "/gateway/bot").body["session_start_limit"]
        before = limit["remaining"]
        self.session(intents=0).socket.drop()
        after = self.call(self.bot, "GET", "/gateway/bot").body["session_start_limit"]
        self.assertEqual(after["remaining"], before - 1)
        self.assertGreaterEqual(limit["max_concurrency"], 1)


class NoLimits(Case):
    def test_no_429(self):
        for number in range(30):
            self.assertEqual(self.call.once(self.bot, "POST", self.messages, {"content": f"free {number}"}).status, 200)


if __name__ == "__main__":
    unittest.main()
