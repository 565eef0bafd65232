'use strict';
// discord.js against a server that misbehaves on request: it comes back, resumes where it may, and loses nothing.

const assert = require('node:assert/strict');
const { Client, Events, GatewayIntentBits } = require('discord.js');
const { check, control, run, say, until, within } = require('../lib/check.js');

const env = process.env;
const ids = JSON.parse(env.SEED_IDS);
const intents = [GatewayIntentBits.Guilds, GatewayIntentBits.GuildMessages, GatewayIntentBits.MessageContent];

const steer = (path, args = {}) => control({ do: 'steer', method: 'POST', path, args });
const mine = (what, args = {}) => steer(`/sessions/${what}`, { user: ids.bot, ...args });
const sessions = async () =>
  (await control({ do: 'steer', method: 'GET', path: '/sessions', args: { user: ids.bot } })).flatMap(one => one.sessions);

function watch(client) {
  const seen = { readys: 0, resumes: 0, closes: [], contents: [], debug: [] };
  client.on(Events.Raw, packet => (seen.readys += packet.t === 'READY'));
  client.on(Events.ShardResume, () => (seen.resumes += 1));
  client.on(Events.MessageCreate, message => seen.contents.push(message.content));
  client.on(Events.Debug, line => {
    seen.debug.push(line);
    if (env.CLIENT_VERBOSE === '1') console.log(`# ${line}`);
  });
  client.on(Events.Error, error => console.log(`# error event: ${error}`));
  return seen;
}

let turn = 0;

// What is said before, while and after the client is away arrives once, in order.
async function survives(seen, { readys, resumes }, misbehave) {
  const before = { readys: seen.readys, resumes: seen.resumes };
  const texts = [0, 1, 2].map(number => `turn ${turn} ${number}`);
  turn += 1;
  await say(ids.general, texts[0]);
  await until('the first message', () => seen.contents.includes(texts[0]));
  await misbehave();
  if (resumes) await say(ids.general, texts[1]); // a new session would not hear it: it may be away already
  await until(
    'the client to come back',
    () => seen.readys - before.readys >= readys && seen.resumes - before.resumes >= resumes,
    40000,
  );
  await say(ids.general, texts[2]);
  await until('the last message', () => seen.contents.includes(texts[2]));
  const got = seen.contents.filter(text => texts.includes(text));
  assert.deepEqual(got, resumes ? texts : [texts[0], texts[2]]);
  assert.deepEqual({ readys: seen.readys - before.readys, resumes: seen.resumes - before.resumes }, { readys, resumes });
}

const resumed = { readys: 0, resumes: 1 };
const anew = { readys: 1, resumes: 0 };

async function checkSessions(seen) {
  await check('its session is listed', async () => {
    const [one] = await sessions();
    assert.equal(one.state, 'connected');
    assert.equal(one.intents, 33281);
    assert.equal(one.encoding, 'json');
  });
  await check('op 7: it resumes', () => survives(seen, resumed, () => mine('reconnect')));
  await check('op 9, resumable: it resumes', () => survives(seen, resumed, () => mine('invalidate', { resumable: true })));
  await check('op 9: it identifies anew', () => survives(seen, anew, () => mine('invalidate')));
  await check('a reset socket: it resumes', () => survives(seen, resumed, () => mine('drop')));
  await check('a socket that ends: it resumes', () => survives(seen, resumed, () => mine('drop', { reset: false })));
  await check('close 4000: it resumes', () => survives(seen, resumed, () => mine('close')));
  await check('close 4009: it resumes', () => survives(seen, resumed, () => mine('close', { code: 4009 })));
  await check('close 4007: it identifies anew', () => survives(seen, anew, () => mine('close', { code: 4007, end: true })));
  await check('a lost heartbeat ACK: it takes the connection for dead and resumes', async () => {
    seen.debug.length = 0;
    await survives(seen, resumed, () => mine('acks', { count: 1 }));
    assert.ok(seen.debug.some(line => /zombie/i.test(line)), 'no word of a zombie connection');
  });
  await check('a late heartbeat ACK is no matter', async () => {
    const before = { ...seen };
    await mine('acks', { delay_ms: 700, count: 2 });
    await new Promise(resolve => setTimeout(resolve, 4000));
    assert.equal(seen.resumes + seen.readys, before.resumes + before.readys);
  });
}

async function checkHttp(client) {
  const channel = client.channels.cache.get(ids.general);
  const path = '/channels/*/messages';
  const fail = args => steer('/http', { method: 'POST', path, user: ids.bot, ...args });
  const scopes = [];
  client.rest.on('response', (_, response) => {
    if (response.status === 429) scopes.push(response.headers.get('x-ratelimit-scope'));
  });

  async function sends(name, args, ms) {
    await check(name, async () => {
      const begun = Date.now();
      await fail(args);
      const message = await within('send', channel.send(name), 30000);
      assert.equal(message.content, name);
      assert.ok(Date.now() - begun >= ms, `took ${Date.now() - begun} ms only`);
    });
  }
  await sends('it waits out a 429', { answer: 429, retry_after_ms: 900 }, 850);
  await sends('it waits out a global 429', { answer: 429, scope: 'global', retry_after_ms: 900 }, 850);
  await sends('it waits out a shared 429', { answer: 429, scope: 'shared', retry_after_ms: 900 }, 850);
  await check('it met each once', () => assert.deepEqual(scopes, ['user', 'global', 'shared']));
  await sends('it repeats after a 500', { answer: 500 }, 0);
  await sends('it repeats after 502 and 503', { answer: 502, count: 2 }, 0);
  await sends('it waits for a late answer', { delay_ms: 800 }, 750);
  await check('it gives up after the fourth 503', async () => {
    await fail({ answer: 503, count: 4 });
    const problem = await within('send', channel.send('never')).catch(error => error);
    assert.equal(problem.status, 503);
  });
  await check('reset ends it', async () => {
    await fail({ answer: 500, count: 1000 });
    await steer('/reset');
    assert.equal((await within('send', channel.send('well again'))).content, 'well again');
  });
}

run(async () => {
  const client = new Client({ intents, rest: { api: env.API_URL } });
  const seen = watch(client);
  const ready = new Promise(resolve => client.once(Events.ClientReady, resolve));
  await within('login', client.login(env.BOT_TOKEN));
  await within('ready', ready);
  await checkSessions(seen);
  await checkHttp(client);
  await within('close', client.destroy());
});
