#!/usr/bin/env node
// Runs the program of this platform in place of itself: same streams, signals and exit code.
import {spawn} from 'node:child_process';
import {constants} from 'node:os';
import {findProgram, unusable} from '../lib/program.js';

// A terminal sends these to both; the program decides what they mean.
const FROM_TERMINAL = process.platform === 'win32' ? ['SIGINT', 'SIGBREAK'] : ['SIGINT', 'SIGQUIT'];

function fail(error) {
  console.error('iamcreds: ' + error.message);
  process.exit(1);
}

let program;
try {
  program = findProgram();
} catch (error) {
  fail(error);
}
const child = spawn(program, process.argv.slice(2), {stdio: 'inherit', windowsHide: true});
for (const signal of FROM_TERMINAL) process.on(signal, () => { if (!process.stdin.isTTY) child.kill(signal); });
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => fail(unusable(program, error)));
child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
