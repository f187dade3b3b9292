import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { forWorker, parseContainerCommand } from '../../src/cli/run/container-command.ts'
import { locateRun } from '../../src/cli/run/locate-run.ts'
import { GLOBAL_FLAGS, RUN_FLAGS } from '../../src/cli/run/runtime-flags.ts'

const split = (line: string): string[] => line.split(' ')
/** The command line with "<>" where the mounts' arguments would go. */
const inserted = (line: string): string => {
  const { before, after } = parseContainerCommand(split(line))
  return [...before, '<>', ...after].join(' ')
}
const refusal = (line: string): string => {
  try {
    parseContainerCommand(split(line))
  } catch (error) {
    return error instanceof Error ? error.message : ''
  }
  return ''
}

describe('the mounts’ arguments', () => {
  test.each([
    ['podman run img', 'podman run <> img'],
    ['/usr/bin/docker run img cmd', '/usr/bin/docker run <> img cmd'],
    ['podman container run img', 'podman container run <> img'],
    [
      'podman --root /r --runroot=/rr run --rm img',
      'podman --root /r --runroot=/rr run <> --rm img',
    ],
    ['docker -H unix:///s -D run img', 'docker -H unix:///s -D run <> img'],
    ['docker -Hunix:///s run img', 'docker -Hunix:///s run <> img'],
    ['podman run --name run img run', 'podman run <> --name run img run'],
    ['podman run --brand-new-switch img', 'podman run <> --brand-new-switch img'],
  ])('go right after "run": %s', (line, expected) => {
    expect(inserted(line)).toBe(expected)
  })

  test.each([
    ['podman run --rm {ckpt} img', 'podman run --rm <> img'],
    ['podman --log-level run run {ckpt} img', 'podman --log-level run run <> img'],
    ['sudo -u me podman run {ckpt} --rm img', 'sudo -u me podman run <> --rm img'],
    ['./start {ckpt} img', './start <> img'],
  ])('go where the marker stands: %s', (line, expected) => {
    expect(inserted(line)).toBe(expected)
  })

  test.each([
    'podman --log-level run run img',
    'podman --brand-new-option run img',
    'podman --brand-new-option x run img',
    'sudo podman run img',
    'nerdctl run img',
  ])('have no sure place, so that the marker is asked for: %s', (line) => {
    expect(refusal(line)).toContain('cannot tell where')
  })

  test.each([
    ['podman exec c run', 'is not a "run" command'],
    ['podman', 'without the word "run"'],
    ['podman exec {ckpt} run', 'is not a "run" command'],
    ['podman {ckpt} run img', 'does not stand among the options'],
    ['podman run img {ckpt}', 'does not stand among the options'],
    ['podman run {ckpt} {ckpt} img', 'more than once'],
    ['{ckpt} run img', 'where the program should'],
    ['podman run --rm', 'no image'],
  ])('have no place at all: %s', (line, why) => {
    expect(refusal(line)).toContain(why)
  })

  test('leave every other argument as it is, in its order', () => {
    const tail = fc.array(fc.string().filter((word) => word !== '{ckpt}'))
    fc.assert(
      fc.property(tail, (words) => {
        const line = ['podman', '--root', '/r', 'run', '--rm', 'img', ...words]
        const { before, after } = parseContainerCommand(line)
        expect([...before, ...after]).toEqual(line)
        expect(before).toEqual(['podman', '--root', '/r', 'run'])
      }),
    )
  })
})

describe('a container in the background', () => {
  test.each([
    'podman run -d img',
    'podman run -itd img',
    'podman run -dit img',
    'podman run --detach img',
    'podman run --detach=true img',
    'podman run -d=1 img',
    'podman run --rm -e A=b -d img',
    'podman run --network host -d img',
    'podman run --brand-new-switch -d img',
    'podman run --brand-new-option value -d img',
    'podman run {ckpt} -d img',
    'sudo podman run -d {ckpt} img',
    'docker run -e -d -d img',
  ])('is refused: %s', (line) => {
    expect(refusal(line)).toContain('in the background')
  })

  test.each([
    'podman run img -d',
    'podman run --detach=false img',
    'podman run -d=false img',
    'podman run --detach-keys ctrl-d img',
    'podman run -vd:/x img',
    'podman run -e -d img',
    'podman run --name -d img',
    'podman run -- img -d',
  ])('is not what this asks for: %s', (line) => {
    expect(refusal(line)).toBe('')
  })
})

describe('the end of a container', () => {
  test('is asked for with the same global options', () => {
    const { runtime } = parseContainerCommand(split('podman --root /r container run img'))
    expect(runtime).toEqual(['podman', '--root', '/r'])
    expect(parseContainerCommand(split('sudo podman run {ckpt} img')).runtime).toEqual([
      'sudo',
      'podman',
    ])
    expect(parseContainerCommand(split('./start {ckpt} img')).runtime).toBeUndefined()
  })

  test('is looked up by the user’s own file for the id, if there is one', () => {
    expect(parseContainerCommand(split('podman run --cidfile /f img')).cidfile).toBe('/f')
    expect(parseContainerCommand(split('podman run --cidfile=/f img')).cidfile).toBe('/f')
    expect(parseContainerCommand(split('podman run img --cidfile=/f')).cidfile).toBeUndefined()
  })
})

test('the worker’s number is put wherever {worker} stands', () => {
  expect(forWorker(['--name', 'a-{worker}', '{worker}{worker}'], 3)).toEqual([
    '--name',
    'a-3',
    '33',
  ])
})

test('no option is in both lists of a table', () => {
  for (const { valued, switches, valuedLetters, switchLetters } of [GLOBAL_FLAGS, RUN_FLAGS]) {
    expect([...valued].filter((name) => switches.has(name))).toEqual([])
    expect(valuedLetters.split('').filter((letter) => switchLetters.includes(letter))).toEqual([])
  }
})

test('a command of another program is never taken for one with a sure place', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), (words) => {
      expect(locateRun(['env', ...words]).kind).toBe('unsure')
    }),
  )
})
