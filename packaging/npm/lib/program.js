// Finds the program for this platform. It is in a package of its own, of which npm installs only the right one.
import {createRequire} from 'node:module';

const require = createRequire(import.meta.url);

/** The platforms for which there are packages. */
export const PLATFORMS = ['darwin-arm64', 'darwin-x64', 'linux-arm64', 'linux-x64', 'win32-x64'];

const ELSEWHERE = 'The packages for Linux need glibc 2.34 or newer. Elsewhere, for example with musl, install a Rust ' +
  'toolchain and run `cargo install gcp-iam-credentials --features cli`';

/** Returns the path of the program `iamcreds`. Throws an error that says what to do if there is none. */
export function findProgram(platform = `${process.platform}-${process.arch}`) {
  if (!PLATFORMS.includes(platform)) {
    throw new Error(`there is no program for ${platform}, only for ${PLATFORMS.join(', ')}\n` +
      'fix: install a Rust toolchain and run `cargo install gcp-iam-credentials --features cli`');
  }
  const name = '@iamcreds/' + platform;
  try {
    return require.resolve(`${name}/bin/iamcreds${platform.startsWith('win32') ? '.exe' : ''}`);
  } catch (error) {
    throw new Error(`the package ${name} isn't installed, which has the program for this platform\n` +
      'fix: run `npm install iamcreds` without `--omit=optional` and `--no-optional`, on the same kind of machine as the ' +
      'program runs on. If node_modules or a lock file came from another one, remove both and install again. ' + ELSEWHERE,
    {cause: error});
  }
}

/** Returns the error of a program that the system doesn't run. */
export function unusable(program, error) {
  return new Error(`${program} can't be run: ${error.message}\n` +
    'fix: ' + ELSEWHERE, {cause: error});
}
