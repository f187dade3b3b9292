import { closeSync, constants, openSync } from 'node:fs'
import { fileError } from '../../os/errno.ts'
import type { Remote } from '../../os/thread.ts'
import { type ExtractionParent, stagedBytes } from './extraction-protocol.ts'
import type { FileMember } from './member.ts'
import { writeAllSync } from './write-all.ts'

/** Told to the hasher in steps of this; one step is hashed while the next is written. */
const ADVANCE_BYTES = 8 * 1024 * 1024

/** Writes a large member into the file its ingest opened, from where that is durable. */
export async function writeLarge(
  member: FileMember,
  parent: Remote<ExtractionParent>,
  context: { reserve(bytes: number): Promise<void>; readBytes(): number },
): Promise<void> {
  const { executable, index, kind, path, sizeBytes } = member
  const { path: file, durableBytes } = await parent.openLarge({
    kind,
    index,
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
    fd = openSync(file, constants.O_WRONLY | constants.O_NOFOLLOW)
    for await (const piece of member.read(durableBytes)) {
      written += writeAllSync(fd, piece, written)
      if (written - told < ADVANCE_BYTES) continue
      await hashed
      hashed = parent.advanceLarge(written, context.readBytes())
      // Its failure is met at the next step.
      hashed.catch(() => undefined)
      told = written
    }
    await hashed
    await parent.advanceLarge(written, context.readBytes())
  } catch (error) {
    throw fileError(error, `extracting ${path}`)
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
  await parent.finishLarge()
}
