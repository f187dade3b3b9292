import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { planRecovery, type RecoveryStep } from '../../src/cache/recovery.ts'
import { openStore, type Store } from '../../src/cache/store.ts'
import type { CheckpointId } from '../../src/model/ids.ts'
import { assertStoreInvariants } from '../support/invariants.ts'
import { makeScratch } from '../support/scratch.ts'
import { beginIngest, openTestStore, publishTree, storeTree } from '../support/store.ts'
import { leaseView } from './support/lease-view.ts'
import { readTree } from './support/read-tree.ts'
import { manifestOf, viewPath } from './support/view-path.ts'

const DIGEST = 'ab'.repeat(32)
const UUID = '00000000-0000-4000-8000-000000000000'

/** How each store is broken, and the steps that mend it. */
const BROKEN: Readonly<
  Record<
    string,
    { breakIt: (store: Store, id: CheckpointId) => unknown; steps: readonly RecoveryStep['kind'][] }
  >
> = {
  'an orphan object': {
    breakIt: ({ layout }) => writeFileSync(join(layout.objects, 'host', DIGEST), 'unproven'),
    steps: ['remove-orphan-object'],
  },
  'a copy that was being written': {
    breakIt: ({ layout }) =>
      writeFileSync(join(layout.objects, 'host', `${DIGEST}.${UUID}`), 'half'),
    steps: ['remove-orphan-object'],
  },
  'an orphan further inode': {
    breakIt: ({ layout }) => {
      const [object = ''] = readdirSync(join(layout.objects, 'host'))
      linkSync(join(layout.objects, 'host', object), join(layout.objects, 'host', `${object}.1`))
    },
    steps: ['remove-orphan-object'],
  },
  'an orphan manifest': {
    breakIt: ({ layout }) => writeFileSync(join(layout.manifests, 'host', DIGEST), 'x'),
    steps: ['remove-orphan-manifest'],
  },
  'a manifest that is nobody’s': {
    breakIt: ({ database }) =>
      database.manifests.insert({
        domain: 'host',
        digest: DIGEST as never,
        size_bytes: 0,
        file_count: 0,
        entry_count: 0,
      }),
    steps: ['drop-manifest'],
  },
  'half a view': {
    breakIt: ({ layout }) =>
      mkdirSync(join(layout.views, 'host', `.building-${UUID}`, 'a', 'b'), { recursive: true }),
    steps: ['remove-orphan-view'],
  },
  'a view that was not recorded': {
    breakIt: ({ layout }) => mkdirSync(join(layout.views, 'host', `${DIGEST}.1`)),
    steps: ['remove-orphan-view'],
  },
  'a lost view': {
    breakIt: async (store, id) => rmSync(await viewPath(store, id), { recursive: true }),
    steps: ['rebuild-view-later'],
  },
  'a view that was being removed': {
    breakIt: (store, id) => {
      const view = store.database.views.findLive(manifestOf(store, id))
      if (view !== undefined) store.database.views.setState(view.id, 'deleting')
    },
    steps: ['remove-views'],
  },
  'a lost sidecar': {
    breakIt: ({ layout }, id) => rmSync(layout.sidecar(id)),
    steps: ['write-sidecar'],
  },
  'an orphan sidecar': {
    breakIt: ({ layout }) => writeFileSync(join(layout.sidecars, `${UUID}.json`), '{}'),
    steps: ['remove-orphan-sidecar'],
  },
  'a sidecar that was being written': {
    breakIt: ({ layout }, id) => writeFileSync(`${layout.sidecar(id)}.tmp`, '{'),
    steps: ['remove-orphan-sidecar'],
  },
  'staging of nobody': {
    breakIt: ({ layout }) => {
      mkdirSync(join(layout.staging, UUID, 'deep'), { recursive: true })
      writeFileSync(join(layout.staging, UUID, 'deep', 'file'), 'x')
    },
    steps: ['remove-staging'],
  },
  'staging of a transfer that nothing is recorded of': {
    breakIt: async (store) => {
      const { ingest } = beginIngest(store)
      await storeTree(ingest, { a: 'stored' })
      writeFileSync(join(ingest.directory, 'unrecorded'), 'x')
    },
    steps: ['remove-staging'],
  },
  'entries of a published ingest': {
    breakIt: async (store) => {
      const { id, ingest } = beginIngest(store)
      await storeTree(ingest, { a: 'published' })
      await store.publisher.publish(id, 0)
    },
    steps: ['remove-staging', 'drop-entries'],
  },
  'an ingest that failed': {
    breakIt: async (store) => {
      const { id, ingest } = beginIngest(store)
      await storeTree(ingest, { a: 'failed' })
      store.database.checkpoints.setFailed(id, { code: 'origin_error', message: '', details: {} })
    },
    steps: ['drop-failed-ingest'],
  },
  'a removal that was only marked': {
    breakIt: async (store) => {
      const id = await publishTree(store, { a: 'marked' })
      store.database.checkpoints.setStatus(id, 'removing')
    },
    steps: ['finish-removal'],
  },
  'objects that were only marked': {
    breakIt: async (store) => {
      const { id, ingest } = beginIngest(store)
      await storeTree(ingest, { a: 'swept' })
      store.database.ingests.remove(id)
      for (const objectId of store.database.entries.removeSome(id) ?? [])
        store.database.objects.setState(objectId, 'deleting')
      store.database.checkpoints.remove(id)
    },
    steps: ['remove-staging', 'sweep-objects'],
  },
  'a marked object whose file is gone': {
    breakIt: ({ database }) => {
      const key = { domain: 'host', sha256: DIGEST as never, executable: 0, copy: 0 }
      database.objects.setState(database.objects.insert(key, 1), 'deleting')
    },
    steps: ['sweep-objects'],
  },
  'a stray file among the domains': {
    breakIt: ({ layout }) => {
      for (const directory of [layout.objects, layout.views, layout.manifests])
        writeFileSync(join(directory, 'stray'), '')
    },
    steps: [],
  },
}

/** Everything below a directory with its bytes, but the database, which SQLite keeps busy. */
function snapshot(root: string): unknown {
  const { objects, manifests, views, checkpoints, staging, quarantine } = Object.fromEntries(
    ['objects', 'manifests', 'views', 'checkpoints', 'staging', 'quarantine'].map((name) => [
      name,
      readTree(join(root, name)),
    ]),
  )
  return { objects, manifests, views, checkpoints, staging, quarantine }
}

async function plan(store: Store): Promise<RecoveryStep[]> {
  return Array.fromAsync(planRecovery(store.context))
}

describe('a store broken by', () => {
  it.each(Object.entries(BROKEN))(
    '%s is mended, and a plan of it changes nothing',
    async (_, { breakIt, steps }) => {
      await using scratch = makeScratch('broken')
      const directory = scratch.join('data')
      let id: CheckpointId
      {
        await using store = await openTestStore(directory)
        id = await publishTree(store, { kept: 'whole', 'a/b': { executable: 'too' } })
        await breakIt(store, id)
        await store.database.flush()
      }
      {
        await using store = openStore(directory, { minFreeBytes: 0 })
        const before = snapshot(directory)
        const planned = await plan(store)
        expect(planned.map(({ kind }) => kind)).toEqual(steps)
        expect(snapshot(directory)).toEqual(before)
        expect(await plan(store)).toEqual(planned)

        const applied: RecoveryStep[] = []
        await store.recover((step) => applied.push(step))
        expect(applied.map(({ kind }) => kind)).toEqual(expect.arrayContaining([...steps]))
        const mended = snapshot(directory)
        expect(await plan(store)).toEqual([])
        await store.recover((step) => expect.unreachable(step.kind))
        expect(snapshot(directory)).toEqual(mended)
      }
      await using store = await openTestStore(directory)
      for (const name of ['objects', 'views', 'manifests'])
        rmSync(join(directory, name, 'stray'), { force: true })
      await assertStoreInvariants(store)
      expect(readTree(await viewPath(store, id))).toEqual({
        kept: 'whole',
        'a/b': { executable: 'too' },
      })
    },
  )

  it('a lost view that a job still has leased keeps its lease and opens', async () => {
    await using scratch = makeScratch('broken')
    const directory = scratch.join('data')
    await (async () => {
      await using store = await openTestStore(directory)
      const id = await publishTree(store, { a: 'leased' })
      const view = await store.views.ensure(manifestOf(store, id))
      leaseView(store, view.id)
      rmSync(await viewPath(store, id), { recursive: true })
    })()
    await using store = await openTestStore(directory)
    expect(store.database.leases.list()).toHaveLength(1)
    expect(store.database.usage.getStore().objects).toBe(1)
  })
})

describe('recovery', () => {
  it('writes a lost sidecar as it was', async () => {
    await using scratch = makeScratch('broken')
    await using store = await openTestStore(scratch.join('data'))
    const id = await publishTree(store, { a: 'x' })
    const before = readFileSync(store.layout.sidecar(id), 'utf8')
    rmSync(store.layout.sidecar(id))
    await store.recover(() => undefined)
    expect(readFileSync(store.layout.sidecar(id), 'utf8')).toBe(before)
  })

  it('keeps what a transfer may resume from, and what a worker has left', async () => {
    await using scratch = makeScratch('broken')
    const directory = scratch.join('data')
    let staged: string
    {
      await using store = await openTestStore(directory)
      const { ingest } = beginIngest(store)
      await using file = await ingest.openFile('weights', 'v1')
      staged = file.path
      writeFileSync(file.path, 'prefix')
      await file.advance(6)
      expect(await file.flush()).toBe(6)
      mkdirSync(join(store.layout.staging, 'output.job.1'))
    }
    await using store = await openTestStore(directory)
    expect(readFileSync(staged, 'utf8')).toBe('prefix')
    expect(existsSync(join(store.layout.staging, 'output.job.1'))).toBe(true)
  })
})
