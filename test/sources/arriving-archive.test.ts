import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CkptdError } from '../../src/model/errors.ts'
import { makeScratch, type Scratch } from '../support/scratch.ts'
import { beginIngest } from '../support/store.ts'
import { type Answering, startFaultServer } from './support/fault-server.ts'
import { bytesOf, MiB, openStage, type Stage, sha256 } from './support/stage.ts'
import { startTransfer, storedTree, type TransferRun } from './support/transfer-run.ts'

/** Small files around a large one; `m.tar`, `m.zip` (deflated) and `stored.zip` of them. */
let scratch: Scratch
let stage: Stage
const expected: Record<string, string | null> = { a: null, z: null }
const archives: Record<string, Buffer> = {}

beforeAll(async () => {
  scratch = makeScratch('arriving')
  stage = await openStage()
  const put = (path: string, bytes: Buffer): void => {
    writeFileSync(scratch.join('tree', path), bytes)
    expected[path] = sha256(bytes)
  }
  for (const directory of ['a', 'z']) {
    mkdirSync(scratch.join('tree', directory), { recursive: true })
    for (let n = 0; n < 200; n++) put(`${directory}/${n}`, bytesOf(10_000 + n))
  }
  put('large', bytesOf(40 * MiB))
  const pack = (name: string, program: string, args: readonly string[]): void => {
    execFileSync(program, [...args, 'a', 'large', 'z'], { cwd: scratch.join('tree') })
    archives[name] = readFileSync(scratch.join(name))
  }
  pack('m.tar', 'tar', ['-cf', scratch.join('m.tar')])
  pack('m.zip', 'zip', ['-qr1', scratch.join('m.zip')])
  pack('stored.zip', 'zip', ['-qr0', scratch.join('stored.zip')])
}, 60_000)
afterAll(async () => {
  await stage[Symbol.asyncDispose]()
  await scratch[Symbol.asyncDispose]()
})

async function fetchArchive(
  name: string,
  answering: Answering,
): Promise<TransferRun & { sentBytes: number; error: CkptdError | undefined }> {
  await using server = await startFaultServer(answering)
  const run = await startTransfer(stage.store, stage.fetcher, `${server.origin}/${name}`)
  const error = await run.done.then(
    () => undefined,
    (failure: unknown) => failure as CkptdError,
  )
  return { ...run, sentBytes: server.sentBytes, error }
}

const bytes = (name: string): Buffer => archives[name] ?? Buffer.alloc(0)
/** Asked for and then not wanted: what was under way when a reader went on elsewhere. */
const WASTE_BYTES = 24 * MiB

describe.each(['m.tar', 'm.zip', 'stored.zip'])('%s of a server that sends parts', (name) => {
  test('is extracted as it arrives, and hardly a byte is fetched twice', async () => {
    const { error, id, log, sentBytes } = await fetchArchive(name, (_, { serve }) =>
      serve(bytes(name)),
    )
    expect(error).toBeUndefined()
    expect(storedTree(stage.store, id)).toEqual(expected)
    expect(log.join('\n')).toContain('extracting them as they arrive')
    // One byte is asked for at the end, to see that it is the same archive still.
    const more = name === 'm.tar' ? 1 : WASTE_BYTES
    expect(sentBytes).toBeLessThanOrEqual(bytes(name).length + more)
  })

  test('survives connections that break off', async () => {
    const { error, id } = await fetchArchive(name, (_, { serve }, n) =>
      serve(bytes(name), n % 3 === 1 ? { cutAfter: MiB } : {}),
    )
    expect(error).toBeUndefined()
    expect(storedTree(stage.store, id)).toEqual(expected)
  })

  test('that changes on the way is an error, and never a mixture', async () => {
    const { error } = await fetchArchive(name, (_, { serve }, n) =>
      serve(bytes(name), { etag: n < 4 ? '"v1"' : '"v2"' }),
    )
    expect(error).toMatchObject({ code: 'origin_changed' })
  })

  test('that has changed when all has arrived is an error, too', async () => {
    const { error } = await fetchArchive(name, (request, { serve, response }) => {
      if (request.headers['if-none-match'] === undefined) serve(bytes(name))
      else response.writeHead(200, { etag: '"v2"' }).end()
    })
    expect(error).toMatchObject({ code: 'origin_changed' })
  })

  test('is fetched as a whole where no part comes after the first', async () => {
    const { error, id, log } = await fetchArchive(name, (_, { serve }, n) =>
      serve(bytes(name), { ranges: n === 0 }),
    )
    expect(error).toBeUndefined()
    expect(storedTree(stage.store, id)).toEqual(expected)
    expect(log.join('\n')).toContain('does not send parts of it after all')
  })

  test('is cancelled while it waits for bytes', async () => {
    await using server = await startFaultServer((_, { serve }, n) =>
      serve(bytes(name), n > 1 ? { stallAfter: 100 } : {}),
    )
    const stop = new AbortController()
    const run = await startTransfer(stage.store, stage.fetcher, `${server.origin}/${name}`, {
      signal: stop.signal,
    })
    await expect.poll(() => server.requests.length).toBeGreaterThan(1)
    stop.abort(new CkptdError('cancelled', 'by its owner'))
    await expect(run.done).rejects.toThrow('by its owner')
  })
})

test('a part that ends after those behind it is heard of, though nothing more may be fetched', async () => {
  await using narrow = await openStage({
    connectionsPerFile: 4,
    minPieceBytes: MiB,
    maxPieceBytes: MiB,
  })
  const archive = bytes('m.tar')
  await using server = await startFaultServer((request, { serve, response }, n) => {
    const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    if (n !== 1 || start === undefined) return serve(archive)
    const part = archive.subarray(Number(start), Number(end) + 1)
    response.writeHead(206, {
      etag: '"v1"',
      'content-length': part.length,
      'content-range': `bytes ${start}-${end}/${archive.length}`,
    })
    response.write(part.subarray(0, -100))
    void untilQuiet(() => server.requests.length).then(() => response.end(part.subarray(-100)))
  })
  const run = await startTransfer(narrow.store, narrow.fetcher, `${server.origin}/m.tar`)
  await run.done
  expect(storedTree(narrow.store, run.id)).toEqual(expected)
})

/** Resolves when a number has stayed the same for a while. */
async function untilQuiet(count: () => number): Promise<void> {
  for (let last = -1; last !== count(); ) {
    last = count()
    await sleep(500)
  }
}

describe.each([
  { next: 'the same', etag: '"v1"' },
  { next: 'another', etag: '"v2"' },
])('parts refused after members were stored, and $next archive as a whole', ({ etag }) => {
  test('end in one version or in an error', async () => {
    const begun = beginIngest(stage.store)
    const someStored = (): boolean => stage.store.database.entries.totals(begun.id).stored_files > 0
    let refused = false
    await using server = await startFaultServer((request, { serve }, n) => {
      const whole = (): void => serve(bytes('m.tar'), { ranges: false, etag })
      const { range = 'bytes=0-' } = request.headers
      if (n === 0) serve(bytes('m.tar'), { cutAfter: 3 * MiB })
      else if (range.startsWith('bytes=0-') && refused) whole()
      else
        void expect
          .poll(someStored)
          .toBe(true)
          .then(() => {
            refused = true
            serve(bytes('m.tar'), { ranges: false })
          })
    })
    const uri = `${server.origin}/m.tar`
    const run = await startTransfer(stage.store, stage.fetcher, uri, { id: begun.id })
    if (etag === '"v1"') {
      await run.done
      expect(storedTree(stage.store, run.id)).toEqual(expected)
    } else {
      await expect(run.done).rejects.toMatchObject({
        code: 'origin_changed',
        message: expect.stringMatching(/first .*"v1".* then .*"v2"/) as string,
      })
    }
    expect(run.log.join('\n')).toContain('does not send parts of it after all')
  })
})

test('an archive larger than what is left of the disk is extracted, for it is never there whole', async () => {
  await using small = await openStage({ dataDirectoryMb: 90 })
  await using server = await startFaultServer((_, { serve }) => serve(bytes('m.tar')))
  const { freeBytes } = await small.store.space.usage()
  expect(freeBytes).toBeLessThan(2 * bytes('m.tar').length)
  const run = await startTransfer(small.store, small.fetcher, `${server.origin}/m.tar`)
  await run.done
  expect(storedTree(small.store, run.id)).toEqual(expected)
  expect((await small.store.space.usage()).reservedBytes).toBe(0)
})

test('a truncated archive is told from one that is still on its way', async () => {
  const half = bytes('m.tar').subarray(0, 30 * MiB)
  const { error } = await fetchArchive('m.tar', (_, { serve }) => serve(half))
  expect(error).toMatchObject({ code: 'bad_archive' })
  expect(error?.message).toMatch(/is truncated/)
})
