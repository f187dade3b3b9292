import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { unlinkIfPresent } from '../../os/durable.ts'
import { fileError } from '../../os/errno.ts'
import { failpoint } from '../../os/failpoint.ts'
import { extractOnce } from './extract-once.ts'
import type { ExtractionRequest } from './extraction-request.ts'
import { progressKeeper } from './progress-keeper.ts'
import { cancelled, isShortage, spaceWaiter } from './space-waiter.ts'

/**
 * Extracts an archive into an ingest: resolves when every member is stored, durable and
 * recorded. Begun again after a crash it passes over what is stored already. Rejects with
 * `bad_archive`, `invalid_path`, `limit_exceeded` or `too_large` where the archive is at fault,
 * `cancelled` where the signal was; a shortage of space is waited out.
 */
export async function extractArchive(request: ExtractionRequest): Promise<void> {
  const { ingest, signal } = request
  const progress = progressKeeper(request.onProgress)
  const waitForSpace = spaceWaiter(request, progress)
  for (;;) {
    if (signal.aborted) throw cancelled(signal)
    await removeLeftovers(ingest.directory)
    const prefix = ingest.newStagingName()
    try {
      await extractOnce(request, { prefix, progress, waitForSpace })
      break
    } catch (error) {
      if (!isShortage(error)) throw error
      // A failed write or flush may have lost bytes: what is not stored is extracted anew.
      await removeLeftovers(ingest.directory)
      await waitForSpace(error)
    }
  }
  failpoint('transfer.extracted')
}

/** What the extraction thread names its files: a staging name and a number. */
const STAGED = /^[0-9a-z]+-\d+\.\d+$/

/**
 * Removes what earlier attempts, of this process or a killed one, wrote and did not store. The
 * store may be removing some of it too: files that it had no use for, since it has their bytes.
 */
async function removeLeftovers(directory: string): Promise<void> {
  try {
    for (const name of await readdir(directory))
      if (STAGED.test(name)) await unlinkIfPresent(join(directory, name))
  } catch (error) {
    throw fileError(error, 'removing files of an earlier extraction')
  }
}
