import type { Arrival } from './arrival.ts'
import { FIRST_MEMBER, type MemberPlace } from './member.ts'

/** Where an archive's bytes come from. */
export interface ArchiveSource {
  readonly sizeBytes: number
  /** Parts of members that are durable belong to this version of it. */
  readonly version: string
  /** Whether it arrives while it is read. */
  readonly arrives: boolean
  /** For one reading of it. */
  open(): Promise<OpenArchive>
  /** Everything before a member is stored, durable and recorded. */
  stored(place: MemberPlace): void
}

/** Disposed of when nobody has its file open any more: its path may then mean another one. */
export interface OpenArchive extends AsyncDisposable {
  /** The file that holds its bytes. */
  readonly path: string
  /** Where the reading begins. */
  readonly from: MemberPlace
  /** Of an archive that arrives while it is read. */
  readonly arriving?: ArrivingBytes
}

export interface ArrivingBytes {
  /** Fetches from an offset on, and nothing else any more. */
  want(offset: number, endOffset: number, arrival: Arrival): void
  /** No byte comes any more; whoever waits for one is woken. */
  stop(): void
  /** Rejects where the bytes do not come. */
  readonly failed: Promise<never>
}

/** A whole archive on disk; it is read only, and left to the caller. */
export function spooledArchive(path: string, sizeBytes: number): ArchiveSource {
  return {
    sizeBytes,
    version: String(sizeBytes),
    arrives: false,
    open: () =>
      Promise.resolve({
        path,
        from: FIRST_MEMBER,
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
    stored: () => undefined,
  }
}
