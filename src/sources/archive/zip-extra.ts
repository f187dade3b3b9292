import { crc32 } from 'node:zlib'
import { number64 } from './zip-end.ts'

const ZIP64 = 0x0001
const UNICODE_PATH = 0x7075
/** "The value is in the zip64 field." */
export const IN_ZIP64 = 0xffffffff

/** The extra fields of a header, as (id, data); what does not fit is padding of some archiver. */
function* extraFields(extra: Buffer): Generator<{ id: number; data: Buffer }> {
  for (let at = 0; at + 4 <= extra.length; ) {
    const end = at + 4 + extra.readUInt16LE(at + 2)
    if (end > extra.length) return
    yield { id: extra.readUInt16LE(at), data: extra.subarray(at + 4, end) }
    at = end
  }
}

/**
 * Replaces the values that point there by those of the zip64 field, which holds just these, in
 * this order. Undefined where one is missing or there are two such fields.
 */
export function applyZip64(values: readonly number[], extra: Buffer): number[] | undefined {
  if (!values.includes(IN_ZIP64)) return [...values]
  const [field, another] = [...extraFields(extra)].filter(({ id }) => id === ZIP64)
  if (field === undefined || another !== undefined) return undefined
  let at = 0
  const applied: number[] = []
  for (const value of values) {
    if (value !== IN_ZIP64) applied.push(value)
    else if (at + 8 > field.data.length) return undefined
    else {
      applied.push(number64(field.data, at))
      at += 8
    }
  }
  return applied
}

/** The name in UTF-8 that some archivers put beside one in an old character set. */
export function unicodePath(name: Buffer, extra: Buffer): Buffer | undefined {
  for (const { id, data } of extraFields(extra))
    if (id === UNICODE_PATH && data.length > 5 && data[0] === 1)
      if (data.readUInt32LE(1) === crc32(name))
        // It names the header's name by checksum: an older tool may have changed only that.
        return data.subarray(5)
  return undefined
}
