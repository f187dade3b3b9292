import { statfsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openSpace } from '../../src/cache/space.ts'
import { startFaultServer } from './support/fault-server.ts'
import { bytesOf, MiB, openStage, sha256 } from './support/stage.ts'
import { startTransfer, storedTree } from './support/transfer-run.ts'

const large = bytesOf(20 * MiB)

test.each([
  ['of known size', false],
  ['of unknown size', true],
])('a transfer %s waits for space and goes on when there is some', async (_, chunked) => {
  await using stage = await openStage()
  await using server = await startFaultServer((_, { serve }) =>
    serve(large, chunked ? { chunked, ranges: false } : {}),
  )
  const space = openSpace(stage.scratch.path, { minFreeBytes: 0 })
  const stat = statfsSync(stage.scratch.path)
  // Somebody else has reserved nearly all there is.
  const taken = await space.reserve(stat.bavail * stat.bsize * 0.9999 - 512 * 1024)
  while (taken.leftBytes > 0) {
    const { freeBytes, reservedBytes } = await space.usage()
    const more = freeBytes - reservedBytes - 512 * 1024
    if (more <= 0) break
    await taken.grow(more)
  }
  const run = await startTransfer(stage.store, stage.fetcher, `${server.origin}/f`, {
    space,
    spaceRetryMs: 50,
  })
  await expect
    .poll(() => run.progress.at(-1)?.waiting_for, { timeout: 10_000 })
    .toMatch(/^space: .* are needed and .* may be used/)
  expect(run.log.join('\n')).toContain('Waiting for space')
  taken[Symbol.dispose]()
  await run.done
  expect(storedTree(stage.store, run.id)).toEqual({ f: sha256(large) })
  expect(run.progress.at(-1)?.waiting_for).toBeUndefined()
  expect((await space.usage()).reservedBytes).toBe(0)
})

test('a file larger than a checkpoint may be is refused before it is fetched', async () => {
  await using stage = await openStage()
  await using server = await startFaultServer((_, { response }) => {
    response
      .writeHead(206, {
        etag: '"a"',
        'content-range': `bytes 0-99/${500e9 + 1}`,
        'content-length': '100',
      })
      .end(Buffer.alloc(100))
  })
  const run = await startTransfer(stage.store, stage.fetcher, `${server.origin}/f`)
  await expect(run.done).rejects.toMatchObject({ code: 'too_large' })
  expect(server.requests).toHaveLength(1)
})

test('a small transfer is not starved by a large one of the same host', async () => {
  await using stage = await openStage({ connectionsPerHost: 4 })
  const endless = Buffer.alloc(400 * MiB)
  await using server = await startFaultServer((request, { serve }) => {
    if (request.url === '/large') setTimeout(() => serve(endless), 20)
    else serve(Buffer.from('small'))
  })
  const controller = new AbortController()
  const large = await startTransfer(stage.store, stage.fetcher, `${server.origin}/large`, {
    signal: controller.signal,
  })
  await expect.poll(() => server.requests.length, { timeout: 10_000 }).toBeGreaterThan(4)
  const begun = performance.now()
  const small = await startTransfer(stage.store, stage.fetcher, `${server.origin}/small`)
  await small.done
  expect(performance.now() - begun).toBeLessThan(3000)
  controller.abort()
  await expect(large.done).rejects.toMatchObject({ code: 'cancelled' })
})
