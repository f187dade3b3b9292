import { statfsSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { defaultFloorBytes, openSpace, type Reservation } from '../../src/cache/space.ts'
import { mount } from '../../src/os/linux.ts'
import { makeScratch } from '../support/scratch.ts'

const MB = 1e6

describe('the floor', () => {
  it.each([
    [64 * MB, 6.4 * MB],
    [5_000 * MB, 500 * MB],
    [10_000 * MB, 1_000 * MB],
    [50_000 * MB, 1_000 * MB],
    [100_000 * MB, 1_000 * MB],
    [2_000_000 * MB, 20_000 * MB],
  ])('of a filesystem of %i bytes is %i', (size, floor) => {
    expect(defaultFloorBytes(size)).toBe(floor)
  })

  it('is never more than a tenth, and never shrinks as the filesystem grows', () => {
    const size = fc.integer({ min: 0, max: 2 ** 50 })
    fc.assert(
      fc.property(size, size, (a, b) => {
        const [small, large] = [Math.min(a, b), Math.max(a, b)]
        expect(defaultFloorBytes(large)).toBeLessThanOrEqual(large / 10)
        expect(defaultFloorBytes(small)).toBeLessThanOrEqual(defaultFloorBytes(large))
      }),
    )
  })
})

describe('reserving space', () => {
  it('gives the same bytes to one only, however many ask at once', async () => {
    await using scratch = makeScratch('space')
    mount('tmpfs', scratch.path, 'tmpfs', 0, 'size=64m')
    const space = openSpace(scratch.path)
    const { freeBytes, floorBytes } = await space.usage()
    const share = Math.floor((freeBytes - floorBytes) / 5)
    const answers = await Promise.allSettled(Array.from({ length: 20 }, () => space.reserve(share)))
    const granted = answers.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    expect(granted).toHaveLength(5)
    for (const one of answers)
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'no_space' })
    granted[0]?.[Symbol.dispose]()
    using _again = await space.reserve(share)
    await expect(space.reserve(share)).rejects.toMatchObject({ code: 'no_space' })
  })

  it('counts bytes that were written once, not twice', async () => {
    await using scratch = makeScratch('space')
    mount('tmpfs', scratch.path, 'tmpfs', 0, 'size=64m')
    const space = openSpace(scratch.path)
    using reservation = await space.reserve(20 * MB)
    const before = await space.usage()
    writeFileSync(scratch.join('file'), Buffer.alloc(10 * MB))
    reservation.take(10 * MB)
    const after = await space.usage()
    expect(after.reservedBytes).toBe(10 * MB)
    const available = ({ freeBytes, reservedBytes }: typeof after): number =>
      freeBytes - reservedBytes
    expect(Math.abs(available(after) - available(before))).toBeLessThan(0.1 * MB)
  })

  it('that fails to grow keeps what it had', async () => {
    await using scratch = makeScratch('space')
    mount('tmpfs', scratch.path, 'tmpfs', 0, 'size=64m')
    const space = openSpace(scratch.path, { minFreeBytes: 0 })
    using reservation = await space.reserve(MB)
    await expect(reservation.grow(100 * MB)).rejects.toMatchObject({ code: 'no_space' })
    expect(reservation.leftBytes).toBe(MB)
  })

  it('never lets reservations and written bytes touch the floor', async () => {
    await using scratch = makeScratch('space')
    mount('tmpfs', scratch.path, 'tmpfs', 0, 'size=16m')
    const step = fc.record({
      what: fc.constantFrom('reserve', 'grow', 'write', 'dispose'),
      bytes: fc.integer({ min: 0, max: 6 * MB }),
      which: fc.nat(5),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const space = openSpace(scratch.path)
        const held: Reservation[] = []
        writeFileSync(scratch.join('file'), '')
        let written = 0
        for (const { what, bytes, which } of steps) {
          const one = held[which % Math.max(1, held.length)]
          if (what === 'reserve')
            await space.reserve(bytes).then((r) => held.push(r), expectShortage)
          else if (what === 'grow') await one?.grow(bytes).catch(expectShortage)
          else if (what === 'dispose') one?.[Symbol.dispose]()
          else if (one !== undefined) {
            const now = Math.min(bytes, one.leftBytes)
            written += now
            writeFileSync(scratch.join('file'), Buffer.alloc(written))
            one.take(now)
          }
          if (what === 'dispose' && one !== undefined) held.splice(held.indexOf(one), 1)
          const { floorBytes, reservedBytes } = await space.usage()
          const { bavail, bsize } = statfsSync(scratch.path)
          // A file takes whole pages.
          expect(bavail * bsize - reservedBytes).toBeGreaterThanOrEqual(floorBytes - 8192)
        }
        for (const one of held) one[Symbol.dispose]()
      }),
      { numRuns: 60 },
    )
  })
})

function expectShortage(error: unknown): void {
  expect(error).toMatchObject({ code: 'no_space' })
}
