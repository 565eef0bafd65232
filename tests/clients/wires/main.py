"""discord.py, unmodified, with one compression of the gateway (WIRE): it logs in, has its guilds, receives, and resumes.
It takes zstd-stream where the package zstandard is installed, else zlib-stream; both with JSON only."""
import asyncio
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import discord  # noqa: E402
import yarl  # noqa: E402
from check import check, control, run, say, until, within  # noqa: E402

IDS = json.loads(os.environ["SEED_IDS"])
GUILD, GENERAL, SECRET, RESUME = (int(IDS[name]) for name in ("guild", "general", "secret", "resume"))
WIRE = os.environ["WIRE"].split(":")[1]
TEXTS = ["short", 'é 👋 \\ " / \n\u2028 end', "1258291200000000001", "long " * 380 + "end"]

discord.http.Route.BASE = os.environ["API_URL"] + "/v10"
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["GATEWAY_URL"])


class Client(discord.Client):
    def __init__(self):
        super().__init__(intents=discord.Intents(guilds=True, members=True, messages=True, message_content=True))
        self.created, self.readys, self.resumes, self.problems = [], 0, 0, []
        self.was_ready = asyncio.Event()

    async def on_ready(self):
        self.was_ready.set()

    async def on_connect(self):
        self.readys += 1

    async def on_resumed(self):
        self.resumes += 1

    async def on_message(self, message):
        self.created.append(message)

    async def on_error(self, event, *_, **__):
        self.problems.append(f"{event}: {sys.exc_info()[1]!r}")

    def heard(self, content):
        return next((message for message in self.created if message.content == content), None)


async def check_resume(client):
    async with check("resume"):
        readys = client.readys
        await say(RESUME, "resume 0")
        await until("the first", lambda: client.heard("resume 0"))
        await control("swallow")
        for number in (1, 2):
            await say(RESUME, f"resume {number}")
        await asyncio.sleep(0.1)
        await control("cut", hold=True)
        for number in (3, 4):
            await say(RESUME, f"resume {number}")
        await control("release")
        await until("the resume", lambda: client.resumes > 0, 30)
        await say(RESUME, "resume 5")
        await until("the last", lambda: client.heard("resume 5"), 30)
        got = [message.content for message in client.created if message.channel.id == RESUME]
        assert got == [f"resume {number}" for number in range(6)], got
        assert client.readys == readys, "the session was not resumed but made anew"


async def main():
    client = Client()
    task = asyncio.create_task(client.start(os.environ["BOT_TOKEN"]))
    async with check("login"):
        await within("ready", client.was_ready.wait(), 30)
    async with check("wire"):
        assert discord.utils._ActiveDecompressionContext.COMPRESSION_TYPE == {"json-zlib": "zlib-stream"}.get(
            WIRE, "zstd-stream"
        )
    async with check("guilds"):
        assert sorted(guild.id for guild in client.guilds) == sorted(map(int, IDS["guilds"]))
        guild = client.get_guild(GUILD)
        assert guild.name == "Demo" and guild.get_channel(GENERAL).topic == "where everybody talks"
        assert guild.get_channel(SECRET) is None
        members = {member.id for member in await within("members", guild.chunk())}
        assert {int(IDS[name]) for name in ("alice", "bob", "bot")} <= members, members
    async with check("receive"):
        for text in TEXTS:
            posted = await say(GENERAL, text)
            await until("the message", lambda: client.heard(text))
            assert client.heard(text).id == int(posted["id"])
    async with check("many"):
        for number in range(40):
            await say(GENERAL, f"number {number}", **{"as": "bob" if number % 2 else "alice"})
        await until("the last", lambda: client.heard("number 39"))
        got = [message.content for message in client.created if message.content.startswith("number")]
        assert got == [f"number {number}" for number in range(40)], got
    await check_resume(client)
    async with check("no error in a handler"):
        assert not client.problems, client.problems
    await within("close", client.close())
    await asyncio.wait({task}, timeout=10)


run(main)
