import { readFlag } from './read-flag.ts'
import { GLOBAL_FLAGS } from './runtime-flags.ts'

export type Location =
  | { readonly kind: 'found'; readonly index: number }
  /** There may be one, but which argument it is cannot be told. */
  | { readonly kind: 'unsure'; readonly why: string }
  /** This command runs no container. */
  | { readonly kind: 'none'; readonly why: string }

const RUNTIMES = new Set(['podman', 'podman-remote', 'docker'])

/**
 * Where the word `run` stands in a command line of podman or docker: after the program, its
 * global options with their values, and perhaps the word `container`.
 */
export function locateRun(command: readonly string[]): Location {
  const program = command[0] ?? ''
  if (!RUNTIMES.has(program.slice(program.lastIndexOf('/') + 1)))
    return { kind: 'unsure', why: `"${program}" is neither podman nor docker` }
  for (let at = 1; at < command.length; at++) {
    const word = command[at] ?? ''
    if (word === 'run') return { kind: 'found', index: at }
    if (word === 'container' && command[at - 1] !== 'container') continue
    if (!word.startsWith('-') || word === '-')
      return { kind: 'none', why: `"${program} … ${word}" is not a "run" command` }
    const { takesNext } = readFlag(word, GLOBAL_FLAGS)
    if (takesNext === 'unknown')
      return { kind: 'unsure', why: `"${word}" may or may not take the next argument as its value` }
    if (takesNext) {
      if (command[at + 1] === 'run')
        return { kind: 'unsure', why: `the value of "${word}" is "run" itself` }
      at += 1
    }
  }
  return { kind: 'none', why: `"${program}" without the word "run" starts no container` }
}
