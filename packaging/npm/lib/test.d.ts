import type { Emulator, EmulatorOptions } from './index.js';

/**
 * Starts an emulator before the tests of a file or a suite, resets it before each, and stops it after them. Sets the
 * environment of the tests, so that clients find it as their metadata server.
 */
export function useEmulator(options?: EmulatorOptions): Emulator;
