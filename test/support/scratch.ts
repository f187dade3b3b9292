import { mkdtempSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeTree } from '../../src/cache/thread/remove-tree.ts'
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

/** Unmounts everything below a directory, the newest mount first. */
export function unmountBelow(path: string): void {
  for (const target of mountsBelow(path).toReversed()) unmount(target)
}

export function mountsBelow(path: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => (line.split(' ')[4] ?? '').replaceAll('\\040', ' '))
    .filter((target) => target === path || target.startsWith(`${path}/`))
}
