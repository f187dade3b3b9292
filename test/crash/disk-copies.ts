import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Failpoint } from '../../src/os/failpoint.ts'
import { makeLoopImage } from '../support/loop-image.ts'
import type { Scratch } from '../support/scratch.ts'

/** The disk as a power cut at a failure point would leave it, and what was told until then. */
export interface DiskCopy {
  /** `name.passage`. */
  readonly point: string
  readonly image: string
  readonly told: string
}

export interface CopiedDisk {
  readonly mountPoint: string
  /** Where what the daemon tells is to be appended. */
  readonly told: string
  /** The failure points' setting for the daemon. */
  readonly failpoints: string
  copies(): DiskCopy[]
}

/**
 * A filesystem in a file that is copied whenever one of these points is passed: what was not
 * flushed is in memory only and not in the copy. `commit=300` keeps the journal from being
 * written just because time passes.
 */
export function makeCopiedDisk(
  scratch: Scratch,
  points: readonly Failpoint[],
  passages: (point: string) => number,
): CopiedDisk {
  const image = scratch.join('image')
  const told = scratch.join('told')
  const directory = scratch.join('copies')
  const hook = scratch.join('hook')
  mkdirSync(directory)
  // The points are passed by root and by the daemon's user.
  chmodSync(directory, 0o777)
  writeFileSync(told, '')
  const { mountPoint } = makeLoopImage(image, scratch.join('disk'), {
    sizeMb: 128,
    mount: 'commit=300',
  })
  const limits = points.map((point) => `${point}) limit=${passages(point)} ;;`).join('\n')
  writeFileSync(hook, hookScript({ image, told, directory, limits, device: deviceOf(mountPoint) }))
  chmodSync(hook, 0o755)
  return {
    mountPoint,
    told,
    failpoints: points.map((point) => `${point}=exec:${hook}`).join(','),
    copies: () =>
      readdirSync(directory)
        .filter((name) => name.endsWith('.image'))
        .map((name) => name.replace(/\.image$/, ''))
        .map((point) => ({
          point,
          image: `${directory}/${point}.image`,
          told: `${directory}/${point}.told`,
        })),
  }
}

/** Copies again until the disk was not written meanwhile: other processes do not stand still. */
function hookScript(names: {
  image: string
  told: string
  directory: string
  limits: string
  device: string
}): string {
  return `#!/bin/sh
set -e
case $1 in
${names.limits}
esac
[ "$2" -le "$limit" ] || exit 0
copy=${names.directory}/$1.$2
# The same point may be passed by a process that was started again.
[ ! -e $copy.told ] || exit 0
cp ${names.told} $copy.told
until
  set -- $(cat /sys/dev/block/${names.device}/stat)
  before="$5 $9"
  cp --sparse=always ${names.image} $copy.image
  set -- $(cat /sys/dev/block/${names.device}/stat)
  [ "$before" = "$5 0" ]
do :; done
`
}

/** `major:minor` of the device that is mounted there. */
function deviceOf(mountPoint: string): string {
  const line = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((text) => text.split(' '))
    .find((fields) => fields[4] === mountPoint)
  if (line?.[2] === undefined) throw new Error(`${mountPoint} is not mounted`)
  return line[2]
}
