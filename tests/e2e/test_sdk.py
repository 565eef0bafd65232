"""The SDK on the whole picture: a worker declares its commands; a person uses them, with suggestions, a modal and a
button; a dashboard reads the cache that the shard keeps."""

import os
import re
import subprocess
import threading
import unittest

import person
from person import CHANNEL, GUILD, PINGBOT, Person, Stack, http, wait_until
from stack import binary

EXAMPLES = binary().parent / "worker-sdk" / "examples"
stack = alice = None
person.GUILD_MESSAGES |= 1 << 12  # what only one person sees comes on that person's own topic, like direct messages


def setUpModule():
    global stack, alice
    stack = Stack(gateways=1, shards=(1,), workers=2, worker_binary=EXAMPLES / "commands",
                  args={"api": ["--interaction-deadline-ms", "60000"]})  # a busy machine is no failure here
    unittest.addModuleCleanup(lambda: stack.stop())
    stack.start()
    alice = Person(stack)
    unittest.addModuleCleanup(alice.close)


def commands():
    status, found, _ = http("GET", f"{stack.api_url}/v10/applications/{PINGBOT}/commands",
                            "Bot " + stack.bot("pingbot")["token"])
    return {command["name"]: command["id"] for command in found} if status == 200 else {}


class Terminal:
    """`guildhall ctl chat` as alice has it before her."""

    def __init__(self):
        self.screen = ""
        env = {**os.environ, "DISCORD_TOKEN": alice.token, "UPSTREAM_URL": stack.api_url}
        self.process = subprocess.Popen([binary(), "ctl", "chat"], env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while char := self.process.stdout.read(1):
            self.screen += char

    def types(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def sees(self, pattern):
        return wait_until(lambda: re.search(pattern, self.screen), 60, lambda: f"{pattern!r} in {self.screen!r}")

    def close(self):
        with self.process:
            self.process.stdin.close()
        return self.process.returncode


class Sdk(unittest.TestCase):
    def use(self, kind, data, **more):
        body = {"type": kind, "application_id": PINGBOT, "guild_id": GUILD, "channel_id": CHANNEL["general"],
                "session_id": "s", "nonce": "77", "data": data, **more}
        status, answer = alice.patient("POST", "/interactions", body)
        self.assertEqual(status, 204, answer)

    def said(self, event, begins):
        return wait_until(lambda: [message for message in alice.seen(event)
                                   if message.get("author", {}).get("id") == PINGBOT
                                   and message["content"].startswith(begins)], 60, f"{event} {begins}")[-1]

    def setUp(self):
        wait_until(lambda: {"roll", "weather", "feedback"} <= set(commands()), 60, "the commands are registered")
        self.id = commands()

    def test_01_an_option_is_typed(self):
        self.use(2, {"id": self.id["roll"], "options": [{"type": 4, "name": "sides", "value": 8}]})
        self.assertRegex(self.said("MESSAGE_CREATE", "You rolled")["content"], r"^You rolled \*\*[1-8]\*\* of 8\.$")

    def test_02_what_is_typed_is_completed(self):
        self.use(4, {"id": self.id["weather"],
                     "options": [{"type": 3, "name": "city", "value": "ber", "focused": True}]})
        answer = alice.hears("APPLICATION_COMMAND_AUTOCOMPLETE_RESPONSE", timeout_s=60)[-1]
        self.assertEqual([choice["value"] for choice in answer["choices"]], ["Berlin", "Bern"])

    def test_03_a_deferred_answer_follows(self):
        self.use(2, {"id": self.id["weather"], "options": [{"type": 3, "name": "city", "value": "Bern"}]})
        wait_until(lambda: [message for message in alice.seen("MESSAGE_UPDATE")
                            if [embed["title"] for embed in message.get("embeds", [])] == ["Bern"]], 60, "the weather")

    def test_04_a_modal_and_a_button(self):
        self.use(2, {"id": self.id["feedback"], "options": []})
        modal = alice.hears("INTERACTION_MODAL_CREATE", timeout_s=60)[-1]
        self.use(5, {"id": modal["id"], "custom_id": "feedback", "components": [
            {"type": 18, "component": {"type": 4, "custom_id": "text", "value": "*nice*"}}]})
        thanks = self.said("MESSAGE_CREATE", "Thank you.")
        self.assertEqual((thanks["flags"] & 64, thanks["content"].endswith("> \\*nice\\*")), (64, True))
        self.use(3, {"component_type": 2, "custom_id": "send:yes"}, message_id=thanks["id"], message_flags=64)
        self.assertEqual(self.said("MESSAGE_UPDATE", "Sent.")["components"], [])

    def test_05_a_dashboard_reads_the_cache(self):
        env = {**os.environ, "REDIS_URL": stack.redis_url, "DISCORD_TOKEN": stack.bot("pingbot")["token"],
               "GUILD_ID": GUILD}
        done = subprocess.run([EXAMPLES / "dashboard"], env=env, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("guild: Demo, 3 members", done.stdout)
        self.assertIn("  #general\n", done.stdout)
        self.assertIn("  mod: MANAGE_MESSAGES\n", done.stdout)

    def test_06_a_person_in_the_terminal(self):
        wait_until(lambda: alice.call("GET", f"/guilds/{GUILD}/application-command-index")[1]["application_commands"],
                   60, "commands to use")
        terminal = Terminal()
        terminal.sees("-- #general")
        terminal.types("/weather city:Bern")
        terminal.sees("pingbot: thinking")
        terminal.sees(r"pingbot \(edited\): \n   \[Bern\] Sunny")
        terminal.types("/feedback")
        terminal.sees("-- Feedback\n-- What is it\\?: ")
        terminal.types("nice")
        yes = terminal.sees(r"pingbot \(to you only\): Thank you.*> nice\n   :(\d+) ")[1]
        terminal.types(":" + yes)
        terminal.sees(r"\(edited\) \(to you only\): Sent")
        terminal.types("/nothing")
        terminal.sees("-- /roll  ")
        terminal.types(":) is not a button")
        terminal.sees("alice: :\\) is not a button")
        self.assertEqual(terminal.close(), 0)


if __name__ == "__main__":
    unittest.main()
