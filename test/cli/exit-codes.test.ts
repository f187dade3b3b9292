import { describe, expect, test } from 'vitest'
import { EXIT_CODES, exitCodesHelp, exitOfError, exitOfSignal } from '../../src/cli/exit-codes.ts'
import { ERRORS } from '../../src/model/errors.ts'

describe('exit statuses', () => {
  test('no two names share a status, and all fit into a byte', () => {
    const statuses = Object.values(EXIT_CODES).map(({ status }) => status)
    expect(new Set(statuses).size).toBe(statuses.length)
    for (const status of statuses) expect(status).toBeGreaterThanOrEqual(0)
    for (const status of statuses) expect(status).toBeLessThan(256)
  })

  test('every error of the daemon has one, and none of them means success', () => {
    for (const code of Object.keys(ERRORS))
      expect(EXIT_CODES[exitOfError(code)].status).toBeGreaterThan(0)
  })

  test('an error of a newer daemon goes by its HTTP status', () => {
    expect(exitOfError('not_invented_yet', 404)).toBe('not_found')
    expect(exitOfError('not_invented_yet', 418)).toBe('failure')
    expect(exitOfError('constructor', 409)).toBe('conflict')
  })

  test('what went wrong at the origin is not confused with what is unknown here', () => {
    expect(exitOfError('not_found', 404)).toBe('not_found')
    expect(exitOfError('origin_not_found', 404)).toBe('failure')
  })

  test('a signal is 128 and its number', () => {
    expect(exitOfSignal('SIGINT')).toBe(EXIT_CODES.interrupted.status)
    expect(exitOfSignal('SIGTERM')).toBe(143)
  })

  test('the help lists all of them', () => {
    for (const { meaning } of Object.values(EXIT_CODES)) expect(exitCodesHelp()).toContain(meaning)
  })
})
