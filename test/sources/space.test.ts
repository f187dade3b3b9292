import { unlinkSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openSpace, type Reservation } from '../../src/cache/space.ts'
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
  // Nothing may be used at first.
  const floor = { minFreeBytes: Number.MAX_SAFE_INTEGER }
  const space = openSpace(stage.scratch.path, floor)
  const run = await startTransfer(stage.store, stage.fetcher, `${server.origin}/f`, {
    space,
    spaceRetryMs: 50,
  })
  await expect
    .poll(() => run.progress.at(-1)?.waiting_for)
    .toMatch(/^space: .* are needed and .* may be used/)
  expect(run.log.join('\n')).toContain('Waiting for space')
  floor.minFreeBytes = 0
  await run.done
  expect(storedTree(stage.store, run.id)).toEqual({ f: sha256(large) })
  expect(run.progress.at(-1)?.waiting_for).toBeUndefined()
  expect((await space.usage()).reservedBytes).toBe(0)
})

test.each<[string, Buffer[], boolean]>([
  ['a file in parts', [bytesOf(20 * MiB)], true],
  ['a file as one stream', [bytesOf(20 * MiB)], false],
  ['many small files', Array.from({ length: 40 }, () => bytesOf(MiB / 2)), true],
])('a disk that others fill while %s is fetched only delays it', async (_, files, ranges) => {
  await using stage = await openStage({ dataDirectoryMb: 64 })
  const names = files.map((_, n) => `f${n}`)
  await using server = await startFaultServer((request, { response, serve }) => {
    if (request.url?.endsWith('/') === true) {
      response.setHeader('content-type', 'text/html')
      const links = names.map((name) => `<a href="${name}">${name}</a>`).join('')
      return void response.end(`<title>Index of /</title>${links}</html>`)
    }
    serve(files[Number(request.url?.slice(4))] ?? Buffer.alloc(0), { ranges })
  })
  const ballast = `${stage.dataDirectory}/ballast`
  // Nobody was asked before this was written: the reservation does not know of it.
  const generous = {
    reserve: () => Promise.resolve(unlimited),
    usage: () => stage.store.space.usage(),
  }
  writeFileSync(ballast, Buffer.alloc((await stage.store.space.usage()).freeBytes - 10 * MiB, 1))
  const run = await startTransfer(
    stage.store,
    stage.fetcher,
    `${server.origin}/d/${files.length === 1 ? 'f0' : ''}`,
    {
      space: generous,
      spaceRetryMs: 100,
    },
  )
  await expect.poll(() => run.log.join('\n')).toContain('Waiting for space')
  unlinkSync(ballast)
  await run.done
  const tree = storedTree(stage.store, run.id)
  expect(names.map((name) => tree[name])).toEqual(files.map((bytes) => sha256(bytes)))
})

const unlimited: Reservation = {
  leftBytes: Infinity,
  take: () => undefined,
  grow: () => Promise.resolve(),
  [Symbol.dispose]: () => undefined,
}

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
  const endless = Buffer.alloc(2048 * MiB)
  await using server = await startFaultServer((request, { serve }) => {
    if (request.url === '/large') setTimeout(() => serve(endless), 20)
    else serve(Buffer.from('small'))
  })
  const controller = new AbortController()
  const large = await startTransfer(stage.store, stage.fetcher, `${server.origin}/large`, {
    signal: controller.signal,
  })
  await expect.poll(() => server.requests.length).toBeGreaterThan(4)
  const small = await startTransfer(stage.store, stage.fetcher, `${server.origin}/small`)
  const ended = ['small', 'large'] as const
  const first = Promise.race([small, large].map(({ done }, which) => done.then(() => ended[which])))
  expect(await first).toBe('small')
  controller.abort()
  await expect(large.done).rejects.toMatchObject({ code: 'cancelled' })
})
