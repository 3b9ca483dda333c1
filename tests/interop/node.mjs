// Google's own Node packages, unmodified, against the emulator.
//
// google-auth-library writes down Google's host names. So connections to them are led to the emulator here,
// over TLS: its certificate is good for them. The packages stay as they are.

import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import tls from 'node:tls';

const emulator = new URL(process.env.EMULATOR);
const connect = tls.connect;
tls.connect = (options, ...rest) => {
  const isGoogles = /\.googleapis\.com$|^accounts\.google\.com$/.test(options.host ?? '');
  const leading = isGoogles ? {host: emulator.hostname, port: emulator.port, servername: options.host} : {};
  return connect({...options, ...leading}, ...rest);
};

const {Compute, GoogleAuth, Impersonated, JWT, OAuth2Client, UserRefreshClient} = await import('google-auth-library');
const metadata = await import('gcp-metadata');

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';
const EMAIL_SCOPE = 'https://www.googleapis.com/auth/userinfo.email';
const AUDIENCE = 'https://service.example';
const email = name => `${name}@interop.iam.gserviceaccount.com`;

async function control(page, body) {
  const options = body === undefined ? {} : {method: 'POST', body: JSON.stringify(body)};
  const reply = await fetch(new URL(`/emulator/${page}`, emulator), options);
  assert.ok(reply.ok, `${page}: ${reply.status}`);
  return reply.json();
}

/** Returns the entries of the journal for one method. */
async function journal(method) {
  return (await control(`journal?method=${method}`)).entries;
}

function serviceAccount(key, scopes = [SCOPE, EMAIL_SCOPE]) {
  return new JWT({email: key.client_email, key: key.private_key, keyId: key.private_key_id, scopes});
}

async function checkTokenInfoAndRevocation(key) {
  const client = serviceAccount(key);
  const {token} = await client.getAccessToken();
  const oauth = new OAuth2Client();
  const info = await oauth.getTokenInfo(token);
  assert.equal(info.email, email('source'));
  assert.deepEqual(info.scopes, [SCOPE, EMAIL_SCOPE]);
  const [entry] = (await journal('TokenInfo')).slice(-1);
  assert.ok(entry.metadata.some(([name]) => name === 'authorization'), 'the token was in the header');

  assert.equal((await oauth.revokeToken(token)).status, 200);
  await assert.rejects(oauth.getTokenInfo(token), /invalid_token/);
  const url = `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${email('middle')}:signBlob`;
  const call = new OAuth2Client();
  call.setCredentials({access_token: token});
  await assert.rejects(call.request({url, method: 'POST', data: {payload: ''}}), error => error.status === 401);
  console.log('node: getTokenInfo by header, revokeToken ends the token everywhere');
}

async function checkUser() {
  const file = await control('fixtures/authorized_user/alice@example.com');
  const user = new UserRefreshClient(file.client_id, file.client_secret, file.refresh_token);
  assert.match((await user.getAccessToken()).token, /^ya29\./);
  await user.revokeCredentials();
  const again = new UserRefreshClient(file.client_id, file.client_secret, file.refresh_token);
  await assert.rejects(again.getAccessToken(), /invalid_grant/);
  console.log('node: a login is exchanged; after revokeCredentials it is refused');
}

async function checkMetadataServer() {
  assert.equal(await metadata.isAvailable(), true);
  assert.equal(await metadata.project('project-id'), 'interop');
  const id = await metadata.instance('id');
  assert.equal(id.toString(), '7000000000000000001', 'no digit is lost');
  assert.equal(await metadata.instance('name'), 'interop-1');
  assert.match(await metadata.instance('zone'), /^projects\/\d+\/zones\/europe-west1-b$/);
  assert.equal(await metadata.instance('attributes/cluster-name'), 'blue');
  const all = await metadata.instance({params: {recursive: 'true'}});
  assert.equal(all.hostname, 'interop-1.europe-west1-b.c.interop.internal');
  assert.equal(all.serviceAccounts.default.email, email('source'));

  const auth = new GoogleAuth({scopes: [SCOPE]});
  const client = await auth.getClient();
  assert.ok(client instanceof Compute, 'application default credentials are those of the machine');
  assert.match((await client.getAccessToken()).token, /^ya29\./);
  assert.equal(await auth.getProjectId(), 'interop');
  assert.ok((await auth.sign('payload')).length > 300, 'signed by the API, over TLS');
  const idToken = await client.fetchIdToken(AUDIENCE);
  const claims = (await new OAuth2Client().verifyIdToken({idToken, audience: AUDIENCE})).getPayload();
  assert.equal(claims.email, email('source'));
  assert.equal(claims.google.compute_engine.instance_name, 'interop-1');
  console.log('node: gcp-metadata finds the metadata server and reads it; default credentials, signatures and ID tokens');
}

async function checkIdTokens(key) {
  const auth = new GoogleAuth({credentials: key});
  const client = await auth.getIdTokenClient(AUDIENCE);
  const headers = await client.getRequestHeaders();
  const idToken = headers.get('authorization').replace('Bearer ', '');
  const verifier = new OAuth2Client();
  const before = (await journal('Keys')).length;
  for (let i = 0; i < 5; i++) {
    const ticket = await verifier.verifyIdToken({idToken, audience: AUDIENCE});
    assert.equal(ticket.getPayload().email, email('source'));
  }
  assert.equal((await journal('Keys')).length - before, 1, 'keys are cached by max-age');
  console.log('node: getIdTokenClient; five ID tokens verified with one fetch of the keys');
}

async function checkImpersonation(key) {
  const options = {targetScopes: [SCOPE], delegates: [email('middle')], targetPrincipal: email('target')};
  const acting = new Impersonated({sourceClient: serviceAccount(key), ...options, lifetime: 600});
  const {token} = await acting.getAccessToken();
  assert.match(token, /^ya29\./);
  assert.ok((await acting.sign('payload')).signedBlob.length > 300);
  const idToken = await acting.fetchIdToken(AUDIENCE, {includeEmail: true});
  const ticket = await new OAuth2Client().verifyIdToken({idToken, audience: AUDIENCE});
  assert.equal(ticket.getPayload().email, email('target'));

  const file = await control('fixtures/impersonated_service_account',
    {source: key, target: email('target'), delegates: [email('middle')]});
  const path = join(tmpdir(), `interop-${process.pid}.json`);
  writeFileSync(path, JSON.stringify(file), {mode: 0o600});
  const client = await new GoogleAuth({keyFile: path, scopes: [SCOPE]}).getClient();
  assert.ok(client instanceof Impersonated);
  assert.match((await client.getAccessToken()).token, /^ya29\./);

  const locked = new Impersonated({sourceClient: serviceAccount(key), ...options, delegates: [], targetPrincipal: email('locked')});
  await assert.rejects(locked.getAccessToken(), /iam\.serviceAccounts\.getAccessToken/);
  console.log('node: impersonation with delegates, from code and from a file; sign; ID tokens; refusal');
}

async function checkExternalAccounts() {
  process.env.GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES = '1';
  const tokenFile = join(tmpdir(), `interop-token-${process.pid}`);
  const token = await (await fetch(new URL('/emulator/external_accounts/job/token', emulator))).text();
  writeFileSync(tokenFile, token, {mode: 0o600});
  const sources = {job: ['url', 'file', 'githubActions', 'azure', 'executable'], worker: ['aws', 'awsImdsV1']};
  for (const [account, kinds] of Object.entries(sources)) {
    for (const source of kinds) {
      const query = new URLSearchParams({source, target: email('federated'), ...(source === 'file' && {path: tokenFile})});
      const credentials = await control(`fixtures/external_account/${account}?${query}`);
      const client = await new GoogleAuth({credentials, scopes: [SCOPE]}).getClient();
      assert.match((await client.getAccessToken()).token, /^ya29\./, source);
      assert.equal(client.getServiceAccountEmail(), email('federated'), source);
    }
  }
  await control('faults', {effect: 'staleToken', account: 'job', times: 1});
  const credentials = await control('fixtures/external_account/job');
  const stale = await new GoogleAuth({credentials, scopes: [SCOPE]}).getClient();
  await assert.rejects(stale.getAccessToken(), /invalid_grant/);
  console.log('node: external accounts by url, file, GitHub Actions, Azure, executable, AWS (both versions)');
}

const key = await control(`fixtures/service_account/${email('source')}`);
await checkTokenInfoAndRevocation(key);
await checkMetadataServer();
await checkIdTokens(key);
await checkImpersonation(key);
await checkExternalAccounts();
await checkUser();
