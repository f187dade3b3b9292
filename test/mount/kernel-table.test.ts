import { describe, expect, test } from 'vitest'
import {
  decodeOctal,
  isWithin,
  parseKernelMount,
  parseKernelTable,
} from '../../src/mount/kernel-table.ts'
import { findTraces, findTracesInText, type Sought } from '../../src/mount/mount-traces.ts'
import { groupByWorker, viewsOf } from '../../src/mount/worker-mounts.ts'

const JOB = '0b0e0b0e-1111-4222-8333-444455556666'
const OTHER = 'ffffffff-1111-4222-8333-444455556666'
const A = `host/${'a'.repeat(64)}.1`
const B = `project-p.1/${'b'.repeat(64)}.23`

/** A host with two workers: one view with an output; two views below a parent. */
const TABLE = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
42 27 0:39 / /run rw,nosuid master:5 propagate_from:2 - tmpfs tmpfs rw,mode=755
43 42 0:40 / /run/ckptd/jobs rw,nosuid,nodev,noexec shared:9 - tmpfs ckptd-jobs rw,mode=700
44 43 254:0 /var/lib/ckptd/views/${A} /run/ckptd/jobs/${JOB}/1/checkpoint ro,nosuid,nodev shared:2 - ext4 /dev/vda rw
45 43 254:0 /var/lib/ckptd/outputs/${JOB}.1 /run/ckptd/jobs/${JOB}/1/output rw,nosuid,nodev shared:3 - ext4 /dev/vda rw
48 43 0:40 /${OTHER}/2/parts /run/ckptd/jobs/${OTHER}/2/checkpoint ro,nosuid,nodev - tmpfs ckptd-jobs rw
49 48 254:0 /var/lib/ckptd/views/${A} /run/ckptd/jobs/${OTHER}/2/checkpoint/base\\040model ro,nosuid,nodev shared:7 - ext4 /dev/vda rw
50 48 254:0 /var/lib/ckptd/views/${B}//deleted /run/ckptd/jobs/${OTHER}/2/checkpoint/\\134back\\043 ro,nosuid,nodev - ext4 /dev/vda rw
`
const JOBS = { path: '/run/ckptd/jobs', mountId: 43, device: '0:40' }

describe('the kernel’s table', () => {
  test('is read field by field, with any number of optional ones', () => {
    const mounts = parseKernelTable(TABLE)
    expect(mounts).toHaveLength(9)
    expect(mounts[0]).toEqual({
      id: 22,
      parentId: 27,
      device: '0:21',
      root: '/',
      mountPoint: '/proc',
      options: ['rw', 'relatime'],
      propagation: [],
      type: 'proc',
      source: 'proc',
    })
    expect(mounts[2]?.propagation).toEqual(['master:5', 'propagate_from:2'])
  })

  test('has space, tab, line feed, backslash and "#" as octal numbers', () => {
    expect(decodeOctal('a\\040b\\011c\\012d\\134e\\043f')).toBe('a b\tc\nd\\e#f')
    expect(decodeOctal('\\134040')).toBe('\\040')
    expect(decodeOctal('plain ü')).toBe('plain ü')
    expect(decodeOctal('\\9 \\04')).toBe('\\9 \\04')
  })

  test('keeps a "-" that is a mount point or a source', () => {
    const mount = parseKernelMount('1 2 0:1 / /- rw - tmpfs - rw')
    expect(mount).toMatchObject({ mountPoint: '/-', type: 'tmpfs', source: '-' })
  })

  test.each(['', 'garbage', '1 2 3 4 5 6', '1 2 0:1 / / rw shared:1'])(
    'passes over a line that is none: "%s"',
    (line) => {
      expect(parseKernelMount(line)).toBeUndefined()
      expect(parseKernelTable(`${line}\n`)).toEqual([])
    },
  )

  test('"within" goes by whole components', () => {
    expect(isWithin('/a/b', '/a')).toBe(true)
    expect(isWithin('/a', '/a')).toBe(true)
    expect(isWithin('/ab', '/a')).toBe(false)
    expect(isWithin('/anything', '/')).toBe(true)
  })
})

test('workers, views and directories are found in it', () => {
  const workers = groupByWorker(parseKernelTable(TABLE), JOBS)
  expect([...workers.keys()]).toEqual([`${JOB}.1`, `${OTHER}.2`])
  const [first, second] = [...workers.values()]
  expect(first && viewsOf(first, JOBS)).toEqual([{ view: A, directory: '' }])
  expect(first?.output).toHaveLength(1)
  expect(second && viewsOf(second, JOBS)).toEqual([
    { view: A, directory: 'base model' },
    { view: B, directory: '\\back#' },
  ])
  expect(second?.output).toEqual([])
})

test('a mounted directory that is no view by its path has no name', () => {
  const table = TABLE.replaceAll('/views/', '/views.moved/')
  const [first] = groupByWorker(parseKernelTable(table), JOBS).values()
  expect(first && viewsOf(first, JOBS)).toEqual([{ view: null, directory: '' }])
})

describe('traces of a released worker in another table', () => {
  const sought: Sought = {
    job: JOB,
    roots: [{ device: '254:0', root: `/var/lib/ckptd/views/${A}` }],
    jobsDevice: '0:40',
    place: `/${JOB}/1`,
    outputKey: `${JOB}.1`,
  }
  const traces = (line: string, changes: Partial<Sought> = {}) =>
    findTracesInText(`43 42 0:40 / /j rw - tmpfs ckptd-jobs rw\n${line}\n`, {
      ...sought,
      ...changes,
    }).map(({ id }) => id)

  test.each([
    [
      'the view bound into a container',
      `9 8 254:0 /var/lib/ckptd/views/${A} /opt/ckpt ro - ext4 x rw`,
    ],
    ['a directory of it', `9 8 254:0 /var/lib/ckptd/views/${A}/deep /opt/ckpt ro - ext4 x rw`],
    [
      'the view after its removal',
      `9 8 254:0 /var/lib/ckptd/views/${A}//deleted /x ro - ext4 x rw`,
    ],
    ['the output', `9 8 254:0 /var/lib/ckptd/outputs/${JOB}.1 /opt/out rw - ext4 x rw`],
    ['a directory of the output', `9 8 254:0 /elsewhere/${JOB}.1/sub /opt/out rw - ext4 x rw`],
    ['anything at the worker’s place', `9 43 254:0 /moved /j/${JOB}/1/checkpoint ro - ext4 x rw`],
    ['the parent of several', `9 8 0:40 /${JOB}/1/parts /opt/ckpt ro - tmpfs x rw`],
  ])('are found: %s', (_, line) => {
    expect(traces(line)).toEqual([9])
  })

  test.each([
    ['another view', `9 8 254:0 /var/lib/ckptd/views/${A}2 /opt/ckpt ro - ext4 x rw`],
    ['the same path of another disk', `9 8 8:1 /var/lib/ckptd/views/${A} /opt/ckpt ro - ext4 x rw`],
    ['another worker’s output', `9 8 254:0 /outputs/${JOB}.11 /opt/out rw - ext4 x rw`],
    ['another worker’s place', `9 43 254:0 /moved /j/${JOB}/11/checkpoint ro - ext4 x rw`],
    ['what stands above', '9 8 254:0 /var/lib/ckptd/views /opt/views ro - ext4 x rw'],
  ])('are not seen in %s', (_, line) => {
    expect(traces(line)).toEqual([])
  })

  test('go by place alone where another worker has the same view', () => {
    const line = `9 8 254:0 /var/lib/ckptd/views/${A} /opt/ckpt ro - ext4 x rw`
    expect(traces(line, { roots: [] })).toEqual([])
    expect(
      findTraces(parseKernelTable(TABLE), { ...sought, roots: [] }).map(({ id }) => id),
    ).toEqual([44, 45])
  })
})
