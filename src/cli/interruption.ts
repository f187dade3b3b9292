import { INTERRUPTING_SIGNALS, type InterruptingSignal, type Io } from './io.ts'

/** Thrown out of whatever waited when a signal came. */
export class Interrupted extends Error {
  readonly signal: InterruptingSignal

  constructor(signal: InterruptingSignal) {
    super(`interrupted by ${signal}`)
    this.name = 'Interrupted'
    this.signal = signal
  }
}

/**
 * Does the work with a signal that aborts at Ctrl-C and its like. When that ends the work,
 * `onInterrupt` gives the answer instead; what goes on in the daemon is not touched by it.
 */
export async function untilInterrupted<T>(
  io: Io,
  work: (signal: AbortSignal) => Promise<T>,
  onInterrupt: (signal: InterruptingSignal) => T | Promise<T>,
): Promise<T> {
  const abort = new AbortController()
  const removers = INTERRUPTING_SIGNALS.map((signal) =>
    io.onSignal(signal, () => abort.abort(new Interrupted(signal))),
  )
  try {
    return await work(abort.signal)
  } catch (error) {
    const reason: unknown = abort.signal.reason
    if (!(reason instanceof Interrupted)) throw error
    return await onInterrupt(reason.signal)
  } finally {
    for (const remove of removers) remove()
  }
}
