'use strict';
// discord.js, unmodified: what a bot written with it does in a day, against the server named by the environment.

const assert = require('node:assert/strict');
const { Client, Events, GatewayIntentBits, MessageFlags, Partials, PermissionsBitField } = require('discord.js');
const { api, check, control, run, say, sleep, until, within } = require('../lib/check.js');

const env = process.env;
const ids = JSON.parse(env.SEED_IDS);
const intents = [
  GatewayIntentBits.Guilds,
  GatewayIntentBits.GuildMembers,
  GatewayIntentBits.GuildMessages,
  GatewayIntentBits.GuildMessageReactions,
  GatewayIntentBits.GuildMessageTyping,
  GatewayIntentBits.GuildPresences,
  GatewayIntentBits.GuildVoiceStates,
  GatewayIntentBits.DirectMessages,
  GatewayIntentBits.MessageContent,
];

function makeClient(more = {}) {
  return new Client({ intents, partials: [Partials.Channel], rest: { api: env.API_URL }, ...more });
}

function record(client) {
  const seen = { created: [], updated: [], deleted: [], reactions: [], typing: [], readys: 0, resumes: 0, limited: 0 };
  client.on(Events.MessageCreate, message => seen.created.push(message));
  client.on(Events.MessageUpdate, (before, after) => seen.updated.push({ before: before.content, after }));
  client.on(Events.MessageDelete, message => seen.deleted.push(message.id));
  client.on(Events.MessageReactionAdd, (reaction, user) => seen.reactions.push({ reaction, user }));
  client.on(Events.TypingStart, typing => seen.typing.push(typing));
  client.on(Events.ShardResume, () => (seen.resumes += 1));
  client.on(Events.Raw, packet => (seen.readys += packet.t === 'READY'));
  client.rest.on('response', (request, response) => (seen.limited += response.status === 429));
  client.on(Events.Error, error => console.log(`# error event: ${error}`));
  if (env.CLIENT_VERBOSE === '1') client.on(Events.Debug, line => console.log(`# ${line}`));
  return seen;
}

const heard = (seen, content) => seen.created.find(message => message.content === content);

async function login(client) {
  const ready = new Promise(resolve => client.once(Events.ClientReady, resolve));
  await within('login', client.login(env.BOT_TOKEN));
  await within('ready', ready);
}

async function checkGuild(client) {
  await check('login', () => {
    assert.equal(client.user.id, ids.bot);
    assert.equal(client.user.username, 'pingbot');
    assert.equal(client.user.bot, true);
  });
  await check('application', async () => {
    const application = await within('fetch', client.application.fetch());
    assert.equal(application.id, ids.bot);
    assert.equal(application.owner.id, ids.alice);
  });
  await check('guild', () => {
    assert.equal(client.guilds.cache.size, ids.guilds.length);
    const guild = client.guilds.cache.get(ids.guild);
    assert.equal(guild.name, 'Demo');
    assert.equal(guild.ownerId, ids.alice);
    assert.equal(guild.available, true);
    assert.equal(guild.members.me.id, ids.bot);
  });
  await check('roles', () => {
    const { roles, members } = client.guilds.cache.get(ids.guild);
    assert.equal(roles.everyone.id, ids.guild);
    const mod = roles.cache.get(ids.role_mod);
    assert.equal(mod.name, 'mod');
    assert.equal(mod.colors.primaryColor, 3447003);
    assert.equal(mod.hoist, true);
    assert.ok(mod.permissions.has(PermissionsBitField.Flags.ManageMessages));
    assert.ok(members.me.permissions.has(PermissionsBitField.Flags.ManageChannels));
    assert.ok(!members.me.permissions.has(PermissionsBitField.Flags.Administrator));
  });
  await check('channels', () => {
    const guild = client.guilds.cache.get(ids.guild);
    const general = guild.channels.cache.get(ids.general);
    assert.equal(general.name, 'general');
    assert.equal(general.topic, 'where everybody talks');
    assert.equal(general.parent.name, 'Text channels');
    assert.equal(guild.channels.cache.get(ids.talk).isVoiceBased(), true);
    assert.equal(guild.channels.cache.has(ids.secret), false);
  });
  await check('members', async () => {
    const members = await within('members', client.guilds.cache.get(ids.guild).members.fetch());
    for (const id of [ids.alice, ids.bob, ids.bot]) assert.ok(members.has(id));
    assert.ok(members.get(ids.bob).roles.cache.has(ids.role_mod));
  });
}

async function checkMessages(client, seen) {
  const channel = client.channels.cache.get(ids.general);
  let question;
  let answer;
  await check('receive', async () => {
    const posted = await say(ids.general, 'hello from alice é 👋');
    question = await until('the message', () => heard(seen, 'hello from alice é 👋'));
    assert.equal(question.id, posted.id);
    assert.equal(question.author.id, ids.alice);
    assert.equal(question.member.id, ids.alice);
    assert.equal(question.channel, channel);
    assert.equal(question.guildId, ids.guild);
  });
  await check('secret stays secret', async () => {
    await say(ids.secret, 'not for bots');
    await say(ids.general, 'after the secret');
    await until('the later message', () => heard(seen, 'after the secret'));
    assert.equal(heard(seen, 'not for bots'), undefined);
  });
  await check('reply', async () => {
    answer = await within('reply', question.reply('hello alice'));
    assert.equal(answer.reference.messageId, question.id);
    assert.equal((await answer.fetchReference()).content, question.content);
    const stored = await api('alice', 'GET', `/channels/${ids.general}/messages/${answer.id}`);
    assert.equal(stored.body.referenced_message.id, question.id);
    assert.equal(stored.body.type, 19);
    await until('own message', () => seen.created.find(message => message.id === answer.id));
  });
  await check('edit', async () => {
    const edited = await within('edit', answer.edit('hello alice, edited'));
    assert.equal(edited.content, 'hello alice, edited');
    const event = await until('the update', () => seen.updated.find(one => one.after.id === answer.id));
    assert.equal(event.after.content, 'hello alice, edited');
    assert.ok(event.after.editedTimestamp > 0);
  });
  await check('hear an edit', async () => {
    await api('alice', 'PATCH', `/channels/${ids.general}/messages/${question.id}`, { content: 'alice changed it' });
    const event = await until('the update', () => seen.updated.find(one => one.after.id === question.id));
    assert.equal(event.after.content, 'alice changed it');
  });
  await check('react', async () => {
    await within('react', question.react('👍'));
    await until('own reaction', () => seen.reactions.find(one => one.user.id === ids.bot));
    await api('alice', 'PUT', `/channels/${ids.general}/messages/${answer.id}/reactions/%F0%9F%8E%89/@me`);
    const event = await until('her reaction', () => seen.reactions.find(one => one.user.id === ids.alice));
    assert.equal(event.reaction.emoji.name, '🎉');
    assert.equal(event.reaction.message.id, answer.id);
    const users = await within('users', question.reactions.cache.get('👍').users.fetch());
    assert.deepEqual([...users.keys()], [ids.bot]);
    await within('unreact', question.reactions.cache.get('👍').users.remove(ids.bot));
    await until('the removal', () => !question.reactions.cache.get('👍').me); // the library keeps the entry itself
    const stored = await api('alice', 'GET', `/channels/${ids.general}/messages/${question.id}`);
    assert.deepEqual(stored.body.reactions ?? [], []);
  });
  await check('embed and attachment', async () => {
    const bytes = Buffer.from('line one\nline two\n');
    const sent = await within(
      'send',
      channel.send({
        content: 'with a file',
        embeds: [{ title: 'a title', description: 'a text', color: 0x336699, fields: [{ name: 'k', value: 'v' }] }],
        files: [{ attachment: bytes, name: 'notes.txt', description: 'two lines' }],
      }),
    );
    assert.equal(sent.embeds[0].title, 'a title');
    const file = sent.attachments.first();
    assert.equal(file.name, 'notes.txt');
    assert.equal(file.size, bytes.length);
    const download = await fetch(file.url);
    assert.equal(download.status, 200);
    assert.deepEqual(Buffer.from(await download.arrayBuffer()), bytes);
  });
  await check('typing', async () => {
    await within('typing', channel.sendTyping());
    await api('alice', 'POST', `/channels/${ids.general}/typing`);
    const typing = await until('her typing', () => seen.typing.find(one => one.user.id === ids.alice));
    assert.equal(typing.channel.id, ids.general);
  });
  await check('pins', async () => {
    await within('pin', answer.pin());
    const pins = await within('pins', channel.messages.fetchPins());
    assert.deepEqual(pins.items.map(item => item.message.id), [answer.id]);
    await within('unpin', answer.unpin());
  });
  await check('history', async () => {
    const page = await within('fetch', channel.messages.fetch({ limit: 3, cache: false }));
    const sorted = [...page.keys()].sort((a, b) => (BigInt(a) < BigInt(b) ? 1 : -1));
    assert.equal(page.size, 3);
    assert.deepEqual([...page.keys()], sorted);
    const before = await within('fetch', channel.messages.fetch({ limit: 50, before: sorted[2], cache: false }));
    assert.ok(before.has(question.id));
    assert.ok(!before.has(sorted[2]));
    const after = await within('fetch', channel.messages.fetch({ limit: 50, after: question.id, cache: false }));
    assert.ok(after.has(answer.id) && !after.has(question.id));
  });
  await check('delete', async () => {
    const id = answer.id;
    await within('delete', answer.delete());
    await until('the event', () => seen.deleted.includes(id));
    const gone = await api('alice', 'GET', `/channels/${ids.general}/messages/${id}`);
    assert.equal(gone.status, 404);
    assert.equal(gone.body.code, 10008);
  });
  await check('errors', async () => {
    const problem = await client.channels.fetch('1258291200000000001', { force: true }).catch(error => error);
    assert.equal(problem.status, 404);
    assert.equal(problem.code, 10003);
    const hidden = await client.rest.post(`/channels/${ids.secret}/messages`, { body: { content: 'x' } }).catch(error => error);
    assert.equal(hidden.status, 403);
    assert.equal(hidden.code, 50001);
    const empty = await channel.send({ content: ' ' }).catch(error => error);
    assert.equal(empty.code, 50006);
    const long = await channel.send({ content: 'x'.repeat(2001) }).catch(error => error);
    assert.equal(long.code, 50035);
    assert.match(long.message, /content\[BASE_TYPE_MAX_LENGTH\]/);
  });
}

async function checkGuildEvents(client) {
  const guild = client.guilds.cache.get(ids.guild);
  await check('channel events', async () => {
    const made = await within('create', guild.channels.create({ name: 'fresh', topic: 'new' }));
    assert.equal(guild.channels.cache.get(made.id).topic, 'new');
    await within('edit', made.setTopic('newer'));
    await until('the update', () => guild.channels.cache.get(made.id).topic === 'newer');
    await within('delete', made.delete());
    await until('the delete', () => !guild.channels.cache.has(made.id));
  });
  await check('role events', async () => {
    const role = await within('create', guild.roles.create({ name: 'helper', colors: { primaryColor: 0x00ff00 } }));
    const bob = await within('member', guild.members.fetch({ user: ids.bob, force: true }));
    await within('give', bob.roles.add(role));
    await until('the member update', () => guild.members.cache.get(ids.bob).roles.cache.has(role.id));
    await within('delete', role.delete());
    await until('the delete', () => !guild.roles.cache.has(role.id));
  });
  await check('direct message', async () => {
    const alice = await within('user', client.users.fetch(ids.alice));
    const sent = await within('send', alice.send('just you'));
    const stored = await api('alice', 'GET', `/channels/${sent.channelId}/messages/${sent.id}`);
    assert.equal(stored.body.content, 'just you');
  });
}

async function checkPresenceAndVoice(client) {
  const guild = client.guilds.cache.get(ids.guild);
  const shown = () => guild.presences.cache.get(client.user.id);
  await check('presence', async () => {
    client.user.setPresence({ status: 'idle', activities: [{ name: 'chess', type: 5 }] });
    await until('idle', () => shown()?.status === 'idle');
    assert.equal(shown().activities[0].name, 'chess');
    assert.equal(shown().clientStatus.web, 'idle');
    client.user.setPresence({ status: 'online', activities: [{ name: 'custom', type: 4, state: 'thinking' }] });
    await until('online', () => shown()?.status === 'online');
    assert.equal(shown().activities[0].state, 'thinking');
  });
  await check('voice state', async () => {
    const servers = [];
    client.on(Events.Raw, packet => packet.t === 'VOICE_SERVER_UPDATE' && servers.push(packet.d));
    const go = channel => guild.shard.send({ op: 4, d: { guild_id: guild.id, channel_id: channel, self_mute: true, self_deaf: false } });
    go(ids.talk);
    await until('joined', () => guild.members.me.voice.channelId === ids.talk);
    assert.equal(guild.members.me.voice.selfMute, true);
    assert.deepEqual([...guild.channels.cache.get(ids.talk).members.keys()], [client.user.id]);
    await until('a voice server', () => servers.length > 0);
    assert.equal(servers[0].endpoint, null);
    go(null);
    await until('left', () => guild.members.me.voice.channelId === null);
  });
}

const use = (type, data, more = {}) =>
  api('alice', 'POST', '/interactions', { type, application_id: ids.bot, guild_id: ids.guild, channel_id: ids.general, data, ...more });

async function checkInteractions(client, seen) {
  const heardOf = [];
  client.on(Events.InteractionCreate, async interaction => {
    heardOf.push(interaction);
    if (interaction.isChatInputCommand()) {
      const buttons = [['go', 'Go'], ['ask', 'Ask']].map(([custom_id, label]) => ({ type: 2, style: 1, custom_id, label }));
      await interaction.reply({ content: interaction.options.getString('text'), components: [{ type: 1, components: buttons }] });
    } else if (interaction.customId === 'go') {
      await interaction.update({ content: 'pressed' });
    } else if (interaction.customId === 'ask') {
      const label = (text, component) => ({ type: 18, label: text, component });
      const options = [['Red', 'red'], ['Blue', 'blue']].map(([name, value]) => ({ label: name, value }));
      await interaction.showModal({
        custom_id: 'form',
        title: 'A form',
        components: [
          { type: 10, content: 'fill it in' },
          label('Name', { type: 4, custom_id: 'name', style: 1 }),
          label('Colour', { type: 3, custom_id: 'colour', options }),
          label('Who', { type: 5, custom_id: 'who' }),
        ],
      });
    } else if (interaction.isModalSubmit()) {
      await interaction.deferReply({ flags: MessageFlags.Ephemeral });
      const { fields } = interaction;
      const who = fields.getSelectedUsers('who').first().username;
      const text = `hello ${fields.getTextInputValue('name')} ${fields.getStringSelectValues('colour')} ${who}`;
      await interaction.editReply({ flags: MessageFlags.IsComponentsV2, components: [{ type: 17, components: [{ type: 10, content: text }] }] });
      await interaction.followUp('for everybody');
    }
  });
  let panel;
  await check('slash command', async () => {
    const options = [{ type: 3, name: 'text', description: 'what to say', required: true }];
    const made = await within('set', client.guilds.cache.get(ids.guild).commands.set([{ name: 'echo', description: 'says it', options }]));
    const { id } = made.find(command => command.name === 'echo');
    const used = await use(2, { id, name: 'echo', options: [{ type: 3, name: 'text', value: 'echoed' }] });
    assert.equal(used.status, 204);
    panel = await until('the reply', () => heard(seen, 'echoed'));
    assert.equal(heardOf[0].user.id, ids.alice);
    assert.equal(panel.interactionMetadata.user.id, ids.alice);
    assert.equal(panel.components[0].components[1].customId, 'ask');
  });
  await check('button', async () => {
    await use(3, { component_type: 2, custom_id: 'go' }, { message_id: panel.id });
    await until('the update', () => seen.updated.find(one => one.after.id === panel.id && one.after.content === 'pressed'));
  });
  await check('modal', async () => {
    await use(3, { component_type: 2, custom_id: 'ask' }, { message_id: panel.id });
    const opener = await until('the press', () => heardOf.find(one => one.customId === 'ask' && one.replied));
    const filled = [{ type: 4, custom_id: 'name', value: 'Alice' }, { type: 3, custom_id: 'colour', values: ['blue'] }, { type: 5, custom_id: 'who', values: [ids.bob] }];
    const components = filled.map(component => ({ type: 18, component }));
    assert.equal((await use(5, { id: opener.id, custom_id: 'form', components })).status, 204);
    await until('the follow-up', () => heard(seen, 'for everybody'));
    const submitted = heardOf.find(one => one.isModalSubmit());
    const reply = await submitted.fetchReply();
    assert.equal(reply.components[0].components[0].content, 'hello Alice blue bob');
    assert.ok(reply.flags.has(MessageFlags.Ephemeral | MessageFlags.IsComponentsV2));
    assert.ok(!seen.created.some(message => message.id === reply.id), 'an ephemeral reply was told to others');
  });
}

async function checkResume(client, seen) {
  await check('resume', async () => {
    const readys = seen.readys;
    const said = number => say(ids.resume, `resume ${number}`);
    await said(0);
    await until('the first', () => heard(seen, 'resume 0'));
    await control({ do: 'swallow' }); // the server sends these, nobody receives them
    for (const number of [1, 2]) await said(number);
    await sleep(100);
    await control({ do: 'cut', hold: true });
    for (const number of [3, 4]) await said(number); // the session has no socket
    await control({ do: 'release' });
    await until('the resume', () => seen.resumes > 0, 20000);
    for (const number of [5, 6]) await said(number);
    await until('the last', () => heard(seen, 'resume 6'), 20000);
    const got = seen.created.filter(message => message.channelId === ids.resume).map(message => message.content);
    assert.deepEqual(got, [0, 1, 2, 3, 4, 5, 6].map(number => `resume ${number}`));
    assert.equal(seen.readys, readys, 'the session was not resumed but made anew');
  });
}

async function checkRestart(seen) {
  for (const kill of [false, true]) {
    await check(`gateway nodes ${kill ? 'killed' : 'stopped'} and started again`, async () => {
      await sleep(3000); // for the record of the session, which is written every second
      const { readys, resumes } = seen;
      const lines = ['before', 'meanwhile', 'back'].map(line => `${line} kill ${kill}`);
      await say(ids.general, lines[0]);
      await Promise.all([control({ do: 'restart', kill }), sleep(300).then(() => say(ids.general, lines[1]))]);
      await until('the session', () => seen.readys + seen.resumes > readys + resumes, 60000);
      await say(ids.general, lines[2]);
      await until('the message', () => heard(seen, lines[2]), 20000);
      await sleep(300);
      const got = seen.created.map(message => message.content).filter(content => lines.includes(content));
      assert.deepEqual(got, lines);
      assert.equal(seen.readys, readys, 'the session was not resumed but made anew');
    });
  }
}

async function checkRateLimit(client, seen) {
  await check('429', async () => {
    const channel = client.channels.cache.get(ids.burst);
    const count = 12;
    await within('first', channel.send('burst warms up'));
    const { retry_after: wait } = await control({ do: 'drain', channel: ids.burst });
    assert.ok(wait > 0);
    const burst = Array.from({ length: count }, (_, index) => channel.send(`burst ${index}`));
    await within('the burst', Promise.all(burst), 60000);
    assert.ok(seen.limited > 0, 'the library met no 429');
    const expected = Array.from({ length: count }, (_, index) => `burst ${index}`);
    const got = () => seen.created.map(message => message.content).filter(content => /^burst \d/.test(content));
    await until('every message', () => got().length >= count);
    assert.deepEqual(got(), expected);
  });
}

async function checkShards() {
  await check('two shards', async () => {
    const client = makeClient({ shards: [0, 1], shardCount: 2 });
    const seen = record(client);
    await login(client);
    const byShard = [0, 1].map(shard => client.guilds.cache.filter(guild => guild.shardId === shard).map(guild => guild.id));
    const expected = [0n, 1n].map(shard => ids.guilds.filter(id => (BigInt(id) >> 22n) % 2n === shard));
    assert.deepEqual(byShard.map(list => list.sort()), expected.map(list => list.sort()));
    assert.ok(byShard.every(list => list.length > 0));
    const rooms = [ids.rooms[0], ids.rooms[1]]; // one on each shard
    const shards = [];
    client.on(Events.Raw, (packet, shard) => packet.t === 'MESSAGE_CREATE' && shards.push([packet.d.content, shard]));
    for (const [index, room] of rooms.entries()) await say(room, `to room ${index}`);
    await until('both', () => rooms.every((_, index) => heard(seen, `to room ${index}`)));
    await sleep(200);
    assert.deepEqual(shards.sort(), [['to room 0', 1], ['to room 1', 0]]);
    await within('close', client.destroy());
  });
}

run(async () => {
  const client = makeClient();
  const seen = record(client);
  await login(client);
  await checkGuild(client);
  await checkMessages(client, seen);
  await checkGuildEvents(client);
  await checkPresenceAndVoice(client);
  await checkInteractions(client, seen);
  await checkResume(client, seen);
  await checkRateLimit(client, seen);
  if (env.PLATFORM === 'stack') await checkRestart(seen);
  await within('close', client.destroy());
  await checkShards();
});
