import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { expect } from 'vitest'
import type { Checkpoint, CheckpointDetails } from '../../src/agent-protocol/checkpoint.ts'
import type { Job, MountResult, Worker } from '../../src/agent-protocol/job.ts'
import type { TestDaemon } from '../support/daemon.ts'
import { tarArchive } from '../support/tar-builder.ts'

/** What the daemon told its caller, who relies on it from then on. */
export interface Told {
  readonly what: 'created' | 'ready' | 'registered' | 'ended' | 'finished' | 'removing' | 'removed'
  /** A checkpoint's id, the job's, or a worker's number. */
  readonly id: string
}

export const JOB = 'power-cut'
const CHECKPOINTS = { model: '/model.tar', config: '/config.json' }
const WEIGHTS = Buffer.alloc(300_000, 'weights ')
const RESULT = Buffer.alloc(150_000, 'result ')
/** The first is saved, the second has a file with a name elsewhere, the third's is discarded. */
const WORKERS = [1, 2, 3]
const DISCARDED = 3

/** What the job's web server holds: a file and an archive. */
export function webFiles(): Record<string, Buffer> {
  return {
    [CHECKPOINTS.config]: Buffer.from('{}'),
    [CHECKPOINTS.model]: tarArchive(
      { name: 'weights.bin', data: WEIGHTS },
      { name: 'tokenizer/', type: '5', mode: 0o755 },
      { name: 'tokenizer/vocabulary.txt', data: 'a\nb\n' },
    ),
  }
}

/**
 * A job from its checkpoints' creation to their removal, as a runner leads it that was itself
 * started again: it looks at what is there and goes on from that.
 */
export async function leadJob(
  daemon: TestDaemon,
  web: { readonly address: string },
  options: { tell?: (told: Told) => void; flushOutput?: boolean } = {},
): Promise<void> {
  const tell = options.tell ?? ((): void => undefined)
  const job = (await findJob(daemon)) ?? (await registerJob(daemon, web, tell))
  for (const number of WORKERS) {
    const { state } = workerOf(await daemon.ok<Job>('GET', `/v1/jobs/${job.id}`), number)
    const path = `/v1/jobs/${job.id}/workers/${number}`
    if (state !== 'finishing' && state !== 'finished') {
      const mount = await daemon.ok<MountResult>('POST', `${path}/mount?wait=60`, { cdi: true })
      work(daemon, job, mount, options.flushOutput ?? true)
    }
    const outcome = { outcome: 'succeeded', discard_output: number === DISCARDED }
    await daemon.ok('POST', `${path}/finish`, outcome)
    tell({ what: 'ended', id: String(number) })
    const ended = await daemon.ok<Worker>('POST', `${path}/finish?wait=60`, outcome)
    expect(ended, `worker ${number}`).toMatchObject({ state: 'finished' })
    tell({ what: 'finished', id: String(number) })
  }
  await assertOutputs(daemon, job)
  for (const name of Object.keys(CHECKPOINTS)) {
    const found = await daemon.call<Checkpoint>('GET', `/checkpoint/${name}`)
    if (found.status === 404) continue
    tell({ what: 'removing', id: found.body.id })
    await daemon.ok('DELETE', `/checkpoint/${found.body.id}`)
    tell({ what: 'removed', id: found.body.id })
  }
}

async function findJob(daemon: TestDaemon): Promise<Job | undefined> {
  const { status, body } = await daemon.call<Job>('GET', `/v1/jobs/${JOB}`)
  return status === 200 ? body : undefined
}

async function registerJob(
  daemon: TestDaemon,
  web: { readonly address: string },
  tell: (told: Told) => void,
): Promise<Job> {
  for (const [name, path] of Object.entries(CHECKPOINTS)) {
    if ((await daemon.call('GET', `/checkpoint/${name}`)).status !== 200) {
      const { id } = await daemon.ok<Checkpoint>('POST', '/checkpoint', {
        name,
        source_type: 'web',
        source_uri: `${web.address}${path}`,
      })
      tell({ what: 'created', id })
    }
    const { id } = await daemon.waitReady(name)
    tell({ what: 'ready', id })
  }
  const job = await daemon.ok<Job>('POST', '/v1/jobs', {
    name: JOB,
    worker_count: WORKERS.length,
    model: { checkpoints: Object.keys(CHECKPOINTS) },
    data: { output_type: 'trainml', output_uri: 'checkpoint' },
  })
  tell({ what: 'registered', id: job.id })
  return job
}

/** What a worker does: reads everything, and writes its output anew. */
function work(daemon: TestDaemon, job: Job, mount: MountResult, flush: boolean): void {
  const checkpoint = mount.checkpoint_path ?? ''
  expect(readFileSync(`${checkpoint}/model/weights.bin`).equals(WEIGHTS)).toBe(true)
  expect(readFileSync(`${checkpoint}/config/config.json`, 'utf8')).toBe('{}')
  expect(() => writeFileSync(`${checkpoint}/config/config.json`, '')).toThrow(/EROFS/)
  const output = mount.output_path ?? ''
  rmSync(`${output}/epoch`, { recursive: true, force: true })
  mkdirSync(`${output}/epoch`)
  writeFileSync(`${output}/epoch/result.bin`, RESULT)
  writeFileSync(`${output}/epoch/log`, `worker ${mount.worker}\n`)
  if (mount.worker === 2) {
    // Where nobody but root comes to, and on the same filesystem.
    const elsewhere = `${dirname(daemon.dataDir)}/elsewhere`
    rmSync(elsewhere, { force: true })
    linkSync(`${daemon.dataDir}/outputs/${job.id}.2/epoch/result.bin`, elsewhere)
  }
  if (!flush) return
  for (const path of ['epoch/result.bin', 'epoch/log', 'epoch', '']) flushPath(`${output}/${path}`)
}

function flushPath(path: string): void {
  const fd = openSync(path, 'r')
  fsyncSync(fd)
  closeSync(fd)
}

async function assertOutputs(daemon: TestDaemon, job: Job): Promise<void> {
  const all = await daemon.ok<Checkpoint[]>('GET', '/checkpoint')
  const outputs = all.filter(({ name }) => name.startsWith('Job - '))
  expect(outputs.map(({ name, status }) => `${name}: ${status}`).toSorted()).toEqual([
    `Job - ${JOB} Worker 1: ready`,
    `Job - ${JOB} Worker 2: ready`,
  ])
  const { workers } = await daemon.ok<Job>('GET', `/v1/jobs/${job.id}`)
  for (const { worker, output_uuid: id } of workers) {
    if (worker === DISCARDED) continue
    const { contents } = await daemon.ok<CheckpointDetails>('GET', `/checkpoint/${id}/details`)
    expect(
      contents.map(({ path, size }) => [path, size]),
      `output of worker ${worker}`,
    ).toEqual([
      ['epoch', undefined],
      ['epoch/log', 'worker 1\n'.length],
      ['epoch/result.bin', RESULT.length],
    ])
  }
}

/** Everything that was acknowledged is still so. */
export async function assertKept(daemon: TestDaemon, told: readonly Told[]): Promise<void> {
  const of = (what: Told['what']): string[] =>
    told.filter((one) => one.what === what).map(({ id }) => id)
  const removing = of('removing')
  for (const id of of('created')) {
    if (removing.includes(id)) continue
    const kept = await daemon.ok<Checkpoint>('GET', `/checkpoint/${id}`)
    if (of('ready').includes(id)) expect(kept.status, `${id} was ready`).toBe('ready')
  }
  for (const id of of('removed'))
    expect((await daemon.call('GET', `/checkpoint/${id}`)).status, `${id} was removed`).toBe(404)
  for (const id of of('registered')) {
    const job = await daemon.ok<Job>('GET', `/v1/jobs/${id}`)
    for (const worker of of('ended'))
      expect(['finishing', 'finished'], `worker ${worker} ended`).toContain(
        workerOf(job, Number(worker)).state,
      )
    for (const worker of of('finished'))
      expect(workerOf(job, Number(worker)).state, `worker ${worker} was finished`).toBe('finished')
  }
}

function workerOf(job: Job, number: number): Worker {
  const worker = job.workers.find((one) => one.worker === number)
  if (worker === undefined) throw new Error(`the job has no worker ${number}`)
  return worker
}

export function readTold(file: string): Told[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line) as Told)
}
