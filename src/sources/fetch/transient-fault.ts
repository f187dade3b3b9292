import type { CkptdError } from '../../model/errors.ts'

/** A failure that may pass: the same request is made again after a while. */
export class TransientFault extends Error {
  /** What it is for whoever waits, once the attempts are used up. */
  readonly error: CkptdError
  /** How long the origin asks to be left alone. */
  readonly retryAfterMs: number | undefined
  /** Fewer attempts than the usual ones are worth it. */
  readonly attempts: number | undefined

  constructor(error: CkptdError, options: { retryAfterMs?: number; attempts?: number } = {}) {
    super(error.message)
    this.name = 'TransientFault'
    this.error = error
    this.retryAfterMs = options.retryAfterMs
    this.attempts = options.attempts
  }
}
