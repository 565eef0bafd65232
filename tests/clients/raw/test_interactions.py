"""Interactions in the open: who hears of a command, who sees the answer."""
from case import CONTENT, GUILDS, MESSAGES, Case


class Interactions(Case):
    def command(self, **definition):
        path = f"/applications/{self.seed.bots['pingbot']}/guilds/{self.guild}/commands"
        answer = self.call(self.bot, "PUT", path, [definition])
        self.assertEqual(answer.status, 200, answer)
        return answer.body[0]

    def use(self, token, command, **more):
        body = {
            "type": 2,
            "application_id": command["application_id"],
            "guild_id": self.guild,
            "channel_id": self.general,
            "session_id": "any",
            "nonce": "4711",
            "data": {"id": command["id"], "version": command["version"], "name": command["name"], **more},
        }
        answer = self.call(token, "POST", "/interactions", body)
        self.assertEqual(answer.status, 204, answer)

    def answer(self, interaction, body):
        path = f"/interactions/{interaction['id']}/{interaction['token']}/callback?with_response=true"
        answer = self.call(None, "POST", path, body)
        self.assertEqual(answer.status, 200, answer)
        return answer.body["resource"].get("message")

    def told(self, connection, name, **fields):
        """The data of such an event, whether it came already or not: topics have no order among each other."""

        def fits(packet):
            return packet["t"] == name and all(packet["d"].get(key) == value for key, value in fields.items())

        before = [packet for packet in connection.events if fits(packet)]
        return (before[0] if before else connection.until(f"{name} {fields}", fits, 90))["d"]

    def fence(self, connections, content):
        """Everything told before is there: this comes last to everybody in the guild."""
        said = self.say(content)
        for connection in connections:
            self.told(connection, "MESSAGE_CREATE", id=said["id"])

    def test_only_the_bot_hears_it(self):
        bot, quiet = self.session("pingbot", GUILDS), self.session("quietbot", GUILDS | MESSAGES)
        bob, alice = self.session("bob", GUILDS | MESSAGES), self.session("alice", GUILDS | MESSAGES)
        command = self.command(name="open", description="d")
        self.use(self.bob, command)
        interaction = self.told(bot, "INTERACTION_CREATE")
        self.assertEqual(interaction["member"]["user"]["id"], self.seed.users["bob"])
        own = self.told(bob, "INTERACTION_CREATE")
        self.assertEqual(own, {"id": interaction["id"], "nonce": "4711"})
        message = self.answer(interaction, {"type": 4, "data": {"content": "for all"}})
        for connection in (bob, alice, quiet):
            self.told(connection, "MESSAGE_CREATE", id=message["id"])
        self.assertEqual(self.told(bob, "INTERACTION_SUCCESS")["nonce"], "4711")
        self.fence([bob, alice, quiet], "after the command")
        for connection in (alice, quiet):
            self.assertFalse([e for e in connection.events if e["t"].startswith("INTERACTION")])

    def test_ephemeral_reaches_one_person(self):
        bot, quiet = self.session("pingbot", GUILDS | MESSAGES | CONTENT), self.session("quietbot", GUILDS | MESSAGES)
        bob, again, alice = (self.session(name, GUILDS | MESSAGES) for name in ("bob", "bob", "alice"))
        self.use(self.bob, self.command(name="whisper", description="d"))
        interaction = self.told(bot, "INTERACTION_CREATE")
        message = self.answer(interaction, {"type": 4, "data": {"content": "only you", "flags": 64}})
        for connection in (bob, again):
            told = self.told(connection, "MESSAGE_CREATE", id=message["id"])
            self.assertEqual((told["content"], told["flags"], told["guild_id"]), ("only you", 64, self.guild))
        webhook = f"/webhooks/{interaction['application_id']}/{interaction['token']}/messages/@original"
        self.assertEqual(self.call(None, "PATCH", webhook, {"content": "still only you"}).status, 200)
        self.told(bob, "MESSAGE_UPDATE", id=message["id"])
        self.assertEqual(self.call(None, "DELETE", webhook).status, 204)
        self.told(again, "MESSAGE_DELETE", id=message["id"])
        self.fence([bob, again, alice, quiet, bot], "after the whisper")
        for connection in (alice, quiet, bot):
            self.assertFalse([e for e in connection.events if e["t"].startswith("MESSAGE") and e["d"]["id"] == message["id"]])
        history = self.call(self.bob, "GET", self.messages).body
        self.assertNotIn(message["id"], [one["id"] for one in history])

    def test_permissions_are_told_to_the_bot(self):
        bot, alice = self.session("pingbot", GUILDS), self.session("alice", GUILDS | MESSAGES)
        command = self.command(name="guarded", description="d")
        path = f"/applications/{command['application_id']}/guilds/{self.guild}/commands/{command['id']}/permissions"
        body = {"permissions": [{"id": self.seed.users["bob"], "type": 2, "permission": False}]}
        self.assertEqual(self.call(self.alice, "PUT", path, body).status, 200)
        told = self.told(bot, "APPLICATION_COMMAND_PERMISSIONS_UPDATE")
        self.assertEqual((told["id"], told["permissions"]), (command["id"], body["permissions"]))
        self.fence([alice], "after the permissions")
        self.assertFalse([e for e in alice.events if e["t"].startswith("APPLICATION")])

    def test_heard_after_a_resume(self):
        """A bot that was away when its command was used hears of it, on whichever node it comes back, and answers."""
        bot = self.session("pingbot", GUILDS | MESSAGES)
        bob = self.session("bob", GUILDS | MESSAGES)
        command = self.command(name="patient", description="d")
        bot.socket.drop()
        self.use(self.bob, command)
        self.told(bob, "INTERACTION_CREATE")
        again = self.gateway()
        again.resume(self.seed.tokens["pingbot"], bot.ready["session_id"], bot.seq)
        interaction = self.told(again, "INTERACTION_CREATE")
        self.told(again, "RESUMED")
        self.assertEqual(interaction["data"]["name"], "patient")
        message = self.answer(interaction, {"type": 4, "data": {"content": "here I am"}})
        self.told(bob, "MESSAGE_CREATE", id=message["id"])
        self.fence([again, bob], "after the answer")
        heard = [e for e in again.events if e["t"] == "INTERACTION_CREATE"]
        self.assertEqual(len(heard), 1)
