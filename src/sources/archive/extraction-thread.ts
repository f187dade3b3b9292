import { closeSync, constants, openSync } from 'node:fs'
import { fileError } from '../../os/errno.ts'
import { serveThread } from '../../os/thread.ts'
import { wholeFile } from './archive-file.ts'
import { arrivingFile } from './arriving-file.ts'
import type { ExtractionJob, ExtractionParent } from './extraction-protocol.ts'
import { openArchive } from './open-archive.ts'
import { writeMembers } from './write-members.ts'

/** One archive is read and its members are written in a thread of their own. */
export const extractionHandlers = {
  extract: async (job: ExtractionJob): Promise<void> => {
    const { arriving, from, sizeBytes } = job.source
    const fd = openSource(job.source)
    try {
      const log = (line: string): void => void parent.log(line)
      const file = arriving
        ? arrivingFile(fd, sizeBytes, (offset, end, arrival) => {
            void parent.want(offset, end, arrival.memory)
          })
        : wholeFile(fd, sizeBytes)
      await using archive = openArchive(job.format, { name: job.name, file, from, log })
      await writeMembers(archive, file, job, parent)
    } finally {
      closeSync(fd)
    }
  },
}

export type ExtractionHandlers = typeof extractionHandlers

/** What arrives is an unnamed file behind a link of /proc, and freed behind the reader. */
function openSource({ arriving, path }: ExtractionJob['source']): number {
  try {
    return openSync(path, arriving ? constants.O_RDWR : constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    throw fileError(error, 'opening the downloaded archive')
  }
}

const parent = serveThread<ExtractionParent>(extractionHandlers)
