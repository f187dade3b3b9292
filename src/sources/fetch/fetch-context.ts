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
  /** Lines for the checkpoint's log that were not reported yet. */
  readonly lines: string[]
  /** The address of something below the transfer's own. */
  readonly urlOf: (href: string) => URL
}

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
      context.waitingFor = { text: what, untilMs: Date.now() + ms }
      logLine(context, what)
    },
  })
}

/** A host that says when it wants to be asked again is left alone by everybody. */
export function respectHost(context: FetchContext, host: string, fault: TransientFault): void {
  if (fault.retryAfterMs !== undefined)
    context.slots.holdHost(host, Math.min(fault.retryAfterMs, context.limits.maxRetryAfterMs))
}
