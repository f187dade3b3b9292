import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { ERRORS } from '../../src/model/errors.ts'

it('docs/errors.md and the table of errors say the same', () => {
  const text = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  const documented = [...text.matchAll(/^\| `([a-z_]+)` \| (\d{3}) \| (yes|no) \| (.+) \|$/gm)].map(
    ([, code, status, retryable, hint]) => [code, Number(status), retryable === 'yes', hint],
  )
  const actual = Object.entries(ERRORS).map(([code, { status, retryable, hint }]) => [
    code,
    status,
    retryable,
    hint,
  ])
  expect(documented).toEqual(actual)
})
