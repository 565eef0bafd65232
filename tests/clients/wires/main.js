'use strict';
// One unmodified library with one encoding and compression of the gateway (WIRE, see below): it logs in, has its guilds,
// receives, and resumes. What is not part of the wire is hidden from the library, as if it was not installed.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const https = require('node:https');
const Module = require('node:module');
const { check, control, run, say, sleep, until, within } = require('../lib/check.js');

const env = process.env;
const ids = JSON.parse(env.SEED_IDS);
const [library, wire] = env.WIRE.split(':');
const uses = { etf: ['erlpack'], 'etf-zlib': ['erlpack', 'zlib-sync'], 'json-zlib': ['zlib-sync'], 'json-pack': [] }[wire];

const resolve = Module._resolveFilename;
Module._resolveFilename = function (request, ...rest) {
  if (['erlpack', 'zlib-sync', 'pako'].includes(request) && !uses.includes(request)) {
    throw Object.assign(new Error(`${request} is hidden`), { code: 'MODULE_NOT_FOUND' });
  }
  return resolve.call(this, request, ...rest);
};

const seen = { messages: [], urls: [], readys: 0, resumes: 0 };

function discordjs() {
  const { Client, Events, GatewayIntentBits } = require('discord.js');
  const { Guilds, GuildMembers, GuildMessages, MessageContent } = GatewayIntentBits;
  const client = new Client({
    intents: [Guilds, GuildMembers, GuildMessages, MessageContent],
    rest: { api: env.API_URL },
  });
  client.on(Events.MessageCreate, message => seen.messages.push(message));
  client.on(Events.ShardResume, () => (seen.resumes += 1));
  client.on(Events.Raw, packet => (seen.readys += packet.t === 'READY'));
  client.on(Events.Debug, line => {
    const url = /Connecting to (\S+)/.exec(line)?.[1];
    if (url) seen.urls.push(url);
  });
  client.on(Events.Error, error => console.log(`# error event: ${error}`));
  const ready = new Promise(done => client.once(Events.ClientReady, done));
  return {
    login: async () => {
      await client.login(env.BOT_TOKEN);
      await ready;
    },
    guilds: () => client.guilds.cache,
    channels: guild => guild.channels.cache,
    members: async guild => [...(await guild.members.fetch()).keys()],
    close: () => client.destroy(),
  };
}

// The part of discord.js that speaks with the gateway, which asks for payload compression where zlib-sync is missing.
function discordjsws() {
  const { REST } = require('@discordjs/rest');
  const { WebSocketManager } = require('@discordjs/ws');
  const rest = new REST({ version: '10', api: env.API_URL }).setToken(env.BOT_TOKEN);
  const client = new WebSocketManager({ token: env.BOT_TOKEN, intents: 33283, rest, compression: 'zlib-stream' });
  const guilds = new Map();
  const chunks = new Map();
  client.on('dispatch', ({ data: { t, d } }) => {
    seen.readys += t === 'READY';
    if (t === 'MESSAGE_CREATE') seen.messages.push(d);
    if (t === 'GUILD_CREATE') guilds.set(d.id, d);
    if (t === 'GUILD_MEMBERS_CHUNK') chunks.set(d.guild_id, d.members);
  });
  client.on('resumed', () => (seen.resumes += 1));
  client.on('debug', ({ message }) => {
    const url = /Connecting to (\S+)/.exec(message)?.[1];
    if (url) seen.urls.push(url);
    if (/compression: /.test(message)) seen.compression = /compression: (\S+)/.exec(message)[1];
  });
  client.on('error', ({ error }) => console.log(`# error event: ${error}`));
  return {
    login: async () => {
      await client.connect();
      await until('the guilds', () => guilds.size === ids.guilds.length);
    },
    guilds: () => guilds,
    channels: guild => new Map(guild.channels.map(channel => [channel.id, channel])),
    members: async guild => {
      await client.send(0, { op: 8, d: { guild_id: guild.id, query: '', limit: 0 } });
      return (await until('the chunk', () => chunks.get(guild.id))).map(member => member.user.id);
    },
    close: () => client.destroy(),
  };
}

// Its last release that speaks ETF; of version 9 unless told otherwise.
function discordjs13() {
  const { Client } = require('discord.js-13');
  const client = new Client({
    intents: ['GUILDS', 'GUILD_MEMBERS', 'GUILD_MESSAGES', 'MESSAGE_CONTENT'],
    http: { api: env.API_URL, version: 9 },
    ws: { version: 9 },
  });
  client.on('messageCreate', message => seen.messages.push(message));
  client.on('shardResume', () => (seen.resumes += 1));
  client.on('raw', packet => (seen.readys += packet.t === 'READY'));
  client.on('error', error => console.log(`# error event: ${error}`));
  const ready = new Promise(done => client.once('ready', done));
  return {
    login: async () => {
      await client.login(env.BOT_TOKEN);
      await ready;
      seen.urls.push(client.ws.shards.first().connection.url);
    },
    guilds: () => client.guilds.cache,
    channels: guild => guild.channels.cache,
    members: async guild => [...(await guild.members.fetch()).keys()],
    close: () => client.destroy(),
  };
}

function eris() {
  const Eris = require('eris');
  const upstream = new URL(env.API_URL);
  const agent = new https.Agent({ ca: fs.readFileSync(env.SERVER_CA), keepAlive: true });
  agent.defaultPort = Number(upstream.port);
  const client = new Eris.Client(`Bot ${env.BOT_TOKEN}`, {
    intents: ['guilds', 'guildMembers', 'guildMessages', 'messageContent'],
    rest: { domain: upstream.hostname, baseURL: `${upstream.pathname}/v10` },
    agent,
    compress: wire.endsWith('zlib'),
  });
  client.on('messageCreate', message => seen.messages.push(message));
  client.on('shardResume', () => (seen.resumes += 1));
  client.on('rawWS', packet => (seen.readys += packet.t === 'READY'));
  client.on('warn', text => console.log(`# warning: ${text}`));
  client.on('error', error => console.log(`# error event: ${error}`));
  const ready = new Promise(done => client.once('ready', done));
  return {
    login: async () => {
      await client.connect();
      await ready;
      seen.urls.push(client.gatewayURL);
    },
    guilds: () => client.guilds,
    channels: guild => guild.channels,
    members: async guild => (await guild.fetchMembers()).map(member => member.id),
    close: () => client.disconnect({ reconnect: false }),
  };
}

const heard = content => seen.messages.find(message => message.content === content);

run(async () => {
  const client = { discordjs, discordjs13, discordjsws, eris }[library]();
  await check('login', () => within('login', client.login(), 30000));
  await check('wire', () => {
    const query = new URL(seen.urls[0]).searchParams;
    assert.equal(query.get('encoding'), wire.split('-')[0]);
    assert.equal(query.get('compress'), wire.endsWith('zlib') ? 'zlib-stream' : null);
    if (wire === 'json-pack') assert.equal(seen.compression, 'identify');
  });
  const guild = client.guilds().get(ids.guild);
  await check('guilds', async () => {
    assert.deepEqual([...client.guilds().keys()].sort(), [...ids.guilds].sort());
    assert.equal(guild.name, 'Demo');
    assert.equal(client.channels(guild).get(ids.general).topic, 'where everybody talks');
    assert.equal(client.channels(guild).has(ids.secret), false);
    const members = await within('members', client.members(guild));
    for (const id of [ids.alice, ids.bob, ids.bot]) assert.ok(members.includes(id), id);
  });
  await check('receive', async () => {
    for (const text of ['short', 'é 👋 \\ " / \n\u2028 end', '1258291200000000001', 'long '.repeat(380) + 'end']) {
      const posted = await say(ids.general, text);
      const message = await until('the message', () => heard(text));
      assert.equal(message.id, posted.id);
      assert.equal(message.author.id, ids.alice);
    }
  });
  await check('many', async () => {
    for (let number = 0; number < 40; number += 1) await say(ids.general, `number ${number}`, { as: number % 2 ? 'bob' : 'alice' });
    await until('the last', () => heard('number 39'));
    const got = seen.messages.map(message => message.content).filter(content => content.startsWith('number'));
    assert.deepEqual(got, Array.from({ length: 40 }, (_, number) => `number ${number}`));
  });
  await check('resume', async () => {
    const readys = seen.readys;
    const said = number => say(ids.resume, `resume ${number}`);
    await said(0);
    await until('the first', () => heard('resume 0'));
    await control({ do: 'swallow' });
    for (const number of [1, 2]) await said(number);
    await sleep(100);
    await control({ do: 'cut', hold: true, reset: true });
    for (const number of [3, 4]) await said(number);
    await control({ do: 'release' });
    await until('the resume', () => seen.resumes > 0, 30000);
    await said(5);
    await until('the last', () => heard('resume 5'), 30000);
    const got = seen.messages.map(message => message.content).filter(content => content.startsWith('resume'));
    assert.deepEqual(got, [0, 1, 2, 3, 4, 5].map(number => `resume ${number}`));
    assert.equal(seen.readys, readys, 'the session was not resumed but made anew');
  });
  await within('close', Promise.resolve(client.close()));
});
