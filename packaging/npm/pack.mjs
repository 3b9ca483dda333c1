#!/usr/bin/env node
// Makes the npm packages: `pack.mjs FOLDER` makes the main package, `pack.mjs FOLDER PLATFORM PROGRAM` that of a platform, such
// as linux-x64, with a program that was built for it. Prints the path of the archive.
import {execFileSync} from 'node:child_process';
import {chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {PLATFORMS} from './lib/program.js';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const version = /^version = "(.*)"$/m.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))[1];
const main = {...JSON.parse(readFileSync(join(here, 'package.json'), 'utf8')), version};

const [folder, platform, program] = process.argv.slice(2);
if (!folder || Boolean(platform) !== Boolean(program)) {
  console.error('usage: pack.mjs FOLDER [PLATFORM PROGRAM]');
  process.exit(2);
}

function fill(stage) {
  if (!platform) {
    for (const part of ['bin', 'lib', 'README.md']) cpSync(join(here, part), join(stage, part), {recursive: true});
    // npm installs the one that fits.
    const packages = PLATFORMS.map((name) => ['@iamcreds/' + name, version]);
    return {...main, optionalDependencies: Object.fromEntries(packages)};
  }
  if (!PLATFORMS.includes(platform)) throw new Error(`${platform} isn't one of ${PLATFORMS.join(', ')}`);
  const [os, cpu] = platform.split('-');
  const name = os === 'win32' ? 'iamcreds.exe' : 'iamcreds';
  mkdirSync(join(stage, 'bin'));
  cpSync(program, join(stage, 'bin', name));
  chmodSync(join(stage, 'bin', name), 0o755);
  writeFileSync(join(stage, 'README.md'), `The program of the package iamcreds for ${platform}. Install \`iamcreds\` instead.\n`);
  const {description, license, homepage} = main;
  return {
    name: '@iamcreds/' + platform, version, description, license, homepage, os: [os], cpu: [cpu],
    // The program needs glibc.
    ...(os === 'linux' && {libc: ['glibc']}),
    files: ['bin'], preferUnplugged: true,
  };
}

const stage = mkdtempSync(join(tmpdir(), 'iamcreds-pack-'));
try {
  writeFileSync(join(stage, 'package.json'), JSON.stringify(fill(stage), null, 2) + '\n');
  for (const license of ['LICENSE-APACHE', 'LICENSE-MIT']) cpSync(join(root, license), join(stage, license));
  mkdirSync(folder, {recursive: true});
  const output = execFileSync('npm', ['pack', '--silent', '--pack-destination', resolve(folder)], {cwd: stage, encoding: 'utf8'});
  console.log(join(resolve(folder), output.trim().split('\n').at(-1)));
} finally {
  rmSync(stage, {recursive: true, force: true});
}
