import { SPACE_STEP_BYTES } from '../limits.ts'
import type { Engine } from './engine.ts'
import type { Grant } from './space-keeper.ts'

/** How far a large file may be fetched: not too far ahead of its hashing, and not beyond its space. */
export interface StepwiseLimit {
  /** Resolves when the first step may be fetched. */
  readonly ready: Promise<unknown>
  at(frontierBytes: number, hashedBytes: number): number
}

/** The least that is worth going on for, in bytes. */
const LEAST_STEP_BYTES = 1024 * 1024

/** Where the size is not known, space is reserved in steps while the file arrives. */
export function stepwiseLimit(
  engine: Engine,
  grant: Grant | undefined,
  sizeBytes: number | undefined,
): StepwiseLimit {
  const { limits, space } = engine
  const within = (hashedBytes: number): number => hashedBytes + limits.windowBytes
  if (sizeBytes !== undefined || grant === undefined)
    return { ready: Promise.resolve(), at: (_, hashedBytes) => within(hashedBytes) }

  let endBytes = 0
  let growing: Promise<void> | undefined
  const grow = (): Promise<void> => {
    growing ??= space
      .grow(grant, SPACE_STEP_BYTES, LEAST_STEP_BYTES)
      .then((bytes) => {
        endBytes += bytes
      })
      .finally(() => {
        growing = undefined
      })
    return growing
  }
  return {
    ready: grow(),
    at: (frontierBytes, hashedBytes) => {
      if (endBytes - frontierBytes < SPACE_STEP_BYTES / 2) grow().catch(engine.fail)
      return Math.min(within(hashedBytes), endBytes)
    },
  }
}
