import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseNdjson } from '../../src/cli/api/ndjson.ts'

async function parse(chunks: Uint8Array[]): Promise<unknown[]> {
  const values: unknown[] = []
  for await (const value of parseNdjson(chunks)) values.push(value)
  return values
}

describe('a stream of JSON lines', () => {
  test('gives the same values wherever its chunks are cut, inside a character too', async () => {
    const values = fc.array(fc.jsonValue())
    const cuts = fc.array(fc.nat(200))
    await fc.assert(
      fc.asyncProperty(values, cuts, fc.boolean(), async (lines, sizes, endsInNewline) => {
        const text = lines.map((value) => JSON.stringify(value)).join('\n')
        const bytes = Buffer.from(text + (endsInNewline ? '\n' : ''))
        const chunks: Buffer[] = []
        let at = 0
        for (const size of sizes) {
          chunks.push(bytes.subarray(at, at + size))
          at += size
        }
        chunks.push(bytes.subarray(at))
        expect(await parse(chunks)).toEqual(lines.map((value) => JSON.parse(JSON.stringify(value))))
      }),
    )
  })

  test('skips empty lines and takes a last line without a newline', async () => {
    expect(await parse([Buffer.from('1\n\n \r\n2')])).toEqual([1, 2])
  })

  test('gives what came before a line that is no JSON, then fails', async () => {
    const values = parseNdjson([Buffer.from('{"a":1}\n<html>\n')])
    expect((await values.next()).value).toEqual({ a: 1 })
    await expect(values.next()).rejects.toThrow(SyntaxError)
  })
})
