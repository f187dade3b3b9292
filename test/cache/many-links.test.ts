import { linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Store } from '../../src/cache/store.ts'
import { verifyStore } from '../../src/cache/verify.ts'
import { assertStoreInvariants } from '../support/invariants.ts'
import { makeLoopImage } from '../support/loop-image.ts'
import { makeScratch } from '../support/scratch.ts'
import { openTestStore, publishTree } from '../support/store.ts'
import { digestOf } from './support/digest-of.ts'
import { readTree } from './support/read-tree.ts'
import { manifestOf, viewPath } from './support/view-path.ts'

/** What one inode of ext4 can have. */
const MAX_LINKS = 65_000
const CONTENT = 'the configuration that every checkpoint has'

function objectPath(store: Store, copy: number): string {
  return store.layout.object({ domain: 'host', sha256: digestOf(CONTENT), executable: false, copy })
}

/** Uses links of a content's first inode up, all but a few. */
function useLinksUp(store: Store, leave: number): void {
  const elsewhere = join(store.layout.root, 'elsewhere')
  mkdirSync(elsewhere)
  const object = objectPath(store, 0)
  for (let n = statSync(object).nlink; n < MAX_LINKS - leave; n++)
    linkSync(object, join(elsewhere, String(n)))
}

async function countDamaged(store: Store): Promise<number> {
  let bad = 0
  await verifyStore(store.context, {
    signal: new AbortController().signal,
    onProgress: () => undefined,
    onBad: () => {
      bad += 1
    },
  })
  return bad
}

describe('a content whose inode has no links left', () => {
  it('gets a second inode, which verify, usage and removal know', async () => {
    await using scratch = makeScratch('links')
    const disk = makeLoopImage(scratch.join('image'), scratch.join('mnt'), { sizeMb: 128 })
    await using store = await openTestStore(join(disk.mountPoint, 'data'))
    await publishTree(store, { config: CONTENT })
    useLinksUp(store, 10)

    const tree = (name: string) =>
      Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`${name}${n}`, CONTENT]))
    // Two at once: both run out of links, and only one makes the second inode.
    const [first, second] = await Promise.all([
      publishTree(store, tree('a')),
      publishTree(store, tree('b')),
    ])
    expect(readTree(await viewPath(store, first))).toEqual(tree('a'))
    expect(readTree(await viewPath(store, second))).toEqual(tree('b'))
    const inodes = new Set([0, 1].map((copy) => statSync(objectPath(store, copy)).ino))
    for (const [id, name] of [
      [first, 'a'],
      [second, 'b'],
    ] as const) {
      const root = await viewPath(store, id)
      for (const file of Object.keys(tree(name)))
        expect(inodes).toContain(statSync(join(root, file)).ino)
    }
    expect(statSync(objectPath(store, 1)).nlink).toBe(51)
    expect(store.database.usage.getStore()).toMatchObject({
      objects: 2,
      physical_bytes: 2 * CONTENT.length,
    })
    expect(await countDamaged(store)).toBe(0)
    await assertStoreInvariants(store)

    // Damaged, it is forgotten: what is whole serves the next views.
    writeFileSync(objectPath(store, 1), readFileSync(objectPath(store, 1), 'utf8').toUpperCase())
    expect(await countDamaged(store)).toBe(1)
    expect(await countDamaged(store)).toBe(0)
    expect(readTree(await viewPath(store, second))).toEqual(tree('b'))
    await store.removal.sweep()
    await store.views.removeDisposable()
    await assertStoreInvariants(store)

    for (const id of [first, second]) {
      expect(manifestOf(store, id)).toBeGreaterThan(0)
      store.database.checkpoints.setStatus(id, 'removing')
      await store.removal.finish(id)
    }
    expect(() => statSync(objectPath(store, 2))).toThrow(/ENOENT/)
    expect(store.database.usage.getStore().objects).toBe(1)
    await assertStoreInvariants(store)
    rmSync(join(store.layout.root, 'elsewhere'), { recursive: true })
  })
})
