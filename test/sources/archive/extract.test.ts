import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Ingest } from '../../../src/cache/ingest.ts'
import type { Reservation } from '../../../src/cache/space.ts'
import { CkptdError } from '../../../src/model/errors.ts'
import { spooledArchive } from '../../../src/sources/archive/archive-source.ts'
import { makeLoopImage } from '../../support/loop-image.ts'
import { beginIngest, openTestStore } from '../../support/store.ts'
import { tarArchive } from '../../support/tar-builder.ts'
import { type Bench, extractInto, openBench, treeOf } from './extract-into.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench[Symbol.asyncDispose]())

const small = tarArchive({ name: 'a', data: 'x' }, { name: 'b', data: 'y' })
const shortage = (): CkptdError => new CkptdError('no_space', '1 GiB is needed and 0 B may be used')

describe('an extraction', () => {
  test('leaves the archive as it was and keeps none of it', async () => {
    const spool = bench.scratch.join('spool.tar')
    writeFileSync(spool, small)
    const { tree } = await bench.extract(spool)
    expect(tree).toEqual({ a: 'x', b: 'y' })
    expect(readFileSync(spool)).toEqual(small)
  })

  test('tells how far it is', async () => {
    const { progress } = await bench.extract(
      tarArchive({ name: 'a', data: Buffer.alloc(40_000_000, 1) }),
    )
    expect(progress.length).toBeGreaterThan(2)
    expect(progress.at(-1)).toMatchObject({ writtenBytes: 40_000_000, writtenFiles: 1 })
    const read = progress.map(({ readBytes }) => readBytes)
    expect(read).toEqual(read.toSorted((a, b) => a - b))
  })

  test('of an archive that is another form fails with both names', async () => {
    const { error } = await bench.extract(small, { format: 'zip', name: 'model.zip' })
    expect(error?.code).toBe('bad_archive')
    expect(error?.message).toMatch(/"model.zip" is zip by its name and tar by its first bytes/)
  })

  test('whose spool is gone says so', async () => {
    const { ingest } = beginIngest(bench.store)
    using reservation = await bench.store.space.reserve(0)
    const source = spooledArchive(bench.scratch.join('gone'), 10)
    const { error } = await extractInto(bench.store, ingest, bench.scratch.path, {
      request: { source, reservation },
    })
    expect(error?.code).toBe('io_error')
  })

  test('does not mind that the store removes what an earlier attempt left, too', async () => {
    const { ingest } = beginIngest(bench.store)
    const left = Array.from({ length: 500 }, (_, n) => join(ingest.directory, `a-0.${n}`))
    for (const path of left) writeFileSync(path, '')
    const archive = bench.scratch.join('again.tar')
    writeFileSync(archive, small)
    const extracting = extractInto(bench.store, ingest, archive)
    while (readdirSync(ingest.directory).length === left.length) await setImmediate()
    // It has listed them, and removes them one by one.
    for (const path of left) rmSync(path, { force: true })
    expect(await extracting).toMatchObject({ error: undefined, tree: { a: 'x', b: 'y' } })
  })

  test('that is cancelled stops, and can begin again', async () => {
    const archive = bench.scratch.join('cancel.tar')
    writeFileSync(
      archive,
      tarArchive({ name: 'small', data: 's' }, { name: 'a', data: Buffer.alloc(90_000_000, 7) }),
    )
    const { ingest } = beginIngest(bench.store)
    const stop = new AbortController()
    const { error } = await extractInto(bench.store, ingest, archive, {
      request: {
        signal: stop.signal,
        onProgress: ({ writtenBytes }) => writtenBytes > 1e7 && stop.abort(),
      },
    })
    expect(error?.code).toBe('cancelled')
    const before = AbortSignal.abort(new CkptdError('cancelled', 'by its owner'))
    expect(
      (await extractInto(bench.store, ingest, archive, { request: { signal: before } })).error
        ?.message,
    ).toBe('by its owner')
    const { tree } = await extractInto(bench.store, ingest, archive)
    expect(Object.keys(tree)).toEqual(['a', 'small'])
  })
})

describe('a shortage of space is waited out', () => {
  /** A reservation that answers `no_space` some times first. */
  const shortAtFirst = (times: number): Reservation => {
    let left = times
    return {
      leftBytes: 0,
      take: () => undefined,
      grow: () => (left-- > 0 ? Promise.reject(shortage()) : Promise.resolve()),
      [Symbol.dispose]: () => undefined,
    }
  }

  test('before anything is written, and it is told what is waited for', async () => {
    const { error, log, progress, tree } = await bench.extract(small, {
      request: { reservation: shortAtFirst(4), spaceRetryMs: 1 },
    })
    expect(error).toBeUndefined()
    expect(tree).toEqual({ a: 'x', b: 'y' })
    expect(progress.map(({ waitingFor }) => waitingFor)).toContain(
      'space: 1 GiB is needed and 0 B may be used',
    )
    expect(progress.at(-1)?.waitingFor).toBeUndefined()
    expect(log).toEqual(['Waiting for space: 1 GiB is needed and 0 B may be used'])
  })

  test('where storing fails: what is not stored is extracted again', async () => {
    const { ingest } = beginIngest(bench.store)
    const archive = bench.scratch.join('short.tar')
    // Contents that no other test has stored: a file that is stored already is removed later.
    writeFileSync(archive, tarArchive({ name: 'a', data: 'x2' }, { name: 'b', data: 'y2' }))
    let failures = 2
    const failing: Ingest = {
      ...ingest,
      storeFile: (file) => (failures-- > 0 ? Promise.reject(shortage()) : ingest.storeFile(file)),
    }
    const { error } = await extractInto(bench.store, failing, archive, {
      request: { spaceRetryMs: 1 },
    })
    expect(error).toBeUndefined()
    expect(treeOf(bench.store, ingest)).toEqual({ a: 'x2', b: 'y2' })
    expect(readdirSync(ingest.directory)).toEqual([])
  })

  test('and can be cancelled', async () => {
    const stop = new AbortController()
    const { error } = await bench.extract(small, {
      request: {
        reservation: shortAtFirst(Number.POSITIVE_INFINITY),
        signal: stop.signal,
        onProgress: ({ waitingFor }) => waitingFor !== undefined && stop.abort(),
      },
    })
    expect(error?.code).toBe('cancelled')
  })

  test('on a small volume that is really full, until there is room', async () => {
    const volume = bench.scratch.join('volume')
    using _mounted = makeLoopImage(bench.scratch.join('volume.img'), volume, { sizeMb: 64 })
    await using store = await openTestStore(`${volume}/data`)
    const archive = bench.scratch.join('volume.tar')
    writeFileSync(
      archive,
      tarArchive({ name: 'a', data: Buffer.alloc(20_000_000, 1) }, { name: 'b', data: 'y' }),
    )
    const ballast = `${volume}/ballast`
    writeFileSync(ballast, Buffer.alloc(35_000_000, 1))
    const { ingest } = beginIngest(store)
    const { error, log, tree } = await extractInto(store, ingest, archive, {
      request: {
        spaceRetryMs: 5,
        onProgress: ({ waitingFor }) => waitingFor !== undefined && writeFileSync(ballast, ''),
      },
    })
    expect(log.join()).toMatch(/Waiting for space/)
    expect(error).toBeUndefined()
    expect(Object.keys(tree)).toEqual(['a', 'b'])
  })
})
