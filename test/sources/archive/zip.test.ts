import { crc32, deflateRawSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { extraField, uint64, type ZipMemberSpec, zipArchive } from '../../support/zip-builder.ts'
import { type Bench, openBench } from './extract-into.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench[Symbol.asyncDispose]())

const options = { format: 'zip', name: 'm.zip' } as const
const tree = async (archive: Buffer): Promise<Readonly<Record<string, string>>> => {
  const outcome = await bench.extract(archive, options)
  if (outcome.error !== undefined) throw outcome.error
  return outcome.tree
}
const refusal = async (archive: Buffer): Promise<string> => {
  const { error } = await bench.extract(archive, options)
  return error === undefined ? 'it was extracted' : `${error.code}: ${error.message}`
}
const FILE = 0o100000
const DIRECTORY = 0o040000
const LINK = 0o120000
const one: ZipMemberSpec = { name: 'one', data: 'first' }

function unicodePath(name: string | Buffer, real: string): Buffer {
  const head = Buffer.alloc(5)
  head[0] = 1
  head.writeUInt32LE(crc32(Buffer.from(name)), 1)
  return extraField(0x7075, Buffer.concat([head, Buffer.from(real)]))
}

describe('a zip becomes a safe tree', () => {
  test('with stored and deflated files, directories, links and the executable bit', async () => {
    const archive = zipArchive([
      { name: 'sub/', mode: DIRECTORY | 0o755, method: 0 },
      { name: 'sub/run', data: 'exec', mode: FILE | 0o4755 },
      { name: 'sub/plain', data: 'text', method: 0, mode: FILE | 0o644 },
      { name: 'dos', data: 'from DOS' },
      { name: 'dosdir/', data: '' },
      { name: 'link', data: 'sub/run', mode: LINK | 0o777 },
      { name: 'empty', data: '', method: 0 },
      { name: 'nothing', data: '', method: 8, packed: Buffer.alloc(0) },
      { name: './dot', data: 'dot' },
      { name: './', data: '' },
    ])
    expect(await tree(archive)).toEqual({
      sub: 'dir',
      'sub/run': 'x exec',
      'sub/plain': 'text',
      dos: 'from DOS',
      dosdir: 'dir',
      link: '-> sub/run',
      empty: '',
      nothing: '',
      dot: 'dot',
    })
  })

  test('with zip64 records and fields, and data descriptors of every form', async () => {
    const data = 'described'
    const packed = deflateRawSync(data)
    const crc = Buffer.alloc(4)
    crc.writeUInt32LE(crc32(data))
    const narrow = Buffer.alloc(8)
    narrow.writeUInt32LE(packed.length, 0)
    narrow.writeUInt32LE(data.length, 4)
    const wide = Buffer.concat([uint64(packed.length), uint64(data.length)])
    const signature = Buffer.from('PK\x07\x08', 'latin1')
    const archive = zipArchive(
      [
        { name: 'a', data, descriptor: true },
        { name: 'b', data, descriptor: Buffer.concat([crc, narrow]) },
        { name: 'c', data, descriptor: Buffer.concat([crc, wide]) },
        { name: 'd', data, descriptor: Buffer.concat([signature, crc, wide]) },
        {
          name: 'e',
          data: 'wide',
          method: 0,
          size: 0xffffffff,
          packedSize: 0xffffffff,
          extra: extraField(1, Buffer.concat([uint64(4), uint64(4)])),
          localExtra: extraField(1, Buffer.concat([uint64(4), uint64(4)])),
        },
      ],
      { zip64: true, comment: Buffer.from('a comment') },
    )
    expect(await tree(archive)).toEqual({ a: data, b: data, c: data, d: data, e: 'wide' })
  })

  test('with names in UTF-8, marked or not, or beside an old one', async () => {
    const cp437 = Buffer.from('caf\x82', 'latin1')
    const archive = zipArchive([
      { name: 'caf\u00e9', data: '1', flags: 0x800 },
      { name: 'cafe\u0301', data: '2' },
      { name: 'CAF\u00c9', data: '3' },
      { name: cp437, data: '4', extra: unicodePath(cp437, 'd\u00e9j\u00e0') },
      { name: '#U00e9', data: '5', extra: unicodePath('older', 'not this') },
    ])
    expect(await tree(archive)).toEqual({
      'caf\u00e9': '1',
      'cafe\u0301': '2',
      'CAF\u00c9': '3',
      'd\u00e9j\u00e0': '4',
      '#U00e9': '5',
    })
  })

  test('and an end record within a comment that does not fit is only a comment', async () => {
    const comment = Buffer.concat([zipArchive([]).subarray(0, 22), Buffer.from('more')])
    expect(await tree(zipArchive([one], { comment }))).toEqual({ one: 'first' })
  })

  test('that may be empty', async () => {
    expect(await tree(zipArchive([]))).toEqual({})
  })

  test('and a nested zip stays a file', async () => {
    const got = await tree(zipArchive([{ name: 'inner.zip', data: zipArchive([one]), method: 0 }]))
    expect(Object.keys(got)).toEqual(['inner.zip'])
  })
})

describe('a zip is refused, and the message names the member', () => {
  test.each<[string, readonly ZipMemberSpec[], RegExp]>([
    ['an absolute name', [{ name: '/etc/x', data: '' }], /"\/etc\/x" is refused: .*absolute/],
    ['".."', [{ name: 'a/../../x', data: '' }], /"a\/\.\.\/\.\.\/x" is refused/],
    ['a backslash', [{ name: '..\\x', data: '' }], /"\.\.\\\\x".*backslashes/],
    ['a NUL', [{ name: 'a\0b', data: '' }], /NUL/],
    ['an empty name', [{ name: '', data: '' }], /empty/],
    [
      'a name of an old character set',
      [{ name: Buffer.from('caf\x82', 'latin1') }],
      /old character set/,
    ],
    [
      'a name that is not what it says',
      [{ name: Buffer.from([0xc0, 0xaf]), flags: 0x800 }],
      /marked as UTF-8/,
    ],
    [
      '".." by the Unicode field',
      [{ name: 'fine', extra: unicodePath('fine', '../x') }],
      /"\.\.\/x" is refused/,
    ],
    ['an encrypted member', [{ ...one, flags: 1 }], /"one".*encrypted/],
    ['strong encryption', [{ ...one, flags: 0x41 }], /"one".*encrypted/],
    ['another method', [{ ...one, method: 12, packed: Buffer.from('x') }], /"one".*bzip2/],
    ['an unknown method', [{ ...one, method: 77, packed: Buffer.from('x') }], /"one".*method 77/],
    ['a device', [{ name: 'tty', mode: 0o020666 }], /"tty".*character device/],
    ['a FIFO', [{ name: 'pipe', mode: 0o010666 }], /"pipe".*FIFO/],
    ['a socket', [{ name: 'sock', mode: 0o140666 }], /"sock".*socket/],
    ['an unknown kind', [{ name: 'what', mode: 0o150666 }], /"what".*unknown type/],
    ['a directory with data', [{ name: 'd/', data: 'x' }], /"d\/".*directory/],
    ['an absolute link', [{ name: 'l', data: '/etc', mode: LINK }], /"l" -> "\/etc".*absolute/],
    ['a link to nothing', [{ name: 'l', data: '', mode: LINK }], /"l".*nowhere/],
    [
      'a link of endless length',
      [{ name: 'l', data: 'x/'.repeat(9999), mode: LINK }],
      /"l".*19998 bytes/,
    ],
    [
      'a file below a link',
      [{ name: 'l', data: '.', mode: LINK }, { name: 'l/x' }],
      /"l\/x" lies below "l"/,
    ],
    ['two of one name', [one, one], /"one"/],
    ['a file where a directory is', [{ name: 'a/b' }, { name: 'a' }], /"a"/],
    ['a wrong checksum', [{ ...one, crc: 1 }], /"one".*CRC-32/],
    ['a wrong checksum, stored', [{ ...one, method: 0, crc: 1 }], /"one".*CRC-32/],
    ['more data than announced', [{ ...one, size: 3 }], /"one".*3 bytes/],
    ['less data than announced', [{ ...one, size: 30 }], /"one".*30 bytes/],
    ['two sizes, stored', [{ ...one, method: 0, size: 3 }], /"one".*two sizes/],
    ['broken data', [{ ...one, packed: Buffer.from([0xff, 1, 2]) }], /"one".*cannot be read/],
    [
      'data that goes on behind its end',
      [{ ...one, packed: Buffer.concat([deflateRawSync('first'), Buffer.from('tail')]) }],
      /"one".*ends elsewhere/,
    ],
    ['two names', [{ ...one, localName: 'two' }], /"one".*name/],
    ['two methods', [{ ...one, localMethod: 0 }], /"one".*compression/],
    ['two checksums', [{ ...one, localCrc: 5 }], /"one".*checksum/],
    ['two announced sizes', [{ ...one, localSize: 500 }], /"one".*disagree.*size/],
    ['a wrong descriptor', [{ ...one, descriptor: Buffer.alloc(16, 7) }], /"one".*behind its data/],
    ['a missing descriptor', [{ ...one, descriptor: Buffer.alloc(0) }], /"one".*behind its data/],
    ['a zip64 field that is missing', [{ ...one, size: 0xffffffff }], /"one".*zip64/],
    ['a place that is not its', [one, { ...one, name: 'two', offset: 7 }], /overlaps/],
    ['a place behind all', [{ ...one, offset: 60_000 }], /"one".*beyond/],
    [
      'a place beyond numbers',
      [{ ...one, offset: 0xffffffff, extra: extraField(1, uint64(2 ** 63)) }],
      /"one".*beyond/,
    ],
    [
      'members that share their data',
      [one, { ...one, name: 'two', offset: 0, onlyListed: true }],
      /overlaps/,
    ],
    [
      'a member within another',
      [
        {
          name: 'outer',
          data: zipArchive([{ name: 'in', data: 'x'.repeat(99), method: 0 }]),
          method: 0,
        },
        { name: 'in', data: 'x'.repeat(99), method: 0, offset: 35, onlyListed: true },
      ],
      /overlaps/,
    ],
  ])('%s', async (_, members, message) => {
    const text = await refusal(zipArchive(members))
    expect(text).toMatch(message)
    expect(text).toMatch(/^(bad_archive|invalid_path): /)
  })

  test('large members are verified as small ones are', async () => {
    const data = Buffer.alloc(1_500_000, 'weights ')
    const big = { name: 'big', data }
    expect(await tree(zipArchive([big, { ...big, name: 'stored', method: 0 }]))).toHaveProperty(
      'stored',
    )
    expect(await refusal(zipArchive([{ ...big, crc: 3 }]))).toMatch(/"big".*CRC-32/)
    expect(await refusal(zipArchive([{ ...big, method: 0, crc: 3 }]))).toMatch(/"big".*CRC-32/)
    expect(await refusal(zipArchive([{ ...big, size: 1_600_000 }]))).toMatch(/"big".*1600000 bytes/)
    expect(await refusal(zipArchive([{ ...big, size: 1_400_000 }]))).toMatch(/"big".*1400000 bytes/)
    const packed = deflateRawSync(data)
    const tail = Buffer.concat([packed, Buffer.from('tail')])
    expect(await refusal(zipArchive([{ ...big, packed: tail }]))).toMatch(/"big".*ends elsewhere/)
    const cut = packed.subarray(0, packed.length - 9)
    expect(await refusal(zipArchive([{ ...big, packed: cut }]))).toMatch(/"big".*cannot be read/)
    expect(await refusal(zipArchive([{ ...big, packed: Buffer.alloc(0) }]))).toMatch(/"big"/)
  })
})

describe('a zip that could be read in two ways, or is not whole, is refused', () => {
  const whole = zipArchive([one, { name: 'two', data: 'second' }])
  test.each<[string, Buffer, RegExp]>([
    ['something in front', zipArchive([one], { prepend: zipArchive([one]) }), /in front of it/],
    ['a program in front', zipArchive([one], { prepend: Buffer.from('MZ..') }), /Windows program/],
    ['something behind', zipArchive([one], { append: Buffer.from('x') }), /other bytes follow/],
    [
      'an end record in the comment',
      zipArchive([one], { comment: zipArchive([]) }),
      /several zip end/,
    ],
    ['a directory that is elsewhere', zipArchive([one], { directoryOffset: 3 }), /elsewhere/],
    ['a directory that is shorter', zipArchive([one], { directoryBytes: 9 }), /elsewhere/],
    [
      'more members than announced',
      zipArchive([one, one], { entryCount: 1 }),
      /longer than it says/,
    ],
    ['fewer members than announced', zipArchive([one], { entryCount: 2 }), /1 members where 2/],
    ['a part of several', zipArchive([one], { disk: 1 }), /split/],
    [
      'too many members',
      zipArchive([one], { zip64: true, entryCount: 2_000_001 }),
      /2000000 are allowed/,
    ],
    [
      'a huge directory',
      zipArchive([one], { zip64: true, directoryBytes: 2 ** 33 }),
      /are allowed/,
    ],
    ['a damaged zip64 record', damagedZip64(), /zip64 end record/],
    ['cut in its directory', whole.subarray(0, whole.length - 30), /truncated/],
    ['cut in its end record', whole.subarray(0, whole.length - 1), /truncated/],
    ['cut in its data', whole.subarray(0, 40), /truncated/],
  ])('%s', async (_, archive, message) => {
    expect(await refusal(archive)).toMatch(message)
  })
})

describe('a zip bomb is refused before anything is written', () => {
  test.each<[string, number, RegExp]>([
    ['beyond a checkpoint', 600e9, /^too_large: .*558.79 GiB/],
    ['beyond its ratio', 9 * 2 ** 30, /^bad_archive: .*9.00 GiB.*200 times/],
  ])('%s', async (_, size, message) => {
    const bomb: ZipMemberSpec = {
      name: 'zeros',
      packed: Buffer.alloc(100),
      size: 0xffffffff,
      extra: extraField(1, uint64(size)),
    }
    const { error, ingest } = await bench.extract(zipArchive([bomb]), options)
    expect(`${error?.code}: ${error?.message}`).toMatch(message)
    expect(ingest.totals().entries).toBe(0)
  })
})

function damagedZip64(): Buffer {
  const archive = zipArchive([one], { zip64: true })
  archive.writeUInt32LE(9, archive.length - 22 - 20 + 8)
  return archive
}
