import { CkptdError } from '../../model/errors.ts'
import { FREE_EXPANSION_BYTES, MAX_CHECKPOINT_BYTES } from '../../model/limits.ts'
import { archiveError, memberError } from './archive-error.ts'
import { assertMayExpand } from './expansion.ts'
import { fileWindow } from './file-window.ts'
import type { ArchiveInput } from './member.ts'
import type { ZipEnd } from './zip-end.ts'
import { DIRECTORY_HEADER_BYTES, parseZipEntry, type ZipEntry } from './zip-entry.ts'

const SIGNATURE = 0x02014b50

/** The lines of a central directory, read a piece at a time. */
export function* iterateZipDirectory(input: ArchiveInput, end: ZipEnd): Generator<ZipEntry> {
  const window = fileWindow(input.fd)
  const directoryEnd = end.directoryOffset + end.directoryBytes
  let at = end.directoryOffset
  let index = 0
  while (at < directoryEnd) {
    const header = window.bytes(at, DIRECTORY_HEADER_BYTES)
    if (header.length < DIRECTORY_HEADER_BYTES || header.readUInt32LE(0) !== SIGNATURE)
      throw archiveError(input.name, `is damaged: its list of members is broken at byte ${at}`)
    const lineBytes =
      DIRECTORY_HEADER_BYTES +
      header.readUInt16LE(28) +
      header.readUInt16LE(30) +
      header.readUInt16LE(32)
    if (at + lineBytes > directoryEnd || index === end.entryCount)
      throw archiveError(input.name, 'is damaged: its list of members is longer than it says')
    const entry = parseZipEntry(input.name, index, window.bytes(at, lineBytes))
    if (entry !== undefined) yield entry
    at += lineBytes
    index += 1
  }
  if (index !== end.entryCount)
    throw archiveError(
      input.name,
      `is damaged: its list has ${index} members where ${end.entryCount} were announced`,
    )
}

/** Tells, for a member's place in the file, where the next thing begins. */
export type NextOffset = (headerOffset: number) => number

/** The smallest header in front of a member's data. */
const LOCAL_HEADER_BYTES = 30

/**
 * Goes through the directory once before anything is extracted: every line is validated, no
 * two members share bytes of the file (as in bombs that expand the same bytes again and
 * again), and all of them together stay within the limits.
 */
export function surveyZipDirectory(input: ArchiveInput, end: ZipEnd): NextOffset {
  const offsets = new Float64Array(end.entryCount + 1).fill(end.directoryOffset)
  let count = 0
  let totalBytes = 0
  for (const entry of iterateZipDirectory(input, end)) {
    offsets[count] = entry.headerOffset
    count += 1
    totalBytes += entry.sizeBytes
    if (totalBytes > MAX_CHECKPOINT_BYTES + FREE_EXPANSION_BYTES) break
  }
  assertMayExpand(input, totalBytes)
  const sorted = offsets.subarray(0, count + 1).sort()
  const nextOffset: NextOffset = (headerOffset) => sorted[rankOf(sorted, headerOffset) + 1] ?? 0
  for (const entry of iterateZipDirectory(input, end)) {
    const from = entry.headerOffset
    const to = from + LOCAL_HEADER_BYTES + entry.name.length + entry.compressedBytes
    if (to > end.directoryOffset)
      throw memberError(input.name, entry.path, 'lies beyond the place of members in the archive')
    if (to > nextOffset(from)) throw overlapError(input.name, entry)
  }
  return nextOffset
}

export function overlapError(archive: string, entry: ZipEntry): CkptdError {
  return memberError(archive, entry.path, 'overlaps another member')
}

/** The first place of a value in a sorted array. */
function rankOf(sorted: Float64Array, value: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] ?? 0) < value) low = middle + 1
    else high = middle
  }
  return low
}
