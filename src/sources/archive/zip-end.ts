import { MAX_TREE_ENTRIES, MAX_ZIP_DIRECTORY_BYTES } from '../../model/limits.ts'
import { archiveError } from './archive-error.ts'
import type { ArchiveFile } from './archive-file.ts'
import type { ArchiveInput } from './member.ts'

/** Where a zip's central directory lies, from its end records. */
export interface ZipEnd {
  readonly entryCount: number
  readonly directoryOffset: number
  readonly directoryBytes: number
}

const END_SIGNATURE = 0x06054b50
const END_BYTES = 22
const MAX_COMMENT_BYTES = 0xffff
const LOCATOR_SIGNATURE = 0x07064b50
const LOCATOR_BYTES = 20
const END64_SIGNATURE = 0x06064b50
const END64_BYTES = 56

/**
 * Finds the end record: the only place whose comment ends exactly where the file does. Two such
 * places, or a directory that does not stand right before its end record, mean that readers
 * could see different archives in one file; those are refused, and with them anything that
 * was put in front of a zip.
 */
export function findZipEnd({ name, file }: ArchiveInput): ZipEnd {
  const { sizeBytes } = file
  const tailBytes = Math.min(sizeBytes, END_BYTES + MAX_COMMENT_BYTES + LOCATOR_BYTES)
  const tail = Buffer.allocUnsafeSlow(tailBytes)
  file.read(tail, sizeBytes - tailBytes, tailBytes)
  const found: number[] = []
  for (let at = tailBytes - END_BYTES; at >= 0; at--)
    if (
      tail[at] === 0x50 &&
      tail.readUInt32LE(at) === END_SIGNATURE &&
      tail.readUInt16LE(at + 20) === tailBytes - at - END_BYTES
    )
      found.push(at)
  const [at] = found
  if (at === undefined)
    throw archiveError(name, 'has no zip end record: it is truncated, or other bytes follow it')
  if (found.length > 1)
    throw archiveError(name, 'has several zip end records, one of them within a comment')

  const endOffset = sizeBytes - tailBytes + at
  const classic = {
    disk: tail.readUInt16LE(at + 4),
    directoryDisk: tail.readUInt16LE(at + 6),
    diskEntries: tail.readUInt16LE(at + 8),
    entryCount: tail.readUInt16LE(at + 10),
    directoryBytes: tail.readUInt32LE(at + 12),
    directoryOffset: tail.readUInt32LE(at + 16),
  }
  const locatorAt = at - LOCATOR_BYTES
  const hasLocator = locatorAt >= 0 && tail.readUInt32LE(locatorAt) === LOCATOR_SIGNATURE
  const wide = hasLocator
    ? readEnd64(name, file, endOffset - LOCATOR_BYTES, tail.subarray(locatorAt, at))
    : undefined
  if (wide !== undefined)
    for (const key of ['entryCount', 'directoryBytes', 'directoryOffset'] as const) {
      const unset = key === 'entryCount' ? 0xffff : 0xffffffff
      if (classic[key] !== unset && classic[key] !== wide[key])
        throw archiveError(name, 'has two zip end records that disagree')
    }
  const end = wide ?? classic
  if (end.disk !== 0 || end.directoryDisk !== 0 || end.diskEntries !== end.entryCount)
    throw archiveError(name, 'is one part of a zip split over several files')
  if (end.entryCount > MAX_TREE_ENTRIES)
    throw archiveError(name, `lists ${end.entryCount} members; ${MAX_TREE_ENTRIES} are allowed`)
  if (end.directoryBytes > MAX_ZIP_DIRECTORY_BYTES)
    throw archiveError(
      name,
      `has a list of members of ${end.directoryBytes} bytes; ${MAX_ZIP_DIRECTORY_BYTES} are allowed`,
    )
  const directoryEnd = wide === undefined ? endOffset : wide.recordOffset
  if (end.directoryOffset + end.directoryBytes !== directoryEnd)
    throw archiveError(
      name,
      'has its list of members elsewhere than its end record says: it is damaged, or something stands in front of it',
    )
  return end
}

function readEnd64(name: string, file: ArchiveFile, locatorOffset: number, locator: Buffer) {
  const recordOffset = number64(locator, 8)
  const record = Buffer.alloc(END64_BYTES)
  const read = file.read(record, recordOffset, END64_BYTES)
  if (
    locator.readUInt32LE(4) !== 0 ||
    locator.readUInt32LE(16) > 1 ||
    read < END64_BYTES ||
    record.readUInt32LE(0) !== END64_SIGNATURE ||
    recordOffset + 12 + number64(record, 4) !== locatorOffset
  )
    throw archiveError(name, 'has a damaged zip64 end record')
  return {
    recordOffset,
    disk: record.readUInt32LE(16),
    directoryDisk: record.readUInt32LE(20),
    diskEntries: number64(record, 24),
    entryCount: number64(record, 32),
    directoryBytes: number64(record, 40),
    directoryOffset: number64(record, 48),
  }
}

/** A 64-bit number; beyond 2⁵³ it is rounded, which every check of a range then refuses. */
export function number64(buffer: Buffer, offset: number): number {
  return buffer.readUInt32LE(offset) + buffer.readUInt32LE(offset + 4) * 2 ** 32
}
