import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { assertStoreInvariants } from '../support/invariants.ts'
import { makeScratch } from '../support/scratch.ts'
import { openTestStore } from '../support/store.ts'

const CHILD = fileURLToPath(new URL('support/large-tree-child.ts', import.meta.url))

interface Measured {
  /** Heap in use after a full collection, at its highest between steps, in bytes. */
  readonly peakHeap: {
    readonly publishing: number
    readonly planning: number
    readonly removing: number
  }
  readonly removalMs: number
}

/** Runs the life of a tree in a process of its own. */
function liveThrough(directory: string, kind: 'files' | 'entries', count: number): Measured {
  const run = spawnSync(
    process.execPath,
    ['--expose-gc', '--max-old-space-size=192', CHILD, directory, kind, String(count)],
    { encoding: 'utf8' },
  )
  expect(run.status, run.stderr).toBe(0)
  return JSON.parse(run.stdout) as Measured
}

describe('a tree', () => {
  it('of 20,000 files is ingested, published, recovered and removed', {
    timeout: 240_000,
  }, async () => {
    await using scratch = makeScratch('large')
    liveThrough(scratch.join('data'), 'files', 20_000)
    await using store = await openTestStore(scratch.join('data'))
    await assertStoreInvariants(store)
    expect(store.database.usage.getStore().objects).toBe(0)
  })

  it('of 100,000 entries costs hardly more memory than one of 10,000', {
    timeout: 240_000,
  }, async () => {
    await using scratch = makeScratch('large')
    const small = liveThrough(scratch.join('small'), 'entries', 10_000)
    const large = liveThrough(scratch.join('large'), 'entries', 100_000)
    for (const phase of ['publishing', 'planning', 'removing'] as const) {
      const grown = large.peakHeap[phase] - small.peakHeap[phase]
      // Holding the entries would cost some 200 bytes each at the least.
      expect(grown, phase).toBeLessThan(90_000 * 60)
    }
  })
})
