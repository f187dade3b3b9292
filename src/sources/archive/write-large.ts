import { closeSync, constants, openSync } from 'node:fs'
import { fileError } from '../../os/errno.ts'
import type { Remote } from '../../os/thread.ts'
import { type ArchiveFile, readFully } from './archive-file.ts'
import { type ExtractionParent, stagedBytes } from './extraction-protocol.ts'
import { CHUNK_BYTES } from './file-chunks.ts'
import type { FileMember, Prefix } from './member.ts'
import { writeAllSync } from './write-all.ts'

/** Told to the hasher in steps of this; one step is hashed while the next is written. */
const ADVANCE_BYTES = 8 * 1024 * 1024

/** Writes a large member into the file its ingest opened, from where that is durable. */
export async function writeLarge(
  member: FileMember,
  parent: Remote<ExtractionParent>,
  context: { reserve(bytes: number): Promise<void>; file: Pick<ArchiveFile, 'passedBytes'> },
): Promise<void> {
  const { executable, index, kind, offset, path, sizeBytes } = member
  const { path: file, durableBytes } = await parent.openLarge({
    kind,
    index,
    offset,
    path,
    executable,
    sizeBytes,
  })
  await context.reserve(stagedBytes(sizeBytes - durableBytes))
  let fd: number | undefined
  let written = durableBytes
  let told = durableBytes
  let hashed: Promise<void> = Promise.resolve()
  try {
    fd = openSync(file, constants.O_RDWR | constants.O_NOFOLLOW)
    for await (const piece of member.read(durableBytes, prefixOf(fd, durableBytes))) {
      written += writeAllSync(fd, piece, written)
      if (written - told < ADVANCE_BYTES) continue
      await hashed
      hashed = parent.advanceLarge(written, context.file.passedBytes)
      // Its failure is met at the next step.
      hashed.catch(() => undefined)
      told = written
    }
    await hashed
    await parent.advanceLarge(written, context.file.passedBytes)
  } catch (error) {
    throw fileError(error, `extracting ${path}`)
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
  await parent.finishLarge()
}

/** The bytes of a large file that an earlier run has made durable. */
function prefixOf(fd: number, durableBytes: number): Prefix {
  return function* () {
    const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
    for (let at = 0; at < durableBytes; ) {
      const read = readFully(fd, buffer, at, Math.min(CHUNK_BYTES, durableBytes - at))
      if (read === 0) return
      at += read
      yield buffer.subarray(0, read)
    }
  }
}
