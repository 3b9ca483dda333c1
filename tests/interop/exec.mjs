// google-auth-library, unmodified, below `iamcreds exec`: acts as the target for longer than a token lives.
//
// The environment names the emulator (EMULATOR) and how long to act (SECONDS).

import assert from 'node:assert/strict';
import {setTimeout as sleep} from 'node:timers/promises';
import {Compute, GoogleAuth} from 'google-auth-library';

const TARGET = 'target@interop.iam.gserviceaccount.com';
const SCOPES = ['cloud-platform', 'userinfo.email'].map(name => `https://www.googleapis.com/auth/${name}`);

const auth = new GoogleAuth({scopes: SCOPES});
const client = await auth.getClient();
assert.ok(client instanceof Compute);
assert.equal(await auth.getProjectId(), 'interop');
assert.equal((await auth.getCredentials()).client_email, TARGET);

const tokens = new Set();
let requests = 0;
for (const end = Date.now() + process.env.SECONDS * 1000; Date.now() < end; requests++) {
  const {data} = await client.request({url: `${process.env.EMULATOR}/oauth2/v3/userinfo`});
  assert.equal(data.email, TARGET);
  tokens.add(client.credentials.access_token);
  await sleep(250);
}
assert.ok(tokens.size >= 3, 'the program outlived its tokens');
const service = await auth.getIdTokenClient('https://service.example');
const headers = await service.getRequestHeaders('https://service.example');
assert.match(headers.get('authorization'), /^Bearer eyJ/);
console.log(`node: ${requests} requests as the target, ${tokens.size} tokens, an ID token`);
