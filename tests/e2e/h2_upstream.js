// An upstream that speaks HTTP/2 over TLS: node h2_upstream.js KEY CERT WANTED. No answer leaves before WANTED requests
// are under way at once, so only a client that multiplexes ever gets one. Prints its port, then what it saw at each answer.
'use strict';
const http2 = require('http2');
const fs = require('fs');

const [key, cert, wanted] = process.argv.slice(2);
const server = http2.createSecureServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert), allowHTTP1: true });
const waiting = new Set();
let sessions = 0;
let reached = false;

function answer(stream, version) {
  stream.respond({ ':status': 200, 'content-type': 'application/json' });
  stream.end(JSON.stringify({ sessions, version }));
}

server.on('session', () => { sessions += 1; });
server.on('stream', (stream) => {
  if (reached) return answer(stream, 2);
  waiting.add(stream);
  stream.on('close', () => waiting.delete(stream));
  if (waiting.size < Number(wanted)) return undefined;
  reached = true;
  for (const each of waiting) answer(each, 2);
  return undefined;
});
server.on('request', (request, response) => {
  if (request.httpVersion.startsWith('1')) response.end(JSON.stringify({ sessions, version: 1 }));
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
