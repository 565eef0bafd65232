"""What the client tests find on the server: four guilds, two of each shard parity, three people, two bots."""
import base64
import json

EPOCH_STEP = 300_000_000_000  # milliseconds after Discord's epoch: ids of an ordinary length
VIEW, SEND, HISTORY, REACT = 1 << 10, 1 << 11, 1 << 16, 1 << 6
EMBED, ATTACH, MANAGE_MESSAGES = 1 << 14, 1 << 15, 1 << 13
MANAGE_CHANNELS, MANAGE_ROLES, PIN = 1 << 4, 1 << 28, 1 << 51
BOT_PERMISSIONS = (
    VIEW | SEND | HISTORY | REACT | EMBED | ATTACH | MANAGE_MESSAGES | MANAGE_CHANNELS | MANAGE_ROLES | PIN
)
GUILDS = 4


def snowflake(step, low=0):
    return str(((EPOCH_STEP + step) << 22) + low)


def fixed_token(user_id, name):
    head = base64.b64encode(user_id.encode()).decode().rstrip("=")
    return f"{head}.seeded.{name}-token-of-the-client-tests"


class Seed:
    """The seed file and the ids and tokens that tests need of it."""

    def __init__(self):
        self.guild_ids = [snowflake(i) for i in range(GUILDS)]
        self.users = {name: snowflake(100 + i) for i, name in enumerate(("alice", "bob", "carol"))}
        self.bots = {"pingbot": snowflake(200), "quietbot": snowflake(201)}
        people = {**self.users, **self.bots}
        self.tokens = {name: fixed_token(user_id, name) for name, user_id in people.items()}
        self.channels = {
            name: snowflake(300 + i)
            for i, name in enumerate(("text", "general", "burst", "resume", "secret", "talk"))
        }
        self.role_mod = snowflake(400)

    def document(self):
        return {
            "users": [
                {
                    "id": user_id,
                    "username": name,
                    "password": f"the password of {name}",
                    "email": f"{name}@example.test",
                    "token": self.tokens[name],
                }
                for name, user_id in self.users.items()
            ],
            "bots": [
                {
                    "id": self.bots["pingbot"],
                    "username": "pingbot",
                    "owner": "alice",
                    "token": self.tokens["pingbot"],
                    "intents": ["GUILD_MEMBERS", "GUILD_PRESENCES", "MESSAGE_CONTENT"],
                    "public": True,
                },
                {
                    "id": self.bots["quietbot"],
                    "username": "quietbot",
                    "owner": "alice",
                    "token": self.tokens["quietbot"],
                    "intents": [],
                    "public": True,
                },
            ],
            "guilds": [self._main_guild()] + [self._small_guild(i) for i in range(1, GUILDS)],
        }

    def _main_guild(self):
        channels = [
            {"name": "Text channels", "type": 4, "id": self.channels["text"]},
            self._text("general", topic="where everybody talks"),
            self._text("burst"),
            self._text("resume"),
            {
                **self._text("secret"),
                "overwrites": [
                    {"everyone": True, "allow": "0", "deny": str(VIEW)},
                    {"user": "bob", "allow": str(VIEW), "deny": "0"},
                ],
            },
            {"name": "Talk", "type": 2, "id": self.channels["talk"]},
        ]
        return {
            "id": self.guild_ids[0],
            "name": "Demo",
            "owner": "alice",
            "members": ["bob"],
            "bots": [
                {"username": "pingbot", "permissions": str(BOT_PERMISSIONS)},
                {"username": "quietbot", "permissions": str(VIEW | SEND)},
            ],
            "roles": [
                {
                    "id": self.role_mod,
                    "name": "mod",
                    "permissions": str(MANAGE_MESSAGES),
                    "color": 3447003,
                    "hoist": True,
                    "mentionable": True,
                    "members": ["bob"],
                }
            ],
            "channels": channels,
        }

    def _text(self, name, topic=None):
        channel = {"id": self.channels[name], "name": name, "type": 0, "parent": "Text channels"}
        return {**channel, "topic": topic} if topic else channel

    def _small_guild(self, index):
        return {
            "id": self.guild_ids[index],
            "name": f"Guild {index}",
            "owner": "alice",
            "bots": [{"username": "pingbot", "permissions": str(BOT_PERMISSIONS)}],
            "channels": [{"id": snowflake(500 + index), "name": f"room-{index}", "type": 0}],
        }

    def room(self, index):
        """The one channel of small guild `index` (1 to 3)."""
        return snowflake(500 + index)

    def write(self, path):
        with open(path, "w", encoding="utf-8") as out:
            json.dump(self.document(), out, indent=1)
