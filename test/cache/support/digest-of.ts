import { createHash } from 'node:crypto'
import { parseSha256, type Sha256 } from '../../../src/model/digest.ts'

export function digestOf(content: string | Buffer): Sha256 {
  return parseSha256(createHash('sha256').update(content).digest('hex'))
}
