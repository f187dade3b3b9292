import type { FirstAnswer } from './first-answer.ts'

/** A first answer whose body waits, and the connection's slot it holds. */
export interface HeldAnswer {
  readonly first: FirstAnswer
  readonly release: () => void
}
