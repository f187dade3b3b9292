import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Store } from '../../src/cache/store.ts'
import type { CheckpointId } from '../../src/model/ids.ts'
import { assertStoreInvariants } from '../support/invariants.ts'
import { beginIngest, publishTree, storeTree, type TreeSpec } from '../support/store.ts'
import { digestOf } from './support/digest-of.ts'
import { leaseView } from './support/lease-view.ts'
import { readTree } from './support/read-tree.ts'
import { useStore } from './support/use-store.ts'
import { manifestOf, viewPath } from './support/view-path.ts'

const shared = useStore()

async function remove(store: Store, id: CheckpointId): Promise<void> {
  store.database.checkpoints.setStatus(id, 'removing')
  await store.removal.finish(id)
}

function objectPath(store: Store, content: string): string {
  return store.layout.object({
    domain: 'host',
    sha256: digestOf(content),
    executable: false,
    copy: 0,
  })
}

describe('removing a checkpoint', () => {
  it('gives back all that it alone had, and nothing that another has', async () => {
    const { store } = shared
    const before = store.database.usage.getStore()
    const kept = await publishTree(store, { shared: 'common', own: 'kept' })
    const gone = await publishTree(store, {
      shared: 'common',
      own: 'gone',
      run: { executable: 'gone' },
    })
    const view = await viewPath(store, gone)
    await remove(store, gone)
    expect(store.database.usage.getStore().objects - before.objects).toBe(2)
    expect(existsSync(objectPath(store, 'gone'))).toBe(false)
    expect(existsSync(view)).toBe(false)
    expect(existsSync(store.layout.sidecar(gone))).toBe(false)
    expect(readTree(await viewPath(store, kept))).toEqual({ shared: 'common', own: 'kept' })
    await remove(store, kept)
    expect(store.database.usage.getStore()).toEqual(before)
    await assertStoreInvariants(store)
  })

  it('leaves a checkpoint of the same tree untouched', async () => {
    const { store } = shared
    const [first, second] = [
      await publishTree(store, { a: 'twin' }),
      await publishTree(store, { a: 'twin' }),
    ]
    await remove(store, first)
    expect(readTree(await viewPath(store, second))).toEqual({ a: 'twin' })
    await remove(store, second)
    await assertStoreInvariants(store)
  })

  it('and its twin at the same moment removes both, once', async () => {
    const { store } = shared
    const ids = [await publishTree(store, { a: 'pair' }), await publishTree(store, { a: 'pair' })]
    await Promise.all(ids.map((id) => remove(store, id)))
    expect(existsSync(objectPath(store, 'pair'))).toBe(false)
    await assertStoreInvariants(store)
  })

  it('of half a transfer removes its staging and its objects', async () => {
    const { store } = shared
    const { id, ingest } = beginIngest(store)
    await storeTree(ingest, { a: 'half', b: 'a transfer' })
    await remove(store, id)
    expect(existsSync(ingest.directory)).toBe(false)
    expect(existsSync(objectPath(store, 'half'))).toBe(false)
    await assertStoreInvariants(store)
  })

  it('while the same tree is published again and again loses nothing of either', async () => {
    const { store } = shared
    const tree: TreeSpec = Object.fromEntries(
      Array.from({ length: 12 }, (_, n) => [`dir${n % 3}/file${n}`, `contended ${n % 5}`]),
    )
    const lane = async (): Promise<void> => {
      for (let round = 0; round < 12; round++) {
        const id = await publishTree(store, tree)
        expect(readTree(await viewPath(store, id))).toEqual(tree)
        await remove(store, id)
      }
    }
    await Promise.all([lane(), lane(), lane(), lane()])
    await assertStoreInvariants(store)
    expect(existsSync(objectPath(store, 'contended 0'))).toBe(false)
  })

  it('that failed is finished by the next ingest of the same content', async () => {
    const { store } = shared
    const id = await publishTree(store, { a: 'stubborn' })
    const object = objectPath(store, 'stubborn')
    // A directory in its place cannot be unlinked.
    rmSync(object)
    mkdirSync(object)
    await expect(remove(store, id)).rejects.toMatchObject({ code: 'io_error' })
    const again = publishTree(store, { b: 'stubborn' })
    await expect(again).rejects.toMatchObject({ code: 'io_error' })
    rmSync(object, { recursive: true })
    const mended = await publishTree(store, { b: 'stubborn' })
    expect(readTree(await viewPath(store, mended))).toEqual({ b: 'stubborn' })
    await store.removal.finish(id)
    for (const { checkpoint_id: left } of store.database.ingests.list())
      await store.removal.dropIngest(left)
    await assertStoreInvariants(store)
  })

  it('gives the objects of a tree back whose publishing failed', async () => {
    const { store } = shared
    const { id, ingest } = beginIngest(store)
    await storeTree(ingest, { a: 'abandoned' })
    const blocked = `${store.layout.sidecar(id)}.tmp`
    mkdirSync(blocked)
    await expect(store.publisher.publish(id, Date.now())).rejects.toMatchObject({
      code: 'io_error',
    })
    await remove(store, id)
    rmSync(blocked, { recursive: true, force: true })
    expect(existsSync(objectPath(store, 'abandoned'))).toBe(false)
    expect(readdirSync(join(store.layout.views, 'host')).toSorted()).toEqual(viewsOfAll(store))
    await assertStoreInvariants(store)
  })

  it('touches nothing that a job has leased, whoever asks', async () => {
    const { store } = shared
    const id = await publishTree(store, { a: 'leased' })
    const root = await viewPath(store, id)
    const manifestId = manifestOf(store, id)
    const job = leaseView(store, (await store.views.ensure(manifestId)).id)
    store.database.checkpoints.clearManifest(id)
    await store.removal.dropManifest(manifestId)
    expect(readTree(root)).toEqual({ a: 'leased' })
    store.database.leases.removeOfWorker(job, 1)
    await store.removal.dropManifest(manifestId)
    expect(existsSync(root)).toBe(false)
  })
})

function viewsOfAll(store: Store): string[] {
  return store.database.manifests
    .list()
    .flatMap(({ id }) => store.database.views.listOfManifest(id))
    .map(({ digest, generation }) => `${digest}.${generation}`)
    .toSorted()
}
