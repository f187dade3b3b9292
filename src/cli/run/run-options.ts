import { readFlag } from './read-flag.ts'
import { RUN_FLAGS } from './runtime-flags.ts'

/** What matters of the options between `run` and the image. */
export interface RunOptions {
  /** The argument that asks for a container in the background. */
  readonly detach?: string
  /** The user's own file for the container's id. */
  readonly cidfile?: string
  /** Where the image stands: the first argument that is neither an option nor a value of one. */
  readonly imageAt: number
  /** Whether all options are known, so that nothing of this is a guess. */
  readonly sure: boolean
}

const FALSE = new Set(['0', 'f', 'F', 'false', 'False', 'FALSE'])

/**
 * Reads the options from `start` on. An option that no table has counts as one with a value
 * unless another option follows it: rather an option too many is looked at than one too few.
 */
export function readRunOptions(command: readonly string[], start: number): RunOptions {
  let detach: string | undefined
  let cidfile: string | undefined
  let sure = true
  let at = start
  for (; at < command.length; at++) {
    const word = command[at] ?? ''
    if (!word.startsWith('-') || word === '-') break
    if (word === '--') {
      at += 1
      break
    }
    const { parts, takesNext } = readFlag(word, RUN_FLAGS)
    const next = command[at + 1]
    if (takesNext === 'unknown') sure = false
    for (const { name, value } of parts) {
      if ((name === 'detach' || name === 'd') && !FALSE.has(value ?? '')) detach ??= word
      if (name === 'cidfile') cidfile = value ?? next
    }
    if (takesNext === true || (takesNext === 'unknown' && next?.startsWith('-') === false)) at += 1
  }
  return {
    imageAt: at,
    sure,
    ...(detach === undefined ? {} : { detach }),
    ...(cidfile === undefined ? {} : { cidfile }),
  }
}
