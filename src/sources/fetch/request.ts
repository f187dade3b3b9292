import type { Agent } from 'undici'
import { CkptdError } from '../../model/errors.ts'
import { displayUri } from '../display-uri.ts'
import { type Answer, exchange } from './exchange.ts'
import { networkFault } from './faults.ts'
import type { Dial } from './range-connection.ts'

/** What every request of a transfer shares. */
export interface Origin {
  readonly agent: Agent
  /** Opens connections for ranges of large files. */
  readonly dial: Dial
  /** Of the address the user gave; credentials go nowhere else. */
  readonly origin: string
  readonly authorization: string | undefined
  readonly maxRedirects: number
}

export interface LocatedAnswer extends Answer {
  /** Where the answer came from in the end. */
  readonly url: URL
}

const REDIRECTS = new Set([301, 302, 303, 307, 308])

/**
 * Sends a GET and follows its redirects. Every hop is connected to through the address guard;
 * credentials stay with the origin they were given for; https never becomes http. Throws a
 * `CkptdError` or a `TransientFault`, neither with anything secret in it.
 */
export async function request(
  origin: Origin,
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<LocatedAnswer> {
  let at = url
  for (let hop = 0; ; hop++) {
    const answer = await send(origin, at, headers, signal)
    if (!REDIRECTS.has(answer.status)) return { ...answer, url: at }
    answer.discard()
    if (hop === origin.maxRedirects)
      throw new CkptdError(
        'origin_error',
        `${displayUri(url)}: the server redirects more than ${origin.maxRedirects} times`,
      )
    at = redirectTarget(at, answer.headers['location'])
  }
}

/** What is sent to a URL beside what a request asks for; credentials to their own origin only. */
export function commonHeaders(
  { origin, authorization }: Origin,
  url: URL,
): Readonly<Record<string, string>> {
  return {
    'user-agent': 'ckptd',
    accept: '*/*',
    'accept-encoding': 'identity',
    ...(url.origin === origin && authorization !== undefined ? { authorization } : {}),
  }
}

async function send(
  origin: Origin,
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Answer> {
  try {
    return await exchange(origin.agent, url, { ...commonHeaders(origin, url), ...headers }, signal)
  } catch (error) {
    throw networkFault(error, displayUri(url))
  }
}

function redirectTarget(from: URL, location: string | undefined): URL {
  const refuse = (why: string): CkptdError =>
    new CkptdError('origin_error', `${displayUri(from)}: the server redirects ${why}`)
  if (location === undefined || !URL.canParse(location, from.href))
    throw refuse('to no valid address')
  const to = new URL(location, from)
  if (to.protocol !== 'http:' && to.protocol !== 'https:')
    throw refuse(`to ${to.protocol}, which is refused`)
  if (from.protocol === 'https:' && to.protocol === 'http:')
    throw refuse(`from https to http (${displayUri(to)}), which is refused`)
  to.username = ''
  to.password = ''
  to.hash = ''
  return to
}
