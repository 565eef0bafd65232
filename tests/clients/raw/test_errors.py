"""What bad requests are answered with: Discord's statuses, codes and the tree of `errors`."""
import http.client
import json
import unittest

from case import Case


class Errors(Case):
    def test_no_token(self):
        self.refused(self.call(None, "GET", "/users/@me"), 401, 0)

    def test_wrong_tokens(self):
        for token in ("nonsense", "Bot nonsense", "Bot " + self.alice[:-1] + "x", "Bearer x.y.z", "Bot "):
            with self.subTest(token=token):
                self.refused(self.call(token, "GET", "/users/@me"), 401, 0)

    def test_unknown_route(self):
        self.refused(self.call(self.bot, "GET", "/no/such/route"), 404, 0)

    def test_wrong_method(self):
        self.refused(self.call(self.bot, "PATCH", "/gateway/bot", {}), 405, 0)

    def test_versions(self):
        host, port = self.call.url.hostname, self.call.url.port
        for prefix, status in (("/api", 200), ("/api/v9", 200), ("/api/v10", 200), ("/api/v3", 400)):
            with self.subTest(prefix=prefix):
                connection = http.client.HTTPConnection(host, port, timeout=10)
                connection.request("GET", prefix + "/users/@me", headers={"Authorization": self.bot})
                response = connection.getresponse()
                body = json.loads(response.read())
                self.assertEqual(response.status, status, body)
                if status == 400:
                    self.assertEqual(body["code"], 50041)
                connection.close()

    def test_unknown_things(self):
        nobody = "1258291200000000001"
        for path, code in (
            (f"/channels/{nobody}", 10003),
            (f"/channels/{nobody}/messages", 10003),
            (f"{self.messages}/{nobody}", 10008),
            (f"/guilds/{nobody}", 10004),
            (f"/guilds/{self.guild}/members/{nobody}", (10007, 10013)),
            (f"/users/{nobody}", 10013),
            ("/invites/nosuchinvite", 10006),
        ):
            with self.subTest(path=path):
                answer = self.call(self.bot, "GET", path)
                self.assertEqual(answer.status, 404, answer)
                self.assertIn(answer.body["code"], code if isinstance(code, tuple) else (code,))

    def test_ids_that_are_none(self):
        for path in ("/channels/abc", "/guilds/12x", "/channels/99999999999999999999999999/messages"):
            with self.subTest(path=path):
                answer = self.call(self.bot, "GET", path)
                self.assertIn((answer.status, answer.body["code"]), ((400, 50035), (404, 0)), answer)

    def test_not_a_member(self):
        answer = self.call(self.carol, "GET", f"/guilds/{self.guild}")
        self.assertIn((answer.status, answer.body["code"]), ((403, 50001), (404, 10004)), answer)
        self.refused(self.call(self.carol, "GET", self.messages), 403, 50001)

    def test_missing_permission(self):
        self.refused(self.call(self.bob, "POST", f"/guilds/{self.guild}/channels", {"name": "x"}), 403, 50013)
        self.refused(self.call(self.quiet, "PATCH", f"/channels/{self.general}", {"topic": "x"}), 403, 50013)
        self.refused(self.call(self.bob, "DELETE", f"/guilds/{self.guild}"), 403, 50013)

    def test_hidden_channel(self):
        for method, path, body in (
            ("GET", f"/channels/{self.secret}", None),
            ("GET", f"/channels/{self.secret}/messages", None),
            ("POST", f"/channels/{self.secret}/messages", {"content": "x"}),
        ):
            with self.subTest(path=path, method=method):
                self.refused(self.call(self.bot, method, path, body), 403, 50001)
        listed = self.call(self.bot, "GET", f"/guilds/{self.guild}/channels").body
        self.assertNotIn(self.secret, [channel["id"] for channel in listed])

    def test_foreign_message(self):
        message = self.say("mine")
        self.refused(self.call(self.bob, "PATCH", f"{self.messages}/{message['id']}", {"content": "his"}), 403, 50005)
        self.refused(self.call(self.quiet, "DELETE", f"{self.messages}/{message['id']}"), 403, 50013)

    def test_broken_json(self):
        head = {"Content-Type": "application/json"}
        for raw in (b"{", b'{"content":', b"\xff\xfe", b"[1,2", b'{"content":"x"} trailing', b"nul"):
            with self.subTest(raw=raw):
                answer = self.call(self.bot, "POST", self.messages, raw=raw, headers=head)
                self.refused(answer, 400, 50109)

    def test_deep_json(self):
        head = {"Content-Type": "application/json"}
        raw = b'{"content":"x","embeds":' + b"[" * 500 + b"]" * 500 + b"}"
        answer = self.call(self.bot, "POST", self.messages, raw=raw, headers=head)
        self.assertEqual(answer.status, 400, answer)
        self.assertIn(answer.body["code"], (50109, 50035))

    def test_wrong_types(self):
        for body, field in (
            ({"content": {"a": 1}}, "content"),
            ({"content": "x", "tts": "maybe"}, "tts"),
            ({"content": "x", "embeds": "no"}, "embeds"),
            ({"content": "x" * 2001}, "content"),
            ({"content": "x", "message_reference": {"message_id": "abc"}}, "message_reference"),
        ):
            with self.subTest(body=str(body)[:60]):
                problem = self.refused(self.call(self.bot, "POST", self.messages, body), 400, 50035)
                self.assertIn(field, problem["errors"], problem)

    def test_errors_tree(self):
        body = {"content": "x" * 2001, "embeds": [{"title": "ok"}, {"title": "y" * 257}]}
        problem = self.refused(self.call(self.bot, "POST", self.messages, body), 400, 50035)
        leaf = problem["errors"]["embeds"]["1"]["title"]["_errors"][0]
        self.assertEqual(leaf["code"], "BASE_TYPE_MAX_LENGTH")
        self.assertIn("256", leaf["message"])
        self.assertEqual(problem["errors"]["content"]["_errors"][0]["code"], "BASE_TYPE_MAX_LENGTH")

    def test_body_that_is_no_object(self):
        for body in ([], "text", 7):
            with self.subTest(body=body):
                answer = self.call(self.bot, "POST", self.messages, body)
                self.assertEqual(answer.status, 400, answer)

    def test_empty_message(self):
        for body in ({}, {"content": ""}, {"content": "   "}, {"content": None}, {"embeds": []}):
            with self.subTest(body=body):
                self.refused(self.call(self.bot, "POST", self.messages, body), 400, 50006)

    def test_reply_to_nothing(self):
        reference = {"message_id": "1258291200000000001"}
        answer = self.call(self.bot, "POST", self.messages, {"content": "x", "message_reference": reference})
        self.refused(answer, 400, 50035)
        relaxed = {"content": "x", "message_reference": {**reference, "fail_if_not_exists": False}}
        self.assertEqual(self.call(self.bot, "POST", self.messages, relaxed).status, 200)

    def test_unknown_fields_are_ignored(self):
        body = {"content": "x", "no_such_field": {"a": [1]}, "allowedMentions": {}, "sticker_ids": []}
        self.assertEqual(self.call(self.bot, "POST", self.messages, body).status, 200)

    def test_unicode_survives(self):
        text = 'quote " backslash \\ tab \t newline \n nul-free \u2028 emoji 👩‍👩‍👧 rtl \u202e x'
        message = self.say(text)
        self.assertEqual(self.call(self.alice, "GET", f"{self.messages}/{message['id']}").body["content"], text)

    def test_surrogate_pairs_in_escapes(self):
        head = {"Content-Type": "application/json"}
        good = self.call(self.bot, "POST", self.messages, raw=b'{"content":"\\ud83d\\ude00"}', headers=head)
        self.assertEqual(good.body["content"], "😀")
        lone = self.call(self.bot, "POST", self.messages, raw=b'{"content":"\\ud83d"}', headers=head)
        self.assertEqual(lone.status, 400, lone)


if __name__ == "__main__":
    unittest.main()
