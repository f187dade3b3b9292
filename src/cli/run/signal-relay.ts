import { FORWARDED_SIGNALS, type ForwardedSignal, type Io } from '../io.ts'

type Handler = (signal: ForwardedSignal) => void

/** Holds off the signals for a whole run, and hands each to whoever is responsible at the time. */
export interface SignalRelay extends Disposable {
  /** From now on; what came while nobody was responsible comes at once. */
  to(handler: Handler): void
}

export function openSignalRelay(io: Io): SignalRelay {
  let handler: Handler | undefined
  const early: ForwardedSignal[] = []
  const removers = FORWARDED_SIGNALS.map((signal) =>
    io.onSignal(signal, () => {
      if (handler === undefined) early.push(signal)
      else handler(signal)
    }),
  )
  return {
    to(next) {
      handler = next
      for (const signal of early.splice(0)) next(signal)
    },
    [Symbol.dispose]() {
      for (const remove of removers) remove()
    },
  }
}
