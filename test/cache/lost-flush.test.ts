import { spawnSync } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { Store } from '../../src/cache/store.ts'
import type { EntryRow } from '../../src/database/entries.ts'
import { parseRelativePath } from '../../src/model/relative-path.ts'
import { beginIngest, openTestStore } from '../support/store.ts'
import { digestOf } from './support/digest-of.ts'
import { makeRoomInDatabase } from './support/roomy-database.ts'
import { makeThinDisk, type ThinDisk } from './support/thin-disk.ts'

const DATABASE_CHILD = fileURLToPath(new URL('support/lost-commit-child.ts', import.meta.url))
const MIB = 1024 * 1024
const path = parseRelativePath

/** Reads from the disk what the database says is stored: all of it must be there. */
function expectOnDisk(store: Store, disk: ThinDisk, entries: readonly EntryRow[]): void {
  disk.forget()
  const lost = entries.filter(({ sha256, state }) => {
    if (state !== 'stored' || sha256 === null) return false
    const object = store.layout.object({ domain: 'host', sha256, executable: false, copy: 0 })
    return digestOf(readFileSync(object)) !== sha256
  })
  expect(
    lost.map((entry) => entry.path),
    'recorded as stored, and lost',
  ).toEqual([])
}

/** Writes what follows a file's durable bytes, as whoever fetches it does. */
function writeTail(file: string, bytes: Buffer, from: number): void {
  const fd = openSync(file, 'r+')
  try {
    writeSync(fd, bytes, from, bytes.length - from, from)
  } finally {
    closeSync(fd)
  }
}

describe('bytes that a flush has lost', () => {
  it('never become objects, whichever thread was told', async () => {
    await using disk = makeThinDisk()
    const directory = join(disk.path, 'data')
    let entries: EntryRow[]
    let outcomes: PromiseSettledResult<unknown>[]
    const store = await openTestStore(directory)
    try {
      const { id, ingest } = beginIngest(store)
      makeRoomInDatabase(store, id)
      const names = Array.from({ length: 160 }, (_, n) => path(`file${n}`))
      const sizeBytes = MIB / 2
      ingest.planFiles(names.map((name) => ({ path: name, sizeBytes, plan: null })))
      disk.fill()
      const staged = names.map((name) => {
        const file = join(ingest.directory, ingest.newStagingName())
        writeFileSync(file, Buffer.alloc(sizeBytes, `${name} `))
        return { path: name, file, executable: false, sizeBytes }
      })
      const storeAll = (files: typeof staged) =>
        Promise.allSettled(files.map((one) => ingest.storeFile(one)))
      // The first few meet the failure, in one thread; the same flush loses the bytes of all
      // others, which come to both threads when there is room again.
      const first = await storeAll(staged.slice(0, 20))
      disk.free()
      outcomes = [...first, ...(await storeAll(staged.slice(20)))]
      entries = [...ingest.iterate()]
    } finally {
      await store[Symbol.asyncDispose]()
    }
    const refused = outcomes.flatMap((one) =>
      one.status === 'rejected' ? [one.reason as unknown] : [],
    )
    expect(refused.length, 'the disk did lose some').toBeGreaterThan(0)
    expect(refused.length, 'and some were written anew').toBeLessThan(outcomes.length)
    for (const error of refused)
      expect(error).toMatchObject({ code: expect.stringMatching(/no_space|io_error/) as string })
    expectOnDisk(store, disk, entries)
  })

  it('of a large file are not made durable by asking again, and are fetched anew', async () => {
    await using disk = makeThinDisk()
    const store = await openTestStore(join(disk.path, 'data'))
    let entries: EntryRow[]
    try {
      const { id, ingest } = beginIngest(store)
      makeRoomInDatabase(store, id)
      const sizeBytes = 12 * MIB
      const bytes = Buffer.alloc(sizeBytes, 'the weights ')
      ingest.planFiles([{ path: path('weights'), sizeBytes, plan: null }])
      {
        await using file = await ingest.openFile('weights', 'v1')
        writeFileSync(file.path, bytes.subarray(0, 4 * MIB + 100))
        await file.advance(4 * MIB + 100)
        expect(await file.flush()).toBe(4 * MIB + 100)
        disk.fill()
        writeTail(file.path, bytes, 4 * MIB + 100)
        await file.advance(sizeBytes)
        await expect(file.flush()).rejects.toMatchObject({
          code: expect.stringMatching(/no_space|io_error/) as string,
        })
        await expect(file.flush()).rejects.toThrow()
        await expect(file.finish(sizeBytes)).rejects.toThrow()
      }
      disk.free()
      await using file = await ingest.openFile('weights', 'v1')
      expect(file.durableBytes).toBe(4 * MIB + 100)
      expect(statSync(file.path).size).toBe(4 * MIB + 100)
      writeTail(file.path, bytes, file.durableBytes)
      await file.advance(sizeBytes)
      const knownSha256 = await file.finish(sizeBytes)
      const stored = {
        path: path('weights'),
        file: file.path,
        executable: false,
        sizeBytes,
        key: 'weights',
        knownSha256,
      }
      await ingest.storeOpened(stored)
      entries = [...ingest.iterate()]
    } finally {
      await store[Symbol.asyncDispose]()
    }
    expectOnDisk(store, disk, entries)
  })

  it('of a worker’s file, which nobody can fetch again, are written anew', async () => {
    await using disk = makeThinDisk()
    const store = await openTestStore(join(disk.path, 'data'))
    let entries: EntryRow[]
    try {
      const { id, ingest } = beginIngest(store, { kind: 'capture' })
      makeRoomInDatabase(store, id)
      const output = join(store.layout.staging, 'output.job.1')
      mkdirSync(output)
      const file = join(output, 'result')
      const sizeBytes = 8 * MIB
      ingest.planFiles([{ path: path('result'), sizeBytes, plan: null }])
      disk.fill()
      writeFileSync(file, Buffer.alloc(sizeBytes, 'hours of work '))
      const captured = { path: path('result'), file, executable: false, sizeBytes, foreign: true }
      await expect(ingest.storeFile(captured)).rejects.toThrow()
      await expect(ingest.storeFile(captured)).rejects.toThrow()
      disk.free()
      const { sha256 } = await ingest.storeFile(captured)
      const object = store.layout.object({ domain: 'host', sha256, executable: false, copy: 0 })
      expect(statSync(object).ino).not.toBe(statSync(file).ino)
      entries = [...ingest.iterate()]
    } finally {
      await store[Symbol.asyncDispose]()
    }
    expectOnDisk(store, disk, entries)
  })

  it('of the database’s log end the process, and what is acknowledged after the restart is kept', async () => {
    await using disk = makeThinDisk()
    const directory = join(disk.path, 'data')
    await (await openTestStore(directory))[Symbol.asyncDispose]()
    const child = spawnSync(process.execPath, [DATABASE_CHILD, directory, disk.filler], {
      encoding: 'utf8',
    })
    expect(child.signal, child.stderr).toBe('SIGKILL')
    expect(child.stderr).toContain('flushing the database failed')
    expect(child.stdout, 'nothing is acknowledged').toBe('')
    disk.free()

    const store = await openTestStore(directory)
    const { id } = beginIngest(store, { name: 'acknowledged' })
    await store.database.flush()
    // While it is open: closing it would fold the log into the database.
    const afterPowerCut = disk.cutPower()
    await store[Symbol.asyncDispose]()
    await using recovered = await openTestStore(join(afterPowerCut, 'data'))
    expect(recovered.database.checkpoints.find(id)?.name).toBe('acknowledged')
  })
})
