import type { RelativePath } from '../../model/relative-path.ts'
import type { ArchiveFile } from './archive-file.ts'

/**
 * One entry of an archive as its reader found it: its name is validated, everything else that
 * an archive can say about it and a checkpoint cannot hold is refused or dropped already.
 */
export type Member = FileMember | LinkMember | SymlinkMember | DirectoryMember

/** The place in an archive where a member begins. */
export interface MemberPlace {
  readonly index: number
  /** In bytes. */
  readonly offset: number
}

export const FIRST_MEMBER: MemberPlace = { index: 0, offset: 0 }

interface MemberBase {
  /** Its place in the archive, from 0: the same however often the archive is read. */
  readonly index: number
  /** Where its headers begin, if a reader may begin there, in bytes. */
  readonly offset: number | undefined
  readonly path: RelativePath
}

export interface FileMember extends MemberBase {
  readonly kind: 'file'
  readonly executable: boolean
  readonly sizeBytes: number
  /**
   * The bytes from an offset on, in pieces; a piece is valid until the next is asked for. Ends
   * after exactly `sizeBytes` or throws `bad_archive`. May be left unread.
   */
  readonly read: (fromBytes: number, prefix: Prefix) => AsyncIterable<Buffer> | Iterable<Buffer>
}

/** The bytes before `fromBytes`, of which a checksum over the whole wants to know. */
export type Prefix = () => Iterable<Buffer>

/** A second name of a file that stands earlier in the archive. */
export interface LinkMember extends MemberBase {
  readonly kind: 'link'
  readonly target: RelativePath
}

export interface SymlinkMember extends MemberBase {
  readonly kind: 'symlink'
  /** As it stands in the archive; relative. */
  readonly target: string
}

export interface DirectoryMember extends MemberBase {
  readonly kind: 'directory'
}

/** What a reader says about the archive as a whole, besides its members. */
export interface ArchiveInput {
  /** The archive's own name, for messages. */
  readonly name: string
  readonly file: ArchiveFile
  /** Members before it are stored, and need not be read where the form allows it. */
  readonly from: MemberPlace
  readonly log: (line: string) => void
}

/** An archive that is being read: its members once, in order. */
export interface ArchiveReader extends AsyncDisposable {
  readonly members: AsyncIterable<Member> | Iterable<Member>
}
