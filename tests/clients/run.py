#!/usr/bin/env python3
"""Runs one unmodified client library against Guildhall: run.py --library L [--wire W | --script S] [--platform dev|stack].

With a wire (an encoding and compression of the gateway, see WIRES) it is the short script of wires/ that runs.
Starts the servers (GUILDHALL_BIN names the binary) with a seed of its own and a cutter before each gateway, runs the
library's script with everything it needs in the environment, and ends with its exit code. `--verbose` shows the
library's own log.
"""
import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from caller import Caller  # noqa: E402
from control import Control  # noqa: E402
from cutter import Cutter  # noqa: E402
from installs import install  # noqa: E402
from seed import Seed  # noqa: E402
from servers import DevPlatform, StackPlatform  # noqa: E402

SCRIPT_SECONDS = 170
os.environ.setdefault("GUILDHALL_INTERACTION_DEADLINE_MS", "120000")  # of every process: a busy machine is no failure
HTTPS_ONLY = ("discordjs13", "eris")
WIRES = {  # what is installed for it
    "discordjs:json-zlib": "wires",
    "discordjs13:etf": "wires",
    "discordjs13:etf-zlib": "wires",
    "discordjsws:json-pack": "discordjs",
    "discordpy:json-zlib": "discordpy",
    "discordpy:json-zstd": "wires_py",
    "eris:etf": "wires",
    "eris:etf-zlib": "wires",
    "eris:json-zlib": "wires",
    "fzstd:json-zstd": "wires",
}


def seed_ids(seed):
    return {
        "guild": seed.guild_ids[0],
        "guilds": seed.guild_ids,
        "rooms": [seed.room(index) for index in range(1, len(seed.guild_ids))],
        "role_mod": seed.role_mod,
        "bot": seed.bots["pingbot"],
        **seed.users,
        **seed.channels,
    }


def command(options, folder):
    script = os.path.join(HERE, "wires" if options.wire else options.library)
    if options.library == "discordpy":
        return [os.path.join(folder, "venv", "bin", "python"), "-u", os.path.join(script, f"{options.script}.py")]
    return ["node", os.path.join(script, f"{'fzstd' if options.library == 'fzstd' else options.script}.js")]


def trusted(options, platform):
    """discord.js 13 takes no agent for its WebSocket: Node itself has to trust the server."""
    more = {"NODE_EXTRA_CA_CERTS": platform.ca} if options.library == "discordjs13" else {}
    return {**more, "SERVER_CA": platform.ca} if platform.ca else {}


def environment(options, folder, platform, seed, control):
    more = {
        "API_URL": platform.api_url,
        "GATEWAY_URL": platform.gateway_url,
        "BOT_TOKEN": seed.tokens["pingbot"],
        "SEED_IDS": json.dumps(seed_ids(seed)),
        "CONTROL_URL": control.url,
        "PLATFORM": options.platform,
        "WIRE": f"{options.library}:{options.wire}",
        "NODE_PATH": os.path.join(folder, "node_modules"),
        "NODE_NO_WARNINGS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CLIENT_VERBOSE": "1" if options.verbose else "0",
    }
    return {**os.environ, **more, **trusted(options, platform)}


def make_platform(options, seed, cutters):
    tls, server = options.library in HTTPS_ONLY, options.server.split()
    limits = False if options.wire or options.script != "main" else None  # without them it takes seconds
    if options.script == "misbehave":
        server += ["--heartbeat-interval-ms", "1500"]  # one that is missed is missed soon
    if options.platform == "dev":
        return DevPlatform(seed, cutters[0], tls, limits, server)
    return StackPlatform(seed, cutters, tls, limits, server)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", required=True, choices=["discordjs", "discordjs13", "discordjsws", "discordpy", "eris", "fzstd"])
    parser.add_argument("--wire", help="an encoding and compression: " + ", ".join(WIRES))
    parser.add_argument("--server", default="", help="further arguments of the gateway")
    parser.add_argument("--platform", default="dev", choices=["dev", "stack"])
    parser.add_argument("--cache", default=os.path.join(HERE, "..", "..", "build", "clients-cache"))
    parser.add_argument("--script", default="main", choices=["main", "misbehave"])
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    installed = WIRES[f"{options.library}:{options.wire}"] if options.wire else options.library
    folder = install(installed, os.path.abspath(options.cache))
    seed, cutters = Seed(), [Cutter() for _ in range(1 if options.platform == "dev" else 2)]
    platform = make_platform(options, seed, cutters)
    control = Control(platform, Caller(platform.api_url, platform.ca), seed.tokens, cutters)
    try:
        env = environment(options, folder, platform, seed, control)
        code = subprocess.run(command(options, folder), env=env, timeout=SCRIPT_SECONDS).returncode
        if code:
            for process in platform.processes:
                print(f"# last lines of {process.log_path}:\n{process.log_tail()}")
    finally:
        control.stop()
        problem = platform.stop()
        for cutter in cutters:
            cutter.stop()
    if problem:
        print(f"not ok graceful stop: {problem}")
        code = code or 1
    return code


if __name__ == "__main__":
    sys.exit(main())
