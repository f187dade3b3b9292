import type { RelativePath } from '../../model/relative-path.ts'
import type { ArchiveFormat } from './archive-format.ts'
import type { DirectoryMember, LinkMember, MemberPlace, SymlinkMember } from './member.ts'

/** What the extraction thread is told. */
export interface ExtractionJob {
  readonly format: ArchiveFormat
  readonly name: string
  readonly source: {
    readonly path: string
    readonly sizeBytes: number
    /** Whether it arrives while it is read. */
    readonly arriving: boolean
    readonly from: MemberPlace
  }
  /** Absolute; a small member's bytes go into `<directory>/<prefix>.<n>`. */
  readonly directory: string
  readonly prefix: string
  /** A bit for each member, by its index: it is stored by an earlier run and is passed over. */
  readonly stored: Uint8Array
}

/** A file of the archive, as the thread tells of it. */
export interface ExtractedFile {
  readonly kind: 'file'
  readonly index: number
  readonly offset: number | undefined
  readonly path: RelativePath
  readonly executable: boolean
  readonly sizeBytes: number
}

/** A small file is written when it is reported, under a name of the staging directory. */
export type Extracted =
  | (ExtractedFile & { readonly stagingName: string })
  | LinkMember
  | SymlinkMember
  | DirectoryMember

/** From this size on a file is hashed and made durable while it is still being written. */
export const LARGE_FILE_BYTES = 16 * 1024 * 1024

/** Space that a staged file takes: whole blocks, and one for its inode and its name. */
export function stagedBytes(sizeBytes: number): number {
  return Math.ceil(sizeBytes / 4096) * 4096 + 4096
}

/**
 * What the thread calls. Calls arrive in order; each answer comes when the thread may go on, so
 * whoever is slower is waited for.
 */
export type ExtractionParent = {
  /** Members in the archive's order, and how much of the archive is behind the thread. */
  readonly report: (members: readonly Extracted[], readBytes: number) => Promise<void>
  /** Space for at least that many more bytes; waits until there is. Answers with how many. */
  readonly reserve: (bytes: number) => Promise<number>
  /** Opens a large file; what it has already, proven, need not be written again. */
  readonly openLarge: (file: ExtractedFile) => Promise<{ path: string; durableBytes: number }>
  /** The open large file is written up to here. */
  readonly advanceLarge: (writtenBytes: number, readBytes: number) => Promise<void>
  /** The open large file is whole. */
  readonly finishLarge: () => Promise<void>
  readonly log: (line: string) => void
  /** Of an archive that arrives: goes on at an offset; the thread waits on the arrival. */
  readonly want: (offset: number, endOffset: number, arrival: SharedArrayBuffer) => void
}
