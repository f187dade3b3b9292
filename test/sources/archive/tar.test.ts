import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  base256,
  gnuLong,
  paxHeader,
  TAR_END,
  tarArchive,
  tarHeader,
  tarMember,
} from '../../support/tar-builder.ts'
import { type Bench, openBench } from './extract-into.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench[Symbol.asyncDispose]())

const tree = async (archive: Buffer): Promise<Readonly<Record<string, string>>> => {
  const outcome = await bench.extract(archive)
  if (outcome.error !== undefined) throw outcome.error
  return outcome.tree
}
const refusal = async (archive: Buffer): Promise<string> => {
  const { error } = await bench.extract(archive)
  return error === undefined ? 'it was extracted' : `${error.code}: ${error.message}`
}
const file = (name: string | Buffer, data = 'data') => ({ name, data })

describe('a tar becomes a safe tree', () => {
  test('with files, directories and links, without what a checkpoint does not keep', async () => {
    const archive = tarArchive(
      { name: './', type: '5', mode: 0o4755 },
      { name: './sub/', type: '5' },
      { name: './sub/run', data: 'exec', mode: 0o6755 },
      { name: './sub/plain', data: 'text', mode: 0o1666 },
      { name: './group', data: 'not the owner’s', mode: 0o011 },
      { name: './link', type: '2', link: 'sub/run' },
      { name: './up', type: '2', link: 'sub/../sub' },
      { name: './hard', type: '1', link: './sub/run' },
      { name: './empty' },
    )
    expect(await tree(archive)).toEqual({
      sub: 'dir',
      'sub/run': 'x exec',
      'sub/plain': 'text',
      group: 'not the owner’s',
      link: '-> sub/run',
      up: '-> sub/../sub',
      hard: 'x exec',
      empty: '',
    })
  })

  test('whose hard links share one object, through links and in one batch', async () => {
    const { ingest } = await bench.extract(
      tarArchive(
        file('a'),
        { name: 'b', type: '1', link: 'a' },
        { name: 'c', type: '1', link: 'b' },
      ),
    )
    const objects = [...ingest.iterate()].map((row) => row.object_id)
    expect(objects[0]).toBeTypeOf('number')
    expect(new Set(objects).size).toBe(1)
  })

  test('with every name that differs in bytes: case, Unicode form, AppleDouble, line feeds', async () => {
    const names = [
      'Model',
      'model',
      'caf\u00e9',
      'cafe\u0301',
      '._model',
      'a\nb',
      'sp ace',
      '\u202e',
    ]
    const got = await tree(tarArchive(...names.map((name) => file(name))))
    expect(Object.keys(got).toSorted()).toEqual(names.toSorted())
  })

  test('from long names of GNU and pax, and from the prefix of ustar', async () => {
    const long = `${'d'.repeat(120)}/${'f'.repeat(130)}`
    const archive = tarArchive(
      gnuLong('L', `gnu/${long}`),
      { name: 'gnu/short', data: 'gnu', magic: 'gnu' },
      paxHeader({ path: `pax/${long}` }),
      { name: 'pax/short', data: 'pax' },
      { name: 'base', prefix: 'in/prefix', data: 'ustar' },
      gnuLong('K', `gnu/${long}`),
      { name: 'link', type: '2', link: 'cut', magic: 'gnu' },
      paxHeader({ linkpath: `gnu/${long}`, path: 'hard' }),
      { name: 'cut', type: '1', link: 'cut' },
      paxHeader({ path: 'line\nfeed' }),
      { name: 'lost', data: 'kept whole' },
    )
    const got = await tree(archive)
    expect(got).toMatchObject({
      [`gnu/${long}`]: 'gnu',
      [`pax/${long}`]: 'pax',
      'in/prefix/base': 'ustar',
      link: `-> gnu/${long}`,
      hard: 'gnu',
      'line\nfeed': 'kept whole',
    })
  })

  test('from v7 headers, where a directory is known by its name alone', async () => {
    const archive = tarArchive(
      { name: 'old/', type: '\0', magic: 'v7' },
      { name: 'old/file', type: '\0', magic: 'v7', data: 'v7' },
    )
    expect(await tree(archive)).toEqual({ old: 'dir', 'old/file': 'v7' })
  })

  test('whose sizes stand in base 256, in pax, or in a global header’s comment', async () => {
    const archive = tarArchive(
      paxHeader({ comment: '0123456789abcdef' }, 'g'),
      { ...file('base256', 'abc'), size: base256(3) },
      paxHeader({ size: '4', mtime: '1.5', 'SCHILY.xattr.user.x': Buffer.from([0, 1, 0x0a]) }),
      file('pax', 'wxyz'),
    )
    expect(await tree(archive)).toEqual({ base256: 'abc', pax: 'wxyz' })
  })

  test('with a volume label, a lone zero block at the end, or bytes behind the end', async () => {
    expect(await tree(tarArchive({ name: 'label', type: 'V' }, file('a')))).toEqual({ a: 'data' })
    expect(await tree(Buffer.concat([tarMember(file('a')), Buffer.alloc(512)]))).toEqual({
      a: 'data',
    })
    const { log, tree: got } = await bench.extract(
      Buffer.concat([tarArchive(file('a')), tarArchive(file('b'))]),
    )
    expect(got).toEqual({ a: 'data' })
    expect(log.join()).toContain('ignored')
  })

  test('that may be empty', async () => {
    expect(await tree(Buffer.alloc(10_240))).toEqual({})
  })

  test('and a nested archive stays a file', async () => {
    const inner = tarArchive(file('x')).subarray(0, 600)
    expect(Object.keys(await tree(tarArchive({ name: 'inner.tar', data: inner })))).toEqual([
      'inner.tar',
    ])
  })

  test('and a repeated directory or link says nothing new', async () => {
    const archive = tarArchive(
      { name: 'd/', type: '5' },
      { name: 'd', type: '5' },
      { name: 'l', type: '2', link: 'd' },
      { name: 'l', type: '2', link: 'd' },
    )
    expect(await tree(archive)).toEqual({ d: 'dir', l: '-> d' })
  })
})

describe('a tar is refused, and the message names the member', () => {
  const long = 'n'.repeat(256)
  test.each<[string, Buffer, RegExp]>([
    ['an absolute name', tarArchive(file('/etc/passwd')), /"\/etc\/passwd" is refused: .*absolute/],
    ['".." in front', tarArchive(file('../out')), /"\.\.\/out" is refused/],
    ['".." within', tarArchive(file('a/../../out')), /"a\/\.\.\/\.\.\/out" is refused/],
    ['".." behind "./"', tarArchive(file('./../out')), /"\.\.\/out" is refused/],
    ['"." within', tarArchive(file('a/./b')), /"a\/\.\/b" is refused/],
    ['an empty part', tarArchive(file('a//b')), /"a\/\/b" is refused: .*empty part/],
    ['an empty name', tarArchive(file('')), /empty/],
    ['a name that is only "/"', tarArchive({ name: '/', type: '5' }), /absolute/],
    [
      'a part that is too long',
      tarArchive(paxHeader({ path: long }), file('s')),
      /longer than 255/,
    ],
    [
      'a path that is too long',
      tarArchive(paxHeader({ path: 'd/'.repeat(1100) + 'f' }), file('s')),
      /longer than 2048/,
    ],
    [
      'bytes that are no UTF-8',
      tarArchive(file(Buffer.from('a\xff', 'latin1'))),
      /"a\\xff".*UTF-8/,
    ],
    ['a NUL by pax', tarArchive(paxHeader({ path: 'a\0b' }), file('s')), /NUL/],
    ['a NUL in a long name', tarArchive(gnuLong('L', 'a\0b'), file('s')), /NUL/],
    ['the root as a file', tarArchive(file('.')), /is the root and no directory/],
    ['a character device', tarArchive({ name: 'tty', type: '3' }), /"tty".*character device/],
    ['a block device', tarArchive({ name: 'sda', type: '4' }), /"sda".*block device/],
    ['a FIFO', tarArchive({ name: 'pipe', type: '6' }), /"pipe".*FIFO/],
    ['a socket of star', tarArchive({ name: 'sock', type: 's' }), /"sock".*socket/],
    ['a GNU sparse file', tarArchive({ name: 'holes', type: 'S' }), /"holes".*sparse/],
    [
      'a sparse file by pax',
      tarArchive(paxHeader({ 'GNU.sparse.major': '1', 'GNU.sparse.name': 'x' }), file('s')),
      /sparse/,
    ],
    ['a part of a volume', tarArchive({ name: 'rest', type: 'M' }), /"rest".*multi-volume/],
    [
      'a volume by pax',
      tarArchive(paxHeader({ 'GNU.volume.size': '1' }, 'g'), file('s')),
      /volume/,
    ],
    ['an incremental archive', tarArchive({ name: 'd/', type: 'D' }), /"d\/".*incremental/],
    ['an unknown type', tarArchive({ name: 'what', type: 'Z' }), /"what".*unknown type "Z"/],
    [
      'a link with data',
      tarArchive({ name: 'l', type: '2', link: 'x', size: 5, data: '12345' }),
      /"l"/,
    ],
    ['a directory with data', tarArchive({ name: 'd', type: '5', data: 'tree' }), /"d"/],
    ['a file named as a directory', tarArchive(file('d/')), /"d\/".*directory’s name/],
    [
      'an absolute link',
      tarArchive({ name: 'l', type: '2', link: '/etc' }),
      /"l" -> "\/etc".*absolute/,
    ],
    ['a link to nothing', tarArchive({ name: 'l', type: '2' }), /"l".*nowhere/],
    [
      'a link’s target with a NUL',
      tarArchive(paxHeader({ linkpath: 'a\0b' }), { name: 'l', type: '2', link: 'a' }),
      /NUL/,
    ],
    [
      'a link’s target that is too long',
      tarArchive(paxHeader({ linkpath: 'x/'.repeat(1500) }), { name: 'l', type: '2', link: 'a' }),
      /"l".*longer than 2048/,
    ],
    [
      'a link’s target that is no UTF-8',
      tarArchive({ name: 'l', type: '2', link: Buffer.from([0xc0, 0x80]) }),
      /UTF-8/,
    ],
    [
      'a hard link to nothing',
      tarArchive({ name: 'h', type: '1', link: 'no' }),
      /"h".*"no".*not among/,
    ],
    [
      'a hard link to a later member',
      tarArchive({ name: 'h', type: '1', link: 'later' }, file('later')),
      /"h".*"later".*not among/,
    ],
    ['a hard link to itself', tarArchive({ name: 'h', type: '1', link: 'h' }), /"h".*not among/],
    [
      'a hard link to a link',
      tarArchive({ name: 'l', type: '2', link: 'x' }, { name: 'h', type: '1', link: 'l' }),
      /"h".*"l".*a symlink/,
    ],
    [
      'a hard link to a directory',
      tarArchive({ name: 'd/', type: '5' }, { name: 'h', type: '1', link: 'd' }),
      /"h".*"d".*a directory/,
    ],
    ['a hard link outside', tarArchive({ name: 'h', type: '1', link: '/etc/shadow' }), /absolute/],
    ['a hard link upwards', tarArchive({ name: 'h', type: '1', link: '../x' }), /"\.\.\/x"/],
    ['two files of one name', tarArchive(file('twin'), file('twin')), /"twin"/],
    ['two files of one name, one with "./"', tarArchive(file('twin'), file('./twin')), /"twin"/],
    ['a file where a directory is', tarArchive(file('a/b'), file('a')), /"a"/],
    ['a file below a file', tarArchive(file('a'), file('a/b')), /"a\/b" lies below "a"/],
    [
      'a file below a link',
      tarArchive({ name: 'l', type: '2', link: '.' }, file('l/x')),
      /"l\/x" lies below "l"/,
    ],
    [
      'a link where a directory is',
      tarArchive(file('l/x'), { name: 'l', type: '2', link: '/tmp' }),
      /"l"/,
    ],
    [
      'two links of one name',
      tarArchive({ name: 'l', type: '2', link: 'a' }, { name: 'l', type: '2', link: 'b' }),
      /"l"/,
    ],
  ])('%s', async (_, archive, message) => {
    const text = await refusal(archive)
    expect(text).toMatch(message)
    expect(text).toMatch(/^(bad_archive|invalid_path): /)
  })
})

describe('a tar that could be read in two ways is refused', () => {
  const hidden = tarMember(file('hidden'))
  test.each<[string, Buffer, RegExp]>([
    [
      'pax and header sizes that disagree (CVE-2025-62518)',
      tarArchive(paxHeader({ size: String(hidden.length) }), { name: 'f', size: 0 }, hidden),
      /disagree about a member's size: 1024 and 0 bytes/,
    ],
    [
      'pax and GNU names that disagree',
      tarArchive(gnuLong('L', 'one'), paxHeader({ path: 'two' }), file('three')),
      /disagree about a member's path/,
    ],
    ['a global name', tarArchive(paxHeader({ path: 'all' }, 'g'), file('a')), /global.*path/],
    ['a global size', tarArchive(paxHeader({ size: '512' }, 'g'), file('a')), /global.*size/],
    [
      'two pax headers',
      tarArchive(paxHeader({ path: 'a' }), paxHeader({}), file('b')),
      /two headers/,
    ],
    ['two long names', tarArchive(gnuLong('L', 'a'), gnuLong('L', 'b'), file('c')), /two headers/],
    ['a pax header for nobody', tarArchive(paxHeader({ path: 'a' })), /should follow its header/],
    [
      'a pax record of a wrong length',
      tarArchive(tarMember({ name: 'x', type: 'x', data: '99 path=a\n' }), file('b')),
      /damaged pax header/,
    ],
    [
      'a pax record without an end',
      tarArchive(tarMember({ name: 'x', type: 'x', data: '9 path=ab' }), file('b')),
      /damaged pax header/,
    ],
    ['a pax size that is none', tarArchive(paxHeader({ size: '-1' }), file('b')), /no number/],
    [
      'a zero block within',
      tarArchive(Buffer.alloc(0), tarMember(file('a')), Buffer.alloc(512), file('b')),
      /half of its end mark/,
    ],
    [
      'a checksum that is wrong',
      tarArchive(file('a'), { name: 'b', checksumError: 1 }),
      /checksum/,
    ],
    [
      'a size that is no number',
      tarArchive({ name: 'a', size: Buffer.from('12x45678901') }),
      /"a".*no number/,
    ],
    ['a negative size', tarArchive({ name: 'a', size: Buffer.alloc(12, 0xff) }), /"a".*no number/],
    [
      'a size beyond all numbers',
      tarArchive({ name: 'a', size: Buffer.concat([Buffer.from([0x80]), Buffer.alloc(11, 0xff)]) }),
      /"a".*no number/,
    ],
    [
      'a header of another size',
      tarArchive(tarHeader({ name: 'x', type: 'x', size: 2 ** 21 })),
      /2097152 bytes/,
    ],
  ])('%s', async (_, archive, message) => {
    expect(await refusal(archive)).toMatch(message)
  })
})

describe('a tar that is not whole is refused', () => {
  const whole = tarArchive(file('first', 'x'.repeat(700)), file('second', 'y'.repeat(700)))
  test.each([0, 1, 511, 512, 700, 1024, 1536, 1600, 2048, 2560, 3000])(
    'cut after %i bytes',
    async (length) => {
      const text = await refusal(whole.subarray(0, length))
      expect(text).toMatch(/^bad_archive: .*(truncated|is empty|no archive)/)
    },
  )

  test('a member of 8 EiB is known to be too long at once', async () => {
    expect(await refusal(tarArchive({ name: 'huge', size: base256(2 ** 52) }))).toMatch(/truncated/)
  })
})

describe('gzip around a tar', () => {
  const tar = tarArchive(file('a', 'x'.repeat(5000)), file('b'))
  const packed = gzipSync(tar)
  const gz = async (bytes: Buffer): Promise<string> => {
    const { error, tree } = await bench.extract(bytes, { format: 'tar.gz', name: 'm.tar.gz' })
    return error === undefined ? Object.keys(tree).join() : `${error.code}: ${error.message}`
  }

  test('of several members, with zeros behind, is read to its end', async () => {
    const two = Buffer.concat([gzipSync(tar.subarray(0, 3000)), gzipSync(tar.subarray(3000))])
    expect(await gz(packed)).toBe('a,b')
    expect(await gz(two)).toBe('a,b')
    expect(await gz(Buffer.concat([two, Buffer.alloc(70_000)]))).toBe('a,b')
  })

  test.each([3, 10, 40, packed.length - 9, packed.length - 8, packed.length - 1])(
    'cut after %i bytes is refused as truncated',
    async (length) => {
      expect(await gz(packed.subarray(0, length))).toMatch(/^bad_archive: .*truncated/)
    },
  )

  test.each([
    ['its checksum', 8],
    ['its length', 4],
  ])('with %s damaged is refused', async (_, back) => {
    const damaged = Buffer.from(packed)
    damaged.writeUInt32LE(1, damaged.length - back)
    expect(await gz(damaged)).toMatch(/^bad_archive: .*damaged/)
  })

  test('followed by anything but zeros is refused: it may be a damaged member', async () => {
    expect(await gz(Buffer.concat([packed, Buffer.from('rest')]))).toMatch(/damaged/)
    expect(await gz(Buffer.concat([packed, Buffer.from([0x1f, 0x8b])]))).toMatch(/truncated/)
    expect(await gz(Buffer.concat([packed, Buffer.alloc(9), Buffer.from('x')]))).toMatch(/no gzip/)
  })

  test('around something else is refused', async () => {
    expect(await gz(gzipSync(Buffer.from('hello '.repeat(200))))).toMatch(/holds no tar/)
    expect(await gz(gzipSync(Buffer.alloc(0)))).toMatch(/truncated/)
  })

  test('that expands without end is refused by its announced size and by its padding', async () => {
    const bomb = gzipSync(tarArchive({ name: 'zeros', size: base256(2 ** 40) }))
    expect(await gz(bomb)).toMatch(/^too_large: .*1.00 TiB/)
    const smaller = gzipSync(tarArchive({ name: 'zeros', size: base256(2 ** 35) }))
    expect(await gz(smaller)).toMatch(/^bad_archive: .*32.00 GiB.*200 times/)
  })
})

test('an archive of headers alone is stopped by the number of its members', async () => {
  const block = tarHeader({ name: './', type: '5' })
  const many = Buffer.alloc(512 * 40_000)
  for (let at = 0; at < many.length; at += 512) block.copy(many, at)
  const packed = Buffer.concat([...Array<Buffer>(51).fill(gzipSync(many)), gzipSync(TAR_END)])
  const { error } = await bench.extract(packed, { format: 'tar.gz' })
  expect(error?.code).toBe('limit_exceeded')
})
