import { readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Checkpoint } from '../../src/agent-protocol/checkpoint.ts'
import type { Job, MountResult, Worker } from '../../src/agent-protocol/job.ts'
import { spawnCkpt } from '../cli/spawn-ckpt.ts'
import { startDaemon } from '../support/daemon.ts'

test('an output beyond the limit is told with a way out, which gives everything back', async () => {
  await using daemon = await startDaemon()
  const job = await daemon.ok<Job>('POST', '/v1/jobs', {
    name: 'huge',
    data: { output_type: 'trainml', output_uri: 'checkpoint' },
  })
  const mount = await daemon.ok<MountResult>(
    'POST',
    `/v1/jobs/${job.id}/workers/1/mount?wait=60`,
    {},
  )
  const file = join(mount.output_path ?? '', 'sparse')
  writeFileSync(file, '')
  truncateSync(file, 600e9)

  const command = `ckpt job finish ${job.id} --worker 1 --discard-output`
  const { status, body } = await daemon.call<Worker>(
    'POST',
    `/v1/jobs/${job.id}/workers/1/finish?wait=60`,
    { outcome: 'succeeded' },
  )
  expect(status).toBe(202)
  expect(body).toMatchObject({ state: 'finishing', error: { code: 'too_large' } })
  expect(body.error?.hint).toContain(command)

  const removal = await daemon.call<{ code: string; message: string }>(
    'DELETE',
    '/checkpoint/Job%20-%20huge?force=true',
  )
  expect(removal.body.code).toBe('conflict')
  expect(removal.body.message).toContain(command)

  const finished = spawnCkpt(daemon.socket, ['job', 'finish', 'huge'])
  expect(await finished.ended).toMatchObject({ status: 10 })
  expect(finished.err()).toContain(command)

  const discarded = spawnCkpt(daemon.socket, command.split(' ').slice(1))
  expect(await discarded.ended, discarded.err()).toMatchObject({ status: 0 })
  expect(await daemon.ok<Checkpoint[]>('GET', '/checkpoint')).toEqual([])
  expect((await daemon.ok<Job>('GET', `/v1/jobs/${job.id}`)).status).toBe('finished')
  expect(readdirSync(join(daemon.dataDir, 'staging'))).toEqual([])
})
