import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { CkptdError } from '../model/errors.ts'
import { writeFileDurablySync } from '../os/durable.ts'

/**
 * Secrets at rest: AES-256-GCM with a key in a file of its own (0600), so that a copy of the
 * database alone tells nothing. Layout: 12 bytes nonce, 16 bytes tag, the text.
 */
export interface Sealer {
  seal(text: string): Buffer
  unseal(sealed: Buffer): string
}

const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16

export function openSealer(keyFile: string): Sealer {
  if (!existsSync(keyFile)) writeFileDurablySync(keyFile, randomBytes(KEY_BYTES).toString('hex'))
  const key = Buffer.from(readFileSync(keyFile, 'latin1').trim(), 'hex')
  if (key.length !== KEY_BYTES) throw new CkptdError('corrupt', `${keyFile} holds no key`)
  return {
    seal: (text) => {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return Buffer.concat([nonce, cipher.getAuthTag(), body])
    },
    unseal: (sealed) => {
      try {
        const nonce = sealed.subarray(0, NONCE_BYTES)
        const decipher = createDecipheriv('aes-256-gcm', key, nonce)
        decipher.setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES))
        const body = sealed.subarray(NONCE_BYTES + TAG_BYTES)
        return Buffer.concat([decipher.update(body), decipher.final()]).toString('utf8')
      } catch (cause) {
        throw new CkptdError('corrupt', 'a sealed secret does not fit this host’s key', { cause })
      }
    },
  }
}
