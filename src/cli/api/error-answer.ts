import { CommandError } from '../command-error.ts'
import { exitOfError } from '../exit-codes.ts'

/** The answer of a refused request: `{errorMessage | message, code, hint, retryable}`, or less. */
export function errorAnswer(httpStatus: number, text: string): CommandError {
  const body = parseObject(text)
  const field = (name: string): string | undefined => {
    const value = body[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const code = field('code') ?? ''
  const message =
    field('errorMessage') ??
    field('message') ??
    `the daemon answers ${httpStatus}${text.trim() === '' ? '' : `: ${text.trim().slice(0, 500)}`}`
  return new CommandError(exitOfError(code, httpStatus), message, {
    hint: field('hint') ?? '',
    code,
    retryable: body['retryable'] === true,
  })
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch (error) {
    // Anything may listen on a socket; text that is no JSON is shown as it is.
    if (error instanceof SyntaxError) return {}
    throw error
  }
}
