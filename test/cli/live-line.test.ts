import { describe, expect, test } from 'vitest'
import { openLiveLine } from '../../src/cli/live-line.ts'
import { fakeIo } from './fake-io.ts'

const text = (line: string, key = line) => ({ line: () => line, text: line, key })

describe('a live line', () => {
  test('is redrawn below the lines that stay, and gone at the end', () => {
    const io = fakeIo({ isTTY: true })
    {
      using live = openLiveLine(io.stdout, io.clock)
      live.update(text('10%'))
      live.print('a log line')
      live.update(text('20%'))
    }
    const clear = '\r\u001b[K'
    expect(io.out()).toBe(`${clear}10%${clear}a log line\n${clear}10%${clear}20%${clear}`)
  })

  test('in a log is a plain line when something changes, else every ten seconds', async () => {
    const io = fakeIo()
    using live = openLiveLine(io.stdout, io.clock)
    live.update(text('10%', 'fetching'))
    live.update(text('11%', 'fetching'))
    live.update(text('12%', 'extracting'))
    await io.clock.sleep(9_000)
    live.update(text('13%', 'extracting'))
    await io.clock.sleep(1_000)
    live.update(text('14%', 'extracting'))
    expect(io.out()).toBe('10%\n12%\n14%\n')
  })
})
