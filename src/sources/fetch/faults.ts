import { CkptdError } from '../../model/errors.ts'
import type { Headers } from './exchange.ts'
import { parseRetryAfter } from './retry-after.ts'
import { TransientFault } from './transient-fault.ts'

const TIMEOUTS = new Set([
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'ETIMEDOUT',
])
const PASSING_STATUSES = new Set([408, 425, 429, 500, 502, 503, 504, 509, 520, 521, 522, 523, 524])

/**
 * What a failed exchange means. `where` is an address as it may be shown; the texts of other
 * modules' errors are not passed on, since they may hold parts of an address.
 */
export function networkFault(error: unknown, where: string): CkptdError | TransientFault {
  if (error instanceof CkptdError || error instanceof TransientFault) return error
  const code = errorCode(error)
  if (code === undefined) {
    const name = error instanceof Error ? error.name : typeof error
    return new CkptdError('internal', `${where}: unexpected failure (${name})`, { cause: error })
  }
  const details = { cause: code }
  if (TIMEOUTS.has(code))
    return new TransientFault(
      new CkptdError('origin_timeout', `${where}: the server does not answer`, { details }),
    )
  if (code === 'ENOTFOUND')
    return new TransientFault(
      new CkptdError('origin_error', `${where}: there is no such host`, { details }),
      { attempts: 3 },
    )
  if (/CERT|^ERR_TLS|^ERR_SSL|SELF_SIGNED|UNABLE_TO_/.test(code))
    return new CkptdError(
      'origin_error',
      `${where}: the server’s certificate is refused (${code})`,
      {
        details,
      },
    )
  return new TransientFault(
    new CkptdError('origin_error', `${where}: the connection failed (${code})`, { details }),
  )
}

/** What an answer that is none of the expected ones means. */
export function statusFault(
  status: number,
  headers: Headers,
  where: string,
): CkptdError | TransientFault {
  const details = { status }
  if (status === 401 || status === 403 || status === 407)
    return new CkptdError(
      'origin_denied',
      `${where}: the server answers ${status} (access denied)`,
      {
        details,
      },
    )
  if (status === 404 || status === 410)
    return new CkptdError(
      'origin_not_found',
      `${where}: the server answers ${status} (not found)`,
      {
        details,
      },
    )
  const error = new CkptdError('origin_error', `${where}: the server answers ${status}`, {
    details,
  })
  if (!PASSING_STATUSES.has(status)) return error
  const retryAfterMs = parseRetryAfter(headers['retry-after'], Date.now())
  return new TransientFault(error, retryAfterMs === undefined ? {} : { retryAfterMs })
}

function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const { code } = error as NodeJS.ErrnoException
  if (typeof code === 'string' && /^[A-Z][A-Z0-9_]*$/.test(code)) return code
  return error instanceof AggregateError ? errorCode(error.errors[0]) : undefined
}
