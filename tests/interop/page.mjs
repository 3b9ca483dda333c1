// What people do with the emulator's page, in a browser.
import assert from 'node:assert/strict';
import {Agent, request} from 'node:http';
import {after, before, beforeEach, test} from 'node:test';
import {chromium} from 'playwright-core';

const {EMULATOR, EMULATOR_PID, SCREENSHOTS} = process.env;
const PORT = new URL(EMULATOR).port;
const ALICE = 'user:alice@example.com';
const BUILDER = 'builder@shop.iam.gserviceaccount.com';
const DEPLOYER = 'deployer@shop.iam.gserviceaccount.com';
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  // A name of somebody else, who lets it lead to this machine.
  '--host-resolver-rules=MAP evil.example 127.0.0.1'];

let browser;
let problems;

before(async () => {
  browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: FLAGS});
});
after(() => browser.close());
beforeEach(async () => {
  problems = [];
  await control('POST', '/reset');
});

// Opens the page. What it complains about, and what it loads from elsewhere, is remembered.
async function open(address = '/emulator/', options = {}) {
  const context = await browser.newContext({viewport: {width: 1200, height: 900}, ...options});
  const page = await context.newPage();
  page.on('console', (line) => { if (line.type() === 'error') problems.push(line.text()); });
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('dialog', (dialog) => { problems.push('a dialog: ' + dialog.message()); dialog.dismiss(); });
  page.on('request', (sent) => {
    if (!sent.url().startsWith(EMULATOR) && !sent.url().startsWith('data:')) problems.push('loads ' + sent.url());
  });
  await page.goto(EMULATOR + address);
  return page;
}

async function close(page) {
  await page.context().close();
  assert.deepEqual(problems, []);
}

const control = (method, path, body) => fetch(EMULATOR + '/emulator' + path, {method, body});

// Alice asks for a token of an account.
const agent = new Agent({keepAlive: true, maxSockets: 32});
function call(account, delegates = [], headers = {}) {
  const body = JSON.stringify({scope: ['https://www.googleapis.com/auth/cloud-platform'], delegates});
  return new Promise((resolve, reject) => {
    const sent = request({
      agent, method: 'POST', port: PORT, host: '127.0.0.1',
      path: `/v1/projects/-/serviceAccounts/${encodeURIComponent(account)}:generateAccessToken`,
      headers: {authorization: 'Bearer alice-token', 'content-type': 'application/json', ...headers},
    }, (reply) => { reply.resume(); reply.on('end', () => resolve(reply.statusCode)); });
    sent.on('error', reject);
    sent.end(body);
  });
}

const picture = (page, name) => page.screenshot({path: `${SCREENSHOTS}/${name}.png`, fullPage: true});

test('a chain is selected in the graph, and explained', async () => {
  const page = await open();
  for (const name of ['alice@example.com', 'builder@shop', 'deployer@shop']) {
    await page.locator('#graph a', {hasText: name}).click();
  }
  await page.getByText(`Allowed. ${ALICE} may call GenerateAccessToken for ${DEPLOYER}.`).waitFor();
  assert.equal(await page.locator('.hops li').count(), 2);
  assert.equal(await page.locator('.graph .step').count(), 2);
  await page.locator('#graph a', {hasText: 'builder@shop'}).click();
  assert.equal(await page.locator('.hops li').count(), 1, 'a node of the chain is where it then ends');
  await close(page);
});

test('requests appear as they come in, and an open one stays open', async () => {
  const page = await open();
  await call(BUILDER);
  const first = page.locator('#journal details').last();
  await first.locator('summary').click();
  await call(DEPLOYER);
  await page.locator('#journal .outcome', {hasText: 'IAM_PERMISSION_DENIED'}).waitFor();
  assert.equal(await page.locator('#journal details').count(), 2);
  assert.ok(await first.evaluate((details) => details.open));
  await page.locator('#pause').check();
  await call(BUILDER);
  await page.waitForTimeout(1500);
  assert.equal(await page.locator('#journal details').count(), 2, 'it pauses');
  await close(page);
});

test('a refused request leads to the missing grant, which a button adds', async () => {
  assert.equal(await call(DEPLOYER), 403);
  const page = await open();
  await page.locator('#journal summary').click();
  await page.getByRole('link', {name: 'Why?'}).click();
  await page.getByText('Refused at hop 1').waitFor();
  assert.equal(await page.locator('.graph .refused').count(), 1);
  await picture(page, 'refused');
  await page.getByRole('button', {name: 'Grant it here'}).click();
  await page.getByText(`Allowed. ${ALICE} may call`).waitFor();
  await page.locator('.graph .step').waitFor({state: 'attached'});
  assert.equal(await call(DEPLOYER), 200);
  await close(page);
});

test('faults are injected and ended, and the clock is moved', async () => {
  const page = await open();
  await page.locator('#faults select[name=method]').selectOption('GenerateAccessToken');
  await page.locator('#faults input[name=times]').fill('5');
  await page.getByRole('button', {name: 'Inject'}).click();
  await page.getByText('status of GenerateAccessToken: applied 0 of 5 times').waitFor();
  assert.equal(await call(BUILDER), 503);
  await page.getByText('applied 1 of 5 times').waitFor();
  await page.getByRole('button', {name: 'End', exact: true}).click();
  await page.getByText('No fault is in force.').waitFor();
  assert.equal(await call(BUILDER), 200);

  await page.locator('#faults input[name=delay]').fill('soon');
  await page.getByRole('button', {name: 'Inject'}).click();
  await page.locator('#message.bad', {hasText: 'a duration is a number of seconds'}).waitFor();

  await page.getByRole('button', {name: '+1 hour'}).click();
  await page.locator('#time', {hasText: '3600s'}).waitFor();
  assert.equal((await (await control('GET', '/clock')).json()).advanced, '3600s');
  // A reply of 400 is in the console, and it is expected.
  problems = problems.filter((problem) => !problem.includes('status of 400'));
  await close(page);
});

test('the policy is edited, and a mistake in it is explained', async () => {
  const page = await open();
  await page.locator('#editor summary').click();
  const text = page.locator('#editor textarea');
  await page.waitForFunction(() => document.querySelector('#editor textarea').value.includes('builder'));
  const policy = await text.inputValue();
  await text.fill(policy.replaceAll('roles/iam.serviceAccountTokenCreator', 'roles/iam.serviceAccountTokenMaker'));
  await page.getByRole('button', {name: 'Put into force'}).click();
  await page.locator('#message.bad', {hasText: 'invalid policy at'}).waitFor();
  await text.fill(policy.replaceAll('alice@', 'carol@'));
  await page.getByRole('button', {name: 'Put into force'}).click();
  await page.locator('.graph', {hasText: 'carol@example.com'}).waitFor();
  assert.equal(await page.locator('.graph', {hasText: 'alice@example.com'}).count(), 0);
  await page.getByRole('button', {name: 'Remove the policy'}).click();
  await page.getByText('There is no policy: every bearer token').waitFor();
  problems = problems.filter((problem) => !problem.includes('status of 400'));
  await close(page);
});

test('hostile names are text, and neither run nor turn the page around', async () => {
  const hostile = ['<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', "'-alert(1)-'",
    'abc\u202etxt.exe', 'שלום עולם', '</textarea></title><svg/onload=alert(1)>', 'x'.repeat(5000)];
  const policy = {
    serviceAccounts: Object.fromEntries(hostile.map((text, index) => [`sa${index}@shop.iam.gserviceaccount.com`,
      {displayName: text, grants: [{members: ['group:' + text], role: 'roles/iam.serviceAccountTokenCreator'}]}])),
    groups: Object.fromEntries(hostile.map((text) => [text, [ALICE]])),
    tokens: [{token: 'alice-token', principal: ALICE}],
  };
  assert.equal((await control('PUT', '/policy', JSON.stringify(policy))).status, 200);
  for (const text of hostile) {
    await call(text, [text]);
    await call(BUILDER, [], {'x-hostile': Buffer.from(text).toString('latin1'), 'user-agent': 'caf\xe9 \xff\xfe'});
    await control('POST', '/faults', JSON.stringify({effect: 'status', message: text, times: 1}));
    await call(BUILDER);
    await control('POST', '/faults', JSON.stringify({effect: 'hang', account: text}));
  }
  for (const width of [1200, 390]) {
    const page = await open('/emulator/?chain=' + encodeURIComponent(hostile.slice(0, 6).join(' ')) +
      '&find=' + encodeURIComponent(hostile[1]), {viewport: {width, height: 844}});
    for (const details of await page.locator('#journal details').all()) {
      await details.evaluate((node) => { node.open = true; });
    }
    await page.locator('footer details').evaluate((node) => { node.open = true; });
    await page.waitForTimeout(1500);
    assert.equal(await page.locator('img, script:not([src="/emulator/page.js"])').count(), 0);
    assert.equal(await page.locator('bdi', {hasText: '<script>alert(1)</script>'}).count() > 0, true);
    assert.equal(await page.title(), 'IAM emulator');
    const [shown, wide] = await page.evaluate(() => [innerWidth, document.scrollingElement.scrollWidth]);
    assert.ok(wide <= shown, `at ${shown} the page is ${wide} wide`);
    await picture(page, `hostile-${width}`);
    await close(page);
  }
});

test('it is readable without JavaScript, and in light, dark and on a phone', async () => {
  await call(BUILDER);
  await call(DEPLOYER);
  const chain = `/emulator/?chain=${ALICE}+${BUILDER}+${DEPLOYER}`;
  for (const [name, options] of [
    ['light', {colorScheme: 'light'}],
    ['dark', {colorScheme: 'dark'}],
    ['phone', {viewport: {width: 390, height: 844}, isMobile: true, colorScheme: 'light'}],
    ['without-javascript', {javaScriptEnabled: false}],
  ]) {
    const page = await open(chain, options);
    await page.getByText('Allowed.', {exact: true}).waitFor();
    await page.locator('#journal .bad').waitFor();
    if (name !== 'without-javascript') {
      const [shown, wide] = await page.evaluate(() => [innerWidth, document.scrollingElement.scrollWidth]);
      assert.ok(wide <= shown, `${name}: ${wide} > ${shown}`);
    } else {
      assert.ok(await page.locator('noscript').isVisible());
    }
    await picture(page, name);
    await close(page);
  }
});

test('a page of another host can neither read nor frame it', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  const reply = await page.goto(`http://evil.example:${PORT}/emulator/`);
  assert.equal(reply.status(), 403, 'a foreign name that leads here');
  // Google's pages may be used by all; from one of them, the page of the emulator is a foreign one.
  await page.goto(`http://evil.example:${PORT}/oauth2/v3/certs`);
  const read = await page.evaluate(async (address) => {
    const results = [];
    for (const path of ['/emulator/', '/emulator/policy', '/emulator/page.js']) {
      results.push(await fetch(address + path).then((reply) => reply.text(), () => 'refused'));
    }
    const frame = document.createElement('iframe');
    frame.src = address + '/emulator/';
    document.body.append(frame);
    await new Promise((resolve) => { frame.onload = resolve; setTimeout(resolve, 2000); });
    return [...results, String(frame.contentDocument)];
  }, EMULATOR);
  assert.deepEqual(read, ['refused', 'refused', 'refused', 'null']);
  await context.close();
});

// First paint, and the time from a change until it is shown, with what a test leaves and with as much as fits.
async function measure(name) {
  const page = await open(`/emulator/?chain=${ALICE}`);
  await page.waitForFunction(() => performance.getEntriesByName('first-contentful-paint').length > 0);
  const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime);
  const update = await page.evaluate(async () => {
    const started = performance.now();
    await refresh();
    return performance.now() - started;
  });
  const nodes = await page.evaluate(() => document.querySelectorAll('*').length);
  console.log(`${name}: first paint ${paint.toFixed(0)} ms, one update ${update.toFixed(0)} ms, ${nodes} nodes`);
  await close(page);
  return {paint, update, nodes};
}

test('it stays usable with 10,000 requests and 1,000 accounts', async () => {
  await call(BUILDER);
  await measure('warming up');
  const empty = await measure('1 request, 2 accounts');
  const policy = await (await control('GET', '/policy')).json();
  for (let index = 0; index < 998; index++) {
    policy.serviceAccounts[`customer-${index}@shop.iam.gserviceaccount.com`] = {grants: [
      {members: ['serviceAccount:' + BUILDER], role: 'roles/iam.serviceAccountTokenCreator'}]};
  }
  assert.equal((await control('PUT', '/policy', JSON.stringify(policy))).status, 200);
  let left = 10_000;
  await Promise.all(Array.from({length: 32}, async () => { while (left-- > 0) await call(DEPLOYER); }));
  const full = await measure('10,000 requests, 1,000 accounts');
  console.log(`after to before: first paint ${(full.paint / empty.paint).toFixed(2)}, ` +
    `one update ${(full.update / empty.update).toFixed(2)}`);
  assert.ok(full.nodes < 5000, `${full.nodes} nodes: the page has to stay small`);
  const page = await open();
  await page.getByText('10000 requests').waitFor();
  await page.getByText('1000 of 1000 accounts').waitFor();
  await picture(page, 'full');
  await close(page);
});

test('it says that the emulator has stopped', async () => {
  const page = await open();
  process.kill(EMULATOR_PID, 'SIGKILL');
  await page.locator('#message.bad', {hasText: 'doesn\'t answer'}).waitFor();
  await page.context().close();
});
