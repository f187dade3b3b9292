import type { ErrorBody } from '../agent-protocol/checkpoint.ts'
import { EXIT_CODES, type ExitName, exitOfError } from './exit-codes.ts'
import { printable } from './text/printable.ts'

interface Particulars {
  readonly hint?: string
  /** The daemon's error code, where the daemon said it. */
  readonly code?: string
  readonly retryable?: boolean
  readonly cause?: unknown
}

/** A failure as the reader of the terminal gets it: a sentence, what to do, and an exit status. */
export class CommandError extends Error {
  readonly exit: ExitName
  readonly hint: string
  readonly code: string
  readonly retryable: boolean

  constructor(exit: ExitName, message: string, particulars: Particulars = {}) {
    super(message, particulars.cause === undefined ? undefined : { cause: particulars.cause })
    this.name = 'CommandError'
    this.exit = exit
    this.hint = particulars.hint ?? ''
    this.code = particulars.code ?? ''
    this.retryable = particulars.retryable ?? false
  }

  get status(): number {
    return EXIT_CODES[this.exit].status
  }
}

/** The error the daemon answered with, or that stands in a resource or at the end of a stream. */
export function fromErrorBody(
  body: ErrorBody,
  options: { readonly httpStatus?: number; readonly exit?: ExitName } = {},
): CommandError {
  return new CommandError(
    options.exit ?? exitOfError(body.code, options.httpStatus),
    body.message,
    { hint: body.hint, code: body.code, retryable: body.retryable },
  )
}

/** What goes to stderr: `ckpt: <message>` and, if there is one, a line that says what to do. */
export function errorText(message: string, hint = ''): string {
  const first = `ckpt: ${printable(message)}\n`
  return hint === '' ? first : `${first}hint: ${printable(hint)}\n`
}
