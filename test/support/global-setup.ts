import { assertNodeVersion } from '../../src/os/node-version.ts'

/** Runs before any test file: on an older Node.js the native modules crash. */
export function setup(): void {
  assertNodeVersion()
  if (process.getuid?.() !== 0) throw new Error('the tests make real mounts and run as root')
}
