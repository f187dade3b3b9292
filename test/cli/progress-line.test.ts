import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { displayWidth } from '../../src/cli/text/display-width.ts'
import { progressLine, progressText } from '../../src/cli/text/progress-line.ts'
import { progress } from './resources.ts'

describe('a progress line', () => {
  test('shows share, bar, bytes, files, rate and time left', () => {
    expect(progressLine(progress(), 120)).toBe(
      'fetching 50.0%  [############------------]  512.00 MiB/1.00 GiB  3/8 files  100.00 MiB/s  5s left',
    )
  })

  test('shortens its bar, then gives it up, where the terminal is narrow', () => {
    expect(progressLine(progress(), 80)).toMatch(/ \[#+-+\]  512\.00 MiB\/1\.00 GiB /)
    expect(progressLine(progress(), 72)).toBe(progressText(progress()))
  })

  test('says what it waits for instead of a rate', () => {
    const line = progressText(progress({ waiting_for: 'space on\u001b the disk' }))
    expect(line).toContain('waits for space on\\x1b the disk')
    expect(line).not.toContain('/s')
  })

  test('shows no share that nobody knows', () => {
    const { bytes_total: _, files_total: __, ...unknown } = progress({ files_done: 1 })
    expect(progressText(unknown)).toBe('fetching  512.00 MiB  1 file  100.00 MiB/s  5s left')
  })

  test('does not say 100% before everything is there', () => {
    expect(progressText(progress({ bytes_done: 99_999, bytes_total: 100_000 }))).toContain('99.9%')
  })

  test('fits into the terminal, whatever the numbers', () => {
    const numbers = fc.record({
      bytes_done: fc.nat(),
      bytes_total: fc.integer(),
      files_done: fc.nat(),
      bytes_per_second: fc.nat(),
      seconds_left: fc.nat(),
      phase: fc.string(),
    })
    fc.assert(
      fc.property(numbers, fc.integer({ min: 1, max: 200 }), (fields, columns) => {
        expect(displayWidth(progressLine(progress(fields), columns))).toBeLessThanOrEqual(columns)
      }),
    )
  })
})
