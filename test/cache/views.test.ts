import { lstatSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { publishTree } from '../support/store.ts'
import { digestOf } from './support/digest-of.ts'
import { leaseView } from './support/lease-view.ts'
import { readTree } from './support/read-tree.ts'
import { useStore } from './support/use-store.ts'
import { manifestOf, viewPath } from './support/view-path.ts'

const shared = useStore()
const TREE = {
  'weights.bin': 'weights',
  'again/weights.bin': 'weights',
  'bin/run': { executable: 'run' },
  empty: '',
  link: { link: 'weights.bin' },
}

describe('a view', () => {
  it('can be read by all and written by nobody, all of it at one constant time', async () => {
    const root = await viewPath(shared.store, await publishTree(shared.store, TREE))
    const modes = Object.fromEntries(
      ['', 'again', 'bin', 'bin/run', 'weights.bin', 'empty'].map((name) => [
        name,
        (lstatSync(join(root, name)).mode & 0o7777).toString(8),
      ]),
    )
    expect(modes).toEqual({
      '': '555',
      again: '555',
      bin: '555',
      'bin/run': '555',
      'weights.bin': '444',
      empty: '444',
    })
    for (const name of ['', 'again', 'bin/run', 'weights.bin', 'empty', 'link'])
      expect(lstatSync(join(root, name)).mtime.toISOString(), name).toBe('1980-01-01T00:00:00.000Z')
  })

  it('is hard links to objects, so that all readers share one page cache', async () => {
    const { store } = shared
    const root = await viewPath(store, await publishTree(store, TREE))
    const object = store.layout.object({
      domain: 'host',
      sha256: digestOf('weights'),
      executable: false,
      copy: 0,
    })
    const { ino } = statSync(object)
    expect(statSync(join(root, 'weights.bin')).ino).toBe(ino)
    expect(statSync(join(root, 'again/weights.bin')).ino).toBe(ino)
  })

  it('links no empty files: every checkpoint has some, and links are counted', async () => {
    const { store } = shared
    const root = await viewPath(store, await publishTree(store, { a: '', b: '' }))
    expect(statSync(join(root, 'a')).nlink).toBe(1)
    expect(readdirSync(join(store.layout.objects, 'host'))).not.toContain(digestOf(''))
  })

  it('is one for all checkpoints of the same tree, and built once for all who ask at once', async () => {
    const { store } = shared
    const first = await publishTree(store, TREE, { name: 'first' })
    const second = await publishTree(store, TREE, { name: 'second' })
    expect(await viewPath(store, first)).toBe(await viewPath(store, second))
    const manifestId = manifestOf(store, first)
    store.database.views.retireOfManifest(manifestId)
    const views = await Promise.all([1, 2, 3, 4].map(() => store.views.ensure(manifestId)))
    expect(new Set(views.map(({ id }) => id)).size).toBe(1)
  })

  it('that is retired stays while a job holds it, beside its next generation', async () => {
    const { store } = shared
    const id = await publishTree(store, { kept: 'while leased' })
    const before = await store.views.ensure(manifestOf(store, id))
    const root = await viewPath(store, id)
    const lease = leaseView(store, before.id)
    store.database.views.retireOfManifest(before.manifest_id)
    await store.views.removeDisposable()
    const after = await store.views.ensure(before.manifest_id)
    expect(after.generation).toBe(before.generation + 1)
    expect(readTree(root)).toEqual({ kept: 'while leased' })
    store.database.leases.removeOfWorker(lease, 1)
    await store.views.removeDisposable()
    expect(() => statSync(root)).toThrow(/ENOENT/)
    expect(readTree(await viewPath(store, id))).toEqual({ kept: 'while leased' })
  })

  it('is removed once by however many remove what nobody needs, and then built anew', async () => {
    const { store } = shared
    const tree = Object.fromEntries(
      Array.from({ length: 300 }, (_, n) => [`d${n % 40}/f${n}`, `removed ${n}`]),
    )
    const id = await publishTree(store, tree)
    for (let round = 0; round < 5; round++) {
      store.database.views.retireOfManifest(manifestOf(store, id))
      const removals = [store.views.removeDisposable(), store.views.removeDisposable()]
      const rebuilt = store.views.ensure(manifestOf(store, id))
      await Promise.all([...removals, rebuilt])
      expect(readTree(await viewPath(store, id))).toEqual(tree)
    }
  })
})
