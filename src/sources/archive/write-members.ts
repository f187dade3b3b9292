import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { fileError } from '../../os/errno.ts'
import type { Remote } from '../../os/thread.ts'
import type { ArchiveFile } from './archive-file.ts'
import {
  type Extracted,
  type ExtractionJob,
  type ExtractionParent,
  LARGE_FILE_BYTES,
  stagedBytes,
} from './extraction-protocol.ts'
import type { ArchiveReader, FileMember } from './member.ts'
import { writeAllSync } from './write-all.ts'
import { writeLarge } from './write-large.ts'

/** What is reported at once: one message and one transaction for so many members. */
const MAX_BATCH_MEMBERS = 512
const MAX_BATCH_BYTES = 32 * 1024 * 1024

/** Writes an archive's members into staging files and reports them, in the archive's order. */
export async function writeMembers(
  archive: ArchiveReader,
  file: Pick<ArchiveFile, 'passedBytes'>,
  job: ExtractionJob,
  parent: Remote<ExtractionParent>,
): Promise<void> {
  let batch: Extracted[] = []
  let batchBytes = 0
  let reported: Promise<void> = Promise.resolve()
  let reservedBytes = 0
  let serial = 0

  /** Sends what is there; the next batch is written while this one is taken in. */
  const flush = async (): Promise<void> => {
    await reported
    if (batch.length === 0) return
    reported = parent.report(batch, file.passedBytes)
    // Its failure is met at the next flush.
    reported.catch(() => undefined)
    batch = []
    batchBytes = 0
  }
  const report = async (member: Extracted): Promise<void> => {
    batch.push(member)
    if (batch.length === MAX_BATCH_MEMBERS || batchBytes >= MAX_BATCH_BYTES) await flush()
  }
  const reserve = async (bytes: number): Promise<void> => {
    if (reservedBytes < bytes) reservedBytes += await parent.reserve(bytes)
    reservedBytes -= bytes
  }
  const writeSmall = async (member: FileMember): Promise<void> => {
    const { executable, index, kind, offset, path, sizeBytes } = member
    await reserve(stagedBytes(sizeBytes))
    const stagingName = `${job.prefix}.${serial++}`
    await writeFile(join(job.directory, stagingName), member.read(0, noPrefix), path)
    batchBytes += sizeBytes
    await report({ kind, index, offset, path, executable, sizeBytes, stagingName })
  }

  for await (const member of archive.members) {
    if (isStored(job.stored, member.index)) continue
    if (member.kind !== 'file') await report(member)
    else if (member.sizeBytes < LARGE_FILE_BYTES) await writeSmall(member)
    else {
      await flush()
      await writeLarge(member, parent, { reserve, file })
    }
  }
  await flush()
  await reported
}

const noPrefix = (): Iterable<Buffer> => []

async function writeFile(
  file: string,
  pieces: AsyncIterable<Buffer> | Iterable<Buffer>,
  path: string,
): Promise<void> {
  let fd: number | undefined
  try {
    // Never an existing file, and no link is followed.
    fd = openSync(file, 'wx', 0o600)
    let at = 0
    // What is at hand is written without a turn of the event loop.
    if (Symbol.iterator in pieces) for (const piece of pieces) at += writeAllSync(fd, piece, at)
    else for await (const piece of pieces) at += writeAllSync(fd, piece, at)
  } catch (error) {
    throw fileError(error, `extracting ${path}`)
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

function isStored(stored: Uint8Array, index: number): boolean {
  return (((stored[index >>> 3] ?? 0) >>> (index & 7)) & 1) === 1
}
