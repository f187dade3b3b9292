import { appendFileSync, readdirSync } from 'node:fs'
import { expect, it } from 'vitest'
import { FAILPOINTS } from '../../src/os/failpoint.ts'
import { startDaemon } from '../support/daemon.ts'
import { assertStoreInvariants } from '../support/invariants.ts'
import { mountLoopImage } from '../support/loop-image.ts'
import { makeScratch, mountsBelow } from '../support/scratch.ts'
import { openTestStore } from '../support/store.ts'
import { startWebServer, type WebServer } from '../support/web-server.ts'
import { type DiskCopy, makeCopiedDisk } from './disk-copies.ts'
import { assertKept, leadJob, readTold, webFiles } from './resumable-job.ts'

/** All that are not the store's own, which store-crash.test.ts goes through. */
const POINTS = FAILPOINTS.filter((name) => !/^(ingest|manifest|view|publish|removal)\./.test(name))
/** A transfer's points are passed for the file and for the archive. */
const passages = (point: string): number => (point.startsWith('transfer.') ? 2 : 1)
const AT_ONCE = 3

/** Leads a whole job, copying the disk at every point, and then checks the copies. */
async function cutPowerEverywhere(
  options: { prefix?: readonly string[]; flushOutput?: boolean; only?: RegExp },
  check: (copy: DiskCopy, web: WebServer) => Promise<void>,
): Promise<{ points: string[]; failures: string[] }> {
  await using web = await startWebServer(webFiles())
  await using scratch = makeScratch('power-cut')
  const disk = makeCopiedDisk(scratch, POINTS, passages)
  {
    await using daemon = await startDaemon({
      scratch,
      dataDir: `${disk.mountPoint}/data`,
      env: { CKPTD_FAILPOINT: disk.failpoints },
      ...(options.prefix === undefined ? {} : { prefix: options.prefix }),
    })
    await leadJob(daemon, web, {
      flushOutput: options.flushOutput ?? true,
      tell: (told) => appendFileSync(disk.told, `${JSON.stringify(told)}\n`),
    })
  }
  const copies = disk.copies()
  const failures: string[] = []
  const left = copies.filter(({ point }) => options.only?.test(point) ?? true)
  const takeTurns = async (): Promise<void> => {
    for (let copy = left.pop(); copy !== undefined; copy = left.pop()) {
      const { point } = copy
      await check(copy, web).catch((error: unknown) => {
        failures.push(`${point}: ${error instanceof Error ? error.message : String(error)}`)
      })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, takeTurns))
  return { points: copies.map(({ point }) => point.replace(/\.\d+$/, '')), failures }
}

/** The host starts again: nothing is mounted, and of the disk there is what was flushed. */
async function goOn({ image, told }: DiskCopy, web: WebServer): Promise<void> {
  await using scratch = makeScratch('after-cut')
  const { mountPoint } = mountLoopImage(image, scratch.join('disk'))
  const dataDir = `${mountPoint}/data`
  {
    await using daemon = await startDaemon({ scratch, dataDir })
    await assertKept(daemon, readTold(told))
    await leadJob(daemon, web)
    expect(mountsBelow(`${daemon.runtimeDir}/jobs`).length, 'no worker is mounted').toBe(1)
    expect(readdirSync(scratch.join('cdi'))).toEqual([])
  }
  await using store = await openTestStore(dataDir)
  await assertStoreInvariants(store)
  expect(store.database.leases.list()).toEqual([])
  expect(readdirSync(store.layout.staging)).toEqual([])
  expect(readdirSync(`${dataDir}/outputs`)).toEqual([])
}

it('a host whose power is cut at any point of a job goes on and ends as if it had not been', async () => {
  const { points, failures } = await cutPowerEverywhere({}, goOn)
  expect(failures).toEqual([])
  expect([...new Set(points)].toSorted()).toEqual([...POINTS].toSorted())
}, 400_000)

it('the same test fails when flushing is switched off', async () => {
  // Every flush answers "done" and does nothing.
  const calls = 'fsync,fdatasync,syncfs'
  const noFlush = ['strace', '-D', '-f', '-qq', '--seccomp-bpf', '-o', '/dev/null']
  const { failures } = await cutPowerEverywhere(
    {
      prefix: [...noFlush, '-e', `trace=${calls}`, '-e', `inject=${calls}:retval=0`],
      flushOutput: false,
      only: /^(job\.registered|release\.recorded|capture\.cleaned)\./,
    },
    goOn,
  )
  expect(failures, 'what was told and lost is noticed').toHaveLength(3)
}, 400_000)

it('an output that its job did not flush is saved whole all the same', async () => {
  const { failures } = await cutPowerEverywhere(
    {
      flushOutput: false,
      only: /^(finish\.recorded|release\.recorded|mountd\.handed-over|capture\.handed-over)\./,
    },
    goOn,
  )
  expect(failures).toEqual([])
}, 400_000)
