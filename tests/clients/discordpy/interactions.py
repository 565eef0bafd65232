"""discord.py's commands, layouts and modals, used as a person's client uses them."""
import io

import discord
from check import api, check, until, within

CHOICES = [("Monday", "mon"), ("Friday", "fri")]


class Form(discord.ui.Modal, title="A form"):
    name = discord.ui.Label(text="Name", component=discord.ui.TextInput(custom_id="name", min_length=2))
    colour = discord.ui.Label(
        text="Colour",
        component=discord.ui.Select(custom_id="colour", options=[discord.SelectOption(label="Red", value="red")]),
    )
    who = discord.ui.Label(text="Who", component=discord.ui.UserSelect(custom_id="who"))
    days = discord.ui.Label(text="Days", component=discord.ui.CheckboxGroup(custom_id="days"))
    sure = discord.ui.Label(text="Sure", component=discord.ui.Checkbox(custom_id="sure"))

    def __init__(self):
        super().__init__(custom_id="form")
        for label, value in CHOICES:
            self.days.component.add_option(label=label, value=value)

    async def on_submit(self, interaction):
        said = [self.name.component.value, *self.colour.component.values, *(user.name for user in self.who.component.values)]
        said += [*self.days.component.values, str(self.sure.component.value)]
        await interaction.response.defer(ephemeral=True, thinking=True)
        await interaction.followup.send(" ".join(said), ephemeral=True)
        await interaction.followup.send("the form is in")


class Panel(discord.ui.LayoutView):
    def __init__(self, opened):
        super().__init__(timeout=None)
        self.opened = opened
        ask = discord.ui.Button(label="Ask", custom_id="ask")
        ask.callback = self.ask
        section = discord.ui.Section(discord.ui.TextDisplay("press it"), accessory=ask)
        file = discord.ui.File("attachment://notes.txt")
        self.add_item(discord.ui.Container(section, discord.ui.Separator(), file, accent_colour=0xFF0000))

    async def ask(self, interaction):
        await interaction.response.send_modal(Form())
        self.opened.append(str(interaction.id))


class Person:
    """alice's client."""

    def __init__(self, ids):
        self.place = {"application_id": ids["bot"], "guild_id": ids["guild"], "channel_id": ids["general"]}

    async def use(self, kind, data, **more):
        answer = await api("alice", "POST", "/interactions", {"type": kind, **self.place, "data": data, **more})
        assert answer["status"] == 204, answer


def labelled(kind, custom_id, **given):
    return {"type": 18, "component": {"type": kind, "custom_id": custom_id, **given}}


async def check_interactions(client, ids):
    guild, alice = discord.Object(int(ids["guild"])), Person(ids)
    tree = discord.app_commands.CommandTree(client)
    used, opened = [], []

    @tree.command(name="panel", description="shows a panel", guild=guild)
    async def panel(interaction, member: discord.Member, times: discord.app_commands.Range[int, 1, 5] = 1):
        used.append((interaction, member, times))
        notes = discord.File(io.BytesIO(b"notes"), "notes.txt")
        await interaction.response.send_message(view=Panel(opened), file=notes)

    @panel.autocomplete("times")
    async def numbers(_interaction, current):
        used.append(current)
        return [discord.app_commands.Choice(name="three", value=3)]

    async with check("slash command"):
        (command,) = await within("sync", tree.sync(guild=guild))
        member = {"type": 6, "name": "member", "value": ids["bob"]}
        partial = [member, {"type": 4, "name": "times", "value": "", "focused": True}]
        await alice.use(4, {"id": str(command.id), "name": "panel", "options": partial})
        await until("autocomplete", lambda: used)
        used.clear()
        await alice.use(2, {"id": str(command.id), "name": "panel", "options": [member, {"type": 4, "name": "times", "value": 3}]})
        await until("the command", lambda: used)
        interaction, member, times = used[0]
        assert interaction.user.id == int(ids["alice"]) and member.id == int(ids["bob"]) and times == 3
        assert interaction.is_guild_integration() and not interaction.is_user_integration()
        assert interaction.context.guild and interaction.app_permissions.view_channel
    async with check("layout"):
        message = await until("the panel", lambda: next((m for m in client.created if m.flags.components_v2), None))
        container = message.components[0]
        assert container.accent_colour.value == 0xFF0000, container
        file = container.children[2]
        assert file.name == "notes.txt" and file.size == 5 and file.media.url.startswith("http"), file
    async with check("modal"):
        await alice.use(3, {"component_type": 2, "custom_id": "ask"}, message_id=str(message.id))
        await until("the form", lambda: opened)
        components = [
            labelled(4, "name", value="Alice"),
            labelled(3, "colour", values=["red"]),
            labelled(5, "who", values=[ids["bob"]]),
            labelled(22, "days", values=["mon", "fri"]),
            labelled(23, "sure", value=True),
        ]
        await alice.use(5, {"id": opened[0], "custom_id": "form", "components": components})
        await until("the follow-up", lambda: client.heard("the form is in"))
