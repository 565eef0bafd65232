'use strict';
// What the Node client scripts share: named checks, bounded waits, orders to the harness (tests/clients/control.py).

let failures = 0;
const began = Date.now();

async function check(name, body) {
  try {
    await body();
    console.log(`ok ${name}`);
  } catch (error) {
    failures += 1;
    const where = /main\.js:\d+/.exec(error?.stack ?? '');
    console.log(`not ok ${name}: ${String(error).replace(/\s*\n\s*/g, ' ').slice(0, 1000)} (${where ?? 'nowhere'})`);
  }
}

// Resolves with the first truthy answer of `predicate`, asked every 20 ms; rejects after `ms`.
async function until(what, predicate, ms = 60000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await predicate();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain for ${what}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

function within(what, promise, ms = 20000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function control(order) {
  const response = await fetch(process.env.CONTROL_URL, { method: 'POST', body: JSON.stringify(order) });
  const answer = await response.json();
  if (response.status !== 200) throw new Error(`harness: ${answer.error}`);
  return answer;
}

const say = (channel, content, more = {}) => control({ do: 'say', channel, content, ...more });
const api = (as, method, path, body) => control({ do: 'api', as, method, path, body });
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

// Runs `main` under a limit for the whole script and ends the process with the number of failures.
function run(main, ms = 150000) {
  const verbose = process.env.CLIENT_VERBOSE === '1';
  process.on('unhandledRejection', error => {
    failures += 1;
    console.log(`not ok unhandled rejection: ${error && error.stack}`);
  });
  within('the script', main(), ms)
    .catch(error => {
      failures += 1;
      console.log(`not ok script: ${error.stack}`);
    })
    .then(() => {
      if (verbose) console.log(`# ${Date.now() - began} ms`);
      process.exit(failures ? 1 : 0);
    });
}

module.exports = { api, check, control, run, say, sleep, until, within };
