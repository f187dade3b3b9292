import { CommanderError } from 'commander'
import { CommandError } from './command-error.ts'
import { EXIT_CODES } from './exit-codes.ts'
import type { Io } from './io.ts'
import { buildProgram, USAGE_HINT } from './program.ts'
import { reportError } from './report-error.ts'
import { openSession } from './session.ts'

/** Runs one command line (without the program's name) and returns the exit status. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  let status: number = EXIT_CODES.ok.status
  const json = wantsJson(argv)
  const program = buildProgram({
    io,
    json,
    async act(work) {
      await using session = openSession(io, program.opts())
      status = (await work(session)) ?? status
    },
  })
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return status
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT_CODES.ok.status
      // Without --json commander has written its message, or the help that was asked for.
      if (json) reportError({ io, json }, usageError(error))
      return EXIT_CODES.usage.status
    }
    if (!(error instanceof Error)) throw error
    const known = error instanceof CommandError ? error : unexpected(error)
    reportError({ io, json }, known)
    if (known !== error && io.env['CKPT_DEBUG'] !== undefined)
      io.stderr.write(`${error.stack ?? ''}\n`)
    return known.status
  }
}

/** Also where the command line is wrong, so that it cannot be read to its end. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return (end === -1 ? argv : argv.slice(0, end)).includes('--json')
}

function usageError({ code, message }: CommanderError): CommandError {
  const text = code === 'commander.help' ? 'no command is given' : message.replace(/^error: /, '')
  return new CommandError('usage', text, { hint: USAGE_HINT })
}

function unexpected(error: Error): CommandError {
  return new CommandError('failure', `unexpected: ${error.message}`, {
    hint: 'This is a fault of ckpt.',
    cause: error,
  })
}
