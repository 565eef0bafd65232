"""Voice states in the open: joining, moving, muting; op 31 and op 43."""
from case import GUILDS, MESSAGES, Case

VOICE = 1 << 7
ALL = GUILDS | VOICE | MESSAGES


class Voice(Case):
    def setUp(self):
        self.talk, self.small = (self.channel(name, **more) for name, more in (("talk", {}), ("small", {"user_limit": 1})))

    def channel(self, name, **more):
        answer = self.call(self.alice, "POST", f"/guilds/{self.guild}/channels", {"name": name, "type": 2, **more})
        self.assertEqual(answer.status, 201, answer)
        self.addCleanup(self.call, self.alice, "DELETE", f"/channels/{answer.body['id']}")
        return answer.body["id"]

    def person(self, name):
        connection = self.gateway()
        connection.log_in(self.seed.tokens[name], ALL)
        self.addCleanup(connection.socket.send, 8, b"\x03\xe8")
        return connection

    def join(self, connection, channel, **more):
        connection.send(4, {"guild_id": self.guild, "channel_id": channel, "self_mute": False, "self_deaf": False, **more})

    def moved(self, connection, name, channel):
        return connection.event("VOICE_STATE_UPDATE", user_id=self.seed.users[name], channel_id=channel)

    def test_join_move_leave(self):
        alice, bob = self.person("alice"), self.person("bob")
        self.join(bob, self.talk, self_mute=True)
        own = self.moved(bob, "bob", self.talk)
        self.assertEqual(own["session_id"], bob.ready["session_id"])
        server = bob.event("VOICE_SERVER_UPDATE")
        self.assertEqual(set(server), {"token", "guild_id", "endpoint"})
        self.assertIsNone(server["endpoint"])
        seen = self.moved(alice, "bob", self.talk)
        self.assertEqual((seen["self_mute"], seen["deaf"], seen["guild_id"]), (True, False, self.guild))
        self.assertEqual(seen["member"]["user"]["username"], "bob")
        self.join(bob, self.small)
        self.moved(alice, "bob", self.small)
        self.assertNotEqual(bob.event("VOICE_SERVER_UPDATE")["token"], server["token"])
        self.join(bob, None)
        self.moved(alice, "bob", None)

    def test_end_of_the_session(self):
        alice, bob = self.person("alice"), self.person("bob")
        self.join(bob, self.talk)
        self.moved(alice, "bob", self.talk)
        late = self.person("alice")
        guild = next(e["d"] for e in late.events if e["t"] == "GUILD_CREATE" and e["d"]["id"] == self.guild)
        self.assertEqual([state["user_id"] for state in guild["voice_states"]], [self.seed.users["bob"]])
        bob.socket.send(8, b"\x03\xe8")
        self.moved(alice, "bob", None)

    def test_http(self):
        alice, bob = self.person("alice"), self.person("bob")
        path, user = f"/guilds/{self.guild}/members/", self.seed.users["bob"]
        self.refused(self.call(self.alice, "PATCH", path + user, {"mute": True}), 400, 40032)
        self.refused(self.call(self.bob, "GET", f"/guilds/{self.guild}/voice-states/@me"), 404, 10065)
        self.join(bob, self.talk)
        self.moved(alice, "bob", self.talk)
        state = self.call(self.alice, "GET", f"/guilds/{self.guild}/voice-states/{user}").body
        self.assertEqual((state["channel_id"], state["mute"]), (self.talk, False))
        self.assertEqual(self.call(self.alice, "PATCH", path + user, {"mute": True}).status, 200)
        alice.event("VOICE_STATE_UPDATE", user_id=user, mute=True)
        bob.event("VOICE_SERVER_UPDATE")
        self.assertEqual(self.call(self.alice, "PATCH", path + user, {"channel_id": self.small}).status, 200)
        self.moved(alice, "bob", self.small)
        bob.event("VOICE_SERVER_UPDATE")
        self.assertEqual(self.call(self.alice, "PATCH", path + user, {"mute": False, "channel_id": None}).status, 200)
        self.moved(alice, "bob", None)

    def test_status(self):
        alice, bob = self.person("alice"), self.person("bob")
        path = f"/channels/{self.talk}/voice-status"

        def told(status, channel=self.talk):
            for one in (alice, bob):
                update = one.event("VOICE_CHANNEL_STATUS_UPDATE", 60, id=channel, status=status)
                self.assertEqual(update, {"id": channel, "guild_id": self.guild, "status": status})

        self.refused(self.call(self.bob, "PUT", path, {"status": "no"}), 403, 50013)
        self.refused(self.call(self.alice, "PUT", f"/channels/{self.general}/voice-status", {"status": "a"}), 403, 50024)
        self.refused(self.call(self.alice, "PUT", path, {"status": "a" * 501}), 400, 50035)
        self.join(bob, self.talk)
        self.moved(alice, "bob", self.talk)
        self.assertEqual(self.call(self.alice, "PUT", path, {"status": 'The "best" of ♫'}).status, 204)
        told('The "best" of ♫')
        alice.send(43, {"guild_id": self.guild, "fields": ["status"]})
        self.assertIn({"id": self.talk, "status": 'The "best" of ♫'}, alice.event("CHANNEL_INFO", 60)["channels"])
        log = self.call(self.alice, "GET", f"/guilds/{self.guild}/audit-logs?action_type=192").body["audit_log_entries"][0]
        self.assertEqual((log["target_id"], log["options"]["status"]), (self.talk, 'The "best" of ♫'))
        # with the right, in the channel; set again it is no change
        allowed = {"type": 1, "allow": str(1 << 48)}
        self.call(self.alice, "PUT", f"/channels/{self.talk}/permissions/{self.seed.users['bob']}", allowed)
        self.assertEqual(self.call(self.bob, "PUT", path, {"status": "mine"}).status, 204)
        told("mine")
        self.assertEqual(self.call(self.bob, "PUT", path, {"status": "mine"}).status, 204)
        self.assertEqual(self.call(self.bob, "PUT", path, {"status": None}).status, 204)
        told(None)
        log = self.call(self.alice, "GET", f"/guilds/{self.guild}/audit-logs?action_type=193").body["audit_log_entries"][0]
        self.assertEqual(log["options"], {"channel_id": self.talk})
        # it goes with the last who leaves; who is elsewhere needs MANAGE_CHANNELS, too
        self.assertEqual(self.call(self.bob, "PUT", path, {"status": "last"}).status, 204)
        told("last")
        self.join(bob, self.small)
        told(None)
        self.refused(self.call(self.bob, "PUT", path, {"status": "from afar"}), 403, 50013)

    def test_questions(self):
        bob = self.person("bob")
        bob.send(31, {"guild_ids": [self.guild]})
        self.assertEqual(bob.event("SOUNDBOARD_SOUNDS"), {"guild_id": self.guild, "soundboard_sounds": []})
        self.join(bob, self.talk)
        bob.event("VOICE_SERVER_UPDATE")
        bob.send(43, {"guild_id": self.guild, "fields": ["status", "voice_start_time"]})
        info = bob.event("CHANNEL_INFO")
        self.assertEqual([channel["id"] for channel in info["channels"]], [self.talk])
        self.assertIsInstance(info["channels"][0]["voice_start_time"], int)
        self.assertIsNone(info["channels"][0]["status"])
