import { closeSync, constants, openSync } from 'node:fs'
import { fileError } from '../../os/errno.ts'
import { serveThread } from '../../os/thread.ts'
import type { ExtractionJob, ExtractionParent } from './extraction-protocol.ts'
import { openArchive } from './open-archive.ts'
import { writeMembers } from './write-members.ts'

/** One archive is read and its members are written in a thread of their own. */
export const extractionHandlers = {
  extract: async (job: ExtractionJob): Promise<void> => {
    const fd = openSpool(job.spool.path)
    try {
      const log = (line: string): void => void parent.log(line)
      const input = { name: job.name, fd, sizeBytes: job.spool.sizeBytes, log }
      await using archive = openArchive(job.format, input)
      await writeMembers(archive, job, parent)
    } finally {
      closeSync(fd)
    }
  },
}

export type ExtractionHandlers = typeof extractionHandlers

function openSpool(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    throw fileError(error, 'opening the downloaded archive')
  }
}

const parent = serveThread<ExtractionParent>(extractionHandlers)
