// npm's ws, told over stdin how often to broadcast the same message to everybody. Prints its port.
const { WebSocketServer } = require('ws');

const data = Buffer.alloc(Number(process.argv[2]), 'x');
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false, backlog: 4096 }, () =>
  console.log(server.address().port));

process.stdin.on('data', (counts) => {
  for (const count of counts)
    for (let i = 0; i < count; i++)
      for (const client of server.clients) client.send(data, { binary: false });
});
process.stdin.on('end', () => process.exit(0));
