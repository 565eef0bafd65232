"""Presences in the open: what clients say of themselves, what others are told."""
import time

from case import CONTENT, GUILDS, MEMBERS, MESSAGES, PRESENCES, Case
from wire import Closed

ALL = GUILDS | MEMBERS | PRESENCES | MESSAGES | CONTENT


class Presence(Case):
    # a server that no other class has: sessions that were cut there would count as online until nobody may RESUME them
    arguments = ("--heartbeat-interval-ms", "41000")

    def person(self, name, **presence):
        connection = self.gateway()
        more = {"presence": presence} if presence else {}
        connection.log_in(self.seed.tokens[name], ALL, **more)
        self.addCleanup(connection.socket.send, 8, b"\x03\xe8")  # close 1000: offline before the next test
        return connection

    def seen(self, connection, name, status, seconds=10):
        user = self.seed.users.get(name) or self.seed.bots[name]

        def fits(packet):
            data = packet["d"]
            return packet["t"] == "PRESENCE_UPDATE" and (data["user"]["id"], data["status"]) == (user, status)

        return connection.until(f"{name} {status}", fits, seconds)["d"]

    def test_status_and_activity(self):
        alice = self.person("alice")
        bob = self.person("bob", status="idle", activities=[{"name": "chess", "type": 0}], since=1, afk=True)
        update = self.seen(alice, "bob", "idle")
        self.assertEqual(update["guild_id"], self.guild)
        self.assertEqual(update["activities"][0]["name"], "chess")
        self.assertIsInstance(update["activities"][0]["created_at"], int)
        self.assertEqual(set(update["client_status"].values()), {"idle"})
        bob.send(3, {"since": None, "activities": [], "status": "dnd", "afk": False})
        self.assertEqual(self.seen(alice, "bob", "dnd")["activities"], [])
        bob.send(3, {"since": None, "activities": [], "status": "invisible", "afk": False})
        gone = self.seen(alice, "bob", "offline")
        self.assertEqual((gone["activities"], gone["client_status"]), ([], {}))

    def test_end_of_the_last_session(self):
        alice = self.person("alice")
        bob = self.person("bob")
        self.seen(alice, "bob", "online")
        bob.socket.send(8, b"\x03\xe8")
        self.seen(alice, "bob", "offline")

    def test_guild_create_and_counts(self):
        bob = self.person("bob", status="dnd", activities=[])
        self.seen(bob, "bob", "dnd")
        alice = self.person("alice")
        guild = next(e["d"] for e in alice.events if e["t"] == "GUILD_CREATE" and e["d"]["id"] == self.guild)
        shown = {presence["user"]["id"]: presence["status"] for presence in guild["presences"]}
        self.assertEqual(shown[self.seed.users["bob"]], "dnd")
        counts = self.call(self.alice, "GET", f"/guilds/{self.guild}?with_counts=true").body
        self.assertGreaterEqual(counts["approximate_presence_count"], 1)
        self.assertEqual(counts["approximate_member_count"], guild["member_count"])
        alice.send(8, {"guild_id": self.guild, "query": "", "limit": 0, "presences": True})
        chunk = alice.event("GUILD_MEMBERS_CHUNK")
        self.assertIn(self.seed.users["bob"], [presence["user"]["id"] for presence in chunk["presences"]])

    def test_bots_set_little(self):
        alice = self.person("alice")
        activity = {"name": "with fire", "type": 3, "details": "no", "state": "yes", "emoji": {"name": "x"}}
        self.session("pingbot", GUILDS, presence={"status": "online", "activities": [activity], "afk": False, "since": 0})
        shown = self.seen(alice, "pingbot", "online")["activities"]
        self.assertEqual(set(shown[0]), {"name", "type", "state", "created_at"})

    def test_without_the_intent(self):
        bot = self.session("pingbot", GUILDS)
        self.person("bob", status="idle", activities=[])
        self.assertEqual([e for e in bot.quiet(1.5) if e["t"] == "PRESENCE_UPDATE"], [])

    def test_name_of_a_user(self):
        alice, bob = self.person("alice"), self.person("bob", status="idle", activities=[])
        self.seen(alice, "bob", "idle", 60)
        user = self.seed.users["bob"]
        self.addCleanup(self.call, self.bob, "PATCH", "/users/@me", {"global_name": None})
        self.addCleanup(self.call, self.bob, "PATCH", f"/guilds/{self.guild}/members/@me", {"nick": None})
        begun = len(alice.events)

        def named(packet):
            return packet["t"] == "PRESENCE_UPDATE" and "username" in packet["d"]["user"]

        for path, body in ((f"/guilds/{self.guild}/members/@me", {"nick": "bobby"}), ("/users/@me", {"locale": "de"})):
            self.assertEqual(self.call(self.bob, "PATCH", path, body).status, 200)
        self.assertEqual(self.call(self.bob, "PATCH", "/users/@me", {"global_name": "Bob the Great"}).status, 200)
        update = alice.until("the new name", named, 60)["d"]
        self.assertEqual((update["user"]["id"], update["user"]["global_name"]), (user, "Bob the Great"))
        self.assertEqual((update["status"], update["guild_id"]), ("idle", self.guild))
        told = [e["d"] for e in alice.events[begun:] if e["t"] == "GUILD_MEMBER_UPDATE" and e["d"]["user"]["id"] == user]
        self.assertIn("Bob the Great", [member["user"]["global_name"] for member in told])
        # offline as well
        bob.socket.send(8, b"\x03\xe8")
        self.seen(alice, "bob", "offline", 60)
        self.call(self.bob, "PATCH", "/users/@me", {"global_name": "Bob"})
        self.assertEqual(self.seen(alice, "bob", "offline", 60)["user"]["global_name"], "Bob")

    def test_wrong(self):
        for data in ({"status": "busy"}, {"activities": 1}, {"activities": [{"name": 1}]}):
            with self.subTest(data=data):
                bob = self.person("bob")
                bob.send(3, data)
                self.assertEqual(bob.closed(), 4001)


class PresenceLimits(Case):
    limits = True

    def test_five_in_twenty_seconds(self):
        alice, bob = self.gateway(), self.gateway()
        alice.log_in(self.seed.tokens["alice"], ALL)
        bob.log_in(self.seed.tokens["bob"], ALL)
        self.addCleanup(bob.socket.send, 8, b"\x03\xe8")
        for number in range(6):
            bob.send(3, {"since": None, "activities": [], "status": ("idle", "dnd")[number % 2], "afk": False})
            time.sleep(0.3)
        seen = [e["d"]["status"] for e in alice.quiet(2) if e["t"] == "PRESENCE_UPDATE"]
        self.assertEqual([status for status in seen if status != "online"], ["idle", "dnd", "idle", "dnd", "idle"])
        alice.until("the sixth", lambda p: p["t"] == "PRESENCE_UPDATE" and p["d"]["status"] == "dnd", 30)
