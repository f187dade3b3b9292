import { isUtf8 } from 'node:buffer'
import type { RelativePath } from '../../model/relative-path.ts'
import { memberError } from './archive-error.ts'
import { parseMemberName } from './member-name.ts'
import { applyZip64, unicodePath } from './zip-extra.ts'

/** One line of a zip's central directory, validated. */
export interface ZipEntry {
  readonly index: number
  readonly name: Buffer
  readonly path: RelativePath
  readonly kind: 'file' | 'directory' | 'symlink'
  readonly executable: boolean
  readonly flags: number
  readonly method: typeof STORED | typeof DEFLATED
  readonly crc: number
  readonly compressedBytes: number
  readonly sizeBytes: number
  readonly headerOffset: number
}

export const STORED = 0
export const DEFLATED = 8
/** Of a line of the directory, without its name, extra fields and comment. */
export const DIRECTORY_HEADER_BYTES = 46

export const FLAG_DESCRIPTOR = 0x0008
const FLAGS_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
const FLAG_PATCH = 0x0020
const FLAG_UTF8 = 0x0800

const OTHER_METHODS: Readonly<Record<number, string>> = {
  9: 'Deflate64',
  12: 'bzip2',
  14: 'LZMA',
  93: 'Zstandard',
  95: 'XZ',
  98: 'PPMd',
  99: 'AES encryption',
}

const KINDS: Readonly<Record<number, string>> = {
  0x0000: 'file',
  0x8000: 'file',
  0x4000: 'directory',
  0xa000: 'symlink',
  0x1000: 'a FIFO',
  0x2000: 'a character device',
  0x6000: 'a block device',
  0xc000: 'a socket',
}

/** Systems whose archivers put a Unix mode into the upper half of the attributes. */
const UNIX_SYSTEMS = [3, 19]

/** Reads a whole line; throws `bad_archive` or `invalid_path`. Undefined: it is the root. */
export function parseZipEntry(archive: string, index: number, line: Buffer): ZipEntry | undefined {
  const nameEnd = DIRECTORY_HEADER_BYTES + line.readUInt16LE(28)
  const name = Buffer.from(line.subarray(DIRECTORY_HEADER_BYTES, nameEnd))
  const extra = line.subarray(nameEnd, nameEnd + line.readUInt16LE(30))
  const refuse = (why: string): never => {
    throw memberError(archive, name.toString('latin1'), why)
  }
  const flags = line.readUInt16LE(8)
  const method = line.readUInt16LE(10)
  if ((flags & FLAGS_ENCRYPTED) !== 0) refuse('is encrypted')
  if ((flags & FLAG_PATCH) !== 0) refuse('is a patch of another file')
  if (method !== STORED && method !== DEFLATED)
    return refuse(
      `is compressed with ${OTHER_METHODS[method] ?? `method ${method}`}; only deflate is supported`,
    )
  const values = applyZip64(
    [line.readUInt32LE(24), line.readUInt32LE(20), line.readUInt32LE(42)],
    extra,
  )
  if (values === undefined) return refuse('has a damaged zip64 field')
  const [sizeBytes = 0, compressedBytes = 0, headerOffset = 0] = values
  if (line.readUInt16LE(34) !== 0) refuse('lies in another part of a split zip')
  if (method === STORED && compressedBytes !== sizeBytes)
    refuse(`has two sizes: ${sizeBytes} and, stored as it is, ${compressedBytes} bytes`)

  const encoded = unicodePath(name, extra) ?? name
  if (!isUtf8(encoded))
    refuse(
      (flags & FLAG_UTF8) === 0
        ? 'has a name in an unnamed old character set: pack it again with names in UTF-8'
        : 'has a name that is marked as UTF-8 and is not',
    )
  if (encoded.includes(0x5c)) refuse('has a name with backslashes')
  const mode = UNIX_SYSTEMS.includes(line[5] ?? 0) ? line.readUInt16LE(40) : 0
  const parsed = parseMemberName(encoded)
  const type = KINDS[mode & 0xf000] ?? 'of an unknown type'
  const kind = type === 'file' && parsed.slash ? 'directory' : type
  if (kind !== 'file' && kind !== 'directory' && kind !== 'symlink') return refuse(`is ${kind}`)
  if (kind === 'directory' && sizeBytes > 0) refuse('is a directory and yet has data')
  if (kind === 'symlink' && parsed.slash) refuse('is a link with a directory’s name')
  if (parsed.root) return kind === 'directory' ? undefined : refuse('is the root and no directory')
  return {
    index,
    name,
    path: parsed.path,
    kind,
    executable: (mode & 0o100) !== 0,
    flags,
    method,
    crc: line.readUInt32LE(16),
    compressedBytes,
    sizeBytes,
    headerOffset,
  }
}
