import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, linkSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ArchiveFormat } from '../../../src/sources/archive/archive-format.ts'
import { diskTree } from './disk-tree.ts'
import { type Bench, openBench } from './extract-into.ts'

let bench: Bench
let plain: string
let long: string
/** Without links: zip cannot write one into a pipe, except behind everything else. */
let linkless: string
beforeAll(async () => {
  bench = await openBench()
  plain = bench.scratch.join('plain')
  long = bench.scratch.join('long')
  linkless = bench.scratch.join('linkless')
  for (const root of [plain, long, linkless]) makeTree(root)
  for (const root of [plain, long]) makeLinks(root)
  const deep = join(long, 'd'.repeat(90), 'e'.repeat(200))
  mkdirSync(deep, { recursive: true })
  writeFileSync(join(deep, `${'f'.repeat(200)}.bin`), randomBytes(3000))
  symlinkSync(`../${'e'.repeat(200)}/${'f'.repeat(200)}.bin`, join(long, 'd'.repeat(90), 'far'))
  for (const name of ['caf\u00e9', 'cafe\u0301', 'Case', 'case', '模型', 'new\nline', '😀'])
    writeFileSync(join(long, name), name)
})
afterAll(() => bench[Symbol.asyncDispose]())

function makeTree(root: string): void {
  mkdirSync(join(root, 'sub/empty'), { recursive: true })
  writeFileSync(join(root, 'config.json'), '{}')
  writeFileSync(join(root, 'sub/run'), '#!/bin/sh\n')
  chmodSync(join(root, 'sub/run'), 0o755)
  writeFileSync(join(root, 'sub/weights'), randomBytes(700_000))
  writeFileSync(join(root, 'sub/nothing'), '')
}

function makeLinks(root: string): void {
  symlinkSync('sub/weights', join(root, 'latest'))
  symlinkSync('../config.json', join(root, 'sub/up'))
}

const run = (program: string, ...args: string[]): void => {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] })
}

async function roundTrip(
  name: string,
  format: ArchiveFormat,
  root: string,
  make: (archive: string) => void,
): Promise<void> {
  const archive = bench.scratch.join(name)
  make(archive)
  const { error, tree } = await bench.extract(archive, { format, name })
  expect(error).toBeUndefined()
  expect(tree).toEqual(diskTree(root))
}

describe('GNU tar', () => {
  test.each(['v7', 'ustar', 'oldgnu', 'gnu', 'pax'])('in its format %s', (format) =>
    roundTrip(`gnu-${format}.tar`, 'tar', plain, (archive) =>
      run('tar', `--format=${format}`, '-cf', archive, '-C', plain, '.'),
    ),
  )
  test.each(['gnu', 'pax'])('with long and foreign names in its format %s', (format) =>
    roundTrip(`gnu-long-${format}.tar`, 'tar', long, (archive) =>
      run('tar', `--format=${format}`, '-cf', archive, '-C', long, '.'),
    ),
  )
  test('compressed, and as several gzip members', async () => {
    await roundTrip('gnu.tar.gz', 'tar.gz', long, (archive) =>
      run('tar', '-czf', archive, '-C', long, '.'),
    )
    await roundTrip('parts.tar.gz', 'tar.gz', long, (archive) =>
      run(
        'bash',
        '-c',
        `tar -cf - -C '${long}' . | split -b 200000 --filter='gzip -c' - > '${archive}'`,
      ),
    )
  })
  test('with hard links', async () => {
    const root = bench.scratch.join('hard')
    makeTree(root)
    linkSync(join(root, 'sub/run'), join(root, 'again'))
    linkSync(join(root, 'sub/weights'), join(root, 'twice'))
    for (const format of ['gnu', 'pax', 'ustar'])
      await roundTrip(`hard-${format}.tar`, 'tar', root, (archive) =>
        run('tar', `--format=${format}`, '-cf', archive, '-C', root, '.'),
      )
  })
  test.each([
    ['gnu', '1.0'],
    ['pax', '0.0'],
    ['pax', '0.1'],
    ['pax', '1.0'],
  ])('with sparse files in its format %s, version %s, is refused', async (format, version) => {
    const root = bench.scratch.join(`sparse-${format}-${version}`)
    mkdirSync(root)
    writeFileSync(join(root, 'holes'), 'a')
    truncateSync(join(root, 'holes'), 4_000_000)
    const archive = `${root}.tar`
    const flags = [`--format=${format}`, '--sparse', `--sparse-version=${version}`]
    run('tar', ...flags, '-cf', archive, '-C', root, '.')
    const { error } = await bench.extract(archive)
    expect(error?.code).toBe('bad_archive')
    expect(error?.message).toMatch(/sparse/)
  })
  test('with a label, and one made by appending, where a file was replaced', async () => {
    const archive = bench.scratch.join('label.tar')
    run('tar', '--label=weights', '-cf', archive, '-C', plain, '.')
    expect((await bench.extract(archive)).tree).toEqual(diskTree(plain))
    run('tar', '-rf', archive, '-C', plain, './config.json')
    expect((await bench.extract(archive)).error?.message).toMatch(/"config.json"/)
  })
  test('with what no checkpoint can hold is refused', async () => {
    const root = bench.scratch.join('odd')
    mkdirSync(root)
    run('mkfifo', join(root, 'pipe'))
    const archive = bench.scratch.join('odd.tar')
    run('tar', '-cf', archive, '-C', root, '.')
    expect((await bench.extract(archive)).error?.message).toMatch(/"\.\/pipe".*FIFO/)
    run('tar', '-cf', archive, '-P', '/etc/hostname')
    expect((await bench.extract(archive)).error?.message).toMatch(/"\/etc\/hostname".*absolute/)
  })
})

describe('bsdtar', () => {
  test.each(['pax', 'ustar', 'gnutar', 'v7'])('in its format %s', (format) =>
    roundTrip(`bsd-${format}.tar`, 'tar', plain, (archive) =>
      run('bsdtar', '--format', format, '-cf', archive, '-C', plain, '.'),
    ),
  )
  test.each(['pax', 'gnutar'])('with long and foreign names in its format %s', (format) =>
    roundTrip(`bsd-long-${format}.tar`, 'tar', long, (archive) =>
      run('bsdtar', '--format', format, '-cf', archive, '-C', long, '.'),
    ),
  )
  test('as a zip', () =>
    roundTrip('bsd.zip', 'zip', plain, (archive) =>
      run('bsdtar', '--format', 'zip', '-cf', archive, '-C', plain, '.'),
    ))
})

describe('Python', () => {
  test.each(['USTAR_FORMAT', 'GNU_FORMAT', 'PAX_FORMAT'])('tarfile in %s', (format) => {
    const root = format === 'USTAR_FORMAT' ? plain : long
    const script = `import sys, tarfile
with tarfile.open(sys.argv[1], 'w', format=tarfile.${format}) as t: t.add(sys.argv[2], '.')`
    return roundTrip(`${format}.tar`, 'tar', root, (archive) =>
      run('python3', '-c', script, archive, root),
    )
  })
  test('zipfile, to a file and to a pipe, deflated and stored', async () => {
    const root = bench.scratch.join('for-zipfile')
    mkdirSync(join(root, 'd'), { recursive: true })
    for (const name of ['a', 'd/caf\u00e9', 'd/模型'])
      writeFileSync(join(root, name), randomBytes(900))
    const script = `import sys, os, zipfile
out = sys.stdout.buffer if sys.argv[1] == '-' else sys.argv[1]
with zipfile.ZipFile(out, 'w', int(sys.argv[3])) as z:
  for at, dirs, files in os.walk(sys.argv[2]):
    for n in dirs + files: z.write(os.path.join(at, n), os.path.relpath(os.path.join(at, n), sys.argv[2]))`
    for (const method of ['0', '8']) {
      await roundTrip(`py-${method}.zip`, 'zip', root, (archive) =>
        run('python3', '-c', script, archive, root, method),
      )
      await roundTrip(`py-pipe-${method}.zip`, 'zip', root, (archive) =>
        run(
          'bash',
          '-c',
          `python3 -c "$1" - "$2" ${method} | cat > "$3"`,
          '',
          script,
          root,
          archive,
        ),
      )
    }
  })
})

describe('Info-ZIP', () => {
  test.each([
    ['deflated', '-9'],
    ['stored', '-0'],
    ['with zip64 forced', '-fz'],
  ])('%s', (name, flag) =>
    roundTrip(`${name}.zip`, 'zip', plain, (archive) =>
      run('bash', '-c', `cd '${plain}' && zip -qry ${flag} '${archive}' .`),
    ),
  )
  test('to a pipe, with descriptors', () =>
    roundTrip('pipe.zip', 'zip', linkless, (archive) =>
      run('bash', '-c', `set -o pipefail; cd '${linkless}' && zip -qr - . | cat > '${archive}'`),
    ))
  test('with names in UTF-8', () =>
    roundTrip('utf8.zip', 'zip', long, (archive) =>
      run('bash', '-c', `cd '${long}' && LC_ALL=C.UTF-8 zip -qry '${archive}' .`),
    ))
  test('encrypted is refused', async () => {
    const archive = bench.scratch.join('secret.zip')
    run('bash', '-c', `cd '${plain}' && zip -q -P secret '${archive}' config.json`)
    const { error } = await bench.extract(archive, { format: 'zip' })
    expect(error?.message).toMatch(/"config.json".*encrypted/)
  })
})
