// A worker in JavaScript without libguildhall: answers !ping, each guild's messages in order (worker-sdk/README.md).
const amqp = require('amqplib');
const { AMQP_URL, APPLICATION_ID, DISCORD_TOKEN, PROXY_URL, WORKER_GROUP = 'workers' } = process.env;
const name = `guildhall.${APPLICATION_ID}.${WORKER_GROUP}`;
const seen = new Set();

async function say(channelId, nonce, content) {
  const response = await fetch(`${PROXY_URL}/v10/channels/${channelId}/messages`, {
    method: 'POST',
    headers: { Authorization: `Bot ${DISCORD_TOKEN}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ content, nonce: nonce.slice(-25), enforce_nonce: true }),
  });
  if (!response.ok) throw new Error(`${response.status}`);
}

async function handle({ content, fields, properties: { messageId } }) {
  const d = JSON.parse(content);
  if (!seen.has(messageId) && fields.routingKey.split('.')[1] === 'MESSAGE_CREATE' && d.content.startsWith('!ping'))
    await say(d.channel_id, messageId, `pong${d.content.slice(5)}`);
  seen.add(messageId);
}

(async () => {
  const channel = await (await amqp.connect(AMQP_URL)).createChannel();
  await channel.assertExchange('guildhall.events', 'topic');
  await channel.assertExchange(`${name}.dead`, 'topic');
  await channel.assertQueue(`${name}.dead`);
  await channel.bindQueue(`${name}.dead`, `${name}.dead`, '#');
  const queue = { maxLength: 100000, deadLetterExchange: `${name}.dead`, overflow: 'reject-publish',
    arguments: { 'x-single-active-consumer': true } };
  for (let partition = 0; partition < 64; partition++) {
    await channel.assertQueue(`${name}.${partition}`, queue);
    await channel.bindQueue(`${name}.${partition}`, 'guildhall.events', `${APPLICATION_ID}.*.${partition}`);
    let last = Promise.resolve(); // one after the other in each partition; never requeue
    await channel.consume(`${name}.${partition}`, (message) => {
      last = last.then(() => handle(message)).then(() => channel.ack(message), () => channel.reject(message, false));
    });
  }
  console.log('ready');
})();
