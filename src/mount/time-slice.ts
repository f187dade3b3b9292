import { CkptdError } from '../model/errors.ts'

/** Well below the 10 ms in which a mount is to be answered while a long walk runs. */
const SLICE_MS = 1

/**
 * For work that goes on for long on the one thread: called between two steps it answers
 * undefined, or, when the slice is used up, a promise that lets everything else run first.
 * Throws `cancelled` once the signal has fired.
 */
export type TimeSlice = () => Promise<void> | undefined

export function startTimeSlice(signal: AbortSignal): TimeSlice {
  let startedAtMs = performance.now()
  return () => {
    if (signal.aborted) throw new CkptdError('cancelled', 'the mount helper is stopping')
    if (performance.now() - startedAtMs < SLICE_MS) return undefined
    return new Promise((resolve) =>
      setImmediate(() => {
        startedAtMs = performance.now()
        resolve()
      }),
    )
  }
}
