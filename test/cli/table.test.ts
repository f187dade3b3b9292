import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { displayWidth, fitWidth } from '../../src/cli/text/display-width.ts'
import { renderFields, renderTable } from '../../src/cli/text/table.ts'

describe('a table', () => {
  test('aligns its columns under their titles', () => {
    const table = renderTable(
      [{ title: 'ID' }, { title: 'NAME' }, { title: 'SIZE', align: 'right' }],
      [
        ['1', 'llama', '1.50 GiB'],
        ['22', 'モデル', '7 B'],
      ],
    )
    expect(table.split('\n')).toEqual([
      'ID  NAME        SIZE',
      '1   llama   1.50 GiB',
      '22  モデル       7 B',
      '',
    ])
  })

  test('that is too wide for a terminal is cut in the middle of what may be cut', () => {
    const columns = [{ title: 'ID' }, { title: 'NAME', shorten: true } as const, { title: 'PATH' }]
    const rows = [['1', `start-${'x'.repeat(200)}-end`, '/a/path/that/stays/whole']]
    expect(renderTable(columns, rows, 60).split('\n')[1]).toBe(
      `1   start-${'x'.repeat(9)}…${'x'.repeat(10)}-end  /a/path/that/stays/whole`,
    )
    expect(renderTable(columns, rows)).toContain('x'.repeat(200))
    // What stays readable is never given up for the sake of the width.
    expect(renderTable(columns, rows, 10).split('\n')[1]).toBe(
      '1   start-xx…xxx-end  /a/path/that/stays/whole',
    )
  })

  test('is only its titles when there is nothing to list', () => {
    expect(renderTable([{ title: 'ID' }], [])).toBe('ID\n')
  })

  test('has a line a row, whatever is in the cells', () => {
    const rows = fc.array(fc.tuple(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' })))
    fc.assert(
      fc.property(rows, (cells) => {
        const lines = renderTable([{ title: 'A' }, { title: 'B' }], cells).split('\n')
        expect(lines).toHaveLength(cells.length + 2)
      }),
    )
  })

  test('of fields leaves out what has no value', () => {
    expect(
      renderFields([
        ['Name', 'a\nb'],
        ['Error', undefined],
        ['ID', '1'],
      ]),
    ).toBe('Name  a\\nb\nID    1\n')
  })
})

describe('the width of a text', () => {
  test('counts what a terminal shows, not what it is stored as', () => {
    expect(displayWidth('abc')).toBe(3)
    expect(displayWidth('e\u0301')).toBe(1)
    expect(displayWidth('モデル')).toBe(6)
    expect(displayWidth('👩‍👩‍👧')).toBe(2)
  })

  test('never exceeds what it was fitted into', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(40), (text, columns) => {
        expect(displayWidth(fitWidth(text, columns))).toBeLessThanOrEqual(columns)
      }),
    )
  })
})
