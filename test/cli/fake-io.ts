import { EventEmitter } from 'node:events'
import type { ForwardedSignal, Io, Output } from '../../src/cli/io.ts'

export interface FakeIo extends Io {
  readonly out: () => string
  readonly err: () => string
  raise(signal: ForwardedSignal): void
}

interface Setting {
  readonly env?: Record<string, string>
  readonly isTTY?: boolean
  readonly columns?: number
  /** What the user types when asked. */
  readonly reply?: string
}

/** A process that is none: output is kept, sleeping takes no time, signals are raised by hand. */
export function fakeIo({ env = {}, isTTY = false, columns = 80, reply }: Setting = {}): FakeIo {
  const signals = new EventEmitter()
  let now = 0
  const output = (): Output & { text: string } => ({
    text: '',
    write(text) {
      this.text += text
    },
    drained: () => Promise.resolve(),
    isTTY,
    columns: () => columns,
  })
  const stdout = output()
  const stderr = output()
  return {
    stdout,
    stderr,
    stdin: {
      isTTY,
      ask(question) {
        stderr.write(question)
        return Promise.resolve(reply)
      },
    },
    env,
    isRoot: false,
    clock: {
      now: () => now,
      async sleep(ms, signal) {
        now += ms
        // Lets everything that is ready happen first, as a real wait would.
        await new Promise((resolve) => setImmediate(resolve))
        signal?.throwIfAborted()
      },
    },
    onSignal(signal, handler) {
      signals.on(signal, handler)
      return () => {
        signals.off(signal, handler)
      }
    },
    out: () => stdout.text,
    err: () => stderr.text,
    raise: (signal) => {
      signals.emit(signal)
    },
  }
}
