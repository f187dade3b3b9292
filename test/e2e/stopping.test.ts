import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'undici'
import { expect, test } from 'vitest'
import type { Job, MountResult } from '../../src/agent-protocol/job.ts'
import { spawnCkpt } from '../cli/spawn-ckpt.ts'
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts'
import { startWebServer } from '../support/web-server.ts'

interface LastWord {
  readonly type?: string
  readonly code?: string
  readonly error?: { readonly code: string; readonly retryable: boolean }
}

/** What a caller on a connection of its own is told last. */
async function ask(
  daemon: TestDaemon,
  method: 'GET' | 'POST',
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; last: LastWord }> {
  const client = new Client('http://localhost', {
    socketPath: daemon.socket,
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  const response = await client.request({ method, path, headers })
  const lines = (await response.body.text()).trim().split('\n')
  await client.destroy()
  return { status: response.statusCode, last: JSON.parse(lines.at(-1) ?? '') as LastWord }
}

test('an orderly stop tells everybody who waits to ask again, and ckpt does', async () => {
  await using web = await startWebServer({ '/slow.bin': 'slow', '/there.bin': 'there' })
  await using daemon = await startDaemon()
  const create = (name: string): Promise<unknown> =>
    daemon.ok('POST', '/checkpoint', {
      name,
      source_type: 'web',
      source_uri: `${web.address}/${name}.bin`,
    })
  const register = (name: string, checkpoint: string): Promise<Job> =>
    daemon.ok<Job>('POST', '/v1/jobs', { name, model: { checkpoints: [checkpoint] } })
  await create('there')
  await daemon.waitReady('there')
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>()
  web.hold = held
  await create('slow')
  const waits = await register('waits', 'slow')
  const runs = await register('runs', 'there')
  const workers = `/v1/jobs/${runs.id}/workers/1`
  const mount = await daemon.ok<MountResult>('POST', `${workers}/mount?wait=60`)
  const holding = openSync(join(mount.checkpoint_path ?? '', 'there.bin'), 'r')
  const attached = spawnCkpt(daemon.socket, ['attach', 'slow'])
  try {
    const mountPath = `/v1/jobs/${waits.id}/workers/1/mount`
    const waiting = Promise.all([
      ask(daemon, 'POST', `${mountPath}?wait=600`),
      ask(daemon, 'POST', mountPath, { accept: 'application/x-ndjson' }),
      ask(daemon, 'POST', `${workers}/finish?wait=600`),
      ask(daemon, 'GET', '/v1/checkpoints/slow/events'),
    ])
    await until(
      async () =>
        (await daemon.ok<Job>('GET', `/v1/jobs/${runs.id}`)).workers[0]?.held_by !== undefined &&
        (await daemon.ok<Job>('GET', `/v1/jobs/${waits.id}`)).workers[0]?.state === 'waiting',
    )
    await until(() => attached.out() !== '')
    const { daemon: pid } = daemon.pids()
    process.kill(pid, 'SIGTERM')
    const [mounting, streaming, finishing, following] = await waiting
    const unavailable = { code: 'unavailable', retryable: true }
    expect(mounting).toMatchObject({ status: 503, last: unavailable })
    expect(finishing).toMatchObject({ status: 503, last: unavailable })
    expect(streaming.last).toMatchObject({ type: 'error', error: unavailable })
    expect(following.last).toMatchObject({ type: 'error', error: unavailable })
    await until(() => daemon.pids().daemon !== pid)
  } finally {
    closeSync(holding)
    letGo()
  }
  expect(await attached.ended, attached.err()).toMatchObject({ status: 0 })
  await until(
    async () => (await daemon.ok<Job>('GET', `/v1/jobs/${runs.id}`)).status === 'finished',
  )
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(runs.id)
})

test('the socket is there while a process restarts, and gone after an orderly stop', async () => {
  await using daemon = await startDaemon()
  const { daemon: pid } = daemon.pids()
  process.kill(pid, 'SIGKILL')
  await until(() => daemon.pids().daemon !== pid)
  expect(existsSync(daemon.socket)).toBe(true)
  await daemon.stop()
  expect(existsSync(daemon.socket)).toBe(false)
})
