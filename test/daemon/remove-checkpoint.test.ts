import pino from 'pino'
import { expect, test } from 'vitest'
import { openCheckpoints } from '../../src/daemon/checkpoints.ts'
import { openJobs } from '../../src/daemon/jobs.ts'
import { removeCheckpoint } from '../../src/daemon/remove-checkpoint.ts'
import { singleFlight } from '../../src/daemon/single-flight.ts'
import type { Transfers } from '../../src/daemon/transfers.ts'
import { type CheckpointId, parseProject } from '../../src/model/ids.ts'
import { makeScratch } from '../support/scratch.ts'
import { beginIngest, openTestStore, storeTree } from '../support/store.ts'

const project = parseProject('default')
const log = pino({ level: 'silent' })

/** A removal of a checkpoint that is being filled; `onCancel` stands for the end of the filling. */
async function removeFilling(onCancel: () => Promise<void>, prepare: 'used' | 'unused') {
  const scratch = makeScratch('removal')
  const store = await openTestStore(scratch.join('data'))
  const checkpoints = openCheckpoints(store, { sharing: 'host', now: () => 0, log })
  const jobs = openJobs(store, checkpoints, () => 0)
  const { id } = beginIngest(store, { name: 'filling' })
  const register = () => jobs.register(project, { name: 'j', model: { checkpoints: [id] } })
  if (prepare === 'used') await register()
  const removals = singleFlight<void>()
  const cancelled: string[] = []
  const transfers: Pick<Transfers, 'cancel'> = {
    cancel: async (which) => {
      cancelled.push(which)
      await onCancel()
    },
  }
  const removed = removeCheckpoint(
    { store, checkpoints, transfers, removals, log },
    checkpoints.get(project, id),
    true,
  )
  return {
    store,
    id,
    removed,
    removals,
    register,
    cancelled,
    [Symbol.asyncDispose]: async () => {
      await removed.catch(() => undefined)
      await removals.settle()
      await store[Symbol.asyncDispose]()
      await scratch[Symbol.asyncDispose]()
    },
  }
}

test('a forced removal that is refused leaves the filling alone', async () => {
  await using removal = await removeFilling(() => Promise.resolve(), 'used')
  await expect(removal.removed).rejects.toMatchObject({ code: 'in_use' })
  expect(removal.cancelled).toEqual([])
})

test('once a forced removal has begun to cancel, no job can be registered any more', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  await using removal = await removeFilling(() => promise, 'unused')
  expect(removal.cancelled).toEqual([removal.id])
  await expect(removal.register()).rejects.toMatchObject({ code: 'not_found' })
  resolve()
  await removal.removed
  await removal.removals.settle()
  expect(removal.store.database.checkpoints.find(removal.id)).toBeUndefined()
})

test('a checkpoint that was marked while it was published does not become ready', async () => {
  await using scratch = makeScratch('removal')
  await using store = await openTestStore(scratch.join('data'))
  const { id, ingest } = beginIngest(store, { name: 'nearly' })
  await storeTree(ingest, { a: 'a' })
  const publishing = store.publisher.publish(id, 0)
  store.database.checkpoints.setStatus(id, 'removing')
  await expect(publishing).rejects.toMatchObject({ code: 'cancelled' })
  expect(store.database.checkpoints.find(id)?.status).toBe('removing')
})

test('an older namesake is found while the newest is being removed', async () => {
  await using scratch = makeScratch('removal')
  await using store = await openTestStore(scratch.join('data'))
  const checkpoints = openCheckpoints(store, { sharing: 'host', now: () => 0, log })
  const [older, newest] = ['twin', 'twin'].map((name) => beginIngest(store, { name }).id)
  expect(checkpoints.get(project, 'twin').id).toBe(newest)
  store.database.checkpoints.setStatus(newest as CheckpointId, 'removing')
  expect(checkpoints.get(project, 'twin').id).toBe(older)
})
