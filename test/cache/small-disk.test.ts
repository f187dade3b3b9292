import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Store } from '../../src/cache/store.ts'
import { captureTree } from '../../src/capture/capture-tree.ts'
import type { CheckpointId } from '../../src/model/ids.ts'
import { parseRelativePath } from '../../src/model/relative-path.ts'
import { assertStoreInvariants } from '../support/invariants.ts'
import { makeLoopImage } from '../support/loop-image.ts'
import { makeScratch } from '../support/scratch.ts'
import { beginIngest, openTestStore, publishTree } from '../support/store.ts'
import { setExtendedAttribute } from './support/extended-attribute.ts'
import { fillFile } from './support/fill-file.ts'
import { leaseView } from './support/lease-view.ts'
import { readTree } from './support/read-tree.ts'
import { manifestOf, viewPath } from './support/view-path.ts'

const MIB = 1024 * 1024
/** The smallest that each filesystem's own program makes, and no smaller than is promised. */
const DISKS = [
  { type: 'ext4', sizeMb: 64, mkfs: ['-m', '0'] },
  { type: 'xfs', sizeMb: 320, mkfs: ['-m', 'reflink=0'] },
] as const

/** What a job left in its output directory. */
function makeOutput(store: Store, files: number): string {
  const root = join(store.layout.staging, 'output.job.1')
  for (let n = 0; n < files; n++) {
    mkdirSync(join(root, `dir${n % 7}`), { recursive: true })
    writeFileSync(join(root, `dir${n % 7}`, `file${n}`), `output ${n}`)
  }
  return root
}

async function finish(store: Store, id: CheckpointId, root: string): Promise<void> {
  const ingest = store.openIngest(id, 'host')
  const { threads } = store
  const signal = new AbortController().signal
  await captureTree({
    ingest,
    threads,
    root,
    log: () => undefined,
    onProgress: () => undefined,
    signal,
  })
  await store.publisher.publish(id, 0)
  await store.removal.dropIngest(id)
}

describe.each(DISKS)('a volume of $sizeMb MB with $type', ({ type, sizeMb, mkfs }) => {
  it('that transfers filled up to the floor still reads, mounts and finishes', async () => {
    await using scratch = makeScratch('small')
    const disk = makeLoopImage(scratch.join('image'), scratch.join('mnt'), { type, sizeMb, mkfs })
    await using store = await openTestStore(join(disk.mountPoint, 'data'), {})
    const base = await publishTree(store, { a: 'base' })
    const root = makeOutput(store, 200)

    const { ingest, id } = beginIngest(store)
    const before = await store.space.usage()
    expect(before.floorBytes).toBe(Math.floor(before.sizeBytes / 10))
    const sizeBytes = before.freeBytes - before.floorBytes - 8 * MIB
    using reservation = await store.space.reserve(sizeBytes)
    const path = parseRelativePath('weights')
    const file = join(ingest.directory, ingest.newStagingName())
    ingest.planFiles([{ path, sizeBytes, plan: null }])
    writeFileSync(file, Buffer.alloc(sizeBytes, 1))
    reservation.take(sizeBytes)
    await ingest.storeFile({ path, file, executable: false, sizeBytes })
    await store.publisher.publish(id, 0)
    await store.removal.dropIngest(id)
    const { freeBytes, floorBytes, reservedBytes } = await store.space.usage()
    expect(reservedBytes).toBe(0)
    await expect(store.space.reserve(freeBytes - floorBytes + 1)).rejects.toMatchObject({
      code: 'no_space',
    })

    expect(readTree(await viewPath(store, base))).toEqual({ a: 'base' })
    store.database.views.retireOfManifest(manifestOf(store, base))
    leaseView(store, (await store.views.ensure(manifestOf(store, base))).id)
    await store.database.flush()
    const output = beginIngest(store, { kind: 'capture' })
    await finish(store, output.id, root)
    expect(store.database.checkpoints.find(output.id)).toMatchObject({
      status: 'ready',
      file_count: 200,
    })
    await store.views.removeDisposable()
    await assertStoreInvariants(store)
  })

  it('that a job filled to its last byte still reads and mounts, and finishes when there is room', async () => {
    await using scratch = makeScratch('small')
    const disk = makeLoopImage(scratch.join('image'), scratch.join('mnt'), { type, sizeMb, mkfs })
    await using store = await openTestStore(join(disk.mountPoint, 'data'), {})
    const base = await publishTree(store, { a: 'base' })
    const root = makeOutput(store, 100)
    const { id } = beginIngest(store, { kind: 'capture' })
    makeBulky(join(root, 'bulky'))
    const filler = join(disk.mountPoint, 'a job’s file')
    fillFile(filler)

    expect(readTree(await viewPath(store, base))).toEqual({ a: 'base' })
    const { id: viewId } = await store.views.ensure(manifestOf(store, base))
    for (let n = 0; n < 20; n++) {
      const job = leaseView(store, viewId)
      await store.database.flush()
      store.database.leases.removeOfWorker(job, 1)
    }
    await store.database.flush()
    await expect(store.space.reserve(1)).rejects.toMatchObject({ code: 'no_space' })
    await expect(finish(store, id, root)).rejects.toMatchObject({ code: 'no_space' })
    expect(store.database.checkpoints.find(id)?.status).toBe('downloading')

    rmSync(filler)
    rmSync(join(root, 'bulky'))
    await finish(store, id, root)
    expect(store.database.checkpoints.find(id)?.status).toBe('ready')
    await assertStoreInvariants(store)
  })
})

/**
 * A file that has to be copied into the store, since its inode carries attributes. Its hole takes
 * no room here, and as much as it is long where it is copied.
 */
function makeBulky(file: string): void {
  writeFileSync(file, '')
  execFileSync('truncate', ['-s', '64M', file])
  setExtendedAttribute(file, 'note', 'x')
}

describe('a filesystem', () => {
  it('without inodes says so, and works again when some are free', async () => {
    await using scratch = makeScratch('small')
    const disk = makeLoopImage(scratch.join('image'), scratch.join('mnt'), {
      sizeMb: 64,
      mkfs: ['-N', '400'],
    })
    await using store = await openTestStore(join(disk.mountPoint, 'data'))
    const kept = await publishTree(store, { a: 'kept' })
    const fillers: string[] = []
    for (;;)
      try {
        const filler = join(disk.mountPoint, `filler${fillers.length}`)
        writeFileSync(filler, '')
        fillers.push(filler)
      } catch {
        break
      }
    expect(statfsSync(disk.mountPoint).bavail).toBeGreaterThan(1000)
    const { id } = beginIngestWithoutDirectory(store)
    expect(() => store.openIngest(id, 'host')).toThrow(/no more files \(inodes\)/)
    expect(readTree(await viewPath(store, kept))).toEqual({ a: 'kept' })
    for (const filler of fillers) rmSync(filler)
    await publishTree(store, { b: 'again' })
    await store.removal.finish(id)
    await assertStoreInvariants(store)
  })

  it('with reflink shares the bytes of a file whose inode may not serve', async () => {
    await using scratch = makeScratch('small')
    const disk = makeLoopImage(scratch.join('image'), scratch.join('mnt'), {
      type: 'xfs',
      sizeMb: 320,
    })
    await using store = await openTestStore(join(disk.mountPoint, 'data'))
    const root = join(store.layout.staging, 'output.job.1')
    mkdirSync(root)
    writeFileSync(join(root, 'result'), Buffer.alloc(60 * MIB, 'shared '))
    setExtendedAttribute(join(root, 'result'), 'note', 'x')
    execFileSync('sync', ['-f', root])
    const before = statfsSync(root).bfree
    const { id } = beginIngest(store, { kind: 'capture' })
    await finish(store, id, root)
    execFileSync('sync', ['-f', root])
    const { bfree, bsize } = statfsSync(root)
    expect((before - bfree) * bsize).toBeLessThan(8 * MIB)
    await assertStoreInvariants(store)
  })

  it('that is mounted read-only is refused, and opens when it is writable again', async () => {
    await using scratch = makeScratch('small')
    const disk = makeLoopImage(scratch.join('image'), scratch.join('mnt'), { sizeMb: 64 })
    const directory = join(disk.mountPoint, 'data')
    await (await openTestStore(directory))[Symbol.asyncDispose]()
    const remount = (mode: string): unknown =>
      execFileSync('mount', ['-o', `remount,${mode}`, disk.mountPoint])
    remount('ro')
    await expect(openTestStore(directory)).rejects.toMatchObject({
      code: 'io_error',
      message: expect.stringMatching(/read-only/) as string,
    })
    remount('rw')
    await using store = await openTestStore(directory)
    await publishTree(store, { a: 'x' })
    expect(readdirSync(join(store.layout.objects, 'host'))).toHaveLength(1)
  })
})

function beginIngestWithoutDirectory(store: Store): { id: CheckpointId } {
  try {
    return beginIngest(store)
  } catch {
    const [row] = store.database.checkpoints.listStatus('downloading')
    if (row === undefined) throw new Error('no checkpoint was begun')
    return row
  }
}
