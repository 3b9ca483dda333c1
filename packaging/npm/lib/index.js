// An emulator as a child process, and the control of it.
import {spawn} from 'node:child_process';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {request} from 'node:http';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {findProgram, unusable} from './program.js';

export {findProgram} from './program.js';

/** How long the emulator may take to start, to stop, or to answer a control page, in milliseconds. */
const PATIENCE = 30_000;

/** The emulator can't be started, or it refuses what it was asked. The text is the emulator's own. */
export class EmulatorError extends Error {
  name = 'EmulatorError';
}

/** An emulator of the API. It runs until `stop`, or until this process ends. */
export class Emulator {
  #child;
  #folder;
  #files = 0;
  #errors = '';
  #tls = false;

  /** Starts an emulator on a free port: see `startEmulator`. */
  static async start({policy, tls = false} = {}) {
    const emulator = new Emulator();
    emulator.#tls = tls;
    emulator.#folder = mkdtempSync(join(tmpdir(), 'iamcreds-'));
    try {
      await emulator.#run(policy);
    } catch (error) {
      await emulator.stop();
      throw error;
    }
    return emulator;
  }

  async #run(policy) {
    this.caFile = this.#path('ca.pem');
    const options = ['emulator', '--listen', '127.0.0.1:0', '--ca-out', this.caFile, '--until-stdin-ends'];
    if (this.#tls) options.push('--tls');
    if (policy != null) options.push('--policy', this.#write('policy', documentOf(policy)));
    const program = findProgram();
    const child = this.#child = spawn(program, options, {stdio: ['pipe', 'pipe', 'pipe'], windowsHide: true});
    child.stderr.setEncoding('utf8').on('data', (text) => { this.#errors += text; });
    child.stdin.on('error', () => {});
    const line = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new EmulatorError('the emulator doesn\'t start')), PATIENCE);
      let output = '';
      child.on('error', (error) => reject(unusable(program, error)));
      child.on('close', () => resolve(output));
      child.stdout.setEncoding('utf8').on('data', (text) => {
        output += text;
        if (output.includes('\n')) resolve(output.split('\n')[0]);
      });
      child.on('close', () => clearTimeout(timer));
    });
    const address = line.split('listening on ')[1]?.trim();
    if (!address) {
      const errors = this.#errors.trim() || `the program says ${JSON.stringify(line)}`;
      // The system's loader can't run it.
      throw errors.includes('GLIBC_') ? unusable(program, new Error(errors)) : new EmulatorError(errors);
    }
    this.url = address;
    this.host = address.split('://')[1];
    // The tests' process ends when they have ended.
    child.unref();
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.unref();
  }

  async stop() {
    const child = this.#child;
    this.#child = undefined;
    if (child && child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
      child.ref();
      const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
      await new Promise((resolve) => { child.once('exit', resolve); child.stdin.end(); });
      clearTimeout(timer);
    }
    if (this.#folder) rmSync(this.#folder, {recursive: true, force: true});
    this.#folder = undefined;
  }

  async [Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]() {
    await this.stop();
  }

  environment() {
    const empty = this.#path('gcloud');
    mkdirSync(empty, {recursive: true});
    const local = [process.env.NO_PROXY || process.env.no_proxy, '127.0.0.1,localhost'].filter(Boolean).join(',');
    return {
      GCE_METADATA_HOST: this.host,
      GCE_METADATA_IP: this.host,
      GCE_METADATA_ROOT: this.host,
      METADATA_SERVER_DETECTION: 'assume-present',
      IAM_CREDENTIALS_EMULATOR_HOST: this.#tls ? this.url : this.host,
      CLOUDSDK_CONFIG: empty,
      NO_PROXY: local,
      no_proxy: local,
      ...(this.#tls && {
        NODE_EXTRA_CA_CERTS: this.caFile,
        REQUESTS_CA_BUNDLE: this.caFile,
        SSL_CERT_FILE: this.caFile,
        GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: this.caFile,
      }),
    };
  }

  async keyFile(account) {
    return this.#write('key', await this.#send('GET', `/fixtures/service_account/${encodeURIComponent(account)}`));
  }

  async loginFile(user) {
    return this.#write('login', await this.#send('GET', `/fixtures/authorized_user/${encodeURIComponent(user)}`));
  }

  async impersonatedFile(source, target, delegates = []) {
    const body = {source: JSON.parse(readFileSync(source, 'utf8')), target, delegates};
    return this.#write('impersonated', await this.#send('POST', '/fixtures/impersonated_service_account', body));
  }

  async journal(method) {
    const query = method === undefined ? '' : '?method=' + encodeURIComponent(method);
    return (await this.#send('GET', '/journal' + query)).entries;
  }

  async injectFault(fault) {
    return (await this.#send('POST', '/faults', fault)).id;
  }

  async clearFaults() {
    await this.#send('DELETE', '/faults');
  }

  async advanceClock(seconds) {
    await this.#send('POST', '/clock', {advance: seconds.toFixed(9) + 's'});
  }

  async setPolicy(policy) {
    await this.#send('PUT', '/policy', policy == null ? null : documentOf(policy));
  }

  async reset() {
    await this.#send('POST', '/reset');
  }

  #path(name) {
    if (!this.#folder) throw new EmulatorError('the emulator isn\'t running');
    return join(this.#folder, name);
  }

  // The file has a name of its own: the account's could contain anything.
  #write(kind, document) {
    const path = this.#path(`${kind}-${++this.#files}.json`);
    writeFileSync(path, JSON.stringify(document));
    return path;
  }

  // Sends a request to a control page, and returns its reply. The port also serves plaintext if credential files have https.
  #send(method, page, body) {
    this.#path('');
    const [hostname, port] = this.host.split(':');
    return new Promise((resolve, reject) => {
      const lost = (error) => reject(new EmulatorError(
        `the emulator at ${this.url} doesn't answer: ${error.message}\n${this.#errors}`.trim(), {cause: error}));
      const sent = request({method, hostname, port, path: '/emulator' + page, timeout: PATIENCE}, (reply) => {
        let text = '';
        reply.setEncoding('utf8').on('data', (part) => { text += part; }).on('error', lost).on('end', () => {
          if (reply.statusCode === 200) resolve(JSON.parse(text));
          else reject(new EmulatorError(messageIn(text)));
        });
      });
      sent.on('error', lost).on('timeout', () => sent.destroy(new Error('it takes too long')));
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

/** Starts an emulator on a free port, and returns it. */
export const startEmulator = (options) => Emulator.start(options);

// Returns a policy as a document. If it is a file that isn't JSON, the error names it.
function documentOf(policy) {
  if (typeof policy !== 'string' && !(policy instanceof URL)) return policy;
  const text = readFileSync(policy, 'utf8');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new EmulatorError(`${policy}: ${error.message}`, {cause: error});
  }
}

function messageIn(text) {
  try {
    return JSON.parse(text).error.message;
  } catch {
    return text;
  }
}
