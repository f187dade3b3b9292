import type { Ingest } from '../../cache/ingest.ts'
import type { FetchSession } from '../fetcher.ts'
import type { FetchLimits } from '../limits.ts'
import type { ProgressMeter } from './progress.ts'
import type { SpaceKeeper } from './space-keeper.ts'

/** What the parts of one transfer share. */
export interface Engine {
  readonly ingest: Ingest
  readonly session: FetchSession
  readonly space: SpaceKeeper
  readonly meter: ProgressMeter
  readonly limits: Pick<FetchLimits, 'smallFileBytes' | 'windowBytes'>
  /** Of the whole transfer, safe to show. */
  readonly displayUri: string
  readonly log: (line: string) => void
  readonly signal: AbortSignal
  /** Ends the transfer with an error from a place that nobody waits for. */
  readonly fail: (error: unknown) => void
}
