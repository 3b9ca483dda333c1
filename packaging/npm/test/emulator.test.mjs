// The packages, as their users meet them. They must be installed: tests/interop/npm.sh does that.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {existsSync, readFileSync, writeFileSync, mkdtempSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {describe, test} from 'node:test';
import {GoogleAuth, Impersonated} from 'google-auth-library';
import {EmulatorError, findProgram, startEmulator} from 'iamcreds';
import {useEmulator} from 'iamcreds/test';

const BUILDER = 'builder@shop.iam.gserviceaccount.com';
const DEPLOYER = 'deployer@shop.iam.gserviceaccount.com';
const SCOPES = ['https://www.googleapis.com/auth/cloud-platform'];
const CREATOR = 'roles/iam.serviceAccountTokenCreator';
const POLICY = {
  serviceAccounts: {
    [BUILDER]: {grants: [{members: ['user:alice@example.com'], role: CREATOR}]},
    [DEPLOYER]: {grants: [{members: ['serviceAccount:' + BUILDER], role: CREATOR}]},
  },
  metadataServer: {serviceAccount: BUILDER},
};

async function acting(emulator, targetPrincipal = DEPLOYER) {
  const sourceClient = await new GoogleAuth({scopes: SCOPES}).getClient();
  return new Impersonated({sourceClient, targetPrincipal, targetScopes: SCOPES, endpoint: emulator.url});
}
const tokenOf = async (emulator, target) => (await (await acting(emulator, target)).getAccessToken()).token;

describe('in Node\'s test runner', () => {
  const emulator = useEmulator({policy: POLICY});

  test('impersonation is recorded', async () => {
    assert.match(await tokenOf(emulator), /^ya29\./);
    const [call, ...others] = await emulator.journal('GenerateAccessToken');
    assert.equal(call.principal, 'serviceAccount:' + BUILDER);
    assert.deepEqual(others, []);
  });

  test('each test starts anew', async () => {
    assert.deepEqual(await emulator.journal(), []);
  });

  test('a missing grant is named', async () => {
    await assert.rejects(tokenOf(emulator, BUILDER), /iam\.serviceAccounts\.getAccessToken/);
  });

  test('a fault ends after its times, and all at once', async () => {
    await emulator.injectFault({effect: 'status', code: 'PERMISSION_DENIED', method: 'GenerateAccessToken', times: 1});
    await assert.rejects(tokenOf(emulator), /a fault of the emulator/);
    assert.ok(await tokenOf(emulator));
    await emulator.injectFault({effect: 'hang'});
    await emulator.clearFaults();
    assert.ok(await tokenOf(emulator));
  });

  test('the clock ends tokens', async () => {
    const address = `${emulator.url}/oauth2/v3/tokeninfo?access_token=${await tokenOf(emulator)}`;
    assert.equal((await fetch(address)).status, 200);
    await emulator.advanceClock(3601.5);
    assert.equal((await fetch(address)).status, 400);
  });

  test('clients find it as their metadata server', async () => {
    const client = await new GoogleAuth({scopes: SCOPES}).getClient();
    assert.match((await client.getAccessToken()).token, /^ya29\./);
    assert.equal((await emulator.journal('Metadata')).at(-1).outcome.code, 'OK');
  });

  test('a key file is that of the account', async () => {
    const key = JSON.parse(readFileSync(await emulator.keyFile(BUILDER), 'utf8'));
    assert.deepEqual([key.client_email, key.token_uri], [BUILDER, emulator.url + '/token']);
  });

  test('a file impersonates from a login', async () => {
    const path = await emulator.impersonatedFile(await emulator.loginFile('alice@example.com'), DEPLOYER, [BUILDER]);
    const file = JSON.parse(readFileSync(path, 'utf8'));
    assert.deepEqual([file.type, file.delegates], ['impersonated_service_account', [BUILDER]]);
  });

  test('another policy lasts until the next test', async () => {
    await emulator.setPolicy(null);
    assert.ok(await tokenOf(emulator, BUILDER));
  });

  test('which was the one before', async () => {
    await assert.rejects(tokenOf(emulator, BUILDER), /getAccessToken/);
  });

  for (const name of ['../../etc/passwd', 'a b@c', '', 'x'.repeat(5000), 'ü@\u202e', '%2e%2e/%2e%2e']) {
    test(`the name ${JSON.stringify(name).slice(0, 20)} leads to no file`, async () => {
      await assert.rejects(emulator.keyFile(name), EmulatorError);
    });
  }
});

test('outside of tests, the emulator of the test runner says so', () => {
  assert.throws(() => useEmulator().url, /only in tests and hooks/);
});

test('a mistake in a policy is the emulator\'s own text', async () => {
  const mistake = {tokens: [{token: 't', principal: 'alice'}]};
  await assert.rejects(startEmulator({policy: mistake}), /tokens\[0\].*user:alice@example\.com/s);
  const path = join(mkdtempSync(join(tmpdir(), 'größe 名-')), 'policy.json');
  writeFileSync(path, '{');
  await assert.rejects(startEmulator({policy: path}), /größe 名/);
  writeFileSync(path, JSON.stringify(POLICY));
  const emulator = await startEmulator({policy: path});
  await assert.rejects(emulator.setPolicy(mistake), /invalid policy/);
  await assert.rejects(emulator.injectFault({effect: 'delay', delay: 'soon'}), /a duration/);
  await emulator.stop();
});

test('tls is trusted by its authority', async () => {
  const emulator = await startEmulator({policy: POLICY, tls: true});
  const program = 'const r = await fetch(process.argv[1] + "/healthz").then((r) => r.text(), (e) => e.cause.code); console.log(r)';
  const run = (environment) => spawnSync(process.execPath, ['--input-type=module', '-e', program, emulator.url],
    {encoding: 'utf8', env: {...process.env, ...environment}}).stdout.trim();
  assert.match(emulator.url, /^https:/);
  assert.match(run({NODE_EXTRA_CA_CERTS: ''}), /SELF_SIGNED|UNABLE_TO/);
  assert.equal(run(emulator.environment()), 'ok');
  await emulator.stop();
});

test('its end is noticed and leaves nothing', async () => {
  const emulator = await startEmulator();
  const folder = dirname(emulator.caFile);
  await (async () => { await using_(emulator); })();
  assert.ok(!existsSync(folder));
  await emulator.stop();
  await assert.rejects(emulator.journal(), /isn't running/);
});

// What `await using` does, which older versions of Node can't parse.
const using_ = (resource) => resource[Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]();

test('a platform without a package says what to do', () => {
  assert.throws(() => findProgram('sunos-x64'), /no program for sunos-x64.*cargo install gcp-iam-credentials/s);
  const other = process.platform === 'darwin' ? 'linux-x64' : 'darwin-arm64';
  assert.throws(() => findProgram(other), new RegExp(`@iamcreds/${other} isn't installed.*npm install`, 's'));
});
