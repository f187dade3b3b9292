import type { Command } from 'commander'
import { CommandError } from './command-error.ts'
import type { Io } from './io.ts'
import type { Session } from './session.ts'

/** What a command's file needs from the program to hang its command into it. */
export interface CommandHost {
  readonly io: Io
  /** Whether the command line asks for JSON, also where the rest of it is wrong. */
  readonly json: boolean
  /** Runs the action in a session of its own; a number it returns is the exit status. */
  act(work: (session: Session) => Promise<number | undefined>): Promise<void>
}

export type AddCommand = (parent: Command, host: CommandHost) => void

/** Argument parsers of commander: what they throw is a usage error. */

export function nonEmpty(what: string): (text: string) => string {
  return (text) => {
    if (text === '') throw new CommandError('usage', `${what} must not be empty`)
    return text
  }
}

export function positiveInteger(what: string, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < 1 || value > max)
      throw new CommandError('usage', `${what} must be a whole number from 1 to ${max}`)
    return value
  }
}

/** For an option that may be given several times. */
export function collect(text: string, sofar: readonly string[] = []): readonly string[] {
  return [...sofar, text]
}
