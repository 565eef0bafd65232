"""A client that only listens to events ends with the guild that a fresh one is given, whatever was done in between."""
import random
import unittest

from case import CONTENT, GUILDS, MEMBERS, MESSAGES, PRESENCES, Case

VIEW, SEND, MANAGE = 1 << 10, 1 << 11, 1 << 4
UNTOLD = ("last_message_id", "last_pin_timestamp")  # MESSAGE_CREATE moves them, no CHANNEL_UPDATE is sent


class View:
    """One session's picture of a guild, kept as the libraries keep theirs."""

    def __init__(self, connection, guild_id):
        self.connection, self.guild_id, self.seen = connection, guild_id, 0
        self.channels, self.roles, self.members, self.fields = {}, {}, {}, {}
        self.strangers = []
        self.read()

    def read(self):
        for event in self.connection.events[self.seen :]:
            handler = getattr(self, "on_" + event["t"].lower(), None)
            if handler and event["d"].get("guild_id", event["d"].get("id")) == self.guild_id:
                handler(event["d"])
        self.seen = len(self.connection.events)

    def on_guild_create(self, d):
        self.channels = {one["id"]: one for one in d["channels"]}
        self.roles = {one["id"]: one for one in d["roles"]}
        self.members = {one["user"]["id"]: one for one in d["members"]}
        self.fields = {"name": d["name"], "owner_id": d["owner_id"]}

    def on_guild_update(self, d):
        self.fields = {"name": d["name"], "owner_id": d["owner_id"]}
        self.roles = {one["id"]: one for one in d["roles"]}

    def on_channel_create(self, d):
        self._known(d["id"] not in self.channels, "CHANNEL_CREATE", d)
        self.channels[d["id"]] = d

    def on_channel_update(self, d):
        self._known(d["id"] in self.channels, "CHANNEL_UPDATE", d)
        self.channels[d["id"]] = d

    def on_channel_delete(self, d):
        self._known(self.channels.pop(d["id"], None), "CHANNEL_DELETE", d)

    def on_guild_role_create(self, d):
        self.roles[d["role"]["id"]] = d["role"]

    on_guild_role_update = on_guild_role_create

    def on_guild_role_delete(self, d):
        self._known(self.roles.pop(d["role_id"], None), "GUILD_ROLE_DELETE", d)
        for member in self.members.values():  # no GUILD_MEMBER_UPDATE is sent for these
            member["roles"] = [role for role in member["roles"] if role != d["role_id"]]

    def on_guild_member_update(self, d):
        self.members.setdefault(d["user"]["id"], {}).update(d)

    def on_guild_member_add(self, d):
        self.members[d["user"]["id"]] = d

    def on_guild_member_remove(self, d):
        self.members.pop(d["user"]["id"], None)

    def on_message_create(self, d):
        self._known(d["channel_id"] in self.channels, "MESSAGE_CREATE", d)

    def _known(self, known, event, d):
        """The libraries drop what concerns a channel they do not know; here it is a failure."""
        if not known:
            self.strangers.append((event, d.get("id"), d.get("channel_id")))

    def picture(self, members):
        channels = {
            key: {field: value for field, value in one.items() if field not in UNTOLD}
            for key, one in self.channels.items()
        }
        for one in channels.values():
            one["permission_overwrites"] = sorted(one["permission_overwrites"], key=lambda o: o["id"])
        people = {key: (sorted(one["roles"]), one["nick"]) for key, one in self.members.items()} if members else {}
        return {"channels": channels, "roles": self.roles, "members": people, "guild": self.fields}


class Converge(Case):
    def setUp(self):
        answer = self.call(self.alice, "POST", "/guilds", {"name": "Shifting"})
        self.assertEqual(answer.status, 201, answer)
        self.shifting = answer.body["id"]
        channels = self.call(self.alice, "GET", f"/guilds/{self.shifting}/channels").body
        room = next(one["id"] for one in channels if one["type"] == 0)
        invite = self.call(self.alice, "POST", f"/channels/{room}/invites", {}).body["code"]
        for token in (self.bob, self.carol):
            self.assertEqual(self.call(token, "POST", f"/invites/{invite}").status, 200)
        bot = self.seed.bots["pingbot"]
        path = f"/oauth2/authorize?client_id={bot}&scope=bot&permissions={VIEW | SEND}"
        self.assertEqual(self.call(self.alice, "POST", path, {"guild_id": self.shifting, "authorize": True}).status, 200)
        self.addCleanup(self.call, self.alice, "DELETE", f"/guilds/{self.shifting}")

    def view(self, name, members=True):
        connection = self.session(name, GUILDS | MESSAGES | CONTENT | (MEMBERS | PRESENCES if members else 0))
        return View(connection, self.shifting)

    def state(self):
        """(text channels, roles but @everyone and managed ones), as the owner lists them."""
        channels = self.call(self.alice, "GET", f"/guilds/{self.shifting}/channels").body
        roles = self.call(self.alice, "GET", f"/guilds/{self.shifting}/roles").body
        return channels, [role for role in roles if role["id"] != self.shifting and not role["managed"]]

    def act(self, dice):
        channels, roles = self.state()
        guild, number = f"/guilds/{self.shifting}", dice.randrange(10**6)
        channel = dice.choice(channels)["id"] if channels else None
        role = dice.choice(roles)["id"] if roles else None
        person = dice.choice([self.seed.users["bob"], self.seed.users["carol"], self.seed.bots["pingbot"]])
        target = dice.choice([(self.shifting, 0), (person, 1)] + ([(role, 0)] if role else []))
        bits = dice.choice([(0, VIEW), (VIEW, 0), (SEND, 0), (0, SEND), (0, 0)])
        overwrite = {"type": target[1], "allow": str(bits[0]), "deny": str(bits[1])}
        hidden = [{"id": self.shifting, "type": 0, "allow": "0", "deny": str(VIEW)}]
        actions = [
            ("POST", f"{guild}/channels", {"name": f"c{number}", "permission_overwrites": dice.choice([[], hidden])}),
            ("POST", f"{guild}/roles", {"name": f"r{number}", "permissions": str(dice.choice([0, VIEW, MANAGE, 8]))}),
            ("PATCH", guild, {"name": f"Shifting {number}"}),
            ("PATCH", f"{guild}/members/{person}", {"nick": dice.choice([None, f"n{number}"])}),
            ("PATCH", f"{guild}/roles/{self.shifting}", {"permissions": str(dice.choice([SEND, VIEW | SEND, VIEW]))}),
        ]
        if channel:
            actions += [
                ("PUT", f"/channels/{channel}/permissions/{target[0]}", overwrite),
                ("PUT", f"/channels/{channel}/permissions/{target[0]}", overwrite),
                ("DELETE", f"/channels/{channel}/permissions/{target[0]}", None),
                ("PATCH", f"/channels/{channel}", {"topic": f"t{number}"}),
                ("PATCH", f"/channels/{channel}", {"permission_overwrites": dice.choice([[], hidden])}),
                ("POST", f"/channels/{channel}/messages", {"content": f"m{number}"}),
                ("POST", f"/channels/{channel}/messages", {"content": f"m{number}"}),
                ("DELETE", f"/channels/{channel}", None) if number % 3 == 0 else ("PATCH", guild, {"name": "Again"}),
            ]
        if role:
            actions += [
                ("PUT", f"{guild}/members/{person}/roles/{role}", None),
                ("DELETE", f"{guild}/members/{person}/roles/{role}", None),
                ("PATCH", f"{guild}/roles/{role}", {"permissions": str(dice.choice([0, VIEW, 8])), "hoist": True}),
                ("DELETE", f"{guild}/roles/{role}", None) if number % 3 == 0 else ("PATCH", guild, {"name": "Once more"}),
            ]
        method, path, body = dice.choice(actions)
        answer = self.call(self.alice, method, path, body)
        self.assertIn(answer.status, (200, 201, 204, 400, 404), (method, path, body, answer))
        return f"{method} {path.replace(self.shifting, 'G')} {body} -> {answer.status}"

    def settle(self, view):
        """Everything that was sent before this message has been read when it arrives."""
        mark = f"mark {random.random()}"
        marker = self.call(self.alice, "POST", f"/guilds/{self.shifting}/channels", {
            "name": "mark",
            "permission_overwrites": [{"id": view.connection.ready["user"]["id"], "type": 1, "allow": str(VIEW), "deny": "0"}],
        }).body
        self.say(mark, channel=marker["id"])
        view.connection.event("MESSAGE_CREATE", content=mark)
        self.call(self.alice, "DELETE", f"/channels/{marker['id']}")
        view.connection.event("CHANNEL_DELETE", id=marker["id"])
        view.read()

    def one_course(self, course, steps):
        dice, done = random.Random(course), []
        views = {name: self.view(name) for name in ("bob", "pingbot")}
        for _ in range(steps):
            done.append(self.act(dice))
        for name, view in views.items():
            self.settle(view)
            fresh = self.view(name)
            self.assertEqual(view.strangers, [], f"course {course}, {name}:\n" + "\n".join(done))
            self.maxDiff = None
            self.assertEqual(view.picture(True), fresh.picture(True), f"course {course}, {name}:\n" + "\n".join(done))

    def test_courses(self):
        for course in range(12):
            with self.subTest(course=course):
                self.one_course(course, 40)


if __name__ == "__main__":
    unittest.main()
