import { CkptdError } from '../../model/errors.ts'
import { fileError } from '../../os/errno.ts'
import { punchHole } from '../../os/linux.ts'
import { type ArchiveFile, readFully } from './archive-file.ts'
import { type Arrival, newArrival } from './arrival.ts'

/** Asks for the bytes from an offset on; they are reported to the arrival. */
export type Want = (offset: number, endOffset: number, arrival: Arrival) => void

/** A gap that is fetched and not read rather than asked around: what a new request costs. */
const SKIPPED_BYTES = 16 * 1024 * 1024
/** Bytes behind the reader are given back to the filesystem so many at a time. */
const FREED_BYTES = 8 * 1024 * 1024

interface Part {
  start: number
  readonly end: number
}

/**
 * An archive that arrives while it is read. What lies in the file are parts of it: the one that
 * is being fetched, in ascending order, and those that were fetched before and not passed yet.
 * A byte that no part will bring is asked for, and ends the fetching elsewhere.
 */
export function arrivingFile(fd: number, sizeBytes: number, want: Want): ArchiveFile {
  let parts: Part[] = []
  let coming: (Part & { readonly arrival: Arrival }) | undefined
  let freedTo = 0
  let passedBytes = 0

  const begin = (offset: number): void => {
    if (coming !== undefined) {
      const start = Math.max(coming.start, freedTo)
      const end = coming.arrival.reachedBytes
      if (end > start) parts.push({ start, end })
    }
    const end = Math.min(
      sizeBytes,
      ...parts.filter(({ start }) => start > offset).map(({ start }) => start),
    )
    coming = { start: offset, end, arrival: newArrival(offset) }
    want(offset, end, coming.arrival)
  }
  /** Up to where the bytes from an offset on are there. */
  const thereUntil = (offset: number): number => {
    const part = parts.find(({ start, end }) => start <= offset && offset < end)
    if (part !== undefined) return part.end
    if (coming === undefined || offset < coming.start) return offset
    return Math.max(offset, coming.arrival.reachedBytes)
  }
  const awaitByte = (offset: number): void => {
    const comes =
      coming !== undefined &&
      offset >= coming.start &&
      offset < coming.end &&
      offset - coming.arrival.reachedBytes <= SKIPPED_BYTES
    if (!comes) begin(offset)
    if (coming === undefined) return
    coming.arrival.positionBytes = offset
    if (!coming.arrival.await(offset))
      throw new CkptdError('cancelled', 'the rest of the archive does not arrive any more')
  }
  return {
    sizeBytes,
    read: (buffer, offset, count) => {
      const wanted = Math.min(count, sizeBytes - offset)
      let filled = 0
      while (filled < wanted) {
        const at = offset + filled
        const until = thereUntil(at)
        if (until <= at) {
          awaitByte(at)
          continue
        }
        if (coming !== undefined && at >= coming.start) coming.arrival.positionBytes = at
        const length = Math.min(wanted - filled, until - at)
        if (readFully(fd, buffer.subarray(filled), at, length) < length)
          throw new CkptdError('io_error', 'the arriving archive is shorter than was written')
        filled += length
      }
      return filled
    },
    get passedBytes() {
      return passedBytes
    },
    pass: (offset) => {
      passedBytes = Math.max(passedBytes, offset)
      if (offset - freedTo < FREED_BYTES) return
      const to = offset - (offset % 4096)
      try {
        punchHole(fd, freedTo, to - freedTo)
      } catch (error) {
        throw fileError(error, 'freeing what was read of an archive')
      }
      freedTo = to
      parts = parts.filter(({ end }) => end > to)
      for (const part of parts) part.start = Math.max(part.start, to)
    },
  }
}
