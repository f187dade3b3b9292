import fc from 'fast-check'
import { expect, test } from 'vitest'
import { connectionSlots } from '../../src/sources/fetch/connection-slots.ts'
import { type Piece, piecePlan } from '../../src/sources/fetch/piece-plan.ts'

test('pieces cover a file exactly, in whatever order they are fetched, lost and fetched again', () => {
  fc.assert(
    fc.property(
      fc.record({
        size: fc.integer({ min: 1, max: 5000 }),
        from: fc.nat(4000),
        first: fc.option(fc.integer({ min: 1, max: 300 })),
        connectionsPerFile: fc.integer({ min: 1, max: 16 }),
        minPieceBytes: fc.integer({ min: 1, max: 50 }),
      }),
      fc.infiniteStream(fc.nat(99)),
      ({ size, from, first, ...limits }, dice) => {
        const start = Math.min(from, size - 1)
        const firstEnd = first === null ? undefined : Math.min(size, start + first)
        const plan = piecePlan(start, size, { ...limits, maxPieceBytes: 400 }, firstEnd)
        const roll = (): number => dice.next().value ?? 0
        const seen = new Uint8Array(size)
        const active: Piece[] = []
        let frontier = start
        for (let steps = 0; !plan.isComplete() && steps < 100_000; steps++) {
          const piece = roll() < 50 && active.length < 16 ? plan.take(Infinity) : undefined
          if (piece !== undefined) active.push(piece)
          const index = roll() % Math.max(1, active.length)
          const chosen = active[index]
          if (chosen === undefined) continue
          for (let n = roll(); n > 0 && chosen.at < chosen.end; n--) {
            seen[chosen.at] = (seen[chosen.at] ?? 0) + 1
            chosen.at += 1
          }
          if (chosen.at === chosen.end) plan.finish(chosen)
          else if (roll() < 20) plan.giveBack(chosen)
          else continue
          active.splice(index, 1)
          const now = plan.frontierBytes()
          expect(now).toBeGreaterThanOrEqual(frontier)
          frontier = now
          const arrived = seen.reduce((sum, count) => sum + count, start)
          expect(plan.arrivedBytes()).toBe(arrived)
          expect(seen.subarray(start, frontier).every((count) => count === 1)).toBe(true)
        }
        expect(plan.frontierBytes()).toBe(size)
        expect(seen.subarray(start).every((count) => count === 1)).toBe(true)
      },
    ),
    { numRuns: 100 },
  )
})

test('no piece begins beyond the limit', () => {
  const plan = piecePlan(0, 1000, { connectionsPerFile: 2, maxPieceBytes: 100, minPieceBytes: 10 })
  expect(plan.take(100)).toMatchObject({ at: 0, end: 100 })
  expect(plan.take(100)).toBeUndefined()
  expect(plan.take(101)).toMatchObject({ at: 100 })
})

const never = new AbortController().signal

test('transfers take turns, and each has at least one connection', async () => {
  const slots = connectionSlots({ connectionsPerHost: 2, connectionsTotal: 3 })
  const order: string[] = []
  const ask = (transfer: number, host: string, name: string): Promise<() => void> =>
    slots.acquire(transfer, host, never).then((release) => {
      order.push(name)
      return release
    })
  const held = await Promise.all([ask(1, 'a', '1'), ask(1, 'a', '1')])
  const waiting = [ask(1, 'a', '1'), ask(1, 'a', '1'), ask(2, 'a', '2'), ask(2, 'a', '2')]
  const second = await waiting[2]
  expect(order).toEqual(['1', '1', '2'])
  held[0]?.()
  held[1]?.()
  await waiting[0]
  second?.()
  await waiting[3]
  expect(order).toEqual(['1', '1', '2', '1', '2'])
})

test('a host that asks to be left alone is left alone, others are not', async () => {
  const slots = connectionSlots({ connectionsPerHost: 4, connectionsTotal: 8 })
  slots.holdHost('a', 60)
  const begun = performance.now()
  const order: string[] = []
  const ask = async (host: string): Promise<void> => {
    await slots.acquire(1, host, never)
    order.push(host)
  }
  await Promise.all([ask('a'), ask('b')])
  expect(order).toEqual(['b', 'a'])
  expect(performance.now() - begun).toBeGreaterThan(50)
})

test('who gives up waiting leaves no trace', async () => {
  const slots = connectionSlots({ connectionsPerHost: 1, connectionsTotal: 1 })
  const release = await slots.acquire(1, 'a', never)
  const stop = new AbortController()
  const waiting = slots.acquire(1, 'a', stop.signal)
  stop.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  release()
  await slots.acquire(1, 'a', never)
})
