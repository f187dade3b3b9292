import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pino from 'pino'
import { describe, expect, it } from 'vitest'
import type { Store } from '../../src/cache/store.ts'
import { openCheckpoints } from '../../src/daemon/checkpoints.ts'
import { openWorkerFinishes } from '../../src/daemon/finish-worker.ts'
import { openJobs } from '../../src/daemon/jobs.ts'
import { loadConfig } from '../../src/daemon/load-config.ts'
import type { JobRow, WorkerRow } from '../../src/database/jobs.ts'
import { parseJobId, parseProject } from '../../src/model/ids.ts'
import type { MountClient } from '../../src/mount/client.ts'
import { until } from '../support/daemon.ts'
import { makeScratch } from '../support/scratch.ts'
import { openTestStore } from '../support/store.ts'

const project = parseProject('default')
const log = pino({ level: 'silent' })

/** A store with a job of one worker that wrote an output, and a helper that hands it over. */
async function openWorker(write: (directory: string) => void) {
  const scratch = makeScratch('output')
  const store = await openTestStore(scratch.join('data'))
  const stop = new AbortController()
  const checkpoints = openCheckpoints(store, { sharing: 'host', now: Date.now, log })
  const jobs = openJobs(store, checkpoints, Date.now)
  const id = parseJobId(randomUUID())
  store.database.jobs.insert(
    {
      id,
      project,
      name: 'train',
      type: 'training',
      worker_count: 1,
      output: 'checkpoint',
      created_at_ms: 0,
    },
    [],
  )
  store.database.jobs.setWorkerMounting(id, 1, true)
  const stagingName = `output.${id}.1`
  const root = join(store.layout.staging, stagingName)
  mkdirSync(root)
  write(root)
  let handedOver = 0
  const helper = {
    releaseWorker: () => Promise.resolve({ released: true }),
    discardOutput: () => Promise.resolve({ discarded: true }),
    handOverOutput: () => {
      handedOver += 1
      return Promise.resolve({ handedOver: true, stagingName })
    },
  } as unknown as MountClient
  const { config } = loadConfig({}, {})
  const finishes = openWorkerFinishes({
    store,
    checkpoints,
    jobs,
    helper,
    config,
    signal: stop.signal,
    now: Date.now,
    log,
  })
  const job: JobRow = jobs.get(project, id)
  return {
    store,
    jobs,
    root,
    attempts: () => handedOver,
    finish: (request = {}) => finishes.begin(job, 1, request),
    worker: (): WorkerRow => jobs.getWorker(job, 1),
    checkpointNames: () => checkpoints.list(project).map(({ name }) => String(name)),
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await finishes.settle()
      await store[Symbol.asyncDispose]()
      await scratch[Symbol.asyncDispose]()
    },
  }
}

/** Beyond what a checkpoint holds, without taking any space. */
function writeTooMuch(directory: string): void {
  writeFileSync(join(directory, 'sparse'), '')
  truncateSync(join(directory, 'sparse'), 600e9)
}

function expectNothingLeft({ database, layout }: Store): void {
  expect(readdirSync(layout.staging)).toEqual([])
  expect(database.ingests.list()).toEqual([])
  expect(database.entries.listLeftover()).toEqual([])
  expect(database.checkpoints.listProject(project)).toEqual([])
}

describe('an output that cannot be saved', () => {
  it('keeps its worker finishing with the reason, and is not tried again unasked', async () => {
    await using output = await openWorker(writeTooMuch)
    await output.finish()
    await until(() => output.worker().error?.includes('too_large') ?? false)
    expect(output.worker().state).toBe('finishing')
    expect(existsSync(output.root)).toBe(true)
    expect(output.attempts()).toBe(1)
    await output.finish()
    await until(() => output.attempts() === 2)
    await until(() => output.worker().error?.includes('too_large') ?? false)
  })

  it('can be discarded, and then nothing of it is left', async () => {
    await using output = await openWorker(writeTooMuch)
    await output.finish()
    await until(() => output.worker().error?.includes('too_large') ?? false)
    expect(output.checkpointNames()).toEqual(['Job - train'])
    await output.finish({ discard_output: true })
    await until(() => output.worker().state === 'finished')
    expect(output.worker()).toMatchObject({ error: null, output_checkpoint_id: null })
    expectNothingLeft(output.store)
  })

  it('fails as a checkpoint where another job was to use it', async () => {
    await using output = await openWorker(writeTooMuch)
    await output.finish()
    await until(() => output.worker().error?.includes('too_large') ?? false)
    const name = 'Job - train'
    await output.jobs.register(project, { name: 'next', model: { checkpoints: [name] } })
    await output.finish({ discard_output: true })
    await until(() => output.worker().state === 'finished')
    const [row] = output.store.database.checkpoints.listProject(project)
    expect(row?.status).toBe('failed')
    expect(row?.error).toContain('was discarded')
  })
})

it('a capture under way is stopped when its output is discarded', async () => {
  await using output = await openWorker((directory) => {
    for (let n = 0; n < 6000; n++) writeFileSync(join(directory, `f${n}`), `bytes of ${n}`)
  })
  await output.finish()
  await until(() => output.store.database.ingests.list().length === 1)
  await output.finish({ discard_output: true })
  await until(() => output.worker().state === 'finished')
  expect(output.worker().output_checkpoint_id).toBeNull()
  expectNothingLeft(output.store)
})
