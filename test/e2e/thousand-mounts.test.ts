import { readFileSync } from 'node:fs'
import { Agent, request } from 'undici'
import { expect, it } from 'vitest'
import type { Job, MountResult } from '../../src/agent-protocol/job.ts'
import { startDaemon, type TestDaemon } from '../support/daemon.ts'
import { openTestStore } from '../support/store.ts'
import { startWebServer } from '../support/web-server.ts'

const WORKERS = 1000

/** What the helper's own mount namespace shows below the jobs directory. */
function helperMounts(daemon: TestDaemon): { mountPoint: string; options: string[] }[] {
  const jobs = `${daemon.runtimeDir}/jobs/`
  return readFileSync(`/proc/${daemon.pids().mountd}/mountinfo`, 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .map((fields) => ({ mountPoint: fields[4] ?? '', options: (fields[5] ?? '').split(',') }))
    .filter(({ mountPoint }) => mountPoint.startsWith(jobs))
}

it('1,000 workers of a job are mounted at once, all of them read-only, and released', async () => {
  await using web = await startWebServer({ '/weights.bin': 'weights' })
  await using daemon = await startDaemon()
  await daemon.ok('POST', '/checkpoint', {
    name: 'weights',
    source_type: 'web',
    source_uri: `${web.address}/weights.bin`,
  })
  await daemon.waitReady('weights')
  const job = await daemon.ok<Job>('POST', '/v1/jobs', {
    name: 'wide',
    worker_count: WORKERS,
    model: { checkpoints: ['weights'] },
  })

  // All are asked at once, over as many connections as may wait to be accepted.
  const agent = new Agent({
    connect: { socketPath: daemon.socket },
    connections: 500,
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  await using _ = { [Symbol.asyncDispose]: () => agent.destroy() }
  const numbers = Array.from({ length: WORKERS }, (_, index) => index + 1)
  const mounts = await Promise.all(
    numbers.map(async (worker) => {
      const path = `/v1/jobs/${job.id}/workers/${worker}/mount?wait=100`
      const answer = await request(`http://localhost${path}`, {
        method: 'POST',
        body: '{}',
        headers: { 'content-type': 'application/json' },
        dispatcher: agent,
      })
      const body = await answer.body.text()
      expect(answer.statusCode, body).toBe(200)
      return JSON.parse(body) as MountResult
    }),
  )
  expect(new Set(mounts.map(({ checkpoint_path: path }) => path)).size).toBe(WORKERS)
  for (const index of [0, 499, 999])
    expect(readFileSync(`${mounts[index]?.checkpoint_path}/weights.bin`, 'utf8')).toBe('weights')

  const shown = helperMounts(daemon)
  expect(shown.map(({ mountPoint }) => mountPoint).toSorted()).toEqual(
    mounts.map(({ checkpoint_path: path }) => path ?? '').toSorted(),
  )
  for (const { mountPoint, options } of shown)
    expect(options, mountPoint).toEqual(expect.arrayContaining(['ro', 'nosuid', 'nodev']))
  expect(await daemon.ok('GET', '/v1/mounts')).toHaveLength(WORKERS)

  const finished = await daemon.ok<Job>('POST', `/v1/jobs/${job.id}/finish?wait=100`, {})
  expect(finished.status).toBe('finished')
  expect(finished.workers.every(({ state }) => state === 'finished')).toBe(true)
  expect(helperMounts(daemon)).toEqual([])
  await daemon.stop()
  await using store = await openTestStore(daemon.dataDir)
  expect(store.database.leases.list()).toEqual([])
})
