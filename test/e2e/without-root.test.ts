import { chmodSync, chownSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Checkpoint, CheckpointDetails } from '../../src/agent-protocol/checkpoint.ts'
import type { Job, Worker } from '../../src/agent-protocol/job.ts'
import { spawnCkpt } from '../cli/spawn-ckpt.ts'
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts'
import { makeScratch, mountsBelow, type Scratch } from '../support/scratch.ts'
import { startWebServer, type WebServer } from '../support/web-server.ts'

/** Nobody has this id. */
const UID = 30_021
const WEIGHTS = Buffer.alloc(400_000, 'weights ')

let scratch: Scratch
let daemon: TestDaemon
let web: WebServer

beforeAll(async () => {
  web = await startWebServer({ '/model/config.json': '{}', '/model/weights.bin': WEIGHTS })
  scratch = makeScratch('rootless')
  chmodSync(scratch.path, 0o755)
  for (const name of ['data', 'run']) {
    mkdirSync(scratch.join(name), { mode: 0o700 })
    chownSync(scratch.join(name), UID, UID)
  }
  daemon = await startDaemon({
    scratch,
    mounts: false,
    prefix: [
      'setpriv',
      `--reuid=${UID}`,
      `--regid=${UID}`,
      '--clear-groups',
      '--bounding-set=-all',
      '--no-new-privs',
    ],
  })
})
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]()
  await scratch?.[Symbol.asyncDispose]()
  await web?.[Symbol.asyncDispose]()
})

const create = (name: string): Promise<Checkpoint> =>
  daemon.ok<Checkpoint>('POST', '/checkpoint', {
    name,
    source_type: 'web',
    source_uri: `${web.address}/model/`,
  })

it('ckptd serve is one process of its user, without children and capabilities', () => {
  const { supervisor, daemon: child, mountd } = daemon.pids()
  expect([child, mountd]).toEqual([0, 0])
  const status = readFileSync(`/proc/${supervisor}/status`, 'utf8')
  expect(status).toMatch(new RegExp(`^Uid:\\s${UID}\\s${UID}\\s${UID}\\s${UID}$`, 'm'))
  expect(status).toMatch(/^CapEff:\t0+$/m)
})

it('takes checkpoints in, shows, verifies, renames and removes them', async () => {
  const { id } = await create('model')
  expect((await daemon.waitReady('model')).size).toBe(WEIGHTS.length + 2)
  const { contents } = await daemon.ok<CheckpointDetails>('GET', `/checkpoint/${id}/details`)
  expect(contents.map(({ path }) => path)).toEqual(['config.json', 'weights.bin'])
  const verify = spawnCkpt(daemon.socket, ['verify', 'model'])
  expect(await verify.ended, verify.err()).toMatchObject({ status: 0 })
  await daemon.ok('PATCH', `/checkpoint/${id}`, { name: 'renamed' })
  expect((await daemon.ok<Checkpoint>('GET', '/checkpoint/renamed')).id).toBe(id)
  for (const name of ['ckptd.db', 'objects', 'views'])
    expect(statSync(`${daemon.dataDir}/${name}`).uid, name).toBe(UID)
  await daemon.ok('DELETE', `/checkpoint/${id}`)
  expect((await daemon.call('GET', `/checkpoint/${id}`)).status).toBe(404)
})

it('answers a mount with an error that says what to do, to the API and to the command line', async () => {
  await create('wanted')
  await daemon.waitReady('wanted')
  const job = await daemon.ok<Job>('POST', '/v1/jobs', {
    name: 'mounts',
    model: { checkpoints: ['wanted'] },
  })
  const { status, body } = await daemon.call<{ code: string; hint: string }>(
    'POST',
    `/v1/jobs/${job.id}/workers/1/mount?wait=60`,
    {},
  )
  expect({ status, code: body.code }).toEqual({ status: 503, code: 'mounts_unavailable' })
  expect(body.hint).toContain('run "ckptd serve" as root')
  const options = ['--name', 'refused', '--checkpoint', 'wanted']
  const command = ['podman', 'run', '--rm', 'image']
  const ran = spawnCkpt(daemon.socket, ['run', ...options, '--', ...command])
  expect((await ran.ended).status).toBe(9)
  expect(ran.err()).toContain('run "ckptd serve" as root')
  expect(mountsBelow(daemon.runtimeDir)).toEqual([])
  expect((await daemon.ok<Job>('GET', `/v1/jobs/${job.id}`)).workers[0]?.state).toBe('registered')
})

it('goes on with what it has after a restart', async () => {
  const { id } = await create('kept')
  await daemon.waitReady(id)
  await daemon.stop()
  await daemon.start()
  expect((await daemon.ok<Checkpoint>('GET', `/checkpoint/${id}`)).status).toBe('ready')
})

it('finishes a job that was never mounted, and then lets its checkpoint go', async () => {
  const { id } = await create('used')
  await daemon.waitReady(id)
  const job = await daemon.ok<Job>('POST', '/v1/jobs', {
    name: 'never mounted',
    model: { checkpoints: ['used'] },
  })
  const worker = await daemon.ok<Worker>('POST', `/v1/jobs/${job.id}/workers/1/finish?wait=60`, {})
  expect(worker.state).toBe('finished')
  await until(async () => (await daemon.call('DELETE', `/checkpoint/${id}`)).status === 200, 5_000)
})
