"""The gateway in the open: handshake, close codes, intents, visibility, heartbeats, shards."""
import json
import time
import unittest

from case import CONTENT, DIRECT, GUILDS, MEMBERS, MESSAGES, REACTIONS, TYPING, Case
from wire import BINARY, PING, PONG, TEXT, Closed


class Handshake(Case):
    def test_hello(self):
        connection = self.gateway()
        self.assertEqual(connection.hello["d"]["heartbeat_interval"], 41250)
        self.assertEqual(connection.socket.with_handshake, 0, "HELLO came in the segment of the 101")

    def test_paths(self):
        base = self.server.gateway_url[: self.server.gateway_url.index("/", 6)]
        for path in ("/gateway", "/gateway/", "/", ""):
            with self.subTest(path=path):
                self.assertEqual(self.connect(base + path).hello["op"], 10)

    def test_ready(self):
        connection = self.session(shard=[0, 1])
        ready = connection.ready
        self.assertEqual(ready["v"], 10)
        self.assertEqual(ready["user"]["id"], self.seed.bots["pingbot"])
        self.assertIs(ready["user"]["bot"], True)
        self.assertEqual(ready["shard"], [0, 1])
        self.assertEqual(ready["application"]["id"], self.seed.bots["pingbot"])
        self.assertIn("flags", ready["application"])
        self.assertIsInstance(ready["private_channels"], list)  # eris walks it
        self.assertEqual({guild["unavailable"] for guild in ready["guilds"]}, {True})
        self.assertEqual(sorted(guild["id"] for guild in ready["guilds"]), self.seed.guild_ids)
        self.assertTrue(ready["session_id"])
        self.assertTrue(ready["resume_gateway_url"].startswith("ws"))
        self.assertEqual([event["s"] for event in connection.events], list(range(1, len(connection.events) + 1)))

    def test_guild_create(self):
        connection = self.session()
        guild = next(e["d"] for e in connection.events if e["t"] == "GUILD_CREATE" and e["d"]["id"] == self.guild)
        for field in ("roles", "channels", "members", "emojis", "stickers", "threads", "presences", "voice_states", "features"):
            self.assertIsInstance(guild[field], list, field)
        self.assertEqual(guild["name"], "Demo")
        self.assertEqual(guild["member_count"], 4)
        self.assertIs(guild["unavailable"], False)
        names = {channel["name"] for channel in guild["channels"]}
        self.assertIn("general", names)
        self.assertNotIn("secret", names)
        self.assertIn(self.guild, [role["id"] for role in guild["roles"]])
        self.assertIn(self.seed.bots["pingbot"], [member["user"]["id"] for member in guild["members"]])

    def test_user_session(self):
        connection = self.gateway()
        connection.log_in(self.seed.tokens["bob"], GUILDS | MESSAGES | CONTENT)
        guild = next(e["d"] for e in connection.events if e["t"] == "GUILD_CREATE")
        self.assertIn("secret", {channel["name"] for channel in guild["channels"]})

    def test_token_with_prefix(self):
        connection = self.gateway()
        self.assertTrue(connection.log_in("Bot " + self.seed.tokens["pingbot"], 0)["session_id"])

    def test_zlib_stream(self):
        connection = self.gateway("?v=10&encoding=json&compress=zlib-stream")
        connection.log_in(self.seed.tokens["pingbot"], GUILDS | MESSAGES | CONTENT, compress=True)
        for number in range(20):
            self.say(f"compressed {number}")
        for number in range(20):
            connection.event("MESSAGE_CREATE", content=f"compressed {number}")

    def test_identify_split_over_frames_and_segments(self):
        connection = self.gateway()
        data = {"token": self.seed.tokens["pingbot"], "intents": 0, "properties": {}}
        raw = json.dumps({"op": 2, "d": data}).encode()
        connection.socket.send(TEXT, raw[:10], final=False)
        connection.socket.send(PING, b"in between")
        connection.socket.send(0, raw[10:30], final=False)
        connection.socket.send(0, raw[30:])
        connection.event("READY")

    def test_client_ping(self):
        connection = self.gateway()
        connection.socket.send(PING, b"are you there")
        connection.socket._need(2, time.monotonic() + 5)
        self.assertEqual(connection.socket._frame(time.monotonic() + 5)[1:], (PONG, b"are you there"))


class CloseCodes(Case):
    def ends(self, code, *packets, raw=None, opcode=TEXT, query="?v=10&encoding=json", logged_in=False):
        connection = self.gateway(query)
        if logged_in:
            connection.log_in(self.seed.tokens["pingbot"])
        for op, data in packets:
            connection.send(op, data)
        if raw is not None:
            connection.socket.send(opcode, raw)
        self.assertEqual(connection.closed(), code)

    def identify(self, **more):
        return 2, {"token": self.seed.tokens["pingbot"], "intents": 0, "properties": {}, **more}

    def test_4001_unknown_opcode(self):
        self.ends(4001, (99, {}), logged_in=True)

    def test_4002_what_cannot_be_decoded(self):
        for raw in (b"{", b"not json", b"[1]", b"7", b'{"d":{}}', b'{"op":"two"}', b""):
            with self.subTest(raw=raw):
                self.ends(4002, raw=raw)
        # a text frame that is not UTF-8 never reaches the protocol (RFC 6455, section 8.1)
        self.ends(1007, raw=b"\xff\xfe\x00")

    def test_4002_identify_without_its_fields(self):
        for data in (None, [], {}, {"token": 7, "properties": {}, "intents": 0}, {"token": "x", "intents": "many"}):
            with self.subTest(data=data):
                connection = self.gateway()
                connection.send(2, data)
                self.assertIn(connection.closed(), (4002, 4004))

    def test_4002_payload_too_long(self):
        self.ends(4002, raw=b'{"op":1,"d":"' + b"x" * 5000 + b'"}')

    def test_4002_deep_payload(self):
        self.ends(4002, raw=b'{"op":1,"d":' + b"[" * 1500 + b"]" * 1500 + b"}")

    def test_4003_before_identify(self):
        self.ends(4003, (8, {"guild_id": self.guild, "query": "", "limit": 0}))
        self.ends(4003, (3, {"status": "online", "activities": [], "afk": False, "since": None}))

    def test_4004_wrong_token(self):
        for token in ("nonsense", self.seed.tokens["pingbot"] + "x", ""):
            with self.subTest(token=token):
                self.ends(4004, self.identify(token=token))

    def test_4005_identify_twice(self):
        self.ends(4005, self.identify(), logged_in=True)

    def test_4007_resume_beyond_the_end(self):
        connection = self.session()
        connection.socket.drop()
        again = self.connect(connection.ready["resume_gateway_url"])
        again.resume(self.seed.tokens["pingbot"], connection.ready["session_id"], connection.seq + 1000)
        try:
            packet = again.receive()
            self.assertEqual((packet["op"], packet["d"]), (9, False))
        except Closed as end:
            self.assertEqual(end.code, 4007)

    def test_4010_invalid_shard(self):
        for shard in ([2, 2], [5, 1], [-1, 2], [0, 0], ["0", "1"], [0], "0"):
            with self.subTest(shard=shard):
                connection = self.gateway()
                connection.send(*self.identify(shard=shard))
                self.assertIn(connection.closed(), (4010, 4002))

    def test_4012_invalid_version(self):
        for query in ("?v=3&encoding=json", "?v=99&encoding=json"):
            with self.subTest(query=query):
                try:
                    self.ends(4012, self.identify(), query=query)
                except Closed as end:
                    self.assertEqual(end.code, 4012)

    def test_4013_invalid_intents(self):
        self.ends(4013, self.identify(intents=1 << 30))
        self.ends(4013, self.identify(intents=-1))

    def test_4014_privileged_intents_not_granted(self):
        self.ends(4014, self.identify(token=self.seed.tokens["quietbot"], intents=GUILDS | MEMBERS))
        self.ends(4014, self.identify(token=self.seed.tokens["quietbot"], intents=CONTENT))

    def test_unmasked_frame(self):
        connection = self.gateway()
        connection.socket.send(TEXT, b'{"op":1,"d":null}', masked=False)
        self.assertIn(connection.closed(), (1002, None, 4002))

    def test_binary_frame(self):
        """JSON in a binary frame is as good as in a text frame."""
        connection = self.gateway()
        connection.socket.send(BINARY, b'{"op":1,"d":null}')
        self.assertEqual(connection.receive()["op"], 11)

    def test_the_server_lives_on(self):
        self.assertTrue(self.session().ready["session_id"])


class SendLimit(Case):
    limits = None

    def test_4008_too_many_sends(self):
        connection = self.session(intents=0)
        for _ in range(130):
            connection.send(3, {"status": "online", "activities": [], "afk": False, "since": None})
        self.assertEqual(connection.closed(), 4008)


class Heartbeats(Case):
    arguments = ("--heartbeat-interval-ms", "500")

    def test_ack(self):
        connection = self.gateway()
        self.assertEqual(connection.hello["d"]["heartbeat_interval"], 500)
        connection.send(1, None)  # discord.py beats before it identifies
        self.assertEqual(connection.receive()["op"], 11)

    def test_silence_ends_the_connection(self):
        connection = self.session()
        began = time.monotonic()
        code = connection.closed(20)
        self.assertNotIn(code, (1000, 1001), "this would end the session")
        self.assertTrue(0.5 <= time.monotonic() - began <= 15, time.monotonic() - began)
        again = self.connect(connection.ready["resume_gateway_url"])
        again.resume(self.seed.tokens["pingbot"], connection.ready["session_id"], connection.seq)
        again.event("RESUMED")

    def test_beating_keeps_it(self):
        connection = self.session()
        for _ in range(8):
            connection.send(1, connection.seq)
            connection.until("the ack", lambda packet: packet["op"] == 11)
            time.sleep(0.3)
        self.say("still there")
        connection.event("MESSAGE_CREATE", content="still there")

    def test_silence_before_identify(self):
        connection = self.gateway()
        self.assertIsNotNone(connection.closed(5))


class Intents(Case):
    def test_none(self):
        connection = self.session(intents=0)
        self.say("nobody listens")
        self.assertEqual(connection.quiet(), [])
        self.assertEqual([event["t"] for event in connection.events], ["READY"])

    def test_each_asks_for_its_own(self):
        sessions = {intent: self.session(intents=intent) for intent in (MESSAGES, REACTIONS, TYPING, MEMBERS)}
        message = self.say("for the intents")
        self.call(self.alice, "PUT", f"{self.messages}/{message['id']}/reactions/%F0%9F%8E%89/@me")
        self.call(self.alice, "POST", f"/channels/{self.general}/typing")
        seen = {intent: {event["t"] for event in session.quiet()} for intent, session in sessions.items()}
        self.assertEqual(seen[MESSAGES], {"MESSAGE_CREATE"})
        self.assertEqual(seen[REACTIONS], {"MESSAGE_REACTION_ADD"})
        self.assertEqual(seen[TYPING], {"TYPING_START"})
        self.assertEqual(seen[MEMBERS], set())

    def test_without_message_content(self):
        """Content is empty for bots without the intent, except in what mentions them, is their own, or is direct."""
        bot = self.seed.bots["quietbot"]
        connection = self.session("quietbot", GUILDS | MESSAGES | DIRECT)
        plain = self.say("hidden words")
        event = connection.event("MESSAGE_CREATE", id=plain["id"])
        self.assertEqual((event["content"], event["embeds"], event["attachments"]), ("", [], []))
        self.assertEqual(event["author"]["id"], self.seed.users["alice"])
        named = self.say(f"<@{bot}> you may read this")
        self.assertEqual(connection.event("MESSAGE_CREATE", id=named["id"])["content"], named["content"])
        own = self.say("my own words", token=self.quiet)
        self.assertEqual(connection.event("MESSAGE_CREATE", id=own["id"])["content"], "my own words")
        direct = self.call(self.alice, "POST", "/users/@me/channels", {"recipient_id": bot}).body
        said = self.say("between us", channel=direct["id"])
        event = connection.event("MESSAGE_CREATE", id=said["id"])
        self.assertEqual(event["content"], "between us")
        self.assertNotIn("guild_id", event)

    def test_direct_messages_need_their_intent(self):
        connection = self.session(intents=GUILDS | MESSAGES | CONTENT)
        bot = self.seed.bots["pingbot"]
        direct = self.call(self.alice, "POST", "/users/@me/channels", {"recipient_id": bot}).body
        self.say("not asked for", channel=direct["id"])
        self.assertNotIn("MESSAGE_CREATE", [event["t"] for event in connection.quiet()])

    def test_own_typing_and_reactions(self):
        connection = self.session(intents=REACTIONS)
        message = self.say("react to me")
        self.call(self.bot, "PUT", f"{self.messages}/{message['id']}/reactions/%F0%9F%91%8D/@me")
        event = connection.event("MESSAGE_REACTION_ADD", message_id=message["id"])
        self.assertEqual((event["type"], event["burst"]), (0, False))
        self.assertEqual(event["member"]["user"]["id"], self.seed.bots["pingbot"])
        self.assertEqual(event["message_author_id"], self.seed.users["alice"])


class Visibility(Case):
    def test_hidden_channel(self):
        bob = self.gateway()
        bob.log_in(self.seed.tokens["bob"], GUILDS | MESSAGES | CONTENT)
        bot = self.session()
        said = self.say("a secret", channel=self.secret)
        bob.event("MESSAGE_CREATE", id=said["id"])
        self.call(self.alice, "PATCH", f"/channels/{self.secret}/messages/{said['id']}", {"content": "changed"})
        bob.event("MESSAGE_UPDATE", id=said["id"])
        self.call(self.alice, "PATCH", f"/channels/{self.secret}", {"topic": "still secret"})
        bob.event("CHANNEL_UPDATE", id=self.secret)
        self.call(self.alice, "DELETE", f"/channels/{self.secret}/messages/{said['id']}")
        bob.event("MESSAGE_DELETE", id=said["id"])
        self.assertEqual(bot.quiet(), [])

    def test_a_channel_appears_and_disappears(self):
        """Who gains the view gets CHANNEL_CREATE, who loses it CHANNEL_DELETE; the others CHANNEL_UPDATE."""
        guild = self.guild
        made = self.call(self.alice, "POST", f"/guilds/{guild}/channels", {"name": "flickering"}).body
        bot = self.session()
        path = f"/channels/{made['id']}/permissions/{guild}"
        self.assertEqual(self.call(self.alice, "PUT", path, {"type": 0, "deny": str(1 << 10), "allow": "0"}).status, 204)
        bot.event("CHANNEL_DELETE", id=made["id"])
        self.say("unseen", channel=made["id"])
        self.assertEqual(bot.quiet(), [])
        self.assertEqual(self.call(self.alice, "DELETE", path).status, 204)
        bot.event("CHANNEL_CREATE", id=made["id"])
        self.say("seen", channel=made["id"])
        bot.event("MESSAGE_CREATE", content="seen")
        self.call(self.alice, "PATCH", f"/channels/{made['id']}", {"topic": "new"})
        bot.event("CHANNEL_UPDATE", id=made["id"])
        self.call(self.alice, "DELETE", f"/channels/{made['id']}")
        bot.event("CHANNEL_DELETE", id=made["id"])

    def test_by_role(self):
        guild = self.guild
        made = self.call(self.alice, "POST", f"/guilds/{guild}/channels", {
            "name": "for mods",
            "permission_overwrites": [
                {"id": guild, "type": 0, "deny": str(1 << 10), "allow": "0"},
                {"id": self.seed.role_mod, "type": 0, "allow": str(1 << 10), "deny": "0"},
            ],
        }).body
        bot = self.session()
        self.say("mods only", channel=made["id"])
        # The node of this session may still be dispatching what an earlier test did.
        self.assertEqual([event for event in bot.quiet() if event["d"].get("channel_id") == made["id"]], [])
        path = f"/guilds/{guild}/members/{self.seed.bots['pingbot']}/roles/{self.seed.role_mod}"
        self.assertEqual(self.call(self.alice, "PUT", path).status, 204)
        bot.event("CHANNEL_CREATE", id=made["id"])
        self.say("mods again", channel=made["id"])
        bot.event("MESSAGE_CREATE", content="mods again")
        self.assertEqual(self.call(self.alice, "DELETE", path).status, 204)
        bot.event("CHANNEL_DELETE", id=made["id"])
        self.call(self.alice, "DELETE", f"/channels/{made['id']}")

    def test_kicked_and_back(self):
        guild = self.seed.guild_ids[1]
        carol = self.gateway()
        carol.log_in(self.seed.tokens["carol"], GUILDS | MESSAGES | CONTENT)
        room = self.seed.room(1)
        invite = self.call(self.alice, "POST", f"/channels/{room}/invites", {}).body
        self.assertEqual(self.call(self.carol, "POST", f"/invites/{invite['code']}").status, 200)
        self.assertEqual(carol.event("GUILD_CREATE", id=guild)["name"], "Guild 1")
        self.say("welcome", channel=room)
        carol.event("MESSAGE_CREATE", content="welcome")
        answer = self.call(self.alice, "DELETE", f"/guilds/{guild}/members/{self.seed.users['carol']}")
        self.assertEqual(answer.status, 204, answer)
        gone = carol.event("GUILD_DELETE", id=guild)
        self.assertNotIn("unavailable", gone)
        self.say("without you", channel=room)
        self.assertEqual(carol.quiet(), [])


class Shards(Case):
    def test_disjoint(self):
        shards = [self.session(shard=[index, 2]) for index in (0, 1)]
        owned = [sorted(guild["id"] for guild in shard.ready["guilds"]) for shard in shards]
        for index, guilds in enumerate(owned):
            self.assertEqual(guilds, [g for g in self.seed.guild_ids if (int(g) >> 22) % 2 == index])
        for number in (1, 2, 3):
            self.say(f"room {number}", channel=self.seed.room(number))
        for shard in shards:
            shard.quiet()
        heard = [[e["d"]["content"] for e in shard.events if e["t"] == "MESSAGE_CREATE"] for shard in shards]
        self.assertEqual(heard, [["room 2"], ["room 1", "room 3"]])

    def test_direct_messages_go_to_shard_0(self):
        shards = [self.session(intents=DIRECT, shard=[index, 2]) for index in (0, 1)]
        bot = self.seed.bots["pingbot"]
        direct = self.call(self.alice, "POST", "/users/@me/channels", {"recipient_id": bot}).body
        self.say("psst", channel=direct["id"])
        shards[0].event("MESSAGE_CREATE", content="psst")
        self.assertEqual(shards[1].quiet(), [])


class Members(Case):
    def test_request_guild_members(self):
        connection = self.session(intents=GUILDS | MEMBERS)
        for guild_id in (self.guild, int(self.guild), [self.guild]):  # eris sends an array, discord.py a number
            with self.subTest(guild_id=guild_id):
                connection.send(8, {"guild_id": guild_id, "query": "", "limit": 0, "nonce": "n1"})
                chunk = connection.event("GUILD_MEMBERS_CHUNK")
                self.assertEqual((chunk["guild_id"], chunk["nonce"]), (self.guild, "n1"))
                self.assertEqual((chunk["chunk_index"], chunk["chunk_count"]), (0, 1))
                self.assertEqual(len(chunk["members"]), 4)
        nobody = "1258291200000000001"
        connection.send(8, {"guild_id": self.guild, "user_ids": [self.seed.users["bob"], nobody], "limit": 0})
        chunk = connection.event("GUILD_MEMBERS_CHUNK")
        self.assertEqual([member["user"]["username"] for member in chunk["members"]], ["bob"])
        self.assertEqual(chunk["not_found"], [nobody])
        connection.send(8, {"guild_id": self.guild, "query": "BO", "limit": 10})
        chunk = connection.event("GUILD_MEMBERS_CHUNK")
        self.assertEqual([member["user"]["username"] for member in chunk["members"]], ["bob"])

    def test_member_events(self):
        connection = self.session(intents=GUILDS | MEMBERS)
        answer = self.call(self.alice, "PATCH", f"/guilds/{self.guild}/members/{self.seed.users['bob']}", {"nick": "Bobby"})
        self.assertEqual(answer.status, 200, answer)
        event = connection.event("GUILD_MEMBER_UPDATE")
        self.assertEqual((event["user"]["id"], event["nick"]), (self.seed.users["bob"], "Bobby"))


if __name__ == "__main__":
    unittest.main()
