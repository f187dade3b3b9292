import type { CkptdError } from '../../model/errors.ts'
import type { HeldAnswer } from './held-answer.ts'
import type { Pin } from './pin.ts'
import type { Pulse } from './pulse.ts'
import type { StagingTarget } from './staging-target.ts'

/** How far a file may be fetched; `changed` fires when that, or what is free, changes. */
export interface FetchLimit {
  readonly bytes: number
  readonly changed: Pulse
}

export interface RangedFile {
  readonly url: URL
  readonly pin: Pin
  readonly sizeBytes: number
  readonly fromBytes: number
  /** Bytes from here on are not wanted. */
  readonly endBytes: number
  readonly signal: AbortSignal
  readonly target: StagingTarget
  /** Called when bytes were written or a range ended: the frontier may have moved. */
  readonly written: () => void
  readonly limit: FetchLimit
  /** The answer with the file's beginning, where it is at hand. */
  readonly held: HeldAnswer | undefined
}

/** The server does not answer ranges of the pinned version as it must; nothing was mixed. */
export class RangesRefused extends Error {
  readonly error: CkptdError
  constructor(error: CkptdError) {
    super(error.message)
    this.name = 'RangesRefused'
    this.error = error
  }
}
