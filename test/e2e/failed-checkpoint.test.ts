import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import type { Checkpoint } from '../../src/agent-protocol/checkpoint.ts'
import { startDaemon, until } from '../support/daemon.ts'

it('a failed checkpoint has nothing to show or verify, and nobody is told to wait for it', async () => {
  await using daemon = await startDaemon()
  const origin = createServer((_, answer) => answer.writeHead(404).end()).listen(0, '127.0.0.1')
  await once(origin, 'listening')
  try {
    const { port } = origin.address() as AddressInfo
    const { id } = await daemon.ok<Checkpoint>('POST', '/checkpoint', {
      name: 'gone',
      source_type: 'web',
      source_uri: `http://127.0.0.1:${port}/gone/`,
    })
    await until(
      async () => (await daemon.ok<Checkpoint>('GET', `/checkpoint/${id}`)).status === 'failed',
    )
    for (const [method, path] of [
      ['GET', `/checkpoint/${id}/details`],
      ['POST', `/v1/checkpoints/${id}/verify`],
    ] as const)
      expect(await daemon.call(method, path)).toMatchObject({
        status: 409,
        body: { code: 'checkpoint_failed', hint: expect.stringContaining('ckpt attach') as string },
      })
  } finally {
    origin.close()
  }
})
