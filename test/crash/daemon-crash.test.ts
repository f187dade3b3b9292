import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Checkpoint, CheckpointDetails } from '../../src/agent-protocol/checkpoint.ts'
import type { Job, MountResult, Worker } from '../../src/agent-protocol/job.ts'
import { FAILPOINTS } from '../../src/os/failpoint.ts'
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts'
import { assertStoreInvariants } from '../support/invariants.ts'
import { makeScratch, mountsBelow } from '../support/scratch.ts'
import { openTestStore } from '../support/store.ts'
import { startWebServer } from '../support/web-server.ts'

/**
 * Those on the way of a job and its transfer. The store's own are in store-crash.test.ts; a
 * worker whose output is discarded or has foreign links is in test/mount.
 */
const ELSEWHERE = ['mountd.copied', 'mountd.discarded', 'mountd.entry-removed']
const POINTS = FAILPOINTS.filter(
  (name) =>
    /^(transfer|job|mount|release|finish|capture|publish|mountd|removal)\./.test(name) &&
    !ELSEWHERE.includes(name),
)

/** Asks again while the daemon is away, as a job runner does. */
async function insist<T>(ask: () => Promise<T>): Promise<T> {
  let answer: T | undefined
  await until(async () => {
    answer = await ask()
    return true
  }, 30_000)
  return answer as T
}

async function registered(daemon: TestDaemon, name: string): Promise<Job> {
  // A register whose answer was lost is looked up by its name before it is said again.
  return insist(async () => {
    const found = await daemon.call<Job>('GET', `/v1/jobs/${name}`)
    if (found.status === 200) return found.body
    return daemon.ok<Job>('POST', '/v1/jobs', {
      name,
      model: { checkpoints: ['model', 'config'] },
      data: { output_type: 'trainml', output_uri: 'checkpoint' },
    })
  })
}

describe('a whole job during which a process is killed', () => {
  it.each(POINTS)('at %s ends as if nothing had happened', async (point) => {
    await using web = await startWebServer({
      '/model/config.json': '{}',
      '/model/weights.bin': Buffer.alloc(300_000, 'w'),
    })
    await using scratch = makeScratch('job-crash')
    // An archive exercises extraction, a directory the rest.
    const archived = point === 'transfer.extracted'
    if (archived) {
      mkdirSync(scratch.join('tree'))
      for (const [path, bytes] of web.files)
        writeFileSync(scratch.join('tree', path.replace('/model/', '')), bytes)
      execFileSync('tar', ['-C', scratch.join('tree'), '-cf', scratch.join('model.tar'), '.'])
      web.files.set('/model.tar', readFileSync(scratch.join('model.tar')))
    }
    // Both processes, of different users, make this file: whoever dies first.
    mkdirSync(scratch.join('markers'))
    chmodSync(scratch.join('markers'), 0o777)
    const marker = scratch.join('markers', 'died')
    await using daemon = await startDaemon({
      scratch,
      env: { CKPTD_FAILPOINT: `${point}=kill`, CKPTD_FAILPOINT_MARKER: marker },
    })
    await insist(async () => {
      if ((await daemon.call('GET', '/checkpoint/model')).status === 200) return
      await daemon.ok('POST', '/checkpoint', {
        name: 'model',
        source_type: 'web',
        source_uri: archived ? `${web.address}/model.tar` : `${web.address}/model/`,
      })
    })
    await insist(async () => {
      if ((await daemon.call('GET', '/checkpoint/config')).status === 200) return
      await daemon.ok('POST', '/checkpoint', {
        name: 'config',
        source_type: 'web',
        source_uri: `${web.address}/model/config.json`,
      })
    })
    const job = await registered(daemon, 'killed')
    const mount = await insist(() =>
      daemon.ok<MountResult>('POST', `/v1/jobs/${job.id}/workers/1/mount?wait=60`, { cdi: true }),
    )
    expect(readFileSync(`${mount.checkpoint_path}/model/weights.bin`, 'utf8')).toBe(
      'w'.repeat(300_000),
    )
    mkdirSync(`${mount.output_path}/sub`)
    writeFileSync(`${mount.output_path}/sub/result`, 'result')

    const worker = await insist(async () => {
      const finishing = await daemon.ok<Worker>(
        'POST',
        `/v1/jobs/${job.id}/workers/1/finish?wait=60`,
        { outcome: 'succeeded' },
      )
      if (finishing.state !== 'finished') throw new Error(JSON.stringify(finishing))
      return finishing
    })
    const output = await insist(() =>
      daemon.ok<Checkpoint>('GET', `/checkpoint/${worker.output_uuid}`),
    )
    expect(output.status).toBe('ready')
    const details = await insist(() =>
      daemon.ok<CheckpointDetails>('GET', `/checkpoint/${output.id}/details`),
    )
    expect(details.contents.map(({ path }) => path)).toEqual(['sub', 'sub/result'])
    const outputs = (await insist(() => daemon.ok<Checkpoint[]>('GET', '/checkpoint'))).filter(
      ({ name }) => name.startsWith('Job -'),
    )
    expect(outputs, 'one output, saved once').toHaveLength(1)
    await insist(async () => {
      const gone = await daemon.call('DELETE', '/checkpoint/model')
      expect([200, 404]).toContain(gone.status)
    })

    // Removal goes on behind its answer.
    await until(() => existsSync(marker))
    if (process.env['CKPTD_TEST_TRACE']) process.stdout.write(daemon.output())
    await until(() => mountsBelow(daemon.runtimeDir).length <= 1)
    expect(readdirSync(`${daemon.dataDir}/outputs`)).toEqual([])
    await daemon.stop()
    await using store = await openTestStore(daemon.dataDir)
    await assertStoreInvariants(store)
    expect(store.database.leases.list()).toEqual([])
    expect(readdirSync(store.layout.staging)).toEqual([])
  })
})
