import { CommanderError } from 'commander'
import { CommandError, errorText } from './command-error.ts'
import { EXIT_CODES } from './exit-codes.ts'
import type { Io } from './io.ts'
import { buildProgram } from './program.ts'
import { openSession } from './session.ts'

/** Runs one command line (without the program's name) and returns the exit status. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  let status: number = EXIT_CODES.ok.status
  const program = buildProgram({
    io,
    async act(work) {
      await using session = openSession(io, program.opts())
      status = (await work(session)) ?? status
    },
  })
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return status
  } catch (error) {
    // Commander has written its message, or the help that was asked for.
    if (error instanceof CommanderError)
      return error.exitCode === 0 ? EXIT_CODES.ok.status : EXIT_CODES.usage.status
    if (!(error instanceof Error)) throw error
    if (error instanceof CommandError) {
      io.stderr.write(errorText(error.message, error.hint))
      return error.status
    }
    io.stderr.write(errorText(`unexpected: ${error.message}`, 'This is a fault of ckpt.'))
    if (io.env['CKPT_DEBUG'] !== undefined) io.stderr.write(`${error.stack ?? ''}\n`)
    return EXIT_CODES.failure.status
  }
}
