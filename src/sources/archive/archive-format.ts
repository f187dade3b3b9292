import type { CkptdError } from '../../model/errors.ts'
import { archiveError } from './archive-error.ts'
import { decodeTarHeader, isZeroBlock, TAR_BLOCK_BYTES } from './tar-header.ts'

/** The forms that are extracted. Another one is a row in each of the two tables below. */
export type ArchiveFormat = 'tar' | 'tar.gz' | 'zip'

/** How much of a file tells its form: a tar's first header. */
export const DETECT_BYTES = TAR_BLOCK_BYTES

const SUFFIXES: readonly (readonly [string, ArchiveFormat])[] = [
  ['.tar', 'tar'],
  ['.tar.gz', 'tar.gz'],
  ['.tgz', 'tar.gz'],
  ['.zip', 'zip'],
]

/** What else a file may begin with, so that a mismatch can be named. */
const MAGIC: readonly (readonly [string, string])[] = [
  ['1f8b', 'tar.gz'],
  ['504b0304', 'zip'],
  ['504b0506', 'zip'],
  ['504b0708', 'split zip'],
  ['425a68', 'bzip2'],
  ['fd377a585a00', 'xz'],
  ['28b52ffd', 'Zstandard'],
  ['377abcaf271c', '7-Zip'],
  ['526172211a07', 'RAR'],
  ['4d5a', 'Windows program'],
  ['7f454c46', 'Linux program'],
  ['3c21', 'HTML'],
  ['3c68746d6c', 'HTML'],
]

const FORMATS: readonly string[] = ['tar', 'tar.gz', 'zip'] satisfies ArchiveFormat[]

const NAMES: Readonly<Record<string, string>> = { 'tar.gz': 'gzip' }

/** What a file's name proposes; undefined where it is not the name of an archive. */
export function proposeFormat(fileName: string): ArchiveFormat | undefined {
  const lower = fileName.toLowerCase()
  return SUFFIXES.find(([suffix]) => lower.endsWith(suffix) && lower.length > suffix.length)?.[1]
}

/** What a file's first `DETECT_BYTES` bytes are; undefined where they are no such archive. */
export function detectFormat(firstBytes: Buffer): ArchiveFormat | undefined {
  const kind = describeBytes(firstBytes)
  return FORMATS.includes(kind) ? (kind as ArchiveFormat) : undefined
}

function describeBytes(firstBytes: Buffer): string {
  const block = firstBytes.subarray(0, TAR_BLOCK_BYTES)
  // A tar without members is zeros alone.
  if (block.length === TAR_BLOCK_BYTES && (isZeroBlock(block) || decodeTarHeader(block)))
    return 'tar'
  const hex = firstBytes.toString('hex', 0, 8)
  return MAGIC.find(([magic]) => hex.startsWith(magic))?.[1] ?? 'no archive'
}

/** What is wrong where the name proposes one form and the bytes are another; else undefined. */
export function formatMismatch(
  name: string,
  proposed: ArchiveFormat,
  firstBytes: Buffer,
): CkptdError | undefined {
  if (firstBytes.length === 0) return archiveError(name, 'is empty: it has no bytes')
  const kind = describeBytes(firstBytes)
  if (kind === proposed) return undefined
  return archiveError(
    name,
    `is ${NAMES[proposed] ?? proposed} by its name and ${NAMES[kind] ?? kind} by its first bytes`,
  )
}
