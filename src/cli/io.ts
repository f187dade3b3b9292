/** Everything the commands see of the process they run in; tests give their own. */
export interface Io {
  readonly stdout: Output
  readonly stderr: Output
  readonly stdin: Input
  readonly env: Readonly<Record<string, string | undefined>>
  readonly isRoot: boolean
  readonly clock: Clock
  /** Calls back instead of dying of the signal, until the returned function is called. */
  onSignal(signal: ForwardedSignal, handler: () => void): () => void
}

export interface Output {
  write(text: string): void
  /** Resolves when the reader has taken what was written, so that output never piles up. */
  drained(): Promise<void>
  readonly isTTY: boolean
  columns(): number
}

export interface Input {
  readonly isTTY: boolean
  /** Shows the question on stderr; undefined when the input ends or is interrupted. */
  ask(question: string): Promise<string | undefined>
}

export interface Clock {
  /** Milliseconds, steadily growing. */
  now(): number
  /** Rejects with the signal's reason when it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Those that end what a command waits for. */
export const INTERRUPTING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const
export type InterruptingSignal = (typeof INTERRUPTING_SIGNALS)[number]

/** Those that `ckpt run` passes on to what it runs. */
export const FORWARDED_SIGNALS = [
  ...INTERRUPTING_SIGNALS,
  'SIGUSR1',
  'SIGUSR2',
  'SIGWINCH',
  'SIGCONT',
] as const
export type ForwardedSignal = (typeof FORWARDED_SIGNALS)[number]

export function isInterrupting(signal: ForwardedSignal): signal is InterruptingSignal {
  return (INTERRUPTING_SIGNALS as readonly ForwardedSignal[]).includes(signal)
}
