/** Who may have how many connections, and who is next. */
export interface ConnectionSlots {
  /** Waits for a connection's turn; the answer gives it back. */
  acquire(transfer: number, host: string, signal: AbortSignal): Promise<() => void>
  /** Nothing more is asked of a host for a while (it said when it wants to be asked again). */
  holdHost(host: string, ms: number): void
}

interface Waiter {
  readonly host: string
  grant(): void
}

interface Share {
  active: number
  readonly waiting: Waiter[]
}

/**
 * Transfers take turns, so that none starves another; each always gets one connection, also
 * where others have used up the limits.
 */
export function connectionSlots(limits: {
  connectionsPerHost: number
  connectionsTotal: number
}): ConnectionSlots {
  const shares = new Map<number, Share>()
  const activeByHost = new Map<string, number>()
  const heldUntilMs = new Map<string, number>()
  let active = 0

  const isHeld = (host: string): boolean => {
    const until = heldUntilMs.get(host)
    if (until === undefined) return false
    if (until > Date.now()) return true
    heldUntilMs.delete(host)
    return false
  }
  const mayGrant = (share: Share, host: string): boolean =>
    !isHeld(host) &&
    (share.active === 0 ||
      (active < limits.connectionsTotal &&
        (activeByHost.get(host) ?? 0) < limits.connectionsPerHost))

  const pump = (): void => {
    for (let granted = true; granted; ) {
      granted = false
      for (const [transfer, share] of shares) {
        const index = share.waiting.findIndex(({ host }) => mayGrant(share, host))
        const [waiter] = index === -1 ? [] : share.waiting.splice(index, 1)
        if (waiter === undefined) continue
        granted = true
        // The next round begins with somebody else.
        shares.delete(transfer)
        shares.set(transfer, share)
        waiter.grant()
        break
      }
    }
  }

  const leaveIfIdle = (transfer: number, share: Share): void => {
    if (share.active === 0 && share.waiting.length === 0) shares.delete(transfer)
  }
  const count = (share: Share, host: string, by: 1 | -1): void => {
    share.active += by
    active += by
    const ofHost = (activeByHost.get(host) ?? 0) + by
    if (ofHost === 0) activeByHost.delete(host)
    else activeByHost.set(host, ofHost)
  }

  return {
    acquire: (transfer, host, signal) => {
      if (signal.aborted) return Promise.reject(signal.reason as Error)
      const { promise, resolve, reject } = Promise.withResolvers<() => void>()
      const share = shares.get(transfer) ?? { active: 0, waiting: [] }
      shares.set(transfer, share)
      const leave = (): void => {
        share.waiting.splice(share.waiting.indexOf(waiter), 1)
        leaveIfIdle(transfer, share)
        reject(signal.reason)
      }
      const grant = (): void => {
        signal.removeEventListener('abort', leave)
        count(share, host, 1)
        let held = true
        resolve(() => {
          if (!held) return
          held = false
          count(share, host, -1)
          leaveIfIdle(transfer, share)
          pump()
        })
      }
      const waiter: Waiter = { host, grant }
      signal.addEventListener('abort', leave, { once: true })
      share.waiting.push(waiter)
      pump()
      return promise
    },
    holdHost: (host, ms) => {
      const until = Date.now() + ms
      if (until <= (heldUntilMs.get(host) ?? 0)) return
      heldUntilMs.set(host, until)
      setTimeout(pump, ms + 5)
    },
  }
}
