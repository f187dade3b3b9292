import { describe, expect, test } from 'vitest'
import { connectionError } from '../../src/cli/api/connection-error.ts'
import { errorAnswer } from '../../src/cli/api/error-answer.ts'
import { errorText } from '../../src/cli/command-error.ts'

describe('the answer to a refused request', () => {
  test('becomes a message, a hint and an exit status', () => {
    const error = errorAnswer(
      409,
      '{"errorMessage":"used by tune","code":"in_use","hint":"Finish it.","retryable":false}',
    )
    expect(error).toMatchObject({ message: 'used by tune', hint: 'Finish it.', code: 'in_use' })
    expect(error.status).toBe(5)
  })

  test('may have its text in "message" only', () => {
    expect(errorAnswer(404, '{"message":"Checkpoint Not Found"}')).toMatchObject({
      message: 'Checkpoint Not Found',
      exit: 'not_found',
    })
  })

  test('is shown as it is when it is no JSON object', () => {
    for (const text of ['<html>', '[1]', '"x"', 'null'])
      expect(errorAnswer(502, text).message).toBe(`the daemon answers 502: ${text}`)
    expect(errorAnswer(502, '').message).toBe('the daemon answers 502')
  })
})

describe('a daemon that is not there', () => {
  test('is told apart by why', () => {
    const because = (code: string): string =>
      connectionError('/s', Object.assign(new Error('x'), { code })).message
    expect(because('ENOENT')).toBe('no daemon answers at /s: there is no such socket')
    expect(because('ECONNREFUSED')).toBe('no daemon answers at /s: nobody listens there')
    expect(because('EACCES')).toBe('no daemon answers at /s: you may not open it')
    expect(because('ECONNRESET')).toBe('the connection to the daemon at /s broke (ECONNRESET)')
  })

  test('is seen through what wraps the reason', () => {
    const cause = Object.assign(new Error('x'), { code: 'ENOENT' })
    expect(connectionError('/s', new Error('failed', { cause })).exit).toBe('unreachable')
    expect(connectionError('/s', new Error('failed', { cause })).message).toContain(
      'no such socket',
    )
  })
})

test('an error is two lines at most, whatever the daemon put into it', () => {
  expect(errorText('a\nb\u001b[31m', 'do\nthis')).toBe('ckpt: a\\nb\\x1b[31m\nhint: do\\nthis\n')
  expect(errorText('a')).toBe('ckpt: a\n')
})
