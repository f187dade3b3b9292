import { setTimeout as sleep } from 'node:timers/promises'
import { CkptdError } from '../../model/errors.ts'
import type { ExtractionRequest } from './extraction-request.ts'
import type { ProgressKeeper } from './progress-keeper.ts'

/** Waits a while because of a shortage, visibly; rejects where the extraction is cancelled. */
export type WaitForSpace = (shortage: CkptdError) => Promise<void>

const RETRY_MS = 5_000

export function spaceWaiter(
  { log, signal, spaceRetryMs }: ExtractionRequest,
  progress: ProgressKeeper,
): WaitForSpace {
  let logged: string | undefined
  return async (shortage) => {
    if (logged !== shortage.message) log(`Waiting for space: ${shortage.message}`)
    logged = shortage.message
    progress.waitFor(`space: ${shortage.message}`)
    try {
      await sleep(spaceRetryMs ?? RETRY_MS, undefined, { signal })
    } catch {
      // The sleep fails for one reason only.
      throw cancelled(signal)
    }
  }
}

/** A state that passes: the disk or the quota is full. */
export function isShortage(error: unknown): error is CkptdError {
  return error instanceof CkptdError && (error.code === 'no_space' || error.code === 'no_quota')
}

export function cancelled(signal: AbortSignal): CkptdError {
  const reason: unknown = signal.reason
  if (reason instanceof CkptdError) return reason
  return new CkptdError('cancelled', 'the extraction was cancelled', { cause: reason })
}
