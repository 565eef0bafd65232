"""The whole picture on real servers: a person's !ping goes api -> PostgreSQL and RabbitMQ -> gateway -> shard -> Redis
and RabbitMQ -> C worker -> rest-proxy -> api -> gateway, and the pong is heard on the person's own connection."""

import json
import time
import unittest

from person import CHANNEL, GUILD, PINGBOT, Person, Stack, http, wait_until

stack = alice = None


def setUpModule():
    global stack, alice
    stack = Stack()
    unittest.addModuleCleanup(lambda: stack.stop())
    stack.start()
    alice = Person(stack)
    unittest.addModuleCleanup(alice.close)


class Picture(unittest.TestCase):
    def test_01_ping_is_answered_once(self):
        ping = alice.say("!ping")
        pong = alice.hears_pongs(ping)[0]
        self.assertIn("pong", pong["content"])
        self.assertEqual(pong["channel_id"], CHANNEL["general"])
        self.assertTrue(pong["author"]["bot"])
        time.sleep(1)
        self.assertEqual(len(alice.pongs(ping)), 1, "two workers, one answer")
        self.assertEqual([message["id"] for message in alice.history(ping["id"])], [pong["id"]])
        self.assertEqual(len(alice.seen("MESSAGE_CREATE", id=ping["id"])), 1)

    def test_02_a_burst_is_answered_whole(self):
        first = alice.say("!ping")
        for _ in range(7):
            alice.say("!ping")
        alice.hears_pongs(first, 8, 60)
        time.sleep(1)
        self.assertEqual(len(alice.pongs(first)), 8)

    def test_03_who_may_not_see_a_channel_hears_nothing(self):
        bob = Person(stack, "bob")
        self.addCleanup(bob.close)
        email = f"carol{time.time_ns()}@example.test"
        status, answer, _ = http("POST", f"{stack.api_url}/v10/auth/register", None, {
            "username": f"carol{time.time_ns()}"[:30], "email": email, "password": "a long enough pass phrase",
            "date_of_birth": "1990-01-01", "consent": True})
        self.assertIn(status, (200, 201), answer)
        carol = answer["token"]
        said = alice.say("between us", "mods-only")
        bob.hears("MESSAGE_CREATE", id=said["id"])
        status, answer, _ = http("GET", f"{stack.api_url}/v10/channels/{CHANNEL['mods-only']}/messages", carol)
        self.assertEqual((status, answer["code"]), (403, 50001))
        status, answer, _ = http("POST", f"{stack.api_url}/v10/channels/{CHANNEL['general']}/messages", carol,
                                 {"content": "let me in"})
        self.assertEqual((status, answer["code"]), (403, 50001))

    def test_04_bad_input_gets_the_documented_error(self):
        messages = f"/channels/{CHANNEL['general']}/messages"
        cases = [
            ("broken JSON", "POST", messages, b'{"content": ', 400, 50109),
            ("empty message", "POST", messages, {}, 400, 50006),
            ("wrong type", "POST", messages, {"content": {"a": 1}}, 400, 50035),
            ("too long", "POST", messages, {"content": "x" * 4001}, 400, 50035),
            ("unknown channel", "GET", "/channels/100000000000009999/messages", None, 404, 10003),
            ("not a snowflake", "GET", "/channels/abc/messages", None, 400, 50035),
            ("unknown message", "GET", f"{messages}/100000000000009999", None, 404, 10008),
            ("unknown guild", "GET", "/guilds/100000000000009999", None, 404, 10004),
        ]
        for what, method, path, body, status, code in cases:
            with self.subTest(what):
                answer = alice.patient(method, path, body)
                self.assertEqual((answer[0], answer[1]["code"]), (status, code), answer)
        status, answer, _ = http("GET", f"{stack.api_url}/v10/users/@me", "not.a.token")
        self.assertEqual((status, answer["code"]), (401, 0))
        status, answer, _ = http("GET", f"{stack.api_url}/v10/users/@me", None)
        self.assertEqual(status, 401)

    def test_05_every_process_tells_how_it_is(self):
        bases = {process.name: process.ready for process in stack.processes if process.ready}
        self.assertGreaterEqual(len(bases), 6)
        for name, ready in bases.items():
            url = ready.get("admin") or ready.get("api_url") or ready.get("proxy_url") or ready.get("gateway_url")
            base = "http://" + url.split("://")[-1].split("/")[0]
            for page, part in (("/healthz", ""), ("/readyz", ""), ("/metrics", "# TYPE ")):
                with self.subTest(f"{name} {page}"):
                    status, text, _ = http("GET", base + page)
                    self.assertEqual(status, 200, text)
                    self.assertIn(part, text if isinstance(text, str) else json.dumps(text))

    def test_06_the_bot_speaks_through_the_proxy(self):
        token = "Bot " + stack.bot("pingbot")["token"]
        status, me, _ = http("GET", f"{stack.proxy_url}/v10/users/@me", token)
        self.assertEqual((status, me["id"]), (200, PINGBOT))
        status, guild, _ = http("GET", f"{stack.proxy_url}/v10/guilds/{GUILD}", token)
        self.assertEqual((status, guild["name"]), (200, "Demo"))

    def test_07_a_second_worker_takes_over(self):
        # Which worker holds the channel's partition is not known here: each is killed in turn.
        for number in (0, 1):
            with self.subTest(f"worker {number} killed"):
                stack.worker[number].kill()
                ping = alice.say("!ping")
                alice.hears_pongs(ping, 1, 45)
                stack.worker[number].start(wait=False)
                wait_until(stack.worker[number].running)
                alice.hears_pongs(alice.say("!ping"), 1, 45)

    def test_08_no_worker_then_one(self):
        for worker in stack.worker:
            worker.kill()
        ping = alice.say("!ping")
        time.sleep(2)
        self.assertEqual(alice.pongs(ping), [])
        stack.worker[0].start(wait=False)
        alice.hears_pongs(ping, 1, 45)
        stack.worker[1].start(wait=False)


if __name__ == "__main__":
    unittest.main()
