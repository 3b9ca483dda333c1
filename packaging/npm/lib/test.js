// The emulator for Node's test runner.
import {after, before, beforeEach} from 'node:test';
import {Emulator} from './index.js';

// The machine's own identities must not reach the tests.
const UNSET = ['GOOGLE_APPLICATION_CREDENTIALS', 'GOOGLE_CLOUD_UNIVERSE_DOMAIN'];

/** Starts an emulator before the tests of a file or a suite, resets it before each, and stops it after them. */
export function useEmulator(options) {
  let emulator;
  let saved;
  before(async () => {
    emulator = await Emulator.start(options);
    saved = {...process.env};
    Object.assign(process.env, emulator.environment());
    for (const name of UNSET) delete process.env[name];
  });
  beforeEach(() => emulator.reset());
  after(async () => {
    await emulator?.stop();
    if (saved) {
      for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name];
      Object.assign(process.env, saved);
    }
  });
  return new Proxy({}, {
    get(_, name) {
      if (!emulator) throw new Error('the emulator runs only in tests and hooks, after `useEmulator`');
      const member = emulator[name];
      return typeof member === 'function' ? member.bind(emulator) : member;
    },
  });
}
