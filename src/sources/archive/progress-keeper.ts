import type { ExtractionProgress } from './extraction-request.ts'

/** What is known of an extraction's progress, and its one way to the caller. */
export interface ProgressKeeper {
  /** Files were written, and the archive was read up to here. */
  wrote(files: number, bytes: number, readBytes: number): void
  /** A large file, whose bytes were counted before, is whole. */
  wroteFile(): void
  /** Nothing moves, and why; undefined: it goes on. */
  waitFor(what: string | undefined): void
}

export function progressKeeper(onProgress: (progress: ExtractionProgress) => void): ProgressKeeper {
  let now: ExtractionProgress = {
    readBytes: 0,
    writtenBytes: 0,
    writtenFiles: 0,
    waitingFor: undefined,
  }
  const update = (next: ExtractionProgress): void => {
    now = next
    onProgress(now)
  }
  return {
    wrote: (files, bytes, readBytes) =>
      update({
        readBytes,
        writtenBytes: now.writtenBytes + bytes,
        writtenFiles: now.writtenFiles + files,
        waitingFor: undefined,
      }),
    wroteFile: () => update({ ...now, writtenFiles: now.writtenFiles + 1 }),
    waitFor: (what) => {
      if (now.waitingFor !== what) update({ ...now, waitingFor: what })
    },
  }
}
