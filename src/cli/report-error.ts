import { type CommandError, errorText } from './command-error.ts'
import type { Io } from './io.ts'
import { jsonText } from './text/printable.ts'

/**
 * Tells on stderr why something failed, about `subject` ("worker 3") if one is given: a sentence
 * and what to do or, where JSON is asked for, one line
 * `{"error":{"code","message","hint","retryable","exit_status"}}`. The code is the daemon's, or
 * the name of the exit status where the daemon said nothing.
 */
export function reportError(
  { io, json }: { readonly io: Pick<Io, 'stderr'>; readonly json: boolean },
  error: CommandError,
  subject?: string,
): void {
  const message = subject === undefined ? error.message : `${subject}: ${error.message}`
  const { hint, retryable, status } = error
  const code = error.code === '' ? error.exit : error.code
  const body = { code, message, hint, retryable, exit_status: status }
  io.stderr.write(json ? `${jsonText({ error: body })}\n` : errorText(message, hint))
}
