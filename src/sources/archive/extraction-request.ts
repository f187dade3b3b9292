import type { Ingest } from '../../cache/ingest.ts'
import type { Reservation } from '../../cache/space.ts'
import type { ArchiveFormat } from './archive-format.ts'
import type { ArchiveSource } from './archive-source.ts'

export interface ExtractionRequest {
  readonly format: ArchiveFormat
  /** The archive's own name, for messages. */
  readonly name: string
  readonly source: ArchiveSource
  readonly ingest: Ingest
  /** Grown in steps as members are met; what is left of it stays the caller's. */
  readonly reservation: Reservation
  readonly log: (line: string) => void
  readonly onProgress: (progress: ExtractionProgress) => void
  readonly signal: AbortSignal
  /** Between two looks at the free space while there is too little. */
  readonly spaceRetryMs?: number
}

export interface ExtractionProgress {
  /** Of the archive's own bytes, how many are behind the extraction. */
  readonly readBytes: number
  /** Written by this call, in bytes and files; what an earlier run stored is not counted. */
  readonly writtenBytes: number
  readonly writtenFiles: number
  /** Why nothing moves at the moment. */
  readonly waitingFor: string | undefined
}
