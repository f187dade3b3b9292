import { CkptdError } from './errors.ts'

declare const sha256Brand: unique symbol
/** 64 lower-case hexadecimal digits: the SHA-256 of an object's or a manifest's bytes. */
export type Sha256 = string & { readonly [sha256Brand]: true }

const SHA256 = /^[0-9a-f]{64}$/

export function parseSha256(text: string): Sha256 {
  if (!SHA256.test(text))
    throw new CkptdError('invalid_request', `"${text.slice(0, 80)}" is no SHA-256 digest`)
  return text as Sha256
}

/** The digest of no bytes at all: empty files are never linked, so it names no object. */
export const EMPTY_SHA256 = parseSha256(
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
)
