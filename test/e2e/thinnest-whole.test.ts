import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import type { Checkpoint, CheckpointDetails } from '../../src/agent-protocol/checkpoint.ts'
import type { Job, MountResult, Worker } from '../../src/agent-protocol/job.ts'
import { startDaemon } from '../support/daemon.ts'

it('takes a web file in, mounts it read-only, and saves a worker’s output as a checkpoint', async () => {
  const bytes = Buffer.alloc(3_000_000, 'weights')
  const server = createServer((request, response) => {
    response.setHeader('etag', '"v1"')
    response.end(request.url?.endsWith('model.bin') ? bytes : 'nothing')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  try {
    await using daemon = await startDaemon()
    const created = await daemon.ok<Checkpoint>('POST', '/checkpoint', {
      name: 'weights',
      source_type: 'web',
      source_uri: `http://127.0.0.1:${port}/model.bin`,
    })
    expect(created.status).toBe('new')
    const ready = await daemon.waitReady('weights')
    expect(ready.size).toBe(bytes.length)

    const job = await daemon.ok<Job>('POST', '/v1/jobs', {
      name: 'train',
      model: { checkpoints: ['weights'] },
      data: { output_type: 'trainml', output_uri: 'checkpoint' },
    })
    const mount = await daemon.ok<MountResult>(
      'POST',
      `/v1/jobs/${job.id}/workers/1/mount?wait=60`,
      {},
    )
    expect(readFileSync(`${mount.checkpoint_path}/model.bin`).equals(bytes)).toBe(true)
    expect(() => writeFileSync(`${mount.checkpoint_path}/model.bin`, 'x')).toThrow(/EROFS/)
    mkdirSync(`${mount.output_path}/deep/er`, { recursive: true })
    writeFileSync(`${mount.output_path}/deep/er/result.txt`, 'result')

    const finished = await daemon.ok<Worker>(
      'POST',
      `/v1/jobs/${job.id}/workers/1/finish?wait=60`,
      {
        outcome: 'succeeded',
        exit_code: 0,
      },
    )
    expect(finished.state).toBe('finished')
    const output = await daemon.ok<Checkpoint>('GET', `/checkpoint/${finished.output_uuid ?? ''}`)
    expect(output.name).toBe('Job - train')
    expect(output.status).toBe('ready')
    const details = await daemon.ok<CheckpointDetails>('GET', `/checkpoint/${output.id}/details`)
    expect(details.contents.map(({ path }) => path)).toEqual([
      'deep',
      'deep/er',
      'deep/er/result.txt',
    ])
    expect(execFileSync('ls', [`${daemon.runtimeDir}/jobs`], { encoding: 'utf8' })).toBe('')
  } finally {
    server.close()
  }
})
