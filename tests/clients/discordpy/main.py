"""discord.py, unmodified: what a bot written with it does in a day, against the server named by the environment."""
import asyncio
import io
import json
import logging
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import aiohttp  # noqa: E402
import discord  # noqa: E402
import yarl  # noqa: E402
from check import api, check, control, run, say, until, within  # noqa: E402
from interactions import check_interactions  # noqa: E402

IDS = json.loads(os.environ["SEED_IDS"])
GUILD, GENERAL, SECRET, RESUME, BURST = (int(IDS[name]) for name in ("guild", "general", "secret", "resume", "burst"))
ALICE, BOB, BOT = (int(IDS[name]) for name in ("alice", "bob", "bot"))

# The library's two base URLs: all that a bot changes.
discord.http.Route.BASE = os.environ["API_URL"] + "/v10"
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["GATEWAY_URL"])

INTENTS = discord.Intents(
    guilds=True,
    members=True,
    presences=True,
    voice_states=True,
    messages=True,
    reactions=True,
    typing=True,
    message_content=True,
)


class Recorder:
    """Mixed into a client class: keeps what the events said."""

    def __init__(self, **options):
        super().__init__(intents=INTENTS, **options)
        self.created, self.updated, self.deleted, self.reactions, self.typing = [], [], [], [], []
        self.readys, self.resumes, self.problems = 0, 0, []
        self.was_ready = asyncio.Event()

    async def on_ready(self):
        self.was_ready.set()

    async def on_connect(self):
        self.readys += 1

    async def on_resumed(self):
        self.resumes += 1

    async def on_message(self, message):
        self.created.append(message)

    async def on_raw_message_edit(self, event):
        self.updated.append(event)

    async def on_message_delete(self, message):
        self.deleted.append(message.id)

    async def on_raw_reaction_add(self, event):
        self.reactions.append(event)

    async def on_typing(self, channel, user, when):
        self.typing.append((channel.id, user.id, when))

    async def on_error(self, event, *_, **__):
        self.problems.append(f"{event}: {sys.exc_info()[1]!r}")

    def heard(self, content):
        return next((message for message in self.created if message.content == content), None)


class Client(Recorder, discord.Client):
    pass


class ShardedClient(Recorder, discord.AutoShardedClient):
    pass


class LimitCounter(logging.Handler):
    """Counts the 429 answers that the library met: it says so in its log only."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def emit(self, record):
        self.count += "We are being rate limited" in record.getMessage()


async def start(client):
    task = asyncio.create_task(client.start(os.environ["BOT_TOKEN"]))
    ready = asyncio.create_task(client.was_ready.wait())
    await asyncio.wait({task, ready}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    assert ready.done(), "not ready within 30 s"


async def check_guild(client):
    guild = client.get_guild(GUILD)
    async with check("login"):
        assert client.user.id == BOT and client.user.name == "pingbot" and client.user.bot
    async with check("application"):
        application = await within("fetch", client.application_info())
        assert application.id == BOT and application.owner.id == ALICE and application.bot_public
    async with check("guild"):
        assert len(client.guilds) == len(IDS["guilds"]), client.guilds
        assert guild.name == "Demo" and guild.owner_id == ALICE and not guild.unavailable
        assert guild.me.id == BOT
    async with check("roles"):
        assert guild.default_role.id == GUILD
        mod = guild.get_role(int(IDS["role_mod"]))
        assert mod.name == "mod" and mod.colour.value == 3447003 and mod.hoist
        assert mod.permissions.manage_messages and not mod.permissions.manage_channels
        assert guild.me.guild_permissions.manage_channels and not guild.me.guild_permissions.administrator
    async with check("channels"):
        general = guild.get_channel(GENERAL)
        assert general.name == "general" and general.topic == "where everybody talks"
        assert general.category.name == "Text channels"
        assert isinstance(guild.get_channel(int(IDS["talk"])), discord.VoiceChannel)
        assert guild.get_channel(SECRET) is None
    async with check("members"):
        assert guild.chunked, f"{len(guild.members)} of {guild.member_count} members known"
        assert {ALICE, BOB, BOT} <= {member.id for member in guild.members}
        assert guild.get_member(BOB).get_role(int(IDS["role_mod"]))
        fetched = await within("fetch", guild.fetch_member(BOB))
        assert fetched.name == "bob"


async def check_messages(client):
    channel = client.get_channel(GENERAL)
    async with check("receive"):
        posted = await say(GENERAL, "hello from alice é 👋")
        question = await until("the message", lambda: client.heard("hello from alice é 👋"))
        assert str(question.id) == posted["id"] and question.author.id == ALICE
        assert question.channel == channel and question.guild.id == GUILD
    async with check("secret stays secret"):
        await say(SECRET, "not for bots")
        await say(GENERAL, "after the secret")
        await until("the later message", lambda: client.heard("after the secret"))
        assert client.heard("not for bots") is None
    async with check("reply"):
        answer = await within("reply", question.reply("hello alice"))
        assert answer.reference.message_id == question.id
        assert answer.reference.resolved.content == question.content
        stored = await api("alice", "GET", f"/channels/{GENERAL}/messages/{answer.id}")
        assert stored["body"]["referenced_message"]["id"] == str(question.id)
        assert stored["body"]["type"] == 19
        await until("own message", lambda: client.heard("hello alice"))
    async with check("edit"):
        edited = await within("edit", answer.edit(content="hello alice, edited"))
        assert edited.content == "hello alice, edited"
        event = await until("the update", lambda: next((e for e in client.updated if e.message_id == answer.id), None))
        assert event.message.content == "hello alice, edited" and event.message.edited_at
    async with check("hear an edit"):
        path = f"/channels/{GENERAL}/messages/{question.id}"
        await api("alice", "PATCH", path, {"content": "alice changed it"})
        event = await until("the update", lambda: next((e for e in client.updated if e.message_id == question.id), None))
        assert event.message.content == "alice changed it"
    async with check("react"):
        await within("react", question.add_reaction("👍"))
        await until("own reaction", lambda: next((e for e in client.reactions if e.user_id == BOT), None))
        path = f"/channels/{GENERAL}/messages/{answer.id}/reactions/%F0%9F%8E%89/@me"
        await api("alice", "PUT", path)
        event = await until("her reaction", lambda: next((e for e in client.reactions if e.user_id == ALICE), None))
        assert event.emoji.name == "🎉" and event.message_id == answer.id and event.member.id == ALICE
        fresh = await within("fetch", channel.fetch_message(question.id))
        assert [(str(r.emoji), r.count, r.me) for r in fresh.reactions] == [("👍", 1, True)]
        assert [user.id async for user in fresh.reactions[0].users()] == [BOT]
        await within("unreact", question.remove_reaction("👍", client.user))
        assert not (await within("fetch", channel.fetch_message(question.id))).reactions
    async with check("embed and attachment"):
        data = b"line one\nline two\n"
        embed = discord.Embed(title="a title", description="a text", colour=0x336699)
        embed.add_field(name="k", value="v")
        file = discord.File(io.BytesIO(data), "notes.txt", description="two lines")
        sent = await within("send", channel.send("with a file", embed=embed, file=file))
        assert sent.embeds[0].title == "a title" and sent.embeds[0].fields[0].value == "v"
        assert sent.attachments[0].filename == "notes.txt" and sent.attachments[0].size == len(data)
        async with aiohttp.ClientSession() as session, session.get(sent.attachments[0].url) as download:
            assert download.status == 200 and await download.read() == data
    async with check("typing"):
        async with channel.typing():
            await api("alice", "POST", f"/channels/{GENERAL}/typing")
        await until("her typing", lambda: any(t[:2] == (GENERAL, ALICE) for t in client.typing))
    async with check("pins"):
        await within("pin", answer.pin())
        assert [message.id async for message in channel.pins()] == [answer.id]
        await within("unpin", answer.unpin())
    async with check("history"):
        page = [message.id async for message in channel.history(limit=3)]
        assert len(page) == 3 and page == sorted(page, reverse=True)
        before = [m.id async for m in channel.history(limit=50, before=discord.Object(page[2]))]
        assert question.id in before and page[2] not in before
        after = [m.id async for m in channel.history(limit=50, after=discord.Object(question.id))]
        assert answer.id in after and question.id not in after and after == sorted(after)
    async with check("delete"):
        await within("delete", answer.delete())
        await until("the event", lambda: answer.id in client.deleted)
        gone = await api("alice", "GET", f"/channels/{GENERAL}/messages/{answer.id}")
        assert gone["status"] == 404 and gone["body"]["code"] == 10008
    async with check("errors"):
        for expected, code, awaitable in (
            (discord.NotFound, 10003, client.fetch_channel(1258291200000000001)),
            (discord.Forbidden, 50001, client.get_partial_messageable(SECRET).send("x")),
            (discord.HTTPException, 50006, channel.send(" ")),
            (discord.HTTPException, 50035, channel.send("x" * 2001)),
        ):
            try:
                await within("a refusal", awaitable)
            except expected as problem:
                assert problem.code == code, problem
            else:
                raise AssertionError(f"no error {code}")


async def check_guild_events(client):
    guild = client.get_guild(GUILD)
    async with check("channel events"):
        made = await within("create", guild.create_text_channel("fresh", topic="new"))
        await until("the channel", lambda: guild.get_channel(made.id))
        await within("edit", made.edit(topic="newer"))
        await until("the update", lambda: guild.get_channel(made.id).topic == "newer")
        await within("delete", made.delete())
        await until("the delete", lambda: guild.get_channel(made.id) is None)
    async with check("role events"):
        role = await within("create", guild.create_role(name="helper", colour=discord.Colour(0x00FF00)))
        await until("the role", lambda: guild.get_role(role.id))
        await within("give", guild.get_member(BOB).add_roles(role))
        await until("the member update", lambda: guild.get_member(BOB).get_role(role.id))
        await within("delete", role.delete())
        await until("the delete", lambda: guild.get_role(role.id) is None)
    async with check("direct message"):
        sent = await within("send", (await within("user", client.fetch_user(ALICE))).send("just you"))
        stored = await api("alice", "GET", f"/channels/{sent.channel.id}/messages/{sent.id}")
        assert stored["body"]["content"] == "just you"


async def check_resume(client):
    async with check("resume"):
        readys = client.readys
        await say(RESUME, "resume 0")
        await until("the first", lambda: client.heard("resume 0"))
        await control("swallow")  # the server sends these, nobody receives them
        for number in (1, 2):
            await say(RESUME, f"resume {number}")
        await asyncio.sleep(0.1)
        await control("cut", hold=True)
        for number in (3, 4):
            await say(RESUME, f"resume {number}")  # the session has no socket
        await control("release")
        await until("the resume", lambda: client.resumes > 0, 20)
        for number in (5, 6):
            await say(RESUME, f"resume {number}")
        await until("the last", lambda: client.heard("resume 6"), 20)
        got = [message.content for message in client.created if message.channel.id == RESUME]
        assert got == [f"resume {number}" for number in range(7)], got
        assert client.readys == readys, "the session was not resumed but made anew"


async def check_rate_limit(client, limits):
    async with check("429"):
        channel, count = client.get_channel(BURST), 12
        await within("first", channel.send("burst warms up"))
        assert (await control("drain", channel=str(BURST)))["retry_after"] > 0

        async def burst():  # one after the other: the library itself does not keep the order of concurrent sends
            for number in range(count):
                await channel.send(f"burst {number}")

        await within("the burst", burst(), 60)
        assert limits.count > 0, "the library met no 429"

        def got():
            said = (message.content for message in client.created)
            return [content for content in said if content.startswith("burst ") and content[6:].isdigit()]

        await until("every message", lambda: len(got()) >= count)
        assert got() == [f"burst {i}" for i in range(count)], got()


async def check_presence_and_voice(client):
    guild = client.get_guild(GUILD)
    async with check("presence"):
        activity = discord.Activity(type=discord.ActivityType.competing, name="chess")
        await client.change_presence(status=discord.Status.idle, activity=activity)
        # the library sets its own status at once; the device's comes from the gateway
        await until("idle", lambda: guild.me.web_status is discord.Status.idle)
        assert guild.me.activities[0].name == "chess", guild.me.activities
        await client.change_presence(status=discord.Status.online, activity=discord.CustomActivity("thinking"))
        await until("online", lambda: guild.me.web_status is discord.Status.online)
        assert str(guild.me.activities[0]) == "thinking", guild.me.activities
    async with check("voice state"):
        talk = guild.get_channel(int(IDS["talk"]))
        await guild.change_voice_state(channel=talk, self_mute=True)
        await until("joined", lambda: guild.me.voice and guild.me.voice.channel == talk)
        assert guild.me.voice.self_mute and talk.members == [guild.me]
        await guild.change_voice_state(channel=None)
        await until("left", lambda: guild.me.voice is None)


async def check_restart(client):
    for kill in (False, True):
        async with check(f"gateway nodes {'killed' if kill else 'stopped'} and started again"):
            await asyncio.sleep(3)  # for the record of the session, which is written every second
            readys, resumes = client.readys, client.resumes
            lines = [f"{line} kill {kill}" for line in ("before", "meanwhile", "back")]
            await say(GENERAL, lines[0])
            restart = asyncio.create_task(control("restart", kill=kill))
            await asyncio.sleep(0.3)
            await say(GENERAL, lines[1])
            await restart
            await until("the session", lambda: client.readys + client.resumes > readys + resumes, 60)
            await say(GENERAL, lines[2])
            await until("the message", lambda: client.heard(lines[2]), 20)
            await asyncio.sleep(0.3)
            assert [message.content for message in client.created if message.content in lines] == lines
            assert client.readys == readys, "the session was not resumed but made anew"


async def check_shards():
    async with check("two shards"):
        client = ShardedClient(shard_count=2)
        await start(client)
        for shard in (0, 1):
            expected = {int(i) for i in IDS["guilds"] if (int(i) >> 22) % 2 == shard}
            assert {g.id for g in client.guilds if g.shard_id == shard} == expected and expected
        for index, room in enumerate(IDS["rooms"][:2]):
            await say(room, f"to room {index}")
        await until("both", lambda: all(client.heard(f"to room {i}") for i in (0, 1)))
        await asyncio.sleep(0.2)
        assert sorted(m.content for m in client.created) == ["to room 0", "to room 1"]
        assert [client.heard(f"to room {i}").guild.shard_id for i in (0, 1)] == [1, 0]
        assert not client.problems, client.problems
        await within("close", client.close())


async def main():
    limits = LimitCounter()
    logging.getLogger("discord.http").addHandler(limits)
    if os.environ.get("CLIENT_VERBOSE") == "1":
        logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="# %(name)s %(message)s")
    client = Client()
    await start(client)
    await check_guild(client)
    await check_messages(client)
    await check_guild_events(client)
    await check_presence_and_voice(client)
    await check_interactions(client, IDS)
    await check_resume(client)
    await check_rate_limit(client, limits)
    if os.environ["PLATFORM"] == "stack":
        await check_restart(client)
    async with check("no error in a handler"):
        assert not client.problems, client.problems
    await within("close", client.close())
    await check_shards()


run(main)
