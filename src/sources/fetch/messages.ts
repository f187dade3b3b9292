import type { ErrorRecord } from '../../model/errors.ts'
import type { RelativePath } from '../../model/relative-path.ts'
import type { Pin } from './pin.ts'

/** What crosses between the main thread and the fetch thread; bytes never do. */

/** One file to be fetched whole. `href`: its path below the transfer's address, encoded. */
export interface SmallFile {
  readonly href: string
  /** Absolute; made, and removed again on failure, by the fetch thread. */
  readonly path: string
}

export type SmallResult =
  | { readonly kind: 'whole'; readonly sizeBytes: number }
  /** It is larger than one request should carry; nothing was kept of it. */
  | { readonly kind: 'large' }
  | { readonly kind: 'failed'; readonly error: ErrorRecord }

/** What the first answer tells about a large file; its body waits for `fetchLarge`. */
export interface LargeHead {
  readonly id: number
  readonly pin: Pin
  readonly sizeBytes: number | undefined
  /** Whether parts of it can be asked for, all of one version. */
  readonly ranged: boolean
  /** The server does not tell where the file ends but by closing the connection. */
  readonly endUnknown: boolean
}

export interface LargeRequest {
  /** Names the fetch in reports, and the waiting body where there is one. */
  readonly id: number
  readonly href: string
  /** Absolute; exists. */
  readonly path: string
  readonly pin: Pin
  readonly sizeBytes: number | undefined
  readonly ranged: boolean
  /** Bytes before it are there already; not zero only where `ranged`. */
  readonly fromBytes: number
  /** No byte from here on may be asked for until a report's answer raises it. */
  readonly limitBytes: number
  /** A part of the file alone, for somebody who reads it while it arrives. */
  readonly part?: {
    readonly endBytes: number
    /** An `Arrival`'s memory. */
    readonly arrival: SharedArrayBuffer
  }
}

export type LargeResult =
  | { readonly kind: 'whole'; readonly sizeBytes: number }
  /** It cannot be gone on with and must begin again; `plain`: without ranges. */
  | { readonly kind: 'restart'; readonly plain: boolean; readonly error: ErrorRecord }

export interface ListedEntry {
  readonly name: RelativePath
  /** The name as the address of the entry has it. */
  readonly href: string
  readonly directory: boolean
  /** Where the listing tells it to the byte. */
  readonly sizeBytes: number | undefined
  /** What the listing says beside the name: time and size, in its own form. */
  readonly stamp: string
}

export interface Report {
  /** Of each large file, by its id: how far it reaches without a gap, and what has arrived of it. */
  readonly frontiers: readonly (readonly [id: number, bytes: number, arrivedBytes: number])[]
  readonly transfers: readonly TransferReport[]
}

export interface TransferReport {
  readonly id: number
  /** All bytes that arrived since it was opened. */
  readonly receivedBytes: number
  readonly waitingFor: string | undefined
  readonly lines: readonly string[]
}

/** Entries in one message: what the main thread records in one short transaction. */
export const ENTRIES_PER_MESSAGE = 250

export type ReportHandlers = {
  /** Answers with how far each reported file may be fetched. */
  report: (report: Report) => (readonly [id: number, limitBytes: number])[]
  listed: (transfer: number, listing: number, entries: readonly ListedEntry[]) => void
}
