import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import Database from 'better-sqlite3'
import { expect, it } from 'vitest'
import type { Checkpoint, CheckpointDetails } from '../../src/agent-protocol/checkpoint.ts'
import type { Job, MountResult, Worker } from '../../src/agent-protocol/job.ts'
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts'
import { finishHeld } from '../support/finish-held.ts'
import { mountsBelow, unmountBelow } from '../support/scratch.ts'
import { startWebServer, type WebServer } from '../support/web-server.ts'

async function takeIn(daemon: TestDaemon, web: WebServer): Promise<Checkpoint> {
  await daemon.ok('POST', '/checkpoint', {
    name: 'weights',
    source_type: 'web',
    source_uri: `${web.address}/weights.bin`,
  })
  return daemon.waitReady('weights')
}

async function mountJob(daemon: TestDaemon, name: string): Promise<{ id: string } & MountResult> {
  const { id } = await daemon.ok<Job>('POST', '/v1/jobs', {
    name,
    model: { checkpoints: ['weights'] },
    data: { output_type: 'trainml', output_uri: 'checkpoint' },
  })
  return { id, ...(await mountAgain(daemon, id)) }
}

const mountAgain = (daemon: TestDaemon, id: string): Promise<MountResult> =>
  daemon.ok<MountResult>('POST', `/v1/jobs/${id}/workers/1/mount?wait=60`, {})
const finish = (daemon: TestDaemon, id: string): Promise<Worker> =>
  daemon.ok<Worker>('POST', `/v1/jobs/${id}/workers/1/finish?wait=60`, {})
const workerOf = async (daemon: TestDaemon, id: string): Promise<Worker | undefined> =>
  (await daemon.ok<Job>('GET', `/v1/jobs/${id}`)).workers[0]

async function outputOf(daemon: TestDaemon, worker: Worker | undefined): Promise<string[]> {
  const id = worker?.output_uuid
  expect((await daemon.ok<Checkpoint>('GET', `/checkpoint/${id}`)).status).toBe('ready')
  const { contents } = await daemon.ok<CheckpointDetails>('GET', `/checkpoint/${id}/details`)
  return contents.map(({ path }) => path)
}

/** Nothing of the host's processes, mounts and volatile files is left; the disk is. */
async function reboot(daemon: TestDaemon, ...ofJobs: ChildProcess[]): Promise<void> {
  execFileSync('sync', ['-f', daemon.dataDir])
  const { supervisor, daemon: child, mountd } = daemon.pids()
  for (const pid of [supervisor, child, mountd]) process.kill(pid, 'SIGKILL')
  for (const child of ofJobs) child.kill('SIGKILL')
  await daemon.stop()
  unmountBelow(daemon.runtimeDir)
  for (const name of readdirSync(daemon.runtimeDir))
    rmSync(`${daemon.runtimeDir}/${name}`, { recursive: true })
  rmSync(daemon.scratch.join('cdi'), { recursive: true, force: true })
  // The kernel has another id now.
  const database = new Database(`${daemon.dataDir}/ckptd.db`)
  database.prepare('UPDATE leases SET boot_id = ?').run('before')
  database.close()
  await daemon.start()
}

it('after a reboot jobs are configured as before, unmounted, and can be mounted again', async () => {
  await using web = await startWebServer({ '/weights.bin': 'weights' })
  await using daemon = await startDaemon()
  const { id: checkpoint } = await takeIn(daemon, web)
  const mounted = await mountJob(daemon, 'mounted')
  writeFileSync(`${mounted.output_path}/before`, 'the reboot')
  const waiting = await daemon.ok<Job>('POST', '/v1/jobs', {
    name: 'registered',
    model: { checkpoints: ['weights'] },
  })

  await reboot(daemon)

  await until(async () => (await workerOf(daemon, mounted.id))?.state === 'registered')
  expect(daemon.output()).toMatch(/"rebooted":true.*the mounts of a worker are gone/)
  expect(await daemon.ok('GET', '/v1/mounts')).toEqual([])
  expect(mountsBelow(`${daemon.runtimeDir}/jobs`)).toHaveLength(1)
  // What a job is configured to use stays.
  expect((await daemon.call('DELETE', `/checkpoint/${checkpoint}?force=true`)).status).toBe(409)
  expect((await workerOf(daemon, waiting.id))?.state).toBe('registered')

  const again = await mountAgain(daemon, mounted.id)
  expect(readFileSync(`${again.checkpoint_path}/weights.bin`, 'utf8')).toBe('weights')
  expect(() => writeFileSync(`${again.checkpoint_path}/weights.bin`, '')).toThrow(/EROFS/)
  writeFileSync(`${again.output_path}/after`, 'the reboot')
  expect(await outputOf(daemon, await finish(daemon, mounted.id))).toEqual(['after', 'before'])
  await finish(daemon, waiting.id)
  expect((await daemon.call('DELETE', `/checkpoint/${checkpoint}`)).status).toBe(200)
})

it('a worker that was finishing before a reboot is finished after it', async () => {
  await using web = await startWebServer({ '/weights.bin': 'weights' })
  await using daemon = await startDaemon()
  await takeIn(daemon, web)
  const job = await mountJob(daemon, 'held')
  writeFileSync(`${job.output_path}/result`, 'result')
  // Whoever stands in the directory keeps it from being unmounted.
  const holder = spawn('sleep', ['600'], { cwd: job.output_path, stdio: 'ignore' })
  try {
    await once(holder, 'spawn')
    const ended = { outcome: 'succeeded', exit_code: 0 }
    const early = await finishHeld(daemon, `/v1/jobs/${job.id}/workers/1`, ended)
    expect(early.held_by).toMatchObject([{ command: 'sleep' }])
    await reboot(daemon, holder)
  } finally {
    holder.kill('SIGKILL')
  }

  await until(async () => (await workerOf(daemon, job.id))?.state === 'finished')
  const worker = await workerOf(daemon, job.id)
  expect(worker).toMatchObject({ outcome: 'succeeded', exit_code: 0 })
  expect(await outputOf(daemon, worker)).toEqual(['result'])
})

it('at a start, mounts of a worker that the database does not know are released, others stay', async () => {
  await using web = await startWebServer({ '/weights.bin': 'weights' })
  await using daemon = await startDaemon()
  await takeIn(daemon, web)
  const known = await mountJob(daemon, 'known')
  await daemon.stop()
  const files = readdirSync(daemon.dataDir).filter((name) => name.startsWith('ckptd.db'))
  const backup = daemon.scratch.join('backup')
  mkdirSync(backup)
  execFileSync('cp', ['-a', ...files.map((name) => `${daemon.dataDir}/${name}`), backup])
  await daemon.start()
  const unknown = await mountJob(daemon, 'unknown')
  await daemon.stop()
  expect(mountsBelow(`${daemon.runtimeDir}/jobs`)).toHaveLength(5)

  // The database of before, as out of a backup.
  for (const name of readdirSync(daemon.dataDir))
    if (name.startsWith('ckptd.db')) rmSync(`${daemon.dataDir}/${name}`)
  execFileSync('cp', ['-a', ...files.map((name) => `${backup}/${name}`), daemon.dataDir])
  await daemon.start()

  const jobs = `${daemon.runtimeDir}/jobs`
  await until(() => mountsBelow(`${jobs}/${unknown.id}`).length === 0)
  await until(() => !readdirSync(jobs).includes(unknown.id))
  expect(mountsBelow(`${jobs}/${known.id}`)).toHaveLength(2)
  expect(readFileSync(`${known.checkpoint_path}/weights.bin`, 'utf8')).toBe('weights')
  expect((await workerOf(daemon, known.id))?.state).toBe('mounted')
  expect((await finish(daemon, known.id)).state).toBe('finished')
})
