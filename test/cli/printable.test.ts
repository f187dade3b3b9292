import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { jsonText, printable } from '../../src/cli/text/printable.ts'

// oxlint-disable-next-line no-control-regex -- control characters are what must not come through
const DANGEROUS = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]|\p{Cs}/u
const anyText = fc.string({ unit: 'binary' })

describe('foreign text on a terminal', () => {
  test('never holds a character that a terminal obeys', () => {
    fc.assert(fc.property(anyText, (text) => !DANGEROUS.test(printable(text))))
  })

  test('is left as it is where it is harmless', () => {
    for (const text of ['llama 3 70B', 'größe', 'モデル', '👩‍👩‍👧', 'a\\b'])
      expect(printable(text)).toBe(text)
  })

  test('shows what was there', () => {
    expect(printable('a\u001b[2Jb\n\u009b\u202e')).toBe('a\\x1b[2Jb\\n\\x9b\\u{202e}')
    expect(printable('\ud800')).toBe('\\u{d800}')
  })

  test('as JSON means exactly the same, and is as harmless', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const json = jsonText({ name: text })
        expect(JSON.parse(json)).toEqual({ name: text })
        expect(DANGEROUS.test(json)).toBe(false)
      }),
    )
  })
})
