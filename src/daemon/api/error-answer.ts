import type { FastifyError } from 'fastify'
import type { ErrorAnswer, ErrorBody } from '../../agent-protocol/checkpoint.ts'
import { CkptdError, toErrorRecord } from '../../model/errors.ts'

/** The body of an error: `errorMessage` and `message` are what the trainML client reads. */
export function errorAnswer(error: unknown): {
  status: number
  body: ErrorAnswer
} {
  const known = toCkptdError(error)
  return { status: known.status, body: { errorMessage: known.message, ...errorBody(known) } }
}

export function errorBody(error: CkptdError): ErrorBody {
  const { code, message, hint, retryable, details } = error
  return { code, message, hint, retryable, details: { ...details } }
}

export function toCkptdError(error: unknown): CkptdError {
  if (error instanceof CkptdError) return error
  const { statusCode, message } = error as Partial<FastifyError>
  if (statusCode !== undefined && statusCode < 500)
    return new CkptdError('invalid_request', `Invalid Request - ${message ?? ''}`)
  return new CkptdError('internal', toErrorRecord(error).message, { cause: error })
}
