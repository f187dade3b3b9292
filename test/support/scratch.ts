import { mkdtempSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeTree } from '../../src/cache/thread/remove-tree.ts'
import { isErrno } from '../../src/os/errno.ts'
import { unmount } from '../../src/os/linux.ts'

/** A directory of a test's own; whatever is still mounted below it goes with it. */
export interface Scratch extends AsyncDisposable {
  readonly path: string
  join(...names: string[]): string
}

export function makeScratch(name = 'test'): Scratch {
  const path = mkdtempSync(join(tmpdir(), `ckptd-${name}-`))
  return {
    path,
    join: (...names) => join(path, ...names),
    [Symbol.asyncDispose]: async () => {
      unmountBelow(path)
      await removeTree(path)
      await rm(path, { recursive: true, force: true })
    },
  }
}

/** A process that was killed lets go of its files a moment later. */
const BUSY_MS = 20_000

/** Unmounts everything below a directory, the newest mount first. */
export function unmountBelow(path: string): void {
  const deadline = Date.now() + BUSY_MS
  for (const target of mountsBelow(path).toReversed())
    while (!tryUnmount(target, deadline))
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
}

function tryUnmount(target: string, deadline: number): boolean {
  try {
    unmount(target)
    return true
  } catch (error) {
    if (isErrno(error, 'EBUSY') && Date.now() < deadline) return false
    throw error
  }
}

export function mountsBelow(path: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => (line.split(' ')[4] ?? '').replaceAll('\\040', ' '))
    .filter((target) => target === path || target.startsWith(`${path}/`))
}
