import type { RelativePath } from '../../model/relative-path.ts'

/**
 * One entry of an archive as its reader found it: its name is validated, everything else that
 * an archive can say about it and a checkpoint cannot hold is refused or dropped already.
 */
export type Member = FileMember | LinkMember | SymlinkMember | DirectoryMember

interface MemberBase {
  /** Its place in the archive, from 0: the same however often the archive is read. */
  readonly index: number
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
  readonly read: (fromBytes: number) => AsyncIterable<Buffer> | Iterable<Buffer>
}

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
  /** Open for reading; the reader does not close it. */
  readonly fd: number
  readonly sizeBytes: number
  readonly log: (line: string) => void
}

/** An archive that is being read: its members once, in order. */
export interface ArchiveReader extends AsyncDisposable {
  readonly members: AsyncIterable<Member> | Iterable<Member>
  /** How much of the archive's own bytes is behind the reader. */
  readBytes(): number
}
