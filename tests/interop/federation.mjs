// google-auth-library's federation, unmodified, against the emulator: faults of platforms, AWS's variables, people
// of a workforce pool, and downscoped tokens. node.mjs gets a token from each platform.
//
// The library writes down the name of Google's STS for downscoping, so connections to it are led to the emulator.

import assert from 'node:assert/strict';
import {mkdtempSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import tls from 'node:tls';

const emulator = new URL(process.env.EMULATOR);
const connect = tls.connect;
tls.connect = (options, ...rest) => {
  const leading = options.host === 'sts.googleapis.com'
    ? {host: emulator.hostname, port: emulator.port, servername: options.host} : {};
  return connect({...options, ...leading}, ...rest);
};

const {DownscopedClient, GoogleAuth} = await import('google-auth-library');

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';
const TARGET = 'federated@interop.iam.gserviceaccount.com';
const folder = mkdtempSync(join(tmpdir(), 'federation-'));

async function page(path, body) {
  const reply = await fetch(new URL(path, emulator), body && {method: 'POST', body: JSON.stringify(body)});
  const text = await reply.text();
  assert.ok(reply.ok, `${path}: ${text}`);
  return text;
}

const control = async (path, body) => JSON.parse(await page(`/emulator/${path}`, body));

/** Returns a client of a file, as application default credentials find it. */
async function clientOf(file) {
  const path = join(folder, 'credentials.json');
  writeFileSync(path, JSON.stringify(file), {mode: 0o600});
  process.env.GOOGLE_APPLICATION_CREDENTIALS = path;
  return new GoogleAuth({scopes: [SCOPE]}).getClient();
}

async function checkDefaultCredentials() {
  const federated = await clientOf(await control('fixtures/external_account/job'));
  assert.match((await federated.getAccessToken()).token, /^ya29\./);
  const query = new URLSearchParams({target: TARGET, lifetime: '600s'});
  const acting = await clientOf(await control(`fixtures/external_account/job?${query}`));
  const info = JSON.parse(await page(`/tokeninfo?access_token=${(await acting.getAccessToken()).token}`));
  assert.ok(info.expires_in > 500 && info.expires_in <= 600, JSON.stringify(info));
  console.log('node: default credentials of a federated file, with and without an impersonation');
}

/** The library reads the subject token again for each token, so it recovers when a fault ends. */
async function checkFaults() {
  for (const [account, effect] of [
    ['job', 'staleToken'], ['job', 'wrongAudience'], ['job', 'rotatedKey'], ['job', 'issuerUnreachable'],
    ['worker', 'expiredCredentials'], ['worker', 'wrongSecret'], ['worker', 'wrongTargetResource'],
    ['worker', 'sessionTokenRefused'],
  ]) {
    const client = await clientOf(await control(`fixtures/external_account/${account}?target=${TARGET}`));
    await control('faults', {effect, account, times: 1});
    await assert.rejects(client.getAccessToken(), effect);
    assert.match((await client.getAccessToken()).token, /^ya29\./, effect);
  }
  console.log('node: each fault of a platform is refused once, and the next attempt succeeds');
}

async function checkAwsEnvironment() {
  const lines = (await page('/emulator/external_accounts/worker/environment')).trim().split('\n');
  const variables = lines.map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
  for (const [name, value] of variables) process.env[name] = value;
  const file = await control(`fixtures/external_account/worker?target=${TARGET}`);
  for (const url of ['url', 'region_url', 'imdsv2_session_token_url']) delete file.credential_source[url];
  assert.match((await (await clientOf(file)).getAccessToken()).token, /^ya29\./);
  for (const [name] of variables) delete process.env[name];
  console.log("node: AWS's credentials in the environment");
}

async function checkPerson() {
  const file = await control('fixtures/external_account_authorized_user/ada');
  const post = (url, fields) => fetch(url, {method: 'POST', body: new URLSearchParams(fields)});
  const {token} = await (await clientOf(file)).getAccessToken();
  const about = await (await post(file.token_info_url, {token})).json();
  assert.ok(about.active && about.username.endsWith('/subject/ada@example.com'), JSON.stringify(about));
  assert.equal((await post(file.revoke_url, {token: file.refresh_token})).status, 200);
  await assert.rejects((await clientOf(file)).getAccessToken(), /invalid_grant/);
  console.log('node: a person of a workforce pool, introspected and revoked');
}

async function checkDownscoping() {
  const source = await clientOf(await control(`fixtures/external_account/job?target=${TARGET}`));
  const rule = {
    availableResource: '//storage.googleapis.com/projects/_/buckets/b',
    availablePermissions: ['inRole:roles/storage.objectViewer'],
  };
  const narrow = new DownscopedClient(source, {accessBoundary: {accessBoundaryRules: [rule]}});
  const {token, expirationTime} = await narrow.getAccessToken();
  assert.notEqual(token, source.credentials.access_token);
  assert.equal(expirationTime, source.credentials.expiry_date);
  console.log('node: a downscoped token, which expires with its source');
}

// Without a project, the library asks Resource Manager for the one of the pool.
process.env.GOOGLE_CLOUD_PROJECT = 'interop';
await checkDefaultCredentials();
await checkFaults();
await checkAwsEnvironment();
await checkPerson();
await checkDownscoping();
