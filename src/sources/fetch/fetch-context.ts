import type { FetchLimits } from '../limits.ts'
import type { ConnectionSlots } from './connection-slots.ts'
import { type Patience, patience } from './patience.ts'
import type { Origin } from './request.ts'
import type { TransientFault } from './transient-fault.ts'

/** One transfer as the fetch thread sees it. */
export interface FetchContext {
  readonly id: number
  readonly origin: Origin
  readonly slots: ConnectionSlots
  readonly limits: FetchLimits
  /** Aborted when the transfer is closed. */
  readonly signal: AbortSignal
  receivedBytes: number
  waitingFor: { readonly text: string; readonly untilMs: number } | undefined
  /** When a line about waiting was last written, so that trouble does not fill the log. */
  waitLoggedAtMs: number
  /** Lines for the checkpoint's log that were not reported yet. */
  readonly lines: string[]
  /** The address of something below the transfer's own. */
  readonly urlOf: (href: string) => URL
}

/** One line about waiting in so long. */
const WAIT_LINES_MS = 2_000
/** Lines kept between two reports; a server in trouble says the same over and over. */
const MAX_LINES = 50

export function logLine(context: FetchContext, line: string): void {
  if (context.lines.length < MAX_LINES) context.lines.push(line)
}

export function patienceOf(context: FetchContext, signal = context.signal): Patience {
  return patience({
    limits: context.limits,
    signal,
    onWait: (what, ms) => {
      const nowMs = Date.now()
      context.waitingFor = { text: what, untilMs: nowMs + ms }
      if (nowMs - context.waitLoggedAtMs < WAIT_LINES_MS) return
      context.waitLoggedAtMs = nowMs
      logLine(context, what)
    },
  })
}

/** A host that says when it wants to be asked again is left alone by everybody. */
export function respectHost(context: FetchContext, host: string, fault: TransientFault): void {
  if (fault.retryAfterMs !== undefined)
    context.slots.holdHost(host, Math.min(fault.retryAfterMs, context.limits.maxRetryAfterMs))
}
