import type { CkptdError } from '../../model/errors.ts'
import { FREE_EXPANSION_BYTES, MAX_CHECKPOINT_BYTES } from '../../model/limits.ts'
import { archiveError, memberError } from './archive-error.ts'
import { assertMayExpand } from './expansion.ts'
import { type FileWindow, fileWindow } from './file-window.ts'
import type { ArchiveInput } from './member.ts'
import type { ZipEnd } from './zip-end.ts'
import { DIRECTORY_HEADER_BYTES, parseZipEntry, type ZipEntry } from './zip-entry.ts'

const SIGNATURE = 0x02014b50
/** The smallest header in front of a member's data. */
const LOCAL_HEADER_BYTES = 30

/** The lines of a central directory, read a piece at a time, and where each stands. */
function* iterateZipDirectory(
  input: ArchiveInput,
  end: ZipEnd,
): Generator<readonly [entry: ZipEntry, lineOffset: number]> {
  const window = fileWindow(input.file)
  const directoryEnd = end.directoryOffset + end.directoryBytes
  let at = end.directoryOffset
  let index = 0
  while (at < directoryEnd) {
    const line = lineAt(window, at)
    if (line === undefined)
      throw archiveError(input.name, `is damaged: its list of members is broken at byte ${at}`)
    if (at + line.length > directoryEnd || index === end.entryCount)
      throw archiveError(input.name, 'is damaged: its list of members is longer than it says')
    const entry = parseZipEntry(input.name, index, line)
    if (entry !== undefined) yield [entry, at]
    at += line.length
    index += 1
  }
  if (index !== end.entryCount)
    throw archiveError(
      input.name,
      `is damaged: its list has ${index} members where ${end.entryCount} were announced`,
    )
}

/** A line with its name, extra fields and comment; undefined where none begins. */
function lineAt(window: FileWindow, at: number): Buffer | undefined {
  const header = window.bytes(at, DIRECTORY_HEADER_BYTES)
  if (header.length < DIRECTORY_HEADER_BYTES || header.readUInt32LE(0) !== SIGNATURE)
    return undefined
  const lineBytes =
    DIRECTORY_HEADER_BYTES +
    header.readUInt16LE(28) +
    header.readUInt16LE(30) +
    header.readUInt16LE(32)
  return window.bytes(at, lineBytes)
}

/** A member, and where the next thing in the file begins. */
export type PlacedEntry = ZipEntry & { readonly nextOffset: number }

/**
 * Goes through the directory once before anything is extracted: every line is validated, no
 * two members share bytes of the file (as in bombs that expand the same bytes again and
 * again), and all of them together stay within the limits. Returns the members as they lie in
 * the file, so that it is read forward.
 */
export function surveyZipDirectory(input: ArchiveInput, end: ZipEnd): Generator<PlacedEntry> {
  const lines = new Float64Array(end.entryCount)
  const indexes = new Uint32Array(end.entryCount)
  const offsets = new Float64Array(end.entryCount)
  let count = 0
  let totalBytes = 0
  for (const [entry, lineOffset] of iterateZipDirectory(input, end)) {
    lines[count] = lineOffset
    indexes[count] = entry.index
    offsets[count] = entry.headerOffset
    count += 1
    totalBytes += entry.sizeBytes
    if (totalBytes > MAX_CHECKPOINT_BYTES + FREE_EXPANSION_BYTES) break
  }
  assertMayExpand(input.name, input.file.sizeBytes, totalBytes)
  const order = orderOf(offsets.subarray(0, count))
  function* inOrder(): Generator<PlacedEntry> {
    const window = fileWindow(input.file)
    for (const [rank, place] of order.entries()) {
      const line = lineAt(window, lines[place] ?? 0)
      const entry = line && parseZipEntry(input.name, indexes[place] ?? 0, line)
      if (entry === undefined) throw archiveError(input.name, 'changed while it was read')
      const next = order[rank + 1]
      const nextOffset = (next === undefined ? undefined : offsets[next]) ?? end.directoryOffset
      yield { ...entry, nextOffset }
    }
  }
  for (const entry of inOrder()) {
    const to = entry.headerOffset + LOCAL_HEADER_BYTES + entry.name.length + entry.compressedBytes
    if (to > end.directoryOffset)
      throw memberError(input.name, entry.path, 'lies beyond the place of members in the archive')
    if (to > entry.nextOffset) throw overlapError(input.name, entry)
  }
  return inOrder()
}

/** The places of an array's values from the smallest to the largest. */
function orderOf(values: Float64Array): Uint32Array {
  const order = Uint32Array.from(values.keys())
  const ascending = values.every((value, place) => place === 0 || (values[place - 1] ?? 0) <= value)
  return ascending ? order : order.sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0))
}

export function overlapError(archive: string, entry: ZipEntry): CkptdError {
  return memberError(archive, entry.path, 'overlaps another member')
}
