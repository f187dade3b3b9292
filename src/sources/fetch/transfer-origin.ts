import type { Agent } from 'undici'
import { CkptdError } from '../../model/errors.ts'
import type { Dial } from './range-connection.ts'
import type { Origin } from './request.ts'

/** Takes the whole address of a transfer apart; what is secret in it goes no further. */
export function transferOrigin(
  { agent, dial }: { agent: Agent; dial: Dial },
  uri: string,
  { maxRedirects }: { maxRedirects: number },
): { readonly origin: Origin; readonly urlOf: (href: string) => URL } {
  const start = new URL(uri)
  const { username, password } = start
  start.username = ''
  start.password = ''
  start.hash = ''
  const authorization =
    username === '' && password === ''
      ? undefined
      : `Basic ${Buffer.from(`${decode(username)}:${decode(password)}`).toString('base64')}`
  return {
    origin: { agent, dial, origin: start.origin, authorization, maxRedirects },
    urlOf: (href) => {
      if (href === '') return start
      const url = new URL(`${start.origin}${start.pathname}${href}`)
      if (!url.pathname.startsWith(start.pathname))
        throw new CkptdError('invalid_path', 'a listing leads out of the directory it belongs to')
      return url
    },
  }
}

/** User information may hold "%" that encodes nothing. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    if (error instanceof URIError) return text
    throw error
  }
}
