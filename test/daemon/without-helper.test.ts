import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Checkpoint } from '../../src/agent-protocol/checkpoint.ts'
import type { Job, MountResult } from '../../src/agent-protocol/job.ts'
import { until } from '../support/daemon.ts'
import { startWebServer, type WebServer } from '../support/web-server.ts'
import { type LoneDaemon, startLoneDaemon } from './support/lone-daemon.ts'

let daemon: LoneDaemon
let web: WebServer

beforeAll(async () => {
  web = await startWebServer({ '/a.bin': 'a' })
  daemon = await startLoneDaemon()
  await daemon.call('POST', '/checkpoint', {
    name: 'a',
    source_type: 'web',
    source_uri: `${web.address}/a.bin`,
  })
  await until(
    async () => (await daemon.call<Checkpoint>('GET', '/checkpoint/a')).body.status === 'ready',
  )
})
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]()
  await web?.[Symbol.asyncDispose]()
})

describe('without a mount helper', () => {
  it('a job that uses and saves nothing is mounted with nothing and finished', async () => {
    const { body: job } = await daemon.call<Job>('POST', '/v1/jobs', { name: 'of nothing' })
    const mount = await daemon.call<MountResult>('POST', `/v1/jobs/${job.id}/workers/1/mount`)
    expect(mount).toMatchObject({ status: 200, body: { mounts: [], env: [], run_args: [] } })
    expect((await daemon.call('GET', '/v1/mounts')).body).toEqual([])
    const finished = await daemon.call('POST', `/v1/jobs/${job.id}/finish?wait=60`)
    expect(finished).toMatchObject({ status: 200, body: { status: 'finished' } })
  })

  it('a job cannot be mounted, can be finished, and frees its checkpoint', async () => {
    const { body: job } = await daemon.call<Job>('POST', '/v1/jobs', {
      name: 'never mounted',
      worker_count: 2,
      model: { checkpoints: ['a'] },
      data: { output_type: 'trainml', output_uri: 'checkpoint' },
    })
    const mount = await daemon.call('POST', `/v1/jobs/${job.id}/workers/1/mount`, {})
    expect(mount).toMatchObject({ status: 503, body: { code: 'mounts_unavailable' } })
    const finished = await daemon.call<Job>('POST', `/v1/jobs/${job.id}/finish?wait=60`, {})
    expect(finished).toMatchObject({ status: 200, body: { status: 'finished' } })
    expect((await daemon.call('DELETE', '/checkpoint/a')).status).toBe(200)
  })
})

it('its socket is gone after an orderly stop', async () => {
  await using other = await startLoneDaemon()
  expect(existsSync(other.socket)).toBe(true)
  await other.stop()
  expect(existsSync(other.socket)).toBe(false)
})
