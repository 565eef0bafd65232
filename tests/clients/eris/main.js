'use strict';
// eris, unmodified: what a bot written with it does in a day, against the server named by the environment (https only).

const assert = require('node:assert/strict');
const fs = require('node:fs');
const https = require('node:https');
const Eris = require('eris');
const { api, check, control, run, say, sleep, until, within } = require('../lib/check.js');

const env = process.env;
const ids = JSON.parse(env.SEED_IDS);
const upstream = new URL(env.API_URL);
const ca = fs.readFileSync(env.SERVER_CA);

// eris takes a host but no port: the agent that it uses for https and wss has it.
function makeAgent() {
  const agent = new https.Agent({ ca, keepAlive: true });
  agent.defaultPort = Number(upstream.port);
  return agent;
}

function makeClient(more = {}) {
  return new Eris.Client(`Bot ${env.BOT_TOKEN}`, {
    intents: ['guilds', 'guildMembers', 'guildMessages', 'guildMessageReactions', 'guildMessageTyping', 'guildPresences', 'guildVoiceStates', 'directMessages', 'messageContent'],
    rest: { domain: upstream.hostname, baseURL: `${upstream.pathname}/v10` },
    agent: makeAgent(),
    restMode: true,
    ...more,
  });
}

function record(client) {
  const seen = { created: [], updated: [], deleted: [], reactions: [], typing: [], readys: 0, resumes: 0, limited: 0, warnings: [] };
  client.on('messageCreate', message => seen.created.push(message));
  client.on('messageUpdate', (message, before) => seen.updated.push({ message, before }));
  client.on('messageDelete', message => seen.deleted.push(message.id));
  client.on('messageReactionAdd', (message, emoji, reactor) => seen.reactions.push({ message, emoji, reactor }));
  client.on('typingStart', (channel, user) => seen.typing.push({ channel, user }));
  client.on('shardResume', () => (seen.resumes += 1));
  client.on('rawWS', packet => (seen.readys += packet.t === 'READY'));
  client.on('rawREST', ({ resp }) => (seen.limited += resp.statusCode === 429));
  client.on('warn', text => seen.warnings.push(String(text)));
  client.on('error', error => console.log(`# error event: ${error}`));
  if (env.CLIENT_VERBOSE === '1') client.on('debug', line => console.log(`# ${line}`));
  return seen;
}

const heard = (seen, content) => seen.created.find(message => message.content === content);

async function login(client) {
  const ready = new Promise(resolve => client.once('ready', resolve));
  await within('connect', client.connect());
  await within('ready', ready, 30000);
}

async function checkGuild(client) {
  const guild = client.guilds.get(ids.guild);
  await check('login', () => {
    assert.equal(client.user.id, ids.bot);
    assert.equal(client.user.username, 'pingbot');
    assert.equal(client.user.bot, true);
  });
  await check('application', async () => {
    const application = await within('application', client.getOAuthApplication());
    assert.equal(application.id, ids.bot);
    assert.equal(application.owner.id, ids.alice);
    assert.equal(client.application.id, ids.bot);
  });
  await check('guild', () => {
    assert.equal(client.guilds.size, ids.guilds.length);
    assert.equal(client.unavailableGuilds.size, 0);
    assert.equal(guild.name, 'Demo');
    assert.equal(guild.ownerID, ids.alice);
    assert.ok(guild.members.has(ids.bot));
  });
  await check('roles', () => {
    assert.ok(guild.roles.has(ids.guild));
    const mod = guild.roles.get(ids.role_mod);
    assert.equal(mod.name, 'mod');
    assert.equal(mod.color, 3447003);
    assert.equal(mod.permissions.has('manageMessages'), true);
    const mine = guild.permissionsOf(ids.bot);
    assert.equal(mine.has('manageChannels'), true);
    assert.equal(mine.has('administrator'), false);
  });
  await check('channels', () => {
    const general = guild.channels.get(ids.general);
    assert.equal(general.name, 'general');
    assert.equal(general.topic, 'where everybody talks');
    assert.equal(guild.channels.get(general.parentID).name, 'Text channels');
    assert.equal(guild.channels.get(ids.talk).type, 2);
    assert.equal(guild.channels.has(ids.secret), false);
  });
  await check('members', async () => {
    const members = await within('members', guild.fetchMembers());
    const known = new Set(members.map(member => member.id));
    for (const id of [ids.alice, ids.bob, ids.bot]) assert.ok(known.has(id));
    const bob = await within('member', guild.getRESTMember(ids.bob));
    assert.deepEqual(bob.roles, [ids.role_mod]);
  });
}

async function checkMessages(client, seen) {
  const channel = client.getChannel(ids.general);
  let question;
  let answer;
  await check('receive', async () => {
    const posted = await say(ids.general, 'hello from alice é 👋');
    question = await until('the message', () => heard(seen, 'hello from alice é 👋'));
    assert.equal(question.id, posted.id);
    assert.equal(question.author.id, ids.alice);
    assert.equal(question.member.id, ids.alice);
    assert.equal(question.guildID, ids.guild);
    assert.equal(question.channel, channel);
  });
  await check('secret stays secret', async () => {
    await say(ids.secret, 'not for bots');
    await say(ids.general, 'after the secret');
    await until('the later message', () => heard(seen, 'after the secret'));
    assert.equal(heard(seen, 'not for bots'), undefined);
  });
  await check('reply', async () => {
    const reference = { messageReference: { messageID: question.id, failIfNotExists: true } };
    answer = await within('reply', channel.createMessage({ content: 'hello alice', ...reference }));
    assert.equal(answer.messageReference.messageID, question.id);
    assert.equal(answer.referencedMessage.content, question.content);
    const stored = await api('alice', 'GET', `/channels/${ids.general}/messages/${answer.id}`);
    assert.equal(stored.body.referenced_message.id, question.id);
    assert.equal(stored.body.type, 19);
    await until('own message', () => seen.created.find(message => message.id === answer.id));
  });
  await check('edit', async () => {
    const edited = await within('edit', answer.edit('hello alice, edited'));
    assert.equal(edited.content, 'hello alice, edited');
    const event = await until('the update', () => seen.updated.find(one => one.message.id === answer.id));
    assert.equal(event.message.content, 'hello alice, edited');
    assert.ok(event.message.editedTimestamp > 0);
  });
  await check('hear an edit', async () => {
    await api('alice', 'PATCH', `/channels/${ids.general}/messages/${question.id}`, { content: 'alice changed it' });
    const event = await until('the update', () => seen.updated.find(one => one.message.id === question.id));
    assert.equal(event.message.content, 'alice changed it');
  });
  await check('react', async () => {
    await within('react', question.addReaction('👍'));
    await until('own reaction', () => seen.reactions.find(one => one.reactor.id === ids.bot));
    await api('alice', 'PUT', `/channels/${ids.general}/messages/${answer.id}/reactions/%F0%9F%8E%89/@me`);
    const event = await until('her reaction', () => seen.reactions.find(one => one.reactor.id === ids.alice));
    assert.equal(event.emoji.name, '🎉');
    assert.equal(event.message.id, answer.id);
    const users = await within('users', question.getReaction('👍'));
    assert.deepEqual(users.map(user => user.id), [ids.bot]);
    await within('unreact', question.removeReaction('👍'));
    const fresh = await within('fetch', channel.getMessage(question.id));
    assert.deepEqual(Object.keys(fresh.reactions), []);
  });
  await check('embed and attachment', async () => {
    const bytes = Buffer.from('line one\nline two\n');
    const embeds = [{ title: 'a title', description: 'a text', color: 0x336699, fields: [{ name: 'k', value: 'v' }] }];
    const sent = await within('send', channel.createMessage({ content: 'with a file', embeds }, { file: bytes, name: 'notes.txt' }));
    assert.equal(sent.embeds[0].title, 'a title');
    assert.equal(sent.attachments[0].filename, 'notes.txt');
    assert.equal(sent.attachments[0].size, bytes.length);
    const download = await new Promise((resolve, reject) => {
      https.get(sent.attachments[0].url, { ca }, resolve).on('error', reject);
    });
    const parts = [];
    for await (const part of download) parts.push(part);
    assert.equal(download.statusCode, 200);
    assert.deepEqual(Buffer.concat(parts), bytes);
  });
  await check('typing', async () => {
    await within('typing', channel.sendTyping());
    await api('alice', 'POST', `/channels/${ids.general}/typing`);
    await until('her typing', () => seen.typing.find(one => one.user.id === ids.alice && one.channel.id === ids.general));
  });
  await check('pins', async () => {
    await within('pin', answer.pin());
    const pins = await within('pins', channel.getPins());
    assert.deepEqual(pins.map(message => message.id), [answer.id]);
    await within('unpin', answer.unpin());
  });
  await check('history', async () => {
    const page = (await within('fetch', channel.getMessages({ limit: 3 }))).map(message => message.id);
    assert.deepEqual(page, [...page].sort((a, b) => (BigInt(a) < BigInt(b) ? 1 : -1)));
    assert.equal(page.length, 3);
    const before = (await within('fetch', channel.getMessages({ limit: 50, before: page[2] }))).map(message => message.id);
    assert.ok(before.includes(question.id) && !before.includes(page[2]));
    const after = (await within('fetch', channel.getMessages({ limit: 50, after: question.id }))).map(message => message.id);
    assert.ok(after.includes(answer.id) && !after.includes(question.id));
  });
  await check('delete', async () => {
    await within('delete', answer.delete());
    await until('the event', () => seen.deleted.includes(answer.id));
    const gone = await api('alice', 'GET', `/channels/${ids.general}/messages/${answer.id}`);
    assert.equal(gone.status, 404);
    assert.equal(gone.body.code, 10008);
  });
  await check('errors', async () => {
    const problem = await client.getRESTChannel('1258291200000000001').catch(error => error);
    assert.equal(problem.code, 10003);
    const hidden = await client.createMessage(ids.secret, 'x').catch(error => error);
    assert.equal(hidden.code, 50001);
    const empty = await channel.createMessage(' ').catch(error => error);
    assert.equal(empty.code, 50006);
    const long = await channel.createMessage('x'.repeat(2001)).catch(error => error);
    assert.equal(long.code, 50035);
    assert.match(long.message, /content: /);
  });
}

async function checkGuildEvents(client) {
  const guild = client.guilds.get(ids.guild);
  await check('channel events', async () => {
    const made = await within('create', guild.createChannel('fresh', 0, { topic: 'new' }));
    await until('the channel', () => guild.channels.has(made.id));
    await within('edit', client.editChannel(made.id, { topic: 'newer' }));
    await until('the update', () => guild.channels.get(made.id).topic === 'newer');
    await within('delete', client.deleteChannel(made.id));
    await until('the delete', () => !guild.channels.has(made.id));
  });
  await check('role events', async () => {
    const role = await within('create', guild.createRole({ name: 'helper', color: 0x00ff00 }));
    await until('the role', () => guild.roles.has(role.id));
    await within('give', guild.addMemberRole(ids.bob, role.id));
    await until('the member update', () => guild.members.get(ids.bob).roles.includes(role.id));
    await within('delete', role.delete());
    await until('the delete', () => !guild.roles.has(role.id));
  });
  await check('direct message', async () => {
    const direct = await within('open', client.getDMChannel(ids.alice));
    const sent = await within('send', direct.createMessage('just you'));
    const stored = await api('alice', 'GET', `/channels/${direct.id}/messages/${sent.id}`);
    assert.equal(stored.body.content, 'just you');
  });
}

async function checkPresenceAndVoice(client) {
  const guild = client.guilds.get(ids.guild);
  const me = () => guild.members.get(client.user.id);
  await check('presence', async () => {
    client.editStatus('idle', { name: 'chess', type: 5 });
    await until('idle', () => me().status === 'idle');
    assert.equal(me().activities[0].name, 'chess');
    assert.equal(me().clientStatus.web, 'idle');
    client.editStatus('online');
    await until('online', () => me().status === 'online');
  });
  await check('voice state', async () => {
    guild.shard.sendWS(4, { guild_id: guild.id, channel_id: ids.talk, self_mute: true, self_deaf: false });
    await until('joined', () => me().voiceState.channelID === ids.talk);
    assert.equal(me().voiceState.selfMute, true);
    guild.shard.sendWS(4, { guild_id: guild.id, channel_id: null, self_mute: false, self_deaf: false });
    await until('left', () => !me().voiceState.channelID);
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
    await control({ do: 'cut', hold: true, reset: true });
    for (const number of [3, 4]) await said(number); // the session has no socket
    await control({ do: 'release' });
    await until('the resume', () => seen.resumes > 0, 20000);
    for (const number of [5, 6]) await said(number);
    await until('the last', () => heard(seen, 'resume 6'), 20000);
    const got = seen.created.filter(message => message.channel.id === ids.resume).map(message => message.content);
    assert.deepEqual(got, [0, 1, 2, 3, 4, 5, 6].map(number => `resume ${number}`));
    assert.equal(seen.readys, readys, 'the session was not resumed but made anew');
  });
  await check('no gap in the sequence', () => assert.deepEqual(seen.warnings, []));
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
    const channel = client.getChannel(ids.burst);
    const count = 12;
    await within('first', channel.createMessage('burst warms up'));
    const { retry_after: wait } = await control({ do: 'drain', channel: ids.burst });
    assert.ok(wait > 0);
    const expected = []; // eris may let another request pass the one that met the 429: its own order counts
    client.on('rawREST', ({ resp, body }) => resp.statusCode === 200 && expected.push(body.content));
    const burst = Array.from({ length: count }, (_, index) => channel.createMessage(`burst ${index}`));
    await within('the burst', Promise.all(burst), 60000);
    assert.ok(seen.limited > 0, 'the library met no 429');
    assert.equal(new Set(expected).size, count);
    const got = () => seen.created.map(message => message.content).filter(content => /^burst \d/.test(content));
    await until('every message', () => got().length >= count);
    assert.deepEqual(got(), expected);
  });
}

async function checkShards() {
  await check('two shards, zlib-stream', async () => {
    const client = makeClient({ maxShards: 2, compress: true });
    assert.equal(client.options.compress, true);
    const seen = record(client);
    await login(client);
    const byShard = [0, 1].map(shard => client.guilds.filter(guild => guild.shard.id === shard).map(guild => guild.id));
    const expected = [0n, 1n].map(shard => ids.guilds.filter(id => (BigInt(id) >> 22n) % 2n === shard));
    assert.deepEqual(byShard.map(list => list.sort()), expected.map(list => list.sort()));
    assert.ok(byShard.every(list => list.length > 0));
    const shards = [];
    client.on('rawWS', (packet, shard) => packet.t === 'MESSAGE_CREATE' && shards.push([packet.d.content, shard]));
    const rooms = [ids.rooms[0], ids.rooms[1]]; // one on each shard
    for (const [index, room] of rooms.entries()) await say(room, `to room ${index}`);
    await until('both', () => rooms.every((_, index) => heard(seen, `to room ${index}`)));
    await sleep(200);
    assert.deepEqual(shards.sort(), [['to room 0', 1], ['to room 1', 0]]);
    assert.deepEqual(seen.warnings.filter(text => !text.startsWith('Invalid session')), []); // after another login
    client.disconnect({ reconnect: false });
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
  await checkResume(client, seen);
  await checkRateLimit(client, seen);
  if (env.PLATFORM === 'stack') await checkRestart(seen);
  client.disconnect({ reconnect: false });
  await checkShards();
});
