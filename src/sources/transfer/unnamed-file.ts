import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Ingest } from '../../cache/ingest.ts'
import { fileError, isErrno } from '../../os/errno.ts'
import { punchHole } from '../../os/linux.ts'

/** A staging file that is gone with its descriptor. */
export async function openUnnamed(ingest: Ingest): Promise<FileHandle> {
  const path = join(ingest.directory, ingest.newStagingName())
  try {
    const file = await open(path, 'wx+', 0o600)
    await unlink(path)
    return file
  } catch (error) {
    throw fileError(error, 'opening a staging file')
  }
}

/** Whether what was read can be given back to the filesystem of an ingest. */
export async function canFreeBehind(ingest: Ingest): Promise<boolean> {
  await using file = await openUnnamed(ingest)
  try {
    punchHole(file.fd, 0, 4096)
    return true
  } catch (error) {
    if (isErrno(error, 'EOPNOTSUPP')) return false
    throw fileError(error, 'making a hole in a staging file')
  }
}
