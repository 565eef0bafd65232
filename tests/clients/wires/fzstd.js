'use strict';
// zstd-stream read by a decompressor that has no line in common with libzstd: fzstd, in JavaScript. One stream for the
// connection, one payload for each message.

const assert = require('node:assert/strict');
const { Decompress } = require('fzstd');
const WebSocket = require('ws');
const { check, run, say, until } = require('../lib/check.js');

const env = process.env;
const ids = JSON.parse(env.SEED_IDS);

run(async () => {
  const socket = new WebSocket(`${env.GATEWAY_URL}?v=10&encoding=json&compress=zstd-stream`);
  const packets = [];
  let parts = [];
  const stream = new Decompress(part => parts.push(Buffer.from(part)));
  socket.on('message', data => {
    parts = [];
    stream.push(new Uint8Array(data));
    packets.push(JSON.parse(Buffer.concat(parts).toString()));
  });
  const send = (op, d) => socket.send(JSON.stringify({ op, d }));
  const of = type => packets.filter(packet => packet.t === type);
  const contents = () => of('MESSAGE_CREATE').map(packet => packet.d.content);

  await check('login', async () => {
    await until('HELLO', () => packets.some(packet => packet.op === 10));
    send(2, { token: env.BOT_TOKEN, intents: 33281, properties: {} });
    await until('the guilds', () => of('GUILD_CREATE').length === ids.guilds.length);
  });
  await check('receive', async () => {
    const texts = Array.from({ length: 60 }, (_, number) => `${number} ${'a'.repeat(number * 20)} é 👋`);
    for (const [number, text] of texts.entries()) {
      await say(ids.general, text, { as: number % 2 ? 'bob' : 'alice' });
      if (number % 10 === 0) send(1, packets.length);
    }
    await until('the last', () => contents().includes(texts.at(-1)));
    assert.deepEqual(contents(), texts);
    const numbers = packets.filter(packet => packet.op === 0).map(packet => packet.s);
    assert.deepEqual(numbers, numbers.map((_, index) => index + 1));
  });
  socket.close();
});
